"""What a viewer does to sessions: a form comes in, and a page says what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

import anyio
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from gitops_run.api.acting import Asked, act, carried_by, require
from gitops_run.api.end_request import ask_end, look_at_end, outside_bucket
from gitops_run.errors import GitOpsRunError, GuardError, UsageError
from gitops_run.model.flux.requests import Verb
from gitops_run.model.session.commands import completed
from gitops_run.model.session.limits import Duration
from gitops_run.model.state.close_up import CloseUp
from gitops_run.model.state.session_state import SessionState
from gitops_run.model.text.amounts import counted
from gitops_run.web.notices import status_of
from gitops_run.web.pages.others import end_page, receipt_page
from gitops_run.web.pages.session import session_page
from gitops_run.web.pages.view import BULK_ACTIONS, EndView, Message, ReceiptView, Tab
from gitops_run.web.pages.words import session_url
from gitops_run.web.session_routes import session_view
from gitops_run.web.site import Ending, Handler, Site, Visit, first, read_form, visited
from gitops_run.web.unexpected import guarded

BULK_MAX: Final = 500
BULK_AT_ONCE: Final = 10
_AGAIN_S: Final = "2"
_FAILED_SHOWN: Final = 10
_DONE: Final[Mapping[Verb, str]] = {
    Verb.RETRY: "Retried",
    Verb.SUSPEND: "Suspended",
    Verb.RESUME: "Resumed",
    Verb.EXTEND: "Extended",
}


def routes(site: Site) -> Sequence[Route]:
    """List the URLs of actions."""
    place = "/s/{namespace}/{name}"
    return (
        Route("/bulk", visited(site, _bulk), methods=["POST"]),
        Route(f"{place}/end", visited(site, _end_form)),
        Route(f"{place}/end", visited(site, _end), methods=["POST"]),
        Route(f"{place}/receipt", visited(site, _receipt)),
        *(
            Route(f"{place}/{one.value}", visited(site, _action(one)), methods=["POST"])
            for one in Verb
            if one is not Verb.END
        ),
    )


def _asked(wanted: Verb, fields: dict[str, list[str]]) -> Asked:
    """Read what a form asks for. Raises UsageError on a duration that is none."""
    duration = first(fields, "duration").strip()
    return Asked(
        verb=wanted,
        reason=first(fields, "reason").strip(),
        revision=first(fields, "revision"),
        duration=Duration.parse(duration) if wanted is Verb.EXTEND and duration else None,
    )


def _action(wanted: Verb) -> Handler:
    async def action(visit: Visit) -> Response:
        """Do one action to one session."""
        fields = await read_form(visit)
        namespace, name = visit.place
        try:
            state = await visit.viewer.viewing.state(namespace, name)
            said = await act(visit.viewer.viewing, state, _asked(wanted, fields))
        except GitOpsRunError as error:
            return await _with_error(visit, error)
        visit.login.leave_message(namespace, name, Message(text=said))
        return RedirectResponse(session_url(namespace, name), status_code=HTTPStatus.SEE_OTHER)

    return action


async def _with_error(visit: Visit, error: GitOpsRunError) -> Response:
    """Show the session's page with what went wrong."""
    namespace, name = visit.place
    async with visit.site.looks.open(visit.viewer, namespace, name) as look:
        hint = completed(error.hint, visit.commands)
        message = Message(text=error.message, hint=hint, is_error=True)
        view = replace(await session_view(visit, look, {}), message=message)
        page = session_page(visit.view(), view, Tab.SAVES, datetime.now(UTC))
        return visit.html(page, status_of(error))


async def _bulk(visit: Visit) -> Response:
    """Do one action to several sessions, each on its own: one that fails doesn't keep the others."""
    fields = await read_form(visit)
    wanted = next((one for one in BULK_ACTIONS if one.value == first(fields, "action")), None)
    places = fields.get("session", [])
    if wanted is None or not places or len(places) > BULK_MAX:
        raise UsageError("no action or no session was chosen", hint="select sessions, and then an action")
    asked = _asked(wanted, fields)
    why_not = await _each(visit, asked, places)
    if why_not:
        failed = [f"{place}: {why}" for place, why in sorted(why_not.items())]
        raise UsageError(
            f"{_DONE[wanted]} {counted(len(set(places)) - len(failed), 'session')}; {len(failed)} failed: "
            f"{'; '.join(failed[:_FAILED_SHOWN])}",
            hint="return to the sessions",
        )
    return RedirectResponse("/", status_code=HTTPStatus.SEE_OTHER)


async def _each(visit: Visit, asked: Asked, places: Sequence[str]) -> dict[str, str]:
    """Do an action to each session, some at once, and say for which it can't be done."""
    why_not: dict[str, str] = {}
    some = anyio.CapacityLimiter(BULK_AT_ONCE)

    async def one(place: str) -> None:
        namespace, _, name = place.partition("/")
        async with some:
            try:
                await act(visit.viewer.viewing, await visit.viewer.viewing.state(namespace, name), asked)
            except GitOpsRunError as error:
                why_not[place] = error.message

    async with anyio.create_task_group() as tasks:
        for place in dict.fromkeys(places):
            tasks.start_soon(one, place)
    return why_not


async def _end_form(visit: Visit) -> ASGIApp:
    namespace, name = visit.place
    state = await visit.viewer.viewing.state(namespace, name)
    close_up = await visit.viewer.viewing.close_up(namespace, name)
    return visit.html(end_page(visit.view(), await _end_view(visit, state, close_up)))


async def _end_view(visit: Visit, state: SessionState, close_up: CloseUp) -> EndView:
    is_here, bucket = visit.viewer.has_stack(state), outside_bucket(state)
    by_key = f"{bucket}, unless the collector has the store's key" if bucket and not is_here else ""
    inventory = close_up.details.inventory
    return EndView(
        state=state,
        deleted=tuple(
            text
            for text in (
                *(str(ref) for ref in inventory),
                f"Flux Bucket {state.name}",
                *(target.object for target in state.targets),
                bucket if is_here else "",
                f"Namespace {state.namespace} with everything in it",
            )
            if text
        ),
        kept=("the files on the owner's machine", *filter(None, (by_key,))),
        carried_by=carried_by(Verb.END, state, has_stack=is_here),
        missing_right=(await visit.viewer.missing(state, is_here=is_here)).get(Verb.END, ""),
        place=visit.commands,
        has_stack=is_here,
    )


async def _end(visit: Visit) -> ASGIApp:
    """End a session whose name was typed, in the background, or ask the collector to."""
    fields = await read_form(visit)
    namespace, name = visit.place
    viewing, key, reason = visit.viewer.viewing, visit.ending, first(fields, "reason").strip()
    state = await viewing.state(namespace, name)
    if first(fields, "name").strip() != name:
        view = await _end_view(visit, state, await viewing.close_up(namespace, name))
        wrong = Message(text=f"That is not the session's name: type {name}", is_error=True)
        return visit.html(end_page(visit.view(), replace(view, message=wrong)), HTTPStatus.BAD_REQUEST)
    await require(viewing, state, Verb.END)
    endings = visit.site.endings
    known = endings.get(key)
    if known is not None and known.receipt is None and known.error is None:
        pass  # it is under way
    elif visit.viewer.has_stack(state):
        ending = endings[key] = Ending(state=state)
        visit.site.tasks.start_soon(_carry_out, visit, reason, ending)
    else:
        endings[key] = Ending(state=state, request=await ask_end(viewing, state, reason))
    return RedirectResponse(session_url(namespace, name, "receipt"), status_code=HTTPStatus.SEE_OTHER)


async def _carry_out(visit: Visit, reason: str, ending: Ending) -> None:
    from gitops_run.api.end_here import end  # noqa: PLC0415 - saves 28 MB, of Pulumi, where nobody ends one here

    with guarded(visit.site.caller.report, ending.fail):
        ending.receipt = await end(visit.viewer.viewing, ending.state, reason)


async def _receipt(visit: Visit) -> ASGIApp:
    """Show how far an end is, and at last its receipt."""
    namespace, name = visit.place
    ending = visit.site.endings.get(visit.ending)
    if ending is None:
        raise UsageError("this session was not ended here", hint="open its page, and end it there")
    if ending.request and ending.receipt is None and ending.error is None:
        try:
            ending.receipt = await look_at_end(visit.viewer.viewing, ending.state, ending.request)
        except GuardError as error:  # it was refused: it may be asked for again
            ending.error = error
    if ending.error is not None:
        raise ending.error
    carried = (
        f"The collector has been asked to end {name}, and does it when it next runs (gitops-run gc --apply)."
        if ending.request
        else f"{name} is being ended on this machine."
    )
    again = f"This page is loaded again every {_AGAIN_S} s."
    is_asked = bool(ending.request) and ending.receipt is None
    view = ReceiptView(
        namespace=namespace,
        name=name,
        receipt=ending.receipt,
        carried_by=f"{carried} {again}",
        is_asked=is_asked,
        collector=await visit.viewer.viewing.collector_run() if is_asked else None,
    )
    answer = visit.html(receipt_page(visit.view(), view, datetime.now(UTC)))
    if ending.receipt is None:
        answer.headers["Refresh"] = _AGAIN_S
    return answer
