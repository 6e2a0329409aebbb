"""The table of faults: each names a test that there is, and the page shows each of them as survived."""

from __future__ import annotations

from pathlib import Path

from tests.faults.report import BEGIN, END, Outcome, canaries, counts, kept, missed, total, with_table
from tests.faults.table import CANARIES, FAULTS

PROJECT = Path(__file__).parents[2]
FIRST, OTHER = FAULTS[0].node, FAULTS[1].node


def test_every_fault_names_a_test_that_there_is() -> None:
    missing = []
    for node in (*(fault.node for fault in FAULTS), *CANARIES):
        module, _, function = node.partition("::")
        if f"def {function}(" not in (PROJECT / module).read_text(encoding="utf-8"):
            missing.append(node)
    assert missing == []


def test_a_fault_is_survived_only_where_its_test_ran_and_nothing_of_it_failed() -> None:
    outcomes = {
        f"{FIRST}[a]": Outcome(has_run=True),
        f"{FIRST}[b]": Outcome(has_run=True, has_failed=True),
        f"{OTHER}@group": Outcome(),
    }
    assert counts(outcomes) == {FIRST: (2, 1), OTHER: (1, 0)}
    assert total(counts(outcomes)) == {"tried": 3, "survived": 1}
    assert missed(outcomes, [FIRST, OTHER, "never"]) == [f"{FIRST}[b]", f"{OTHER}@group", "never"]


def test_a_search_for_canaries_that_ended_early_is_not_taken_for_one_that_found_none() -> None:
    outcomes = {CANARIES[0]: Outcome(has_run=True), CANARIES[1]: Outcome(has_failed=True)}
    assert canaries(outcomes) == 1
    assert canaries(dict.fromkeys(CANARIES, Outcome(has_run=True))) == 0
    assert canaries({FIRST: Outcome(has_run=True)}) is None


def test_the_table_takes_the_place_of_the_one_before() -> None:
    page = f"above\n{BEGIN}\nof last year\n{END}\nbelow\n"
    written = with_table(page, {FIRST: (3, 2)})
    assert "of last year" not in written
    assert written.startswith("above\n")
    assert written.endswith("below\n")
    assert kept(written)[FIRST] == (3, 2)
    assert with_table(written, kept(written)) == written


def test_the_page_has_a_row_for_each_fault_and_all_were_survived() -> None:
    shown = kept((PROJECT / "docs" / "testing.md").read_text(encoding="utf-8"))
    assert [node for node in (fault.node for fault in FAULTS) if node not in shown] == []
    assert {node: row for node, row in shown.items() if row[0] != row[1] or not row[0]} == {}
