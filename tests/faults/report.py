"""What came of the faults, as figures and as the table of docs/testing.md."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from tests.faults.table import CANARIES, FAULTS

BEGIN: Final = "<!-- faults: python -m tests.faults --latest writes this table -->"
END: Final = "<!-- end of faults -->"


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


def figures(outcomes: Mapping[str, Outcome], *, has_canaries: bool) -> dict[str, object]:
    """Count what was tried and survived; a search for canaries that ended early counts as one found."""
    tried = [outcome for node, outcome in outcomes.items() if _function(node) not in CANARIES]
    survived = sum(outcome.is_survived for outcome in tried)
    found: dict[str, object] = {"faults": {"tried": len(tried), "survived": survived}}
    if has_canaries:
        looked = [outcomes.get(node, Outcome()) for node in CANARIES]
        found["canaries_found"] = sum(one.canaries or (not one.is_survived) for one in looked)
    return found


def missed(outcomes: Mapping[str, Outcome], nodes: Iterable[str]) -> list[str]:
    """Name what was not survived, and what was not even tried."""
    tried = {_function(node) for node in outcomes}
    failed = [node for node, outcome in outcomes.items() if not outcome.is_survived]
    return [*failed, *(node for node in nodes if node not in tried)]


def with_table(page: str, outcomes: Mapping[str, Outcome]) -> str:
    """Put the table in the place of the one that the page has."""
    before, _, rest = page.partition(BEGIN)
    _, _, behind = rest.partition(END)
    canaries = figures(outcomes, has_canaries=True)["canaries_found"]
    return f"{before}{BEGIN}\n{table(outcomes)}\n\nCanaries found: {canaries}.\n{END}{behind}"


def table(outcomes: Mapping[str, Outcome]) -> str:
    """Write a row for each fault, and one for all of them."""
    rows = ["| command | fault | what comes of it | tried | survived |", "|---|---|---|---|---|"]
    for fault in FAULTS:
        of_it = [outcome for node, outcome in outcomes.items() if _function(node) == fault.node]
        survived = sum(outcome.is_survived for outcome in of_it)
        rows.append(f"| {fault.command} | {fault.what} | {fault.outcome} | {len(of_it)} | {survived} |")
    total = [outcome for node, outcome in outcomes.items() if _function(node) not in CANARIES]
    rows.append(f"| all | | | {len(total)} | {sum(one.is_survived for one in total)} |")
    return "\n".join(rows)


def _function(node: str) -> str:
    return node.partition("[")[0].partition("@")[0]
