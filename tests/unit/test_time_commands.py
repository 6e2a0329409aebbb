"""`extend`, `suspend`, `resume` and `gc` at a terminal, and the limits that `list` and `status` show."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gitops_run.api import collector, control
from gitops_run.cli.app import cli
from gitops_run.cli.show import status_rows, time_left_text
from gitops_run.errors import BackendError, GuardError, UsageError
from gitops_run.flows.gc import Done
from gitops_run.model.session.key import SessionKey
from gitops_run.model.session.limits import Duration
from gitops_run.model.stack.collection import Finding, Kind
from gitops_run.model.state.session_state import SessionState
from tests.unit.test_limits import CREATED, LIMITS, SUSPENDED, session

SAID = replace(SUSPENDED, suspended_by="jane", suspended_reason="demo at noon")
EXPIRED = Finding(
    kind=Kind.EXPIRED, session="web", namespace="run-web", reason="its TTL ended", action="end it"
)


@pytest.fixture
def types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Somebody whose kubeconfig has one context."""
    kubeconfig = tmp_path / "kubeconfig"
    cluster = {"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}
    context = {"name": "kind-c", "context": {"cluster": "c", "user": "u"}}
    user = {"name": "u", "user": {"token": "t"}}
    kubeconfig.write_text(
        json.dumps({"kind": "Config", "clusters": [cluster], "contexts": [context], "users": [user]})
    )
    monkeypatch.chdir(tmp_path)
    environment = {
        "HOME": str(tmp_path),
        "XDG_DATA_HOME": str(tmp_path / "data"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "KUBECONFIG": str(kubeconfig),
        "GITOPS_RUN_CONTEXT": "kind-c",
    }
    return lambda *arguments: CliRunner().invoke(cli, arguments, env=environment)


def answering(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, answer: object) -> list[Any]:
    """Answer in the place of what asks a cluster, and note what was asked."""
    asked: list[Any] = []

    async def ask(*arguments: object) -> object:
        asked.append(arguments)
        return answer

    monkeypatch.setattr(module, name, ask)
    return asked


def test_extend_asks_for_the_duration_or_for_the_ttl_once_more(
    types: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = answering(monkeypatch, control, "extend", "2026-11-26T22:00:00Z")
    assert "2026-11-26T22:00:00Z" in types("extend", "web", "4h").stderr
    document = json.loads(types("extend", "web", "-o", "json").stdout)
    assert document == {"session": "web", "expires": "2026-11-26T22:00:00Z"}
    assert [by for _, by in asked] == [Duration.parse("4h"), None]
    assert isinstance(asked[0][0], SessionKey)


def test_a_duration_that_is_none_is_refused_before_any_cluster_is_asked(
    types: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = answering(monkeypatch, control, "extend", "")
    assert isinstance(types("extend", "web", "soon").exception, UsageError)
    assert asked == []


@pytest.mark.parametrize("reason", ["", "  ", "two\nlines", "x" * 201, "\x1b[31mred"])
def test_a_reason_that_is_no_short_line_is_refused(
    types: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    asked = answering(monkeypatch, control, "suspend", session())
    assert isinstance(types("suspend", "web", "--reason", reason).exception, UsageError)
    assert asked == []


def test_suspend_needs_a_reason_and_leaves_one_that_somebody_gave(
    types: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(monkeypatch, control, "suspend", session(target=SAID))
    assert types("suspend", "web").exit_code == 2
    told = types("suspend", "web", "--reason", "mine")
    assert "suspended already by jane: demo at noon" in told.stderr
    document = json.loads(types("suspend", "web", "--reason", "mine", "-o", "json").stdout)
    assert document == {"session": "web", "suspended": True, "changed": False}


@pytest.mark.parametrize(("before", "is_changed"), [(session(), False), (session(target=SAID), True)])
def test_resume_says_whether_it_changed_anything(
    types: Callable[..., Result],
    monkeypatch: pytest.MonkeyPatch,
    before: SessionState,
    *,
    is_changed: bool,
) -> None:
    answering(monkeypatch, control, "resume", before)
    document = json.loads(types("resume", "web", "-o", "json").stdout)
    assert document == {"session": "web", "suspended": False, "changed": is_changed}


def test_gc_lists_and_applies_only_where_that_is_said(
    types: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = answering(monkeypatch, collector, "find", (EXPIRED,))
    applied = answering(monkeypatch, collector, "apply", (Done(finding=EXPIRED, is_done=True),))
    listed = types("gc")
    assert "run-web" in listed.stdout
    assert "gitops-run gc --apply" in listed.stderr
    assert (len(looked), len(applied)) == (1, 0)
    (document,) = json.loads(types("gc", "--apply", "-o", "json").stdout)
    assert (document["kind"], document["session"], document["done"]) == ("expired", "web", True)
    assert (len(looked), len(applied)) == (1, 1)


def test_gc_fails_where_something_could_not_be_done_and_shows_the_rest(
    types: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = Done(finding=EXPIRED, error=GuardError("it is jane's", hint="ask jane"))
    answering(monkeypatch, collector, "apply", (failed, Done(finding=EXPIRED, is_done=True)))
    result = types("gc", "--apply", "-o", "json")
    assert [one["error"] for one in json.loads(result.stdout)] == ["it is jane's", ""]
    assert isinstance(result.exception, BackendError)
    assert result.exception.hint == "ask jane"


@pytest.mark.parametrize(
    ("state", "hours", "text"),
    [
        (session(), 0.5, "9h30m, idle 30m"),
        (session(), 2, "8h, idle 0s"),
        (session(target=SUSPENDED), 2, "8h"),
        (session(), 11, "over, idle 0s"),
        (SessionState(namespace="run-web", name="web"), 1, ""),
    ],
)
def test_list_shows_what_is_left_of_ttl_and_idle_limit(state: SessionState, hours: float, text: str) -> None:
    assert time_left_text(state, CREATED + timedelta(hours=hours)) == text


def test_status_shows_when_a_session_ends_and_who_suspended_it_and_why() -> None:
    state = session(LIMITS, extended_to="2026-11-26T20:00:00Z", target=SAID)
    rows = {row[0]: row[1] for row in status_rows(state, CREATED + timedelta(hours=1))}
    assert rows["ends"] == "2026-11-26T20:00:00Z, in 11h (TTL 10h, extended)"
    assert rows["idle limit"] == "1h: suspended already"
    assert rows["suspended"] == "by jane: demo at noon"
