"""Ask something of a session, and carry out what was asked: the one table of what each verb does.

A request is an annotation of the session's Flux Bucket, written under the rights of whoever asks. A live sync
carries it out, or the collector where nobody syncs; only the collector ends a session.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import anyio

from gitops_run.adapters.cluster import control
from gitops_run.adapters.cluster.announce import announce
from gitops_run.adapters.cluster.bounds import has_policies
from gitops_run.adapters.cluster.connection import Connection, connect
from gitops_run.adapters.cluster.facts import read_user
from gitops_run.adapters.cluster.listing import read_state
from gitops_run.adapters.cluster.paths import map_path
from gitops_run.adapters.cluster.record import RecordMaps, to_summary
from gitops_run.adapters.cluster.reflector import reflect_one
from gitops_run.api.caller import Caller
from gitops_run.api.control import new_end, resume_state
from gitops_run.errors import GitOpsRunError, GuardError, NotFound, ReconcileFailed, UsageError, WaitTimeout
from gitops_run.flows.requests import answer_to
from gitops_run.flows.undo import UNDO_S
from gitops_run.model.flux.requests import Request, Verb, one_line, verb_of
from gitops_run.model.names import STATE_MAP
from gitops_run.model.session.key import SessionKey
from gitops_run.model.session.limits import Duration, read_time, write_time
from gitops_run.model.state.history import before, find
from gitops_run.model.state.record import Record, with_answer
from gitops_run.model.state.saves import Answer
from gitops_run.model.state.session_state import SessionState, Suspension
from gitops_run.model.state.summary import summarize
from gitops_run.model.state.texts import record_text, summary_text

# A sync answers within seconds, but for an undo, which waits for the save that is running. One that has died
# loses its Lease within this time.
ANSWER_S: Final = 20.0
NOT_BOUND: Final = (
    "the platform's admission policies are not in force, so that anybody who may change the session's Bucket "
    "can ask in another's name: only a live sync carries requests out, and none ends a session"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """Hold a request that was made. answer: the sync's; None where the collector carries it out later."""

    request: Request
    answer: Answer | None


async def ask(key: SessionKey, verb: Verb, argument: str, why: str, caller: Caller) -> Made:
    """Make a request, leave word of it, and wait for the answer of a sync that is live.

    argument: of extend a duration, of undo the beginning of a revision, each "" for the usual one. Raises
    UsageError on an argument that can't be used, WaitTimeout where a live sync doesn't answer, and as make.
    """
    async with connect(key.kubeconfig, key.context) as connection:
        state = await read_state(connection, key)
        said = await _argument(connection, state, verb, argument)
        request = await make(connection, state, verb, said, why)
        await leave_word(connection, state, verb, asked_for(verb, said, why), caller)
        if verb is Verb.END or not state.is_synced:
            return Made(request=request, answer=None)
        return Made(request=request, answer=await answered(connection, state, request))


async def make(
    connection: Connection, state: SessionState, verb: Verb, argument: str = "", why: str = ""
) -> Request:
    """Write a request onto a session's Bucket, in the name of whoever asks.

    argument: as the request holds it. Raises GuardError for an end where no admission policy proves who
    asks, BackendError where the cluster refuses.
    """
    if verb is Verb.END and await has_policies(connection) is False:
        hint = f"whoever has the session's stack ends it: gitops-run down {state.name}"
        raise GuardError(NOT_BOUND, hint=hint)
    request = new_request(verb, argument, await read_user(connection), why)
    await control.ask(connection, state, request)
    return request


def asked_for(verb: Verb, argument: str, why: str) -> str:
    """Write what somebody asks for, and why."""
    return " ".join(word for word in (verb.value, argument) if word) + (f": {why}" if why else "")


async def leave_word(
    connection: Connection, state: SessionState, verb: Verb, what: str, caller: Caller
) -> None:
    """Say who asked for what: in an Event of the session's namespace, and to the caller."""
    message = f"{await read_user(connection)} asked for {what}"
    caller.report(f"{state.namespace}/{state.name}: {message}")
    try:
        await announce(connection, state, f"{verb.value.capitalize()}Requested", message, datetime.now(UTC))
    except GitOpsRunError as error:
        caller.report(f"no Event could be left in {state.namespace}: {error.message}")


def refused(name: str, request: Request, answer: Answer) -> ReconcileFailed:
    """Report that the sync of a session refuses what was asked of it."""
    return ReconcileFailed(
        f"the sync of {name} refuses to {request.verb}: {answer.message}",
        hint=f"to see what it keeps and how long it has left: gitops-run status {name}",
    )


def new_request(verb: Verb, argument: str, who: str, why: str = "") -> Request:
    """Make a request of now, with an id of its own. who: as the cluster names them."""
    return Request(
        id=secrets.token_hex(8),
        verb=verb,
        argument=argument,
        who=who,
        when=write_time(datetime.now(UTC)),
        why=one_line(why),
    )


async def answered(connection: Connection, state: SessionState, request: Request) -> Answer:
    """Wait for the answer of the sync that is live. Raises WaitTimeout where none comes."""
    path = map_path(state.namespace, STATE_MAP).rpartition("/")[0]
    within_s = UNDO_S if request.verb == Verb.UNDO else ANSWER_S
    with anyio.move_on_after(within_s):
        async with aclosing(reflect_one(connection, path, STATE_MAP)) as states:
            async for live in states:
                summary = to_summary(live) if live else None
                if summary and summary.answer and summary.answer.request == request.id:
                    return summary.answer
    holder = state.synced_by.holder if state.synced_by else "nobody"
    raise WaitTimeout(
        f"the sync of {state.name}, which runs as {holder}, did not answer within {within_s:.0f} s",
        hint="to see whether it still runs: gitops-run status NAME",
    )


async def _argument(connection: Connection, state: SessionState, verb: Verb, argument: str) -> str:
    """Turn what a person says into what a request holds."""
    if verb is Verb.EXTEND:
        return await new_end(connection, state, Duration.parse(argument) if argument else None)
    if verb is Verb.UNDO:
        if not state.is_synced:
            raise _only_where_it_is_synced(state)
        kept = state.record.kept if state.record else ()
        live = state.source.revision if state.source else ""
        return (find(kept, argument) if argument else before(kept, live)).revision
    if argument:
        raise UsageError(f"{verb} takes no argument", hint="leave it out")
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncCarrier:
    """Carry out for a live sync what is asked of the session's objects. Fulfils flows.requests.Carrier."""

    connection: Connection
    key: SessionKey
    answered: frozenset[str]

    async def carry_out(self, request: Request) -> bool:
        """Carry a request out; False leaves the end to the collector. Raises GitOpsRunError as a refusal."""
        if request.verb == Verb.END:
            if await has_policies(self.connection) is False:
                raise GuardError(NOT_BOUND)
            return False
        await carry_out(self.connection, await read_state(self.connection, self.key), request)
        return True


async def carry_out(connection: Connection, state: SessionState, request: Request) -> None:
    """Carry out a request that is none to end the session. Doing it twice does no more than once.

    Raises GuardError where it is refused, BackendError where the cluster refuses or fails.
    """
    await _STEPS[verb_of(request)](connection, state, request)


async def record_answer(
    connection: Connection, state: SessionState, request: Request, refusal: str, now: datetime
) -> None:
    """Answer in the record of a session that nobody syncs. refusal: "" where it was carried out."""
    record = with_answer(state.record or Record(), answer_to(request, refusal), write_time(now))
    await write_record(connection, state, record)


async def write_record(connection: Connection, state: SessionState, record: Record) -> None:
    """Write the record of a session that nobody syncs, and the row that is made of it."""
    maps = RecordMaps(connection, state.namespace)
    await maps.write_record(record_text(record))
    await maps.write_state(summary_text(summarize(record)))


async def _extend(connection: Connection, state: SessionState, request: Request) -> None:
    until = read_time(request.argument)
    if until is None:
        raise GuardError(f"{request.argument!r} is no time to extend it to")
    if state.ends_at is None:
        raise GuardError("it has no TTL: it never ends on its own")
    if until > state.ends_at:
        await control.extend(connection, state, write_time(until))


async def _suspend(connection: Connection, state: SessionState, request: Request) -> None:
    if not state.is_suspended:
        now = write_time(datetime.now(UTC))
        why = Suspension(by=request.who, reason=request.why or "by request", at=now)
        await control.suspend(connection, state, why)


async def _resume(connection: Connection, state: SessionState, request: Request) -> None:
    del request
    await resume_state(connection, state)


async def _retry(connection: Connection, state: SessionState, request: Request) -> None:
    await control.retry(connection, state, request.id)


async def _undo(connection: Connection, state: SessionState, request: Request) -> None:
    del connection, request
    raise _only_where_it_is_synced(state)


def _only_where_it_is_synced(state: SessionState) -> NotFound:
    return NotFound(
        f"nobody syncs session {state.name}, and the snapshots are kept where it is synced",
        hint="undo it there: gitops-run undo NAME",
    )


_STEPS: Final[Mapping[Verb, Callable[[Connection, SessionState, Request], Awaitable[None]]]] = {
    Verb.UNDO: _undo,
    Verb.EXTEND: _extend,
    Verb.RETRY: _retry,
    Verb.SUSPEND: _suspend,
    Verb.RESUME: _resume,
}
"""What each verb does to a session's objects. A live sync undoes and retries with the files that it has, and
the end is the collector's.
"""
