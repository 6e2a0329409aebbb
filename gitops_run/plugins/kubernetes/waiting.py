"""Waiting: until an object is ready, until it is gone; each with a deadline, and a word on what for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gitops_run.errors import WaitTimeout
from gitops_run.plugins.kubernetes import readiness
from gitops_run.plugins.kubernetes.api import Api, ApiError
from gitops_run.plugins.kubernetes.kinds import SKIP_AWAIT, WAIT_FOR, Kind
from gitops_run.plugins.kubernetes.objects import annotations_of, metadata, name_of, namespace_of
from gitops_run.plugins.kubernetes.readiness import READY, Readiness
from gitops_run.plugins.kubernetes.values import Object

DEFAULT_TIMEOUT_S = 600.0
# How long a Service without any pod has to stay so before that counts as its final state.
SETTLE_S = 10.0

_ENDPOINTS = Kind(api_version="v1", name="Endpoints", plural="endpoints", namespaced=True)
_STORAGE_CLASS = Kind(
    api_version="storage.k8s.io/v1", name="StorageClass", plural="storageclasses", namespaced=False
)
# The kinds whose deletion skipAwait ends early; on all others it counts for creation and update only.
_SKIPS_DELETION = frozenset({("v1", "Namespace"), ("apps/v1", "Deployment")})


class NotReady(WaitTimeout):
    """Report an object that exists, but didn't become what was waited for."""

    def __init__(self, message: str, *, live: Object, reasons: tuple[str, ...]) -> None:
        """live: the object as it was last seen. reasons: one sentence each."""
        super().__init__(message)
        self.live = live
        self.reasons = reasons


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """One operation's patience: with which cluster, how long, and who hears of it.

    until: by time.monotonic(). report: called with what is being waited for.
    """

    api: Api
    until: float
    cancelled: threading.Event
    report: Callable[[str], None]

    def until_ready(self, kind: Kind, inputs: Object, live: Object) -> Object:
        """Wait until an object that was created or updated is ready, and return it as it is then."""
        if is_awaited(inputs):
            if expression := annotations_of(live).get(WAIT_FOR):
                return self._until(kind, live, readiness.parse_wait_for(expression))
            if kind.name == "Service" and kind.api_version == "v1":
                return self._until_serving(kind, live)
            return self._until(kind, live, self._rule(kind))
        return live

    def until_gone(self, kind: Kind, inputs: Object, live: Object) -> None:
        """Wait until an object that was deleted is gone; a namesake with another uid isn't it."""
        if not is_awaited(inputs) and (kind.api_version, kind.name) in _SKIPS_DELETION:
            return
        last, uid = live, metadata(live).get("uid")
        for seen in self._follow(kind, live, start=None):
            if seen is None or metadata(seen).get("uid") != uid:
                return
            last = seen
            self.report(f"waiting for the deletion, finalizers: {_finalizers(seen) or 'none'}")
        reason = f"finalizers might be preventing deletion ({_finalizers(last)})"
        raise NotReady(f"{self._ending()}: {reason}", live=last, reasons=(reason,))

    def _rule(self, kind: Kind) -> readiness.Rule:
        if (kind.api_version, kind.name) == ("v1", "PersistentVolumeClaim"):
            return lambda live: readiness.volume_claim(live, self._binding_mode(live))
        return readiness.RULES.get((kind.api_version, kind.name), lambda _: READY)

    def _until(self, kind: Kind, live: Object, rule: readiness.Rule) -> Object:
        last, found = live, Readiness(is_ready=False)
        for seen in self._follow(kind, live, start=live):
            if seen is None:
                raise NotReady(f"{name_of(live)} was deleted while waited for", live=last, reasons=())
            last, found = seen, rule(seen)
            if found.is_ready:
                return seen
            if found.has_failed:
                break
            self.report(found.message)
        ending = self._ending(has_failed=found.has_failed)
        raise NotReady(f"{ending}: {found.message}", live=last, reasons=(found.message,))

    def _until_serving(self, kind: Kind, live: Object) -> Object:
        service = self._until(kind, live, readiness.service_address)
        if not readiness.needs_endpoints(service):
            return service
        found, settled = Readiness(is_ready=False), time.monotonic() + SETTLE_S
        last: Object | None = None
        for seen in self._follow(_ENDPOINTS, service, start=None):
            if seen != last:
                last, settled = seen, time.monotonic() + SETTLE_S
            found = readiness.endpoints(seen or {})
            has_settled = seen is not None and found.may_settle and time.monotonic() >= settled
            if found.is_ready or has_settled:
                return self.api.get(kind, namespace_of(service), name_of(service))
            self.report(found.message)
        raise NotReady(f"{self._ending()}: {found.message}", live=service, reasons=(found.message,))

    def _follow(self, kind: Kind, live: Object, *, start: Object | None) -> Iterator[Object | None]:
        return self.api.follow(
            kind,
            namespace_of(live),
            name_of(live),
            until=self.until,
            cancelled=self.cancelled,
            start=start,
        )

    def _binding_mode(self, claim: Object) -> str:
        name = (claim.get("spec") or {}).get("storageClassName")
        if not name:
            return ""
        try:
            return str(self.api.get(_STORAGE_CLASS, "", name).get("volumeBindingMode", ""))
        except ApiError:
            return ""

    def _ending(self, *, has_failed: bool = False) -> str:
        if self.cancelled.is_set():
            return "cancelled"
        return "failed" if has_failed else "timed out waiting for the condition"


def is_awaited(inputs: Object) -> bool:
    """Say whether the program wants this object waited for."""
    return annotations_of(inputs).get(SKIP_AWAIT) != "true"


def _finalizers(live: Object) -> str:
    return ", ".join(metadata(live).get("finalizers") or [])
