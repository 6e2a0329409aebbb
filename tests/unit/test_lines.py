"""What a person reads of saves: one short line each, with marks and colours where a terminal shows them."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitops_run.cli.render import COLUMNS_MAX, PLAIN_MARKS, TERMINAL_MARKS, lines
from gitops_run.cli.terminal import marks_for, painted
from gitops_run.model.objects.change import Change, FieldChange
from gitops_run.model.objects.identity import ObjectRef
from gitops_run.model.state.events import (
    Event,
    SaveApplied,
    SaveBroken,
    SaveFailed,
    SaveHealthy,
    SavePartlyHealthy,
    SavePushed,
    SaveSuperseded,
    SaveUploading,
)
from gitops_run.model.text.amounts import counted

TIMES = {"scanned": 4, "rendered": 60, "checked": 70, "settled": 80, "uploaded": 120, "applied": 312}
TWO = ("a.yaml", "b.yaml")


def applied(**fields: object) -> SaveApplied:
    known = {"save": 3, "paths": TWO, "revision": "r", "objects": 1, "times_ms": TIMES}
    return SaveApplied(**{**known, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (applied(), "✓ save 3: 2 files applied in 312 ms"),
        (applied(paths=("a.yaml",)), "✓ save 3: 1 file applied in 312 ms"),
        (applied(times_ms={"applied": 12_345}), "✓ save 3: 2 files applied in 12.3 s"),
        (SaveHealthy(save=1, revision="r", times_ms={"healthy": 1_234}), "✓ save 1: healthy after 1,234 ms"),
        (SaveSuperseded(save=1, by=2), "• save 1: superseded by save 2"),
        (
            SaveUploading(save=1, files=1, size=60_000_000, percent=0),
            "• save 1: uploading 60.0 MB in 1 file, 0 % done",
        ),
        (
            SavePartlyHealthy(
                save=1, revision="r", ready=1, not_watched=0, kinds=("X",), times_ms={"partly_healthy": 9}
            ),
            "• save 1: 1 of 1 object ready after 9 ms; 0 can't be watched: X",
        ),
        (
            SaveBroken(save=2, paths=TWO, problems=(), times_ms={}),
            "✗ save 2: 2 files not pushed, the live state is unchanged",
        ),
        (
            SaveFailed(
                save=2, paths=TWO, revision="r", reason="BuildFailed", message="", hint="", times_ms={}
            ),
            "✗ save 2: 2 files refused by Flux: BuildFailed",
        ),
    ],
)
def test_a_save_is_one_line_that_says_what_its_numbers_are(event: Event, line: str) -> None:
    assert lines(event, TERMINAL_MARKS) == [line]
    assert len(line) <= COLUMNS_MAX


@settings(max_examples=30, deadline=None)
@given(st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=300), st.integers(0, 8))
def test_a_line_about_an_object_fits_a_terminal(name: str, count: int) -> None:
    field = FieldChange(path=name, before=name, after=name)
    changes = (
        Change(
            ref=ObjectRef(group="", kind="Job", namespace="", name=name), action="change", fields=(field,) * 3
        ),
    ) * count
    event = SavePushed(
        save=1, puts=(), deletes=(), revision="r", is_fenced=False, times_ms={}, changes=changes
    )
    assert all(len(line) <= COLUMNS_MAX for line in lines(event, TERMINAL_MARKS))


def test_one_is_singular() -> None:
    assert [counted(number, "file") for number in (0, 1, 2, 1_000)] == [
        "0 files",
        "1 file",
        "2 files",
        "1,000 files",
    ]


class Screen(io.TextIOWrapper):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def screen(encoding: str = "utf-8") -> Screen:
    return Screen(io.BytesIO(), encoding=encoding)


@pytest.fixture(autouse=True)
def _a_terminal_s_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)


def test_a_terminal_gets_marks_and_colours() -> None:
    assert marks_for(screen()) is TERMINAL_MARKS
    assert painted("✓ done", screen()) == "\x1b[32m✓\x1b[0m done"
    assert painted("  - Ingress web", screen()) == "  \x1b[31m-\x1b[0m Ingress web"


def test_no_color_leaves_the_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert marks_for(screen()) is TERMINAL_MARKS
    assert painted("✓ done", screen()) == "✓ done"


def test_a_dumb_terminal_gets_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert marks_for(screen()) is PLAIN_MARKS
    assert painted("ok done", screen()) == "ok done"


def test_a_pipe_gets_words() -> None:
    assert marks_for(io.StringIO()) is PLAIN_MARKS
    assert painted("- a", io.StringIO()) == "- a"


def test_a_terminal_that_cannot_write_the_marks_gets_words() -> None:
    assert marks_for(screen("latin-1")) is PLAIN_MARKS
