"""List the sessions of a cluster that a user may see, once or whenever one changes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gitops_run.adapters.cluster.connection import Connection, connect
from gitops_run.adapters.cluster.facts import read_user
from gitops_run.adapters.cluster.listing import all_located, list_states, list_states_within, places_to_list
from gitops_run.adapters.cluster.states import SessionAt
from gitops_run.adapters.machine import user_files
from gitops_run.adapters.machine.remembered import remembered_sessions
from gitops_run.api.caller import Caller
from gitops_run.api.watch import watch_sessions
from gitops_run.errors import UsageError
from gitops_run.model.names import SessionName
from gitops_run.model.state.session_state import Phase, SessionState, phase


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRequest:
    """Say which sessions to list: all that fit. owner, phase: None for any.

    namespaces: none for all that this user may see. is_mine: those that this user owns.
    """

    kubeconfig: str
    context: str
    namespaces: tuple[str, ...] = ()
    owner: str | None = None
    phase: Phase | None = None
    is_mine: bool = False


async def list_sessions(request: ListRequest, caller: Caller) -> tuple[SessionState, ...]:
    """List sessions by name. Raises NotFound where the cluster has no Flux, BackendError without a right."""
    async with connect(request.kubeconfig, request.context) as connection:
        places = await _places(connection, request, caller)
        owner = await _owner(connection, request)
        every = await (list_states(connection) if places is None else list_states_within(connection, places))
        return wanted(every, owner, request.phase, datetime.now(UTC))


async def watch_list(request: ListRequest, caller: Caller) -> AsyncGenerator[tuple[SessionState, ...], None]:
    """Yield what list_sessions returns at once, and then whenever it is different. Raises as that."""
    async with connect(request.kubeconfig, request.context) as connection:
        places = await all_located(connection, await _places(connection, request, caller))
        owner = await _owner(connection, request)
        before: tuple[SessionState, ...] | None = None
        async with watch_sessions(connection, places) as watch, aclosing(watch.sessions()) as all_states:
            async for states in all_states:
                found = wanted(states, owner, request.phase, datetime.now(UTC))
                if found != before:
                    yield found
                before = found


def wanted(
    states: Iterable[SessionState], owner: str | None, in_phase: Phase | None, now: datetime
) -> tuple[SessionState, ...]:
    """Choose the sessions of an owner and in a phase; None for any."""
    return tuple(
        state
        for state in states
        if owner in (None, state.known_owner) and in_phase in (None, phase(state, now))
    )


def changes(
    before: Iterable[SessionState], after: Iterable[SessionState]
) -> Iterator[tuple[SessionState, bool]]:
    """Name the sessions that are new or have changed, and then, with True, those that are gone."""
    known = {state.namespace: state for state in before}
    for state in after:
        if known.pop(state.namespace, None) != state:
            yield state, False
    for state in known.values():
        yield state, True


async def _owner(connection: Connection, request: ListRequest) -> str | None:
    return await read_user(connection) if request.is_mine else request.owner


async def _places(
    connection: Connection, request: ListRequest, caller: Caller
) -> tuple[SessionAt, ...] | None:
    own = own_places(request.context, caller.environment, caller.here)
    return await places_to_list(connection, request.namespaces, own)


def own_places(context: str, environment: Mapping[str, str], here: Path) -> tuple[SessionAt, ...]:
    """Name the sessions of a context that this machine knows: by stack files and by what it remembers."""
    remembered = (SessionAt(name.namespace, name.text) for name in remembered_sessions(environment, context))
    return tuple(dict.fromkeys((*_declared(context, environment, here), *remembered)))


def _declared(context: str, environment: Mapping[str, str], here: Path) -> Iterator[SessionAt]:
    """Read the stack files near a folder and in the tool's own project; a broken one is left out."""
    own = user_files.data_directory(environment) / "project"
    for folder in (here, *here.parents, own):
        for file in sorted((folder / "stacks").glob("Pulumi.*.yaml")):
            with suppress(UsageError):
                name = SessionName.parse(file.name.removeprefix("Pulumi.").removesuffix(".yaml"))
                said = user_files.read_stack_file(file).values
                if said.get("context") == context:
                    yield SessionAt(str(said.get("namespace") or name.namespace), name.text)
