"""Act on a session for one person who looks at it, with that person's rights, and leave word of it.

An action that a loop carries out is asked for in the cluster; who does it, and when, is said beforehand.
"""

from __future__ import annotations

from dataclasses import dataclass

from gitops_run.adapters.cluster.facts import read_user
from gitops_run.api import control, requests
from gitops_run.api.caller import Caller
from gitops_run.api.stack_here import has_stack_of
from gitops_run.api.viewing import Viewing, ViewRequest, open_viewing
from gitops_run.errors import GuardError, UsageError
from gitops_run.model.flux.requests import Request, Verb
from gitops_run.model.rights.access import FLUX_HELM_GROUP, FLUX_KUSTOMIZE_GROUP, FLUX_SOURCE_GROUP
from gitops_run.model.rights.right import Right
from gitops_run.model.session.key import SessionKey
from gitops_run.model.session.limits import Duration
from gitops_run.model.state.session_state import SessionState


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Say what a person asks for.

    reason: in their words. revision: of undo. duration: of extend, None for the TTL once more.
    """

    verb: Verb
    reason: str = ""
    revision: str = ""
    duration: Duration | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    """Report a session that was retried. by: "sync", or "flux" where nobody syncs. request: its id."""

    by: str
    request: str


def needed(act: Verb, state: SessionState, *, has_stack: bool = False) -> tuple[Right, ...]:
    """List the rights that an action takes. has_stack: an end is carried out here, otherwise asked for."""
    bucket = _patch("buckets", FLUX_SOURCE_GROUP, state)
    match act:
        case Verb.SUSPEND | Verb.RESUME:
            return _appliers(state) or (_patch("kustomizations", FLUX_KUSTOMIZE_GROUP, state),)
        case Verb.RETRY:
            return (bucket,) if state.is_synced else (bucket, *_appliers(state))
        case Verb.END if has_stack:
            return (Right(verb="delete", resource="namespaces", name=state.namespace),)
        case _:
            return (bucket,)


def obstacle(act: Verb, state: SessionState) -> str:
    """Say why an action makes no sense or nobody can carry it out; "" where it can be done."""
    return {
        Verb.SUSPEND: "it is suspended already" if state.is_suspended else _unapplied(state),
        Verb.RESUME: "" if state.is_suspended else "it is not suspended",
        Verb.EXTEND: "" if state.ends_at else "it has no TTL: it never ends on its own",
        Verb.UNDO: "" if state.is_synced else "nobody syncs it, and its snapshots are kept with its sync",
    }.get(act, "")


def _unapplied(state: SessionState) -> str:
    return "" if state.targets else "nothing applies it yet"


def carried_by(act: Verb, state: SessionState, *, has_stack: bool) -> str:
    """Say who carries an action out, and when; "" where the cluster does at once. has_stack: as in needed."""
    match act:
        case Verb.UNDO:
            return f"the sync of {person(state)}, within seconds"
        case Verb.RETRY if state.is_synced:
            return f"the sync of {person(state)}, within seconds"
        case Verb.END if has_stack:
            return "this machine, now: the session's stack is here"
        case Verb.END:
            return "the collector, gitops-run gc --apply, when it next runs: the stack is not on this machine"
    return ""


def person(state: SessionState) -> str:
    """Name who syncs a session, or "nobody"."""
    return state.synced_by.person if state.synced_by and state.synced_by.is_live else "nobody"


def has_stack(state: SessionState, viewing: Viewing) -> bool:
    """Report whether the stack of this session is on this machine; False where its file can't be used."""
    key = viewing.key(state.namespace, state.name)
    return has_stack_of(key, viewing.cluster, viewing.caller)


async def act(viewing: Viewing, state: SessionState, asked: Asked) -> str:
    """Do what a person asks for, and return what came of it in one sentence.

    The rights are asked for again. Raises GuardError without one, UsageError on a field that is wrong,
    BackendError where the cluster refuses. The end is end_here's and end_request's.
    """
    await require(viewing, state, asked.verb)
    said = await _done(viewing, state, asked)
    await leave_word(viewing, state, asked)
    return said


async def retry(key: SessionKey, caller: Caller) -> Retried:
    """Retry a session, and wait for the answer of a sync that is live.

    Raises as act, NotFound without the session, ReconcileFailed where the sync refuses, WaitTimeout where it
    doesn't answer.
    """
    request = ViewRequest(kubeconfig=key.kubeconfig, context=key.context)
    async with open_viewing(request, caller) as viewing:
        state, asked = await viewing.state(key.namespace, key.name.text), Asked(verb=Verb.RETRY)
        await require(viewing, state, Verb.RETRY)
        made = await _retry(viewing, state, asked)
        await leave_word(viewing, state, asked)
        if state.is_synced:
            answer = await requests.answered(viewing.connection, state, made)
            if not answer.is_accepted:
                raise requests.refused(state.name, made, answer)
        return Retried(by="sync" if state.is_synced else "flux", request=made.id)


async def _retry(viewing: Viewing, state: SessionState, asked: Asked) -> Request:
    """Ask the live sync to retry, or Flux where there is none."""
    if state.is_synced:
        return await requests.make(viewing.connection, state, Verb.RETRY, why=asked.reason)
    request = requests.new_request(Verb.RETRY, "", await read_user(viewing.connection), asked.reason)
    await requests.carry_out(viewing.connection, state, request)
    return request


async def require(viewing: Viewing, state: SessionState, wanted: Verb) -> None:
    """Refuse an action that makes no sense now, or for which a right is missing. Raises GuardError."""
    if why := obstacle(wanted, state):
        raise GuardError(
            f"can't {wanted.value} session {state.name}: {why}",
            hint=f"to see its state: gitops-run status {state.name}",
        )
    rights = needed(wanted, state, has_stack=wanted is Verb.END and has_stack(state, viewing))
    for right, is_allowed in zip(rights, await viewing.allowed(rights), strict=True):
        if not is_allowed:
            raise GuardError(
                f"to {wanted.value} session {state.name}, you need the right to {right}",
                hint="ask the session's owner, or whoever administers the cluster",
            )


async def leave_word(viewing: Viewing, state: SessionState, asked: Asked) -> None:
    """Say who does what, and why."""
    what = requests.asked_for(asked.verb, asked.revision, asked.reason)
    await requests.leave_word(viewing.connection, state, asked.verb, what, viewing.caller)


async def _done(viewing: Viewing, state: SessionState, asked: Asked) -> str:
    connection = viewing.connection
    match asked.verb:
        case Verb.SUSPEND:
            await control.suspend_state(connection, state, asked.reason)
            return "It is suspended: what was applied stays, and saves are stored."
        case Verb.RESUME:
            await control.resume_state(connection, state)
            return "It is resumed: Flux applies what is stored, and later saves."
        case Verb.EXTEND:
            return f"It ends at {await control.extend_state(connection, state, asked.duration)}."
        case Verb.UNDO:
            await _ask_undo(viewing, state, asked)
            return f"Asked the sync of {person(state)} to bring the snapshot back."
        case Verb.RETRY:
            await _retry(viewing, state, asked)
            if state.is_synced:
                return f"Asked the sync of {person(state)} to check and push the files again."
            return "Asked Flux to fetch and apply again what is stored."
    raise UsageError(f"{asked.verb.value} is not done this way", hint="open the session's page")


async def _ask_undo(viewing: Viewing, state: SessionState, asked: Asked) -> None:
    kept = state.record.kept if state.record else ()
    if asked.revision not in {one.revision for one in kept}:
        raise UsageError(
            "that snapshot is not among those that are kept", hint="choose one that the page lists"
        )
    await requests.make(viewing.connection, state, Verb.UNDO, asked.revision, asked.reason)


def _appliers(state: SessionState) -> tuple[Right, ...]:
    kinds = {
        "HelmRelease": ("helmreleases", FLUX_HELM_GROUP),
        "Kustomization": ("kustomizations", FLUX_KUSTOMIZE_GROUP),
    }
    named = (target.object.partition(" ")[::2] for target in state.targets)
    found = ((*kinds[kind], name) for kind, name in named if kind in kinds)
    return tuple(
        Right(verb="patch", resource=resource, group=group, namespace=state.namespace, name=name)
        for resource, group, name in found
    )


def _patch(resource: str, group: str, state: SessionState) -> Right:
    return Right(verb="patch", resource=resource, group=group, namespace=state.namespace, name=state.name)
