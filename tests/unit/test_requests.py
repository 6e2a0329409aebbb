"""How a request is written, read and limited, and what each verb does to a session's objects."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, cast

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitops_run.adapters.cluster.connection import Connection
from gitops_run.api.requests import carry_out
from gitops_run.errors import GitOpsRunError, GuardError, NotFound
from gitops_run.model.flux.conditions import SourceStatus
from gitops_run.model.flux.requests import ID_MAX, REASON_MAX, Request, Verb, parse_request, to_annotations
from gitops_run.model.names import REQUEST_ANNOTATION
from gitops_run.model.state.session_state import SessionState, TargetState
from tests.unit.test_limits import IDLE_ALONE, TTL_ALONE, session

LATER, EARLIER = "2026-11-27T18:00:00Z", "2026-11-26T09:00:00Z"
APPLIED = TargetState(target="app", object="Kustomization web")
SUSPENDED = replace(APPLIED, is_suspended=True)


def request(verb: str, argument: str = "", why: str = "demo at noon") -> Request:
    return Request(id="r1", verb=verb, who="dev@example.com", when="then", argument=argument, why=why)


@pytest.mark.parametrize("verb", Verb)
def test_a_request_is_read_as_it_was_written(verb: Verb) -> None:
    assert parse_request(to_annotations(request(verb, "argument"))) == request(verb, "argument")


@settings(max_examples=30)
@given(why=st.text(max_size=300), id_=st.text(max_size=80))
def test_whatever_somebody_writes_is_one_short_printable_line_or_no_request(why: str, id_: str) -> None:
    written = {"id": id_, "verb": "suspend", "when": "then", "why": why}
    read = parse_request({REQUEST_ANNOTATION: json.dumps(written)})
    assert (read is None) == (not 0 < len(id_) <= ID_MAX)
    assert read is None or (len(read.why) <= REASON_MAX and (not read.why or read.why.isprintable()))


class Patches:
    """A cluster that keeps what was patched, by the end of its path."""

    context = "kind-a"

    def __init__(self) -> None:
        self.bodies: dict[str, Any] = {}

    async def patch(self, path: str, body: Any) -> None:
        self.bodies["/".join(path.split("/")[-2:])] = body


def carried_out(state: SessionState, asked: Request) -> dict[str, Any]:
    cluster = Patches()
    anyio.run(carry_out, cast(Connection, cluster), replace(state, source=SourceStatus()), asked)
    return cluster.bodies


WEB = replace(session(TTL_ALONE), targets=(APPLIED,))


def test_suspend_names_who_asked_and_why_and_not_who_carries_it_out() -> None:
    (body,) = carried_out(WEB, request("suspend")).values()
    assert body["spec"]["suspend"] is True
    assert body["metadata"]["annotations"]["gitops-run.dev/suspended-by"] == "dev@example.com"
    assert body["metadata"]["annotations"]["gitops-run.dev/suspended-reason"] == "demo at noon"


def test_what_was_done_already_is_not_done_again() -> None:
    assert carried_out(replace(WEB, targets=(SUSPENDED,)), request("suspend")) == {}
    assert carried_out(WEB, request("resume")) == {}
    assert carried_out(WEB, request("extend", EARLIER)) == {}


def test_extend_and_resume_do_what_the_commands_do() -> None:
    (extended,) = carried_out(WEB, request("extend", LATER)).values()
    (resumed,) = carried_out(replace(WEB, targets=(SUSPENDED,)), request("resume")).values()
    assert extended == {"metadata": {"annotations": {"gitops-run.dev/extended": LATER}}}
    assert resumed["spec"]["suspend"] is False


def test_retry_asks_flux_to_fetch_and_apply_once_more() -> None:
    patched = carried_out(WEB, request("retry"))
    tokens = {body["metadata"]["annotations"]["reconcile.fluxcd.io/requestedAt"] for body in patched.values()}
    assert sorted(patched) == ["buckets/web", "kustomizations/web"]
    assert tokens == {"r1"}


@pytest.mark.parametrize(
    ("state", "asked", "error"),
    [
        (WEB, request("undo", "sha256:1"), NotFound),
        (WEB, request("teleport"), GuardError),
        (WEB, request("extend", "soon"), GuardError),
        (replace(session(IDLE_ALONE), targets=(APPLIED,)), request("extend", LATER), GuardError),
        (replace(WEB, targets=()), request("suspend"), NotFound),
    ],
)
def test_what_cannot_be_carried_out_is_refused(
    state: SessionState, asked: Request, error: type[GitOpsRunError]
) -> None:
    with pytest.raises(error):
        carried_out(state, asked)
