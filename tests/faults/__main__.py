"""`python -m tests.faults`: try every fault of the table on the sandbox, and look for canary secrets.

Prints what was tried, and exits with 1 where a fault was not survived, something was left, or a canary was
found. `--latest` writes the table into docs/testing.md and the figures into benchmarks/results/latest.json;
with `--only`, what was not tried keeps its row.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.faults.report import Outcome, canaries, counts, kept, missed, total, with_table
from tests.faults.table import CANARIES, FAULTS

PROJECT = Path(__file__).parents[2]
RESULTS = PROJECT / "benchmarks" / "results" / "latest.json"
PAGE = PROJECT / "docs" / "testing.md"


@dataclass
class Witness:
    """Hear from pytest what came of each test."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take in one phase of a test: it has survived if no phase has failed, and its own phase ran."""
        before = self.outcomes.get(report.nodeid, Outcome())
        canaries = [int(str(value)) for name, value in report.user_properties if name == "canaries_found"]
        self.outcomes[report.nodeid] = Outcome(
            has_run=before.has_run or report.when == "call",
            has_failed=before.has_failed or report.outcome != "passed",
            canaries=max([before.canaries, *canaries]),
        )


def main() -> int:
    """Try the faults, print and keep the figures; 1 where one is not what it has to be."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", help="Try those whose test has this text.")
    parser.add_argument("--latest", action="store_true", help="Write the table and the figures.")
    options = parser.parse_args()
    nodes = [node for node in (*(fault.node for fault in FAULTS), *CANARIES) if options.only in node]
    os.environ["GITOPS_RUN_FAULTS"] = "all"
    witness = Witness()
    pytest.main(["-q", "-n", "2", "--dist", "loadscope", *nodes], plugins=[witness])
    found = canaries(witness.outcomes)
    print(json.dumps({"faults": total(counts(witness.outcomes)), "canaries_found": found}, indent=2))
    not_survived = missed(witness.outcomes, nodes)
    for node in not_survived:
        print(f"not survived: {node}")
    if options.latest:
        keep(witness.outcomes)
    return int(bool(not_survived or found))


def keep(outcomes: Mapping[str, Outcome]) -> None:
    """Write the table and the figures, over those of what was tried now."""
    page, latest = PAGE.read_text(encoding="utf-8"), json.loads(RESULTS.read_text(encoding="utf-8"))
    if counted := {**kept(page), **counts(outcomes)}:
        latest["faults"] = total(counted)
        PAGE.write_text(with_table(page, counted), encoding="utf-8")
    if (found := canaries(outcomes)) is not None:
        latest["canaries_found"] = found
    RESULTS.write_text(f"{json.dumps(latest, indent=2)}\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
