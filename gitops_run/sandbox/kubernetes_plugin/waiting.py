"""Waiting: until an object is ready, until it is gone; each with a deadline, and a word on what for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from gitops_run.errors import WaitTimeout
from gitops_run.sandbox.kubernetes_plugin import readiness
from gitops_run.sandbox.kubernetes_plugin.api import Api, ApiError
from gitops_run.sandbox.kubernetes_plugin.kinds import SKIP_AWAIT, WAIT_FOR, Kind, Place
from gitops_run.sandbox.kubernetes_plugin.objects import annotations_of, metadata
from gitops_run.sandbox.kubernetes_plugin.readiness import READY, Readiness
from gitops_run.sandbox.kubernetes_plugin.troubles import trouble_of
from gitops_run.sandbox.kubernetes_plugin.values import Object

DEFAULT_TIMEOUT_S = 600.0
# How long a Service must stay without any pod before that counts as its final state.
SETTLE_S = 10.0
# How long pods may take to become ready before anybody asks them why.
PATIENCE_S = 5.0

_ENDPOINTS = Kind(api_version="v1", name="Endpoints", plural="endpoints", namespaced=True)
_STORAGE_CLASS = Kind(
    api_version="storage.k8s.io/v1", name="StorageClass", plural="storageclasses", namespaced=False
)
# The kinds whose deletion skipAwait ends early; on all others it counts for creation and update only.
_SKIPS_DELETION = frozenset({("v1", "Namespace"), ("apps/v1", "Deployment"), ("apps/v1", "StatefulSet")})


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

    until: by time.monotonic(). report: called with what is being waited for. warn: with what is in its way.
    """

    api: Api
    until: float
    cancelled: threading.Event
    report: Callable[[str], None]
    warn: Callable[[str], None]

    def until_ready(self, place: Place, inputs: Object, live: Object) -> Object:
        """Wait until an object that was created or updated is ready, and return it as it is then."""
        if not is_awaited(inputs):
            return live
        if expression := annotations_of(live).get(WAIT_FOR):
            return self._until(place, live, readiness.parse_wait_for(expression))
        if _key(place.kind) == ("v1", "Service"):
            return self._until_serving(place, live)
        return self._until(place, live, self._rule(place.kind))

    def until_gone(self, place: Place, inputs: Object, uid: str) -> None:
        """Wait until an object that was deleted is gone; a namesake with another uid isn't it."""
        if not is_awaited(inputs) and _key(place.kind) in _SKIPS_DELETION:
            return
        last: Object = {}
        for seen in self._follow(place, None):
            if seen is None or metadata(seen).get("uid") != uid:
                return
            last = seen
            self.report(f"waiting for the deletion, finalizers: {_finalizers(seen) or 'none'}")
        reason = f"finalizers might be preventing deletion ({_finalizers(last)})"
        raise NotReady(f"{self._ending()}: {reason}", live=last, reasons=(reason,))

    def _rule(self, kind: Kind) -> readiness.Rule:
        if _key(kind) == ("v1", "PersistentVolumeClaim"):
            return lambda live: readiness.volume_claim(live, self._binding_mode(live))
        return readiness.RULES.get(_key(kind), lambda _: READY)

    def _until(self, place: Place, live: Object, rule: readiness.Rule) -> Object:
        last, found, trouble = live, Readiness(is_ready=False), ""
        quiet_until = time.monotonic() + PATIENCE_S
        for seen in self._follow(place, live):
            if seen is None:
                raise NotReady(f"{place.name} was deleted in the meantime", live=last, reasons=())
            last, found = seen, rule(seen)
            if found.is_ready:
                return seen
            if found.has_failed:
                break
            self.report(found.message)
            if time.monotonic() > quiet_until:
                trouble = trouble_of(self.api, place, seen)
                if trouble:
                    self.warn(trouble)
        ending = self._ending(has_failed=found.has_failed)
        reasons = tuple(filter(None, (found.message, trouble)))
        raise NotReady(f"{ending}: {found.message}", live=last, reasons=reasons)

    def _until_serving(self, place: Place, live: Object) -> Object:
        service = self._until(place, live, readiness.service_address)
        if not readiness.needs_endpoints(service):
            return service
        found, settled = Readiness(is_ready=False), time.monotonic() + SETTLE_S
        last: Object | None = None
        for seen in self._follow(replace(place, kind=_ENDPOINTS), None):
            if seen != last:
                last, settled = seen, time.monotonic() + SETTLE_S
            found = readiness.endpoints(seen or {})
            has_settled = seen is not None and found.may_settle and time.monotonic() >= settled
            if found.is_ready or has_settled:
                return self.api.get(place)
            self.report(found.message)
        raise NotReady(f"{self._ending()}: {found.message}", live=service, reasons=(found.message,))

    def _follow(self, place: Place, start: Object | None) -> Iterator[Object | None]:
        return self.api.follow(place, start, until=self.until, cancelled=self.cancelled)

    def _binding_mode(self, claim: Mapping[str, Any]) -> str:
        name = (claim.get("spec") or {}).get("storageClassName")
        if not name:
            return ""
        try:
            found = self.api.get(Place(kind=_STORAGE_CLASS, namespace="", name=name))
        except ApiError:
            return ""  # a class that can't be read says nothing of when it binds
        return str(found.get("volumeBindingMode", ""))

    def _ending(self, *, has_failed: bool = False) -> str:
        if self.cancelled.is_set():
            return "cancelled"
        return "failed" if has_failed else "timed out waiting for the condition"


def is_awaited(inputs: Object) -> bool:
    """Report whether the program wants this object waited for."""
    return bool(annotations_of(inputs).get(SKIP_AWAIT) != "true")


def _finalizers(live: Object) -> str:
    return ", ".join(metadata(live).get("finalizers") or [])


def _key(kind: Kind) -> tuple[str, str]:
    return kind.api_version, kind.name
