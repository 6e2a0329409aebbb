"""Create, read, update and delete one object, as pulumi-resource-kubernetes 4.34 does.

A create is a plain create, and fails where the object exists; an update is a server-side apply under
the resource's own field manager; a preview is the same with a dry run. What is returned is state.
"""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from gitops_run.errors import BackendError, GitOpsRunError
from gitops_run.sandbox.kubernetes_plugin import managers, readiness
from gitops_run.sandbox.kubernetes_plugin.api import APPLY_PATCH, JSON_PATCH, Api, ApiError, Request
from gitops_run.sandbox.kubernetes_plugin.host import Host
from gitops_run.sandbox.kubernetes_plugin.kinds import DELETION_POLICY, Kind, KindName, Place
from gitops_run.sandbox.kubernetes_plugin.objects import (
    State,
    annotations_of,
    identity,
    imported_inputs,
    metadata,
    name_of,
    namespace_of,
    normalized,
    parse_identity,
    pruned,
)
from gitops_run.sandbox.kubernetes_plugin.values import Object, has_unknown
from gitops_run.sandbox.kubernetes_plugin.waiting import DEFAULT_TIMEOUT_S, NotReady, Wait, is_awaited

# A namespace or a definition of custom resources may come a moment later than what needs it.
_CREATE_RETRIES_S = (1.0, 2.0, 4.0, 8.0, 16.0)
_HAND_OVER_TRIES = 3
_DEPLOYMENT = KindName(api_version="apps/v1", name="Deployment")
_DRY_RUN = {"dryRun": "All"}
_ALREADY_EXISTS = """

The resource already exists in the cluster. This can happen when:

  - Renaming a Pulumi resource: use an alias to preserve the identity,
    or use deleteBeforeReplace if the resource needs replacement.
  - Managing an existing resource: use a Patch resource (e.g. NamespacePatch)
    to manage specific fields without owning the resource lifecycle.
  - Adopting a resource into Pulumi: use `pulumi import`. Note that
    protected resources (e.g. kube-system) cannot be deleted on destroy.
  - Intentional upsert: set upsertExistingObjects on the provider to allow
    server-side apply to update existing objects on create."""


class InitFailed(BackendError):
    """Report an object that exists, but isn't what was asked for yet; carries its state."""

    def __init__(self, message: str, *, state: State, reasons: tuple[str, ...]) -> None:
        """reasons: what the object waits for, one sentence each."""
        super().__init__(message)
        self.state = state
        self.reasons = reasons


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """An update that is asked for.

    ignored: property paths of ignoreChanges.
    """

    old: State
    inputs: Object
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One resource of a program, in the cluster that its provider is configured for.

    timeout_s: 0 for the usual ten minutes.
    """

    api: Api
    host: Host
    cancelled: threading.Event
    urn: str
    kind: KindName
    timeout_s: float = 0.0

    def preview_create(self, inputs: Object) -> State | None:
        """Ask the cluster what would be created; None where that can't be known yet."""
        kind = None if has_unknown(inputs) else self.api.find(self.kind)
        if kind is None:
            return None
        try:
            live = self._post(_place(kind, inputs), inputs, _DRY_RUN)
        except ApiError as error:
            is_early = error.code == 404 and error.kind == "namespaces"
            if is_early or error.reason == "AlreadyExists" or error.code == 403:
                return None
            raise self._not_created(error) from error
        live.pop("status", None)
        return _new_state(inputs, live)

    def create(self, inputs: Object) -> State:
        """Create the object and wait until it is ready."""
        try:
            place, live = self._created(inputs)
        except ApiError as error:
            raise self._not_created(error) from error
        return self._ready(place, _new_state(inputs, live), "created")

    def _created(self, inputs: Object) -> tuple[Place, Object]:
        for delay in _CREATE_RETRIES_S:
            try:
                return self._created_at_once(inputs)
            except ApiError as error:
                if error.code != 404 or self.cancelled.is_set():
                    raise
                self.host.status(f"waiting to create: {error}", self.urn)
            self.cancelled.wait(delay)
        return self._created_at_once(inputs)

    def _created_at_once(self, inputs: Object) -> tuple[Place, Object]:
        place = _place(self._kind(), inputs)
        return place, self._post(place, inputs, {})

    def _post(self, place: Place, inputs: Object, query: Mapping[str, str]) -> Object:
        query = {"fieldManager": managers.CREATOR, **query}
        return self.api.send(Request(method="POST", path=place.collection, query=query, body=inputs))

    def _not_created(self, error: ApiError) -> BackendError:
        text = f'resource "{self.urn}" was not successfully created by the Kubernetes API server: {error}'
        return BackendError(text + _ALREADY_EXISTS if error.reason == "AlreadyExists" else text)

    def preview_update(self, change: Change) -> State | None:
        """Ask the cluster what an update would give; None where that can't be known yet."""
        kind = None if has_unknown(change.inputs) else self.api.find(self.kind)
        if kind is None:
            return None
        try:
            live = self.api.get(_place(kind, change.old.live))
            is_forced = managers.created_by_plugin(managers.entries_of(live))
            return self._applied(change, live, {**_DRY_RUN, "force": str(is_forced).lower()})
        except ApiError as error:
            if error.code == 403:
                return None
            raise self._not_updated(error) from error

    def update(self, change: Change) -> State:
        """Apply the inputs to the object and wait until it is ready."""
        try:
            live = self._handed_over(change.old)
            state = self._applied(change, live, {"force": "false"})
        except ApiError as error:
            raise self._not_updated(error) from error
        return self._ready(_place(self._kind(), state.live), state, "updated")

    def _ready(self, place: Place, state: State, done: str) -> State:
        """Wait until the object is ready; whatever goes wrong meanwhile, its state isn't lost."""
        try:
            return replace(state, live=self._wait().until_ready(place, state.inputs, state.live))
        except GitOpsRunError as error:
            message = f'resource "{self.urn}" was {done}, but did not become ready: {error}'
            raise _init_failed(message, state, error) from error

    def _applied(self, change: Change, live: Object, query: Mapping[str, str]) -> State:
        request = Request(
            method="PATCH",
            path=_place(self._kind(), live).path,
            query={"fieldManager": change.old.manager, **query},
            body=_with_ignored(change, live),
            content_type=APPLY_PATCH,
        )
        return replace(change.old, inputs=change.inputs, live=self.api.send(request))

    def _handed_over(self, old: State) -> Object:
        """Give the creator's fields to the resource's manager, unless that was done before."""
        place = _place(self._kind(), old.live)
        for tries_left in reversed(range(_HAND_OVER_TRIES)):
            live = self.api.get(place)
            entries = managers.handed_over(managers.entries_of(live), old.manager)
            if entries is None:
                break
            version = {"op": "test", "path": "/metadata/resourceVersion", "value": _version(live)}
            fields = {"op": "replace", "path": "/metadata/managedFields", "value": entries}
            try:
                return self.api.send(
                    Request(method="PATCH", path=place.path, body=[version, fields], content_type=JSON_PATCH)
                )
            except ApiError as error:
                if error.code not in {409, 422} or not tries_left:
                    raise
        return live

    def _not_updated(self, error: ApiError) -> BackendError:
        return BackendError(f'update of resource "{self.urn}" failed: {error}')

    def read(self, resource_id: str, old: State, inputs: Object) -> State | None:
        """Read the object back; None where it is gone.

        inputs: as they were declared, empty where Pulumi doesn't know the object yet. Returns inputs as
        the cluster has them now, in the shape of the declared ones.
        """
        kind = self.api.find(self.kind)
        if kind is None:
            return None
        namespace, name = parse_identity(resource_id)
        try:
            live = self.api.get(Place(kind=kind, namespace=namespace, name=name))
        except ApiError as error:
            if error.code == 404:
                return None
            raise
        declared = normalized(inputs)
        state = State(
            inputs=pruned(live, declared) if declared else imported_inputs(live),
            live=live,
            api_version=old.api_version or self.kind.api_version,
            manager=old.manager or managers.new_manager(),
        )
        if declared and self.kind == _DEPLOYMENT and is_awaited(declared):
            _check_still_ready(state)
        return state

    def delete(self, old: State, resource_id: str) -> None:
        """Delete the object, what it owns first unless it says otherwise, and wait until it is gone."""
        kind = self.api.find(self.kind)
        if kind is None:
            return
        namespace, name = parse_identity(resource_id)
        place = Place(kind=kind, namespace=namespace, name=name)
        policy = str(annotations_of(old.inputs).get(DELETION_POLICY, "foreground")).capitalize()
        try:
            answer = self.api.send(
                Request(method="DELETE", path=place.path, body={"propagationPolicy": policy})
            )
        except ApiError as error:
            if error.code == 404:
                return
            raise
        try:
            self._wait().until_gone(place, old.inputs, _deleted_uid(answer))
        except NotReady as error:
            self.host.warning(error.reasons[0], self.urn)
            raise _init_failed(str(error), old, error) from error

    def _kind(self) -> Kind:
        kind = self.api.find(self.kind)
        if kind is None:
            message = f"the cluster has no kind {self.kind.name} in {self.kind.api_version}"
            raise ApiError(message, code=404, reason="NotFound")
        return kind

    def _wait(self) -> Wait:
        return Wait(
            api=self.api,
            until=time.monotonic() + (self.timeout_s or DEFAULT_TIMEOUT_S),
            cancelled=self.cancelled,
            report=lambda message: self.host.status(message, self.urn),
            warn=lambda message: self.host.trouble(message, self.urn),
        )


def _place(kind: Kind, obj: Object) -> Place:
    return Place(kind=kind, namespace=namespace_of(obj), name=name_of(obj))


def _version(live: Object) -> str:
    return str(metadata(live)["resourceVersion"])


def _deleted_uid(answer: Object) -> str:
    """Read the uid from what a deletion answers: the object, or a status where it is gone already."""
    return str(metadata(answer).get("uid") or (answer.get("details") or {}).get("uid"))


def _new_state(inputs: Object, live: Object) -> State:
    return State(inputs=inputs, live=live, api_version=inputs["apiVersion"], manager=managers.new_manager())


def _init_failed(message: str, state: State, error: GitOpsRunError) -> InitFailed:
    if not isinstance(error, NotReady):
        return InitFailed(message, state=state, reasons=(message,))
    return InitFailed(
        message,
        state=replace(state, live=error.live or state.live),
        reasons=(message, *error.reasons),
    )


def _check_still_ready(state: State) -> None:
    found = readiness.deployment(state.live)
    if not found.is_ready:
        message = f"{identity(state.live)} is not ready: {found.message}"
        raise InitFailed(message, state=state, reasons=(found.message,))


def _with_ignored(change: Change, live: Object) -> Object:
    """Keep the fields of ignoreChanges: leave out those of others, and apply the live value of the rest."""
    result = copy.deepcopy(change.inputs)
    for path in change.ignored:
        steps = path.split(".")
        ours, theirs = managers.owns(managers.entries_of(live), steps, manager=change.old.manager)
        *parents, last = steps
        source = live
        for step in parents:
            source = source.get(step) or {}
        if last not in source:
            continue  # as the real one, which splits at dots within quotes too and then finds nothing
        target = result
        for step in parents:
            target = target.setdefault(step, {})
        if theirs and not ours:
            target.pop(last, None)
        else:
            target[last] = source[last]
    return result
