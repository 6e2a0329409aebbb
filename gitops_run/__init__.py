"""GitOps Run: every save on your disk, applied by Flux.

The names for Pulumi programs of one's own; each is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gitops_run.declare.session import Session
    from gitops_run.model.session import SessionName
    from gitops_run.model.session_spec import (
        AwsStore,
        ClusterPin,
        InClusterStore,
        S3Store,
        SessionOutputs,
        SessionSpec,
    )
    from gitops_run.model.store_keys import GivenKeys, KeyPair

__all__ = [
    "AwsStore",
    "ClusterPin",
    "GivenKeys",
    "InClusterStore",
    "KeyPair",
    "S3Store",
    "Session",
    "SessionName",
    "SessionOutputs",
    "SessionSpec",
]

_ROOMS = {
    "GivenKeys": "gitops_run.model.store_keys",
    "KeyPair": "gitops_run.model.store_keys",
    "Session": "gitops_run.declare.session",
    "SessionName": "gitops_run.model.session",
}
_SPEC = "gitops_run.model.session_spec"


def __getattr__(name: str) -> object:
    """Import a public name from its room."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_ROOMS.get(name, _SPEC)), name)
