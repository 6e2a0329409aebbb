"""The kubernetes package's asyncio client, without its synchronous one.

`kubernetes/__init__.py` imports the whole synchronous client, with requests, OAuth and pydantic, which is a
third of the time that `list` takes. This module registers the package without running that file; its parts
are found as usual. Source: kubernetes 37, kubernetes/__init__.py.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec, module_from_spec

_spec = find_spec("kubernetes")
if _spec is not None:
    sys.modules.setdefault("kubernetes", module_from_spec(_spec))

from kubernetes.aio.client import ApiClient, Configuration  # noqa: E402 - the package has to be there first
from kubernetes.aio.config.config_exception import ConfigException  # noqa: E402
from kubernetes.aio.config.kube_config import KubeConfigLoader  # noqa: E402

__all__ = ["ApiClient", "ConfigException", "Configuration", "KubeConfigLoader"]
