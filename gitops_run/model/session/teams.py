"""What all sessions of a team may have together, and which session would be more than that.

Knows the sum of quotas that the sessions of a team have, and asks nobody for it. Admission can't add quotas
up: who creates sessions is refused before anything is made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from gitops_run.errors import GuardError
from gitops_run.model.session.isolation import AMOUNT, RESOURCES, UNLIMITED, Quota, parse_quota, quantity

TEAM_AMOUNT: Final = rf"[a-z0-9]([a-z0-9-]{{0,61}}[a-z0-9])?/({AMOUNT})"


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamSession:
    """Hold what one session of a team has. hard: its ResourceQuota's, by what Kubernetes counts."""

    team: str
    namespace: str
    hard: Mapping[str, str]


def parse_team_quotas(texts: Sequence[str]) -> dict[str, Quota]:
    """Read TEAM/RESOURCE=AMOUNT, each of which matches TEAM_AMOUNT."""
    teams: dict[str, list[str]] = {}
    for text in texts:
        team, _, amount = text.partition("/")
        teams.setdefault(team, []).append(amount)
    return {team: parse_quota(amounts) for team, amounts in teams.items()}


def refuse_team(
    asked: TeamSession, teams: Mapping[str, Quota], sessions: Sequence[TeamSession] | None
) -> None:
    """Refuse a session with which its team would have too much. Raises GuardError that names the rule.

    sessions: of all teams; None where this user may not see them. Where the platform has no quotas of teams,
    a team may have anything.
    """
    if not teams:
        return
    team = asked.team
    if team not in teams:
        said = f"has no quota for team {team}" if team else "expects each session to name its team"
        raise GuardError(f"the platform's rule teamQuota {said}", hint=f"choose team {_or(sorted(teams))}")
    if sessions is None:
        raise GuardError(
            f"the platform's rule teamQuota limits team {team}, and you may not see its sessions' quotas",
            hint="ask for ClusterRole gitops-run-session-maker",
        )
    others = [one for one in sessions if one.team == team and one.namespace != asked.namespace]
    for resource, most in teams[team].amounts.items():
        taken, wanted = _total(resource, others), _total(resource, [asked])
        if taken is None or wanted is None or taken + wanted > quantity(most):
            raise GuardError(
                f"the platform's rule teamQuota allows team {team} {resource}={most} in all: its other "
                f"sessions have {_written(taken)}, and this one asks for {_written(wanted)}",
                hint=f"ask for less with --quota {resource}=..., or end one of them: gitops-run list",
            )


def _total(resource: str, sessions: Sequence[TeamSession]) -> Decimal | None:
    """Add up what sessions have of a resource; None where one of them has no limit."""
    amounts = [one.hard.get(RESOURCES[resource]) for one in sessions]
    known = [quantity(amount) for amount in amounts if amount is not None]
    return sum(known, Decimal(0)) if len(known) == len(amounts) else None


def _or(names: Sequence[str]) -> str:
    return " or ".join(names)


def _written(amount: Decimal | None) -> str:
    """Write a sum as people do: in Gi or Mi where that gives a whole number."""
    if amount is None:
        return UNLIMITED
    for suffix, size in (("Gi", 1024**3), ("Mi", 1024**2)):
        if amount and amount % size == 0:
            return f"{amount // size}{suffix}"
    return f"{amount.normalize():f}"
