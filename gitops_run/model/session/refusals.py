"""Why a session can't be made or changed as it is asked for: by what the cluster has of it.

Knows facts and a description, and asks nobody.
"""

from __future__ import annotations

from gitops_run.errors import GuardError
from gitops_run.model.names import SessionName
from gitops_run.model.session.isolation import NAMESPACE
from gitops_run.model.session.spec import ClusterFacts, SessionSpec


def refuse_other_target(spec: SessionSpec, facts: ClusterFacts) -> None:
    """Refuse to give a session another target. Raises GuardError."""
    if facts.target and facts.target != spec.target:
        raise GuardError(
            f"session {spec.name} applies {facts.target}, not {spec.target}: this is fixed when it "
            "is created",
            hint="choose another session name, or take down this one first",
        )


def refuse_other_isolation(spec: SessionSpec, facts: ClusterFacts) -> None:
    """Refuse to give a session another isolation. Raises GuardError."""
    was = facts.isolation or NAMESPACE
    if facts.target and spec.isolation != was:
        raise GuardError(
            f"session {spec.name} has isolation {was}, not {spec.isolation}: this is fixed when it "
            "is created",
            hint="choose another session name, or take down this one first",
        )


def refuse_unbounded(spec: SessionSpec, facts: ClusterFacts) -> None:
    """Refuse to create a session that this user can't bound. Raises GuardError."""
    if spec.bounds and not facts.may_bound:
        raise GuardError(
            f"{facts.user} may not create a ResourceQuota in namespace {spec.namespace}, and each session "
            "has one",
            hint="if the platform is of an earlier version, update its roles: gitops-run platform up",
        )


def refuse_foreign(spec: SessionSpec, facts: ClusterFacts) -> None:
    """Refuse a session that someone else owns. Raises GuardError."""
    if facts.owner and facts.owner != spec.owner:
        raise GuardError(
            f"session {spec.name} in namespace {spec.namespace} belongs to {facts.owner}, not to "
            f"{spec.owner}",
            hint="choose another session name, or ask its owner",
        )


def other_stack(name: SessionName, facts: ClusterFacts) -> GuardError:
    """Make the error for a session whose stack isn't here."""
    if facts.is_of_other_stack(name):
        project, _, stack = facts.stack.partition("/")
        return GuardError(
            f"session {name} was created by stack {stack} of project {project}",
            hint=f"change or end it with that project: pulumi up -s {stack}, or pulumi destroy -s {stack}",
        )
    return GuardError(
        f"session {name} exists, but its stack is not in the current backend",
        hint="set PULUMI_BACKEND_URL to the backend that it was created with; if its state is lost: "
        "gitops-run down NAME --from-cluster",
    )
