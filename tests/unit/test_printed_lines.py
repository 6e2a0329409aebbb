"""Every line that is printed is one line, and nothing in it steers the terminal."""

from __future__ import annotations

import io
import sys
import unicodedata
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitops_run.cli.app import main
from gitops_run.cli.diff import print_difference
from gitops_run.cli.output import event_stream, note, ok
from gitops_run.cli.render import PLAIN_MARKS, SIGNS, lines
from gitops_run.cli.table import print_table
from gitops_run.flows.judgement import Preflight
from gitops_run.model.objects.change import Change, FieldChange
from gitops_run.model.objects.identity import ObjectRef
from gitops_run.model.state.events import Event, NamedNamespace
from gitops_run.model.text.problem import Problem

HOSTILE = st.text(
    alphabet=st.sampled_from("a/\n\r\t\v\f\x00\x07\x08\x1b[2J\x7f\x85\x9b\u2028\u2029\u202e\u2066\udce9✓"),
    max_size=12,
)
TIMES = st.just({"settled": 1, "healthy": 2, "partly_healthy": 3})
PROBLEMS = st.builds(Problem, message=HOSTILE, path=HOSTILE, line=st.none() | st.just(3), hint=HOSTILE)
FIELDS = st.builds(FieldChange, path=HOSTILE, before=HOSTILE, after=HOSTILE)
REFS = st.builds(ObjectRef, group=HOSTILE, kind=HOSTILE, namespace=HOSTILE, name=HOSTILE)
CHANGES = st.builds(Change, ref=REFS, action=st.sampled_from(sorted(SIGNS)), fields=st.tuples(FIELDS, FIELDS))
PLACES = st.builds(NamedNamespace, path=HOSTILE, line=st.just(1), kind=HOSTILE, name=HOSTILE, named=HOSTILE)
VALUES: dict[Any, st.SearchStrategy[Any]] = {
    str: HOSTILE,
    int: st.just(7),
    ObjectRef: REFS,
    bool: st.booleans(),
    dict[str, int]: TIMES,
    tuple[str, ...]: st.lists(HOSTILE, max_size=2).map(tuple),
    tuple[Problem, ...]: st.tuples(PROBLEMS),
    tuple[Change, ...]: st.tuples(CHANGES),
    tuple[NamedNamespace, ...]: st.tuples(PLACES),
}
BIDIRECTIONAL = set("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
few = settings(max_examples=8, deadline=None)


def events_of(kind: type) -> st.SearchStrategy[Any]:
    return st.builds(kind, **{name: VALUES[hint] for name, hint in get_type_hints(kind).items()})


def printed(work: Callable[[], object]) -> list[str]:
    """Run what prints, and return its lines after a look at each."""
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        work()
    said = (out.getvalue() + err.getvalue()).split("\n")[:-1]
    for line in said:
        bad = {c for c in line if unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} or c in BIDIRECTIONAL}
        assert not bad, (line, bad)
    return said


@pytest.mark.parametrize("kind", get_args(Event), ids=lambda kind: kind.__name__)
def test_an_event_is_as_many_lines_as_it_is_written_in(kind: type) -> None:
    @few
    @given(events_of(kind))
    def check(event: Any) -> None:
        assert len(printed(lambda: event_stream("text", "web").emit(event))) == len(lines(event, PLAIN_MARKS))

    check()


@few
@given(HOSTILE)
def test_what_is_told_begins_with_its_mark_and_goes_on_below_it(text: str) -> None:
    for tell in (note, ok):
        first, *more = printed(partial(tell, text))
        assert first.startswith(("- ", "ok "))
        assert all(line.startswith("  ") for line in more)


@few
@given(HOSTILE, HOSTILE)
def test_a_table_has_a_line_for_each_row(one: str, other: str) -> None:
    assert len(printed(lambda: print_table(("A", "B"), [(one, "x"), (other, "x")]))) == 3


@few
@given(st.tuples(CHANGES), st.tuples(PROBLEMS), HOSTILE)
def test_a_difference_is_printed_line_by_line(
    changes: tuple[Change], problems: tuple[Problem], text: str
) -> None:
    found = Preflight(changes=changes, problems=problems, not_checked=(text,))
    printed(lambda: print_difference(found, "ns"))


def test_an_error_is_printed_line_by_line(monkeypatch: pytest.MonkeyPatch) -> None:
    @few
    @given(HOSTILE)
    def check(text: str) -> None:
        monkeypatch.setattr(sys, "argv", ["gitops-run", f"x{text}"])

        def run() -> None:
            with pytest.raises(SystemExit):
                main()

        first, *more = printed(run)
        assert first.startswith("failed: ")
        assert all(line.startswith("  ") for line in more)

    check()
