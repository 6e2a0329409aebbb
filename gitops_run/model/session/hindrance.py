"""What keeps a session from being gone, and the way out of it, from objects that are being deleted.

Knows finalizers and what the namespace controller says of a namespace that it can't empty. Source: Kubernetes
1.36, pkg/controller/namespace/deletion; Flux 2.8, whose controllers share one finalizer.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gitops_run.model.session.key import SessionKey

FLUX_FINALIZER: Final = "finalizers.fluxcd.io"
_STUCK: Final = {
    "NamespaceContentRemaining": "objects remain in it",
    "NamespaceFinalizersRemaining": "finalizers remain in it",
    "NamespaceDeletionContentFailure": "its content can't be deleted",
    "NamespaceDeletionDiscoveryFailure": "the API server can't list what is in it",
}
_GROUP_FAILURES: Final = "NamespaceDeletionDiscoveryFailure"


@dataclass(frozen=True, slots=True)
class Hindrance:
    """Say what holds a session's end up: a sentence, and what to do about it."""

    message: str
    hint: str


def hindrances(
    key: SessionKey, namespace: Mapping[str, Any], objects: Iterable[Mapping[str, Any]]
) -> tuple[Hindrance, ...]:
    """Find what holds a session's end up; nothing where nothing of it waits.

    namespace: as the API server has it, empty where there is none. objects: in it, each with its kind.
    """
    going = [live for live in objects if live["metadata"].get("deletionTimestamp")]
    held = [live for live in going if live["metadata"].get("finalizers")]
    causes = [live for live in held if FLUX_FINALIZER not in live["metadata"]["finalizers"]]
    found = tuple(_held(key, live) for live in causes or held)  # Flux waits for what it has applied
    return found or tuple(_of_namespace(key, namespace))


def _held(key: SessionKey, live: Mapping[str, Any]) -> Hindrance:
    """Explain an object that is deleted and waits for its finalizers."""
    kind, name = live["kind"], live["metadata"]["name"]
    finalizers = live["metadata"]["finalizers"]
    by_hand = _without_finalizers(key, kind, name)
    if FLUX_FINALIZER in finalizers:
        return Hindrance(
            f"{kind} {key.namespace}/{name} waits for Flux's controllers",
            "see whether they run: gitops-run platform status; if they are gone for good, the namespace "
            f"takes what it applied along: {by_hand}",
        )
    return Hindrance(
        f"{kind} {key.namespace}/{name} waits for whoever removes its finalizers: {', '.join(finalizers)}",
        f"start that controller; if it is gone for good: {by_hand}",
    )


def _without_finalizers(key: SessionKey, kind: str, name: str) -> str:
    patch = shlex.quote('{"metadata":{"finalizers":null}}')
    place = f"-n {key.namespace} --context {shlex.quote(key.context)}"
    return f"kubectl patch {kind.lower()} {name} --type merge -p {patch} {place}"


def _of_namespace(key: SessionKey, namespace: Mapping[str, Any]) -> Iterator[Hindrance]:
    """Explain a namespace that can't be emptied by what its controller says of it."""
    if not (namespace.get("metadata") or {}).get("deletionTimestamp"):
        return
    for condition in (namespace.get("status") or {}).get("conditions") or ():
        kind, said = condition.get("type"), condition.get("message", "")
        if kind not in _STUCK or condition.get("status") != "True":
            continue
        context = shlex.quote(key.context)
        hint = (
            f"mend or delete the APIService of that group: kubectl get apiservices --context {context}"
            if kind == _GROUP_FAILURES
            else f"look what holds them: kubectl get namespace {key.namespace} -o yaml --context {context}"
        )
        yield Hindrance(f"Namespace {key.namespace} is not gone, {_STUCK[kind]}: {said}", hint)
