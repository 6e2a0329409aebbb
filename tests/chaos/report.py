"""What a run found: a table for people, JSON for programs."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from typing import Any

from tests.chaos.episodes import Fault
from tests.chaos.schedule import FAULTS
from tests.chaos.witnesses import Violations

SHOWN = 10
ROWS = {
    "torn": "torn trees that reached Flux",
    "wrong_prunes": "wrong prunes",
    "mismatches": "mismatches once quiet",
    "late_writes": "late writes",
    "fences_left": "fences left",
    "unexpected": "unexpected ends and refusals",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Hold a run. planned, saves: saves that were planned and made. artifacts: trees that reached Flux."""

    seed: int
    mutation: str
    planned: int
    saves: int
    seconds: float
    artifacts: int
    writes: int
    faults: list[Fault]
    violations: Violations

    @property
    def is_passed(self) -> bool:
        """Say whether the run was whole and nothing was violated."""
        return self.saves >= self.planned and not any(self._found(row) for row in ROWS)

    def lines(self) -> list[str]:
        """Write the table, and what was found where anything was."""
        counts = Counter(fault.kind for fault in self.faults)
        mutation = f", mutation {self.mutation}" if self.mutation else ""
        head = (
            f"seed {self.seed}{mutation}: {self.saves} of {self.planned} saves, {len(self.faults)} faults "
            f"in {self.seconds:.0f} s; {self.writes} writes to the store, {self.artifacts} trees reached Flux"
        )
        injected = [f"| {kind.value} | {counts[kind.value]} |" for kind in FAULTS]
        found = [f"| {text} | {len(self._found(row))} |" for row, text in ROWS.items()]
        details = [f"{text}: {line}" for row, text in ROWS.items() for line in self._found(row)[:SHOWN]]
        return [
            "",
            head,
            "",
            "| fault | times |",
            "|---|---|",
            *injected,
            "",
            "| found | |",
            "|---|---|",
            *found,
            *details,
        ]

    def to_json(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "mutation": self.mutation,
            "planned": self.planned,
            "saves": self.saves,
            "seconds": round(self.seconds),
            "artifacts": self.artifacts,
            "writes": self.writes,
            "faults": [dataclasses.asdict(fault) for fault in self.faults],
            "found": {row: self._found(row) for row in ROWS},
            "passed": self.is_passed,
        }

    def _found(self, row: str) -> list[str]:
        found: list[str] = getattr(self.violations, row)
        return found
