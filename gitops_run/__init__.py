"""GitOps Run: every save on your disk, applied by Flux.

The names for Pulumi programs of one's own; each is imported when it is first used. With Session, Pulumi's
engine gets the plugin that it needs: a program that only ends sessions constructs none.
"""

from __future__ import annotations

import os
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gitops_run.declare.session import Session
    from gitops_run.declare.spec import read_spec
    from gitops_run.model.names import SessionName
    from gitops_run.model.session.spec import (
        AwsStore,
        ClusterPin,
        HelmApplier,
        InClusterStore,
        KustomizeApplier,
        S3Store,
        SessionOutputs,
        SessionSpec,
    )
    from gitops_run.model.store.keys import GivenKeys, KeyPair

__all__ = [
    "AwsStore",
    "ClusterPin",
    "GivenKeys",
    "HelmApplier",
    "InClusterStore",
    "KeyPair",
    "KustomizeApplier",
    "S3Store",
    "Session",
    "SessionName",
    "SessionOutputs",
    "SessionSpec",
    "read_spec",
]

_ROOMS = {
    "GivenKeys": "gitops_run.model.store.keys",
    "KeyPair": "gitops_run.model.store.keys",
    "Session": "gitops_run.declare.session",
    "SessionName": "gitops_run.model.names",
    "read_spec": "gitops_run.declare.spec",
}
_SPEC = "gitops_run.model.session.spec"


def __getattr__(name: str) -> object:
    """Import a public name from its room."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(_ROOMS.get(name, _SPEC)), name)
    if name == "Session":
        from gitops_run.adapters.pulumi.own_plugin import install_own_plugin  # noqa: PLC0415 - as the names

        with suppress(OSError):  # where it is needed, Session says so
            install_own_plugin(os.environ)
    return found
