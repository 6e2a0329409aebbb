"""Ask for the end of a session whose stack is not on this machine, and look how far that is.

The collector carries it out, as a request in the session's own objects: `gitops-run gc --apply`.
"""

from __future__ import annotations

from typing import Final

from gitops_run.adapters.cluster.paths import namespace_path
from gitops_run.api.acting import Asked, leave_word, require
from gitops_run.api.requests import make
from gitops_run.api.viewing import Viewing
from gitops_run.errors import BackendError, DeniedError, GuardError, NotFound, TransientError
from gitops_run.model.flux.requests import Verb
from gitops_run.model.session.receipt import Receipt, ReceiptLine
from gitops_run.model.state.session_state import SessionState

_IN_CLUSTER: Final = "in-cluster"


async def ask_end(viewing: Viewing, state: SessionState, reason: str) -> str:
    """Ask the collector to end a session, and return the request's id.

    Raises as act, and GuardError where no admission policy proves who asks.
    """
    await require(viewing, state, Verb.END)
    request = await make(viewing.connection, state, Verb.END, why=reason)
    await leave_word(viewing, state, Asked(verb=Verb.END, reason=reason))
    return request.id


async def look_at_end(viewing: Viewing, asked_of: SessionState, request: str) -> Receipt | None:
    """Look whether a session is gone; None while it isn't. What can't be looked at is not known.

    Raises GuardError where the end was refused, or where its request isn't on the session any more.
    """
    try:
        state = await viewing.state(asked_of.namespace, asked_of.name)
    except NotFound:
        return await _receipt(viewing, asked_of)
    except DeniedError:
        return _out_of_sight(asked_of)
    answers = state.record.answers if state.record else ()
    answer = next((one for one in answers if one.request == request), None)
    if answer is not None and not answer.is_accepted:
        raise GuardError(
            f"the end of session {state.name} was refused: {answer.message}",
            hint=f"whoever has its stack ends it: gitops-run down {state.name}",
        )
    current = state.source.request if state.source else None
    if current is None or current.id != request:
        why = f"a later request replaced it: {current}" if current else "the collector withdrew it"
        raise GuardError(
            f"session {state.name} is not being ended: {why}",
            hint=f"ask again, or whoever has its stack ends it: gitops-run down {state.name}",
        )
    return None


def outside_bucket(state: SessionState) -> str:
    """Name the bucket and keys that a session has in a store outside the cluster; "" where it has none."""
    place = state.place
    if place is None or not place.bucket or place.store == _IN_CLUSTER:
        return ""
    return f"bucket {place.bucket} at {place.endpoint}, and its keys"


def _out_of_sight(state: SessionState) -> Receipt:
    """Report what can't be looked at: an owner's rights are part of the session, and end with it."""
    why = "your rights there have ended, as they do with the session; a cluster administrator may look"
    things = (f"Flux Bucket {state.name}", f"Namespace {state.namespace}", outside_bucket(state))
    return Receipt(lines=tuple(ReceiptLine(what=one, is_gone=False, unseen=why) for one in things if one))


async def _receipt(viewing: Viewing, state: SessionState) -> Receipt | None:
    """Prove what is gone, as far as this person may look; None while the namespace is still there."""
    unseen = ""
    try:
        await viewing.connection.get(namespace_path(state.namespace))
    except NotFound:
        pass
    except TransientError:
        raise
    except BackendError as error:
        unseen = error.message
    else:
        return None
    lines = [
        ReceiptLine(what=f"Flux Bucket {state.name}", is_gone=True),
        ReceiptLine(what=f"Namespace {state.namespace}", is_gone=not unseen, unseen=unseen),
    ]
    if bucket := outside_bucket(state):
        why = "not asked for from here; the collector's log names what it left"
        lines.append(ReceiptLine(what=bucket, is_gone=False, unseen=why))
    return Receipt(lines=tuple(lines))
