"""What a run over the corpus comes to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.corpus.trial import Outcome

NOT_CHECKED_PERCENT_MAX = 2.0


def figures(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    def faulty(kind: str) -> int:
        return sum(kind in one.faults for one in outcomes)

    objects = sum(one.objects for one in outcomes)
    not_checked = sum(len(one.not_checked) for one in outcomes)
    return {
        "targets": len(outcomes),
        "applied": sum(one.verdict == "save_applied" for one in outcomes),
        "refused": sum(one.verdict == "save_broken" for one in outcomes),
        "unfinished": sum(one.verdict == "unfinished" for one in outcomes),
        "objects": objects,
        "false_refusals": faulty("false refusals"),
        "false_passes": faulty("false passes"),
        "diffs_after_applied": faulty("differences"),
        "unlike_applied": faulty("unlike"),
        "changed_by_second_save": faulty("second saves"),
        "edits_misnamed": faulty("edits"),
        "not_checked_percent": round(100 * not_checked / objects, 2) if objects else 0,
    }


def is_passed(outcomes: Sequence[Outcome]) -> bool:
    return not any(one.faults or one.verdict == "unfinished" for one in outcomes) and (
        figures(outcomes)["not_checked_percent"] <= NOT_CHECKED_PERCENT_MAX
    )
