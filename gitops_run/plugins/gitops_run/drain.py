"""The resource Drain: nothing while a session is up, and the first step of its end.

It depends on what a session declares in its cluster, so Pulumi removes it first: then it stops the writer and
resumes what was suspended, so that Flux can remove what it applied.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

import anyio

from gitops_run.errors import TransientError, UsageError
from gitops_run.model.names import SessionName
from gitops_run.model.session.key import SessionKey
from gitops_run.plugins.gitops_run.values import UNKNOWN

TOKEN = "gitops-run:index:Drain"  # noqa: S105 - a type's token
INPUTS: Final = ("kubeconfig", "context", "namespace", "session", "cluster")
UNREACHABLE_VARIABLE: Final = "PULUMI_K8S_DELETE_UNREACHABLE"
"""By which Pulumi's kubernetes plugin takes what it can't reach for gone."""


def problems(properties: Mapping[str, Any]) -> dict[str, str]:
    """Find what is wrong with declared properties: from a property's name to the reason."""
    found = {
        name: f"is no input of {TOKEN}; it has {', '.join(INPUTS)}"
        for name in properties
        if name not in INPUTS and not name.startswith("__")
    }
    for name in INPUTS:
        if not isinstance(value := properties.get(name), str) or not value:
            found[name] = "must be a text that is not empty"
    return found


def identity(properties: Mapping[str, Any]) -> str:
    """Name it, for Pulumi."""
    return f"{properties['namespace']}/{properties['session']}"


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> frozenset[str]:
    """Name the inputs that changed."""
    return frozenset(name for name in INPUTS if old.get(name) != new.get(name) and new.get(name) != UNKNOWN)


def delete(known: Mapping[str, Any], timeout_s: float) -> None:
    """Drain the session. timeout_s: 0 for the usual time.

    Raises as drain; where the cluster can't be reached, unless the user has said that it is gone.
    """
    from gitops_run.adapters.cluster.draining import DRAIN_S, drain  # noqa: PLC0415 - kubernetes: 150 ms of any `up`

    name = SessionName.parse(known["session"])
    key = SessionKey(
        kubeconfig=known["kubeconfig"], context=known["context"], namespace=known["namespace"], name=name
    )

    async def work() -> None:
        await drain(key, cluster=known["cluster"], within_s=timeout_s or DRAIN_S)

    try:
        anyio.run(work)
    except (TransientError, UsageError) as error:
        if os.environ.get(UNREACHABLE_VARIABLE, "").lower() in {"true", "1"}:
            return
        gone = f"gitops-run down {name} --cluster-gone, or {UNREACHABLE_VARIABLE}=true pulumi destroy"
        raise type(error)(
            f"session {name} can't be drained: {error.message}",
            hint=f"{error.hint}; if the cluster is gone for good: {gone}",
        ) from error
