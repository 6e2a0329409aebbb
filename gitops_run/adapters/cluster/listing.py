"""Which sessions a user may see, in a whole cluster or in some of its namespaces, and what is seen of each.

Knows that a user may list all, or the namespaces that they name, or nothing but the objects of their own
session by name, as its owner. What counts of it, the reducer decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from functools import reduce as over

from gitops_run.adapters.cluster.connection import Connection, Json
from gitops_run.adapters.cluster.paths import map_path, namespace_path, path_of, source_path
from gitops_run.adapters.cluster.states import (
    LABELLED,
    NAMESPACES,
    SessionAt,
    SessionKind,
    record_fact,
    session_kinds,
    session_of,
)
from gitops_run.errors import BackendError, DeniedError, NotFound, TransientError
from gitops_run.model.names import RECORD_MAP, STATE_MAP
from gitops_run.model.session.key import SessionKey
from gitops_run.model.state.session_state import Fact, SessionState, reduce, without_claims


async def list_states(connection: Connection, *, is_complete: bool = False) -> tuple[SessionState, ...]:
    """List every session of the cluster, by name, and what is left of others. Raises NotFound without Flux.

    What this user may not see is left out, but for the Flux Buckets, without which nothing is known.
    is_complete: nothing is left out; raises BackendError where something would be.
    """
    look = partial(_existing, connection) if is_complete else connection.find
    first, *others = kinds = session_kinds()
    try:
        listings = await asyncio.gather(
            connection.get(first.path, first.selector),
            *(look(kind.path, kind.selector) for kind in others),
        )
    except NotFound as error:
        raise NotFound(
            f"the cluster of context {connection.context!r} has no Flux, and therefore no sessions",
            hint="install it: gitops-run platform up",
        ) from error
    found: dict[str, list[Fact]] = {}
    for kind, listing in zip(kinds, listings, strict=True):
        for live in listing.get("items") or ():
            if (fact := kind.to_fact(live)) is not None:
                found.setdefault(kind.namespace_of(live), []).append(fact)
    # What this user may not list is empty as a whole; a list without items says that no label is there.
    is_label_seen = any(
        listing for kind, listing in zip(kinds, listings, strict=True) if kind.name == NAMESPACES
    )
    return shown(
        (_reduced(namespace, facts) for namespace, facts in found.items()), is_label_seen=is_label_seen
    )


async def _existing(connection: Connection, path: str, query: Mapping[str, str]) -> Json:
    """Get a list; nothing where the cluster doesn't serve its kind."""
    try:
        return await connection.get(path, query)
    except NotFound:
        return {}


async def list_states_within(connection: Connection, places: Sequence[SessionAt]) -> tuple[SessionState, ...]:
    """List the sessions of some namespaces, by name. Raises BackendError where a named one is refused."""
    found = await asyncio.gather(*(_state_within(connection, place) for place in places))
    return tuple(sorted((state for state in found if state is not None and state.name), key=_order))


async def _state_within(connection: Connection, place: SessionAt) -> SessionState | None:
    named = await located(connection, place)
    return _trusted(place.namespace, await _objects_within(connection, named), ()) if named else None


async def located(connection: Connection, place: SessionAt) -> SessionAt | None:
    """Find the name of the session in a namespace; None where there is none. Raises as list_states_within.

    Who may not list the Flux Buckets there, as an owner, learns it from the state that the session publishes.
    """
    namespace = place.namespace
    try:
        buckets = await connection.get(source_path(namespace), LABELLED)
    except TransientError:
        raise
    except (NotFound, BackendError):
        name = session_of(await connection.find(map_path(namespace, STATE_MAP))) or place.name
        if name:
            return replace(place, name=name)
        if place.is_named:
            raise
        return None
    items = buckets.get("items") or (await connection.find(namespace_path(namespace)),)
    name = next((name for live in items if (name := session_of(live))), "")
    return replace(place, name=name) if name else None


async def all_located(
    connection: Connection, places: Sequence[SessionAt] | None
) -> tuple[SessionAt, ...] | None:
    """Find the names of the sessions in these places; places without one are left out. Raises as located."""
    if places is None:
        return None
    found = await asyncio.gather(*(located(connection, place) for place in places))
    return tuple(place for place in found if place is not None)


async def places_to_list(
    connection: Connection, namespaces: Sequence[str], own: Sequence[SessionAt]
) -> tuple[SessionAt, ...] | None:
    """Choose where to look for sessions: None stands for the whole cluster.

    namespaces: those that a person named. own: the sessions that this machine knows, for a user who may not
    list all of them. Raises BackendError where neither is left.
    """
    if namespaces:
        known = {place.namespace: place.name for place in own}
        return tuple(SessionAt(one, known.get(one, ""), is_named=True) for one in dict.fromkeys(namespaces))
    if await _may_list_all(connection):
        return None
    seen = {name: SessionAt(name) for name in await _session_namespaces(connection)}
    places = {**seen, **{place.namespace: place for place in own}}
    if not places:
        raise DeniedError(
            f"you may not list the sessions of all namespaces of context {connection.context!r}",
            hint="name the namespaces that you may see: gitops-run list --namespace NAMESPACE",
        )
    return tuple(places.values())


async def _may_list_all(connection: Connection) -> bool:
    """Say whether this user may list the Flux Buckets of all namespaces. Raises TransientError."""
    attributes = {"group": "source.toolkit.fluxcd.io", "resource": "buckets", "verb": "list"}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    try:
        answer = await connection.create(
            path_of("authorization.k8s.io/v1", "selfsubjectaccessreviews"), review
        )
    except TransientError:
        raise
    except (NotFound, BackendError):
        return True  # the list itself reports why not
    return bool(answer["status"]["allowed"])


async def _session_namespaces(connection: Connection) -> tuple[str, ...]:
    """List the namespaces with a session's label; none where this user may not list namespaces."""
    listed = await connection.find(namespace_path(), LABELLED)
    return tuple(live["metadata"]["name"] for live in listed.get("items") or ())


def shown(states: Iterable[SessionState], *, is_label_seen: bool) -> tuple[SessionState, ...]:
    """Sort the sessions by name, and trust of each what may be trusted. is_label_seen: as for trusted."""
    found = (trusted(state, is_label_seen=is_label_seen) for state in states if state.name)
    return tuple(sorted(found, key=_order))


def _order(state: SessionState) -> tuple[str, str]:
    return state.name, state.namespace


def trusted(state: SessionState, *, is_label_seen: bool) -> SessionState:
    """Take an owner's word only of a namespace with a session's label.

    is_label_seen: whether this user may see the labels of namespaces at all.
    """
    return without_claims(state) if is_label_seen and not state.has_label else state


async def read_state(connection: Connection, key: SessionKey) -> SessionState:
    """Read one session, with its record. Raises NotFound where it doesn't exist."""
    name, namespace = key.name.text, key.namespace
    try:
        await connection.get(source_path(namespace, name))
    except NotFound as error:
        raise NotFound(
            f"there is no session {name} in namespace {namespace} of context {connection.context!r}",
            hint="to list the sessions: gitops-run list",
        ) from error
    found, record = await asyncio.gather(
        _objects_within(connection, SessionAt(namespace, name)),
        connection.find(map_path(namespace, RECORD_MAP)),
    )
    return _trusted(namespace, found, [record_fact(record)] if record else [])


def _trusted(namespace: str, found: Iterable[tuple[SessionKind, Json]], more: Iterable[Fact]) -> SessionState:
    objects = tuple(found)
    is_label_seen = any(live and kind.name == NAMESPACES for kind, live in objects)
    return trusted(_reduced(namespace, (*_facts_of(objects), *more)), is_label_seen=is_label_seen)


async def _objects_within(connection: Connection, place: SessionAt) -> tuple[tuple[SessionKind, Json], ...]:
    """Read the objects of one session; what is absent or hidden from this user is empty."""
    kinds = [kind.within(place) for kind in session_kinds()]
    found = await asyncio.gather(*(connection.find(kind.object_path) for kind in kinds))
    return tuple(zip(kinds, found, strict=True))


def _facts_of(found: Iterable[tuple[SessionKind, Json]]) -> Iterator[Fact]:
    for kind, live in found:
        if live and (fact := kind.to_fact(live)) is not None:
            yield fact


def _reduced(namespace: str, facts: Iterable[Fact]) -> SessionState:
    return over(reduce, facts, SessionState(namespace=namespace))
