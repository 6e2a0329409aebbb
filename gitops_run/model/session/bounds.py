"""What keeps a session's owner within the session, and what of it a cluster lacks.

This module decides whether a session may be made on a Flux, and what to report about the owner's rights. It
knows no cluster: facts come from adapters. docs/security.md says who may do what.
"""

from __future__ import annotations

from typing import Final

from gitops_run.errors import GuardError
from gitops_run.model.rights.lockdown import HELM_CONTROLLER, KUSTOMIZE_CONTROLLER, lacking_bounds
from gitops_run.model.session.isolation import CLUSTER
from gitops_run.model.session.spec import ClusterFacts, HelmApplier, KustomizeApplier, SessionSpec

_GUIDE: Final = "https://fluxcd.io/flux/installation/configuration/multitenancy/"
_POLICY: Final = (
    "the platform's admission policies (gitops-run platform up) let an owner change nothing of the session's "
    "Flux objects but suspend and the annotations for fence, reconcile, extend and suspend, and nothing of "
    "the objects that the session consists of"
)


def refuse_unlocked(spec: SessionSpec, facts: ClusterFacts, *, is_allowed: bool) -> None:
    """Refuse to make a session on a Flux without lockdown. Raises GuardError.

    A session that exists is only warned about: it could else not be brought up to date. is_allowed: the
    setting allowUnlockedFlux.
    """
    problem = _unlocked(spec, facts)
    if not problem or is_allowed or facts.target:
        return
    explained = "" if facts.has_policies else f"; {_POLICY}"
    raise GuardError(
        f"{problem}{explained}",
        hint=f"lock Flux down: {_GUIDE}; to accept the risk: --allow-unlocked-flux",
    )


def warnings(spec: SessionSpec, facts: ClusterFacts) -> tuple[str, ...]:
    """Describe what is not protected in this session: sentences for the person who makes it."""
    found = [_unlocked(spec, facts)]
    if spec.owner != facts.user and not facts.has_policies:
        which = "are not in force" if facts.has_policies is False else "may not be read"
        found.append(
            f"the admission policies {which} here. Without them, {spec.owner} may change every field of the "
            f"session's Flux objects, and the objects that the session consists of; {_POLICY}"
        )
    if spec.isolation == CLUSTER:
        found.append(
            f"with isolation cluster, {spec.owner} can do everything in the whole cluster: what is saved is "
            "applied with an administrator's rights"
        )
    if spec.bounds is None:
        found.append(
            f"session {spec.name} was created by an earlier version and has neither a quota nor a network "
            f"policy; to add them: gitops-run up {spec.name} --isolation namespace"
        )
    if isinstance(spec.applier, KustomizeApplier) and spec.applier.decryption_key:
        found.append(
            f"{spec.owner} can read the age key: whoever saves into a session can read every Secret of its "
            "namespace"
        )
    return tuple(text for text in found if text)


def _unlocked(spec: SessionSpec, facts: ClusterFacts) -> str:
    """Describe what is wrong with the lockdown of the controllers that a session needs; "" for nothing."""
    needed = [KUSTOMIZE_CONTROLLER]
    if isinstance(spec.applier, HelmApplier):
        needed.append(HELM_CONTROLLER)
    unseen = [name for name in needed if name not in {one.name for one in facts.controllers}]
    if unseen:
        return (
            "it can't be determined whether this cluster's Flux is locked down: "
            f"no Deployment {' or '.join(unseen)} was found, or may be read"
        )
    lacking = [
        f"{one.name} lacks {', '.join(flags)}" for one in facts.controllers if (flags := lacking_bounds(one))
    ]
    if not lacking:
        return ""
    return (
        f"this cluster's Flux is not locked down: {'; '.join(sorted(set(lacking)))}. Whoever may change a "
        "Kustomization or HelmRelease there can act as Flux itself, in the whole cluster"
    )
