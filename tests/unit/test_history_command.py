"""What `history` and `status` show."""

from __future__ import annotations

import functools
import json
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest
from click.testing import CliRunner, Result

from gitops_run.adapters.files.history import SessionHistory
from gitops_run.adapters.machine.remembered import history_folder
from gitops_run.cli.app import cli
from gitops_run.cli.show import status_rows
from gitops_run.errors import NotFound
from gitops_run.model.flux.conditions import SourceStatus
from gitops_run.model.flux.requests import Request
from gitops_run.model.names import SessionName
from gitops_run.model.session.key import SessionKey
from gitops_run.model.state.envelope import Envelope, Stamp
from gitops_run.model.state.events import (
    Event,
    RequestAnswered,
    SaveApplied,
    SaveBroken,
    SavePushed,
    SaveUnchanged,
)
from gitops_run.model.state.record import Record, fold
from gitops_run.model.state.session_state import Place, SessionState, Writer, reduce
from gitops_run.model.state.summary import summarize
from gitops_run.model.text.problem import Problem
from tests.fakes import FakeSnapshot, revision_of

A, B = {"a": b"1", "b": b"2"}, {"a": b"changed", "c": b"3"}
NOW = datetime(2026, 11, 26, tzinfo=UTC)
NOBODY_LISTENS = "https://127.0.0.1:1"


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A developer with a history of two snapshots, whose cluster can't be reached."""
    kubeconfig = tmp_path / "kubeconfig"
    cluster = {"name": "c", "cluster": {"server": NOBODY_LISTENS}}
    context = {"name": "kind-c", "context": {"cluster": "c", "user": "u"}}
    user = {"name": "u", "user": {"token": "t"}}
    kubeconfig.write_text(
        json.dumps({"kind": "Config", "clusters": [cluster], "contexts": [context], "users": [user]})
    )
    monkeypatch.chdir(tmp_path)
    return {
        "HOME": str(tmp_path),
        "XDG_DATA_HOME": str(tmp_path / "data"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "KUBECONFIG": str(kubeconfig),
        "GITOPS_RUN_CONTEXT": "kind-c",
    }


def with_history(environment: dict[str, str]) -> None:
    name = SessionName.parse("web")
    key = SessionKey(kubeconfig="", context="kind-c", namespace="run-web", name=name)

    async def record() -> None:
        past = SessionHistory(history_folder(environment, key), Path())
        await past.record(FakeSnapshot(A), revision_of(A))
        await past.record(FakeSnapshot(B), revision_of(B))

    anyio.run(record)


def types(environment: dict[str, str], *arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments, env=environment)


def test_history_lists_even_where_the_cluster_does_not_answer(environment: dict[str, str]) -> None:
    with_history(environment)
    result = types(environment, "history", "web")
    assert result.exit_code == 0
    assert "the live snapshot is not known" in result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["REVISION", "WHEN", "FILES", "CHANGED"]
    assert lines[1].startswith(revision_of(B).removeprefix("sha256:")[:12])
    assert lines[1].endswith("2      +1 ~1 -1")


def test_history_as_json_has_whole_and_short_revisions(environment: dict[str, str]) -> None:
    with_history(environment)
    newest, oldest = json.loads(types(environment, "history", "web", "-o", "json").stdout)
    assert newest["revision"] == revision_of(B)
    assert newest["short"] == revision_of(B).removeprefix("sha256:")[:12]
    assert newest["changed"] == {"added": 1, "changed": 1, "deleted": 1}
    assert oldest["changed"] is None
    assert oldest["files"] == 2


def test_history_as_json_does_not_say_what_is_live_where_the_cluster_does_not(
    environment: dict[str, str],
) -> None:
    with_history(environment)
    shown = json.loads(types(environment, "history", "web", "-o", "json").stdout)
    assert [one["is_live"] for one in shown] == [None, None]


def test_a_session_without_a_history_says_how_to_get_one(environment: dict[str, str]) -> None:
    result = types(environment, "history", "web")
    assert isinstance(result.exception, NotFound)
    assert "gitops-run sync web" in result.exception.hint


def shown(*events: Event, **more: object) -> dict[str, str]:
    """Show a session whose loop has reported these events."""
    place = Place(root="web", targets=(".",), created="", store="s3", claimed_owner="me")
    fields = {"name": "web", "namespace": "run-web", "place": place, "source": SourceStatus(), **more}
    stamp = Stamp("web", lambda: "2026-11-26T00:00:00Z")
    state = functools.reduce(reduce, (stamp(event) for event in events), SessionState(**fields))
    return {row[0].strip(): row[1] for row in status_rows(state, NOW)}


def pushed(number: int = 3) -> SavePushed:
    return SavePushed(
        save=number, puts=("a", "b"), deletes=(), revision="sha256:a", is_fenced=False, times_ms={}
    )


def applied(undone_to: str = "", **times_ms: int) -> SaveApplied:
    return SaveApplied(
        save=3, paths=(), revision="sha256:" + "ab" * 32, objects=2, times_ms=times_ms, undone_to=undone_to
    )


def test_status_shows_the_last_save_as_a_waterfall() -> None:
    rows = shown(pushed(), applied(scanned=100, uploaded=400, applied=1600))
    assert rows["last save"] == "save 3: 2 files applied in 1,600 ms"
    assert rows["scan"] == "##                                  100 ms"
    assert rows["upload"] == "  ######                            300 ms"
    assert rows["apply"] == "        ########################  1,200 ms"
    assert rows["saves p50 / p95"] == "1,600 / 1,600 ms, of 1 save"


def test_status_says_that_files_differ_after_an_undo() -> None:
    rows = shown(pushed(), applied(undone_to="2026-11-25T00:00:00Z"))
    assert rows["undone to"] == "abababababab: files differ until the next save"


def test_status_says_who_syncs_since_when_or_was_last_seen() -> None:
    assert shown()["synced by"] == "nobody"
    since = "2026-11-23T19:10:00Z"
    live = Writer(holder="me@laptop/4711/a-b", since=since, is_live=True)
    assert shown(synced_by=live)["synced by"] == f"me@laptop/4711/a-b since {since}"
    gone = Writer(holder="me@laptop/4711/a-b", since=since, is_live=False, seen="2026-11-23T20:00:00Z")
    assert shown(synced_by=gone)["synced by"] == "me@laptop/4711/a-b, last seen 2026-11-23T20:00:00Z"


def test_status_of_a_session_that_was_never_saved_has_no_timings() -> None:
    assert not {"last save", "undone to", "saves p50 / p95"} & shown().keys()


def test_status_names_no_files_of_a_save_that_changed_none() -> None:
    unchanged = SavePushed(save=3, puts=(), deletes=(), revision="sha256:a", is_fenced=False, times_ms={})
    assert shown(unchanged, applied())["save 3"].endswith("applied")


def test_status_says_why_the_last_save_was_refused() -> None:
    problem = Problem(message="not valid YAML", path="app.yaml", line=3)
    broken = SaveBroken(save=1, paths=("app.yaml",), problems=(problem,))
    assert shown(broken)["refused"] == "the last save: app.yaml:3: not valid YAML"
    assert "refused" not in shown(broken, SaveUnchanged(save=1))


def test_status_shows_what_is_asked_of_a_session_and_what_the_last_answer_was() -> None:
    asked = Request(id="r1", verb="end", who="dev@example.com", when="then", why="demo is over")
    waiting = shown(source=SourceStatus(request=asked))
    answered = shown(
        RequestAnswered(
            request="r1", verb="undo", who="dev@example.com", is_accepted=False, message="not kept"
        )
    )
    assert waiting["asked"] == "dev@example.com asks to end it: demo is over"
    assert answered["answered"] == "undo, asked by dev@example.com: refused: not kept"
    assert "asked" not in shown()


def test_status_shows_what_the_state_says_before_the_record_does() -> None:
    problem = Problem(message="not valid YAML", path="app.yaml", line=3)
    event = SaveBroken(save=4, paths=("app.yaml",), problems=(problem,))
    broken = fold(Record(), Envelope(seq=9, ts="now", session="web", event=event))
    assert shown(summary=summarize(broken))["save 4"] == "now  broken: app.yaml:3: not valid YAML"
