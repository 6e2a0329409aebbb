"""The kubernetes package's asyncio client, without its synchronous one.

`kubernetes/__init__.py` imports the whole synchronous client, with requests and OAuth, and `kubernetes.aio`
its dynamic client: together a third of the time that `list` takes. This module registers both packages
without running these files; their parts are found as usual. Source: kubernetes 37.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec, module_from_spec

for _name in ("kubernetes", "kubernetes.aio"):
    if _name not in sys.modules and (_spec := find_spec(_name)) is not None:
        sys.modules[_name] = module_from_spec(_spec)

from kubernetes.aio.client import ApiClient, Configuration  # noqa: E402 - the package must be imported first
from kubernetes.aio.config.config_exception import ConfigException  # noqa: E402
from kubernetes.aio.config.kube_config import KubeConfigLoader  # noqa: E402

__all__ = ["ApiClient", "ConfigException", "Configuration", "KubeConfigLoader"]
