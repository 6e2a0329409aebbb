"""What came of the faults, as figures and as the table of docs/testing.md."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from tests.faults.table import CANARIES, FAULTS, Fault

BEGIN: Final = "<!-- faults: python -m tests.faults --latest writes this table -->"
END: Final = "<!-- end of faults -->"
_ROW: Final = re.compile(r"^(\| .+ \|) (\d+) \| (\d+) \|$", re.MULTILINE)

Counts = Mapping[str, tuple[int, int]]
"""How many of a fault were tried, and how many were survived, by the fault's test."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Say what came of one test. canaries: how many it found where none belongs."""

    has_run: bool = False
    has_failed: bool = False
    canaries: int = 0

    @property
    def is_survived(self) -> bool:
        """Say whether it ran, and no part of it failed: neither the test nor the look at what is left."""
        return self.has_run and not self.has_failed


def counts(outcomes: Mapping[str, Outcome]) -> Counts:
    """Count what was tried and survived of each fault whose test ran."""
    found: dict[str, tuple[int, int]] = {}
    for fault in FAULTS:
        of_it = [outcome for node, outcome in outcomes.items() if _function(node) == fault.node]
        if of_it:
            found[fault.node] = (len(of_it), sum(one.is_survived for one in of_it))
    return found


def canaries(outcomes: Mapping[str, Outcome]) -> int | None:
    """Count the canaries found; a search that ended early counts as one, None where none was run."""
    looked = [outcome for node, outcome in outcomes.items() if _function(node) in CANARIES]
    return sum(one.canaries or (not one.is_survived) for one in looked) if looked else None


def missed(outcomes: Mapping[str, Outcome], nodes: Iterable[str]) -> list[str]:
    """Name what was not survived, and what was not even tried."""
    tried = {_function(node) for node in outcomes}
    failed = [node for node, outcome in outcomes.items() if not outcome.is_survived]
    return [*failed, *(node for node in nodes if node not in tried)]


def total(counted: Counts) -> dict[str, int]:
    """Sum up all faults."""
    return {
        "tried": sum(tried for tried, _ in counted.values()),
        "survived": sum(survived for _, survived in counted.values()),
    }


def kept(page: str) -> Counts:
    """Read the table that a page has, without the faults that are no more."""
    shown = page.partition(BEGIN)[2].partition(END)[0]
    rows = {start: (int(tried), int(survived)) for start, tried, survived in _ROW.findall(shown)}
    return {fault.node: rows[_start(fault)] for fault in FAULTS if _start(fault) in rows}


def with_table(page: str, counted: Counts) -> str:
    """Put the table in the place of the one that the page has."""
    before, _, rest = page.partition(BEGIN)
    _, _, behind = rest.partition(END)
    return f"{before}{BEGIN}\n{table(counted)}\n{END}{behind}"


def table(counted: Counts) -> str:
    """Write a row for each fault, and one for all of them."""
    rows = ["| command | fault | what comes of it | tried | survived |", "|---|---|---|---|---|"]
    for fault in FAULTS:
        tried, survived = counted.get(fault.node, (0, 0))
        rows.append(f"{_start(fault)} {tried} | {survived} |")
    all_of_them = total(counted)
    rows.append(f"| all | | | {all_of_them['tried']} | {all_of_them['survived']} |")
    return "\n".join(rows)


def _start(fault: Fault) -> str:
    return f"| {fault.command} | {fault.what} | {fault.outcome} |"


def _function(node: str) -> str:
    return node.partition("[")[0].partition("@")[0]
