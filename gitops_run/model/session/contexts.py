"""Which clusters may be touched.

This module knows the contexts that local tools make, and refuses every other one that nobody named. It reads
no kubeconfig.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from fnmatch import fnmatchcase

from gitops_run.errors import GuardError

KNOWN_LOCAL = (
    "kind-*",
    "k3d-*",
    "minikube",
    "docker-desktop",
    "docker-for-desktop",
    "rancher-desktop",
    "orbstack",
    "gitops-run-sandbox*",
)
"""Names that kind, k3d, minikube, Docker, Rancher, OrbStack and the sandbox give their contexts."""


def is_known_local(context: str) -> bool:
    """Report whether a local tool made this context, judging by its name."""
    return any(fnmatchcase(context, pattern) for pattern in KNOWN_LOCAL)


def guard(context: str, allowed: Sequence[str]) -> None:
    """Refuse a context that is neither known as local nor allowed by its whole name. Raises GuardError."""
    if is_known_local(context) or context in allowed:
        return
    raise GuardError(
        f"context {context!r} may lead to a remote cluster, and sessions there are not allowed yet",
        hint=f"to allow it: --allow-contexts {shlex.quote(context)}, or allowContexts in the settings file",
    )
