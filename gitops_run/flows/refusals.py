"""What is said of an object that may not be applied: the file, the line, the reason and the next step."""

from __future__ import annotations

from functools import cached_property

from gitops_run.flows.building import sources_of
from gitops_run.model.flux.reasons import OVER_QUOTA
from gitops_run.model.names import ACCOUNT, QUOTA
from gitops_run.model.objects.dry_run import NO_NAMESPACE, Finding, Look, Obstacle
from gitops_run.model.objects.identity import ObjectRef
from gitops_run.model.objects.ownership import KUSTOMIZE_LABEL, SessionPlace
from gitops_run.model.text.problem import Problem
from gitops_run.model.text.yaml_words import unquoted_hint
from gitops_run.model.tree.places import Sources, locate
from gitops_run.model.tree.snapshot import Snapshot

_WHOLE_CLUSTER = "it belongs to the whole cluster, and a session applies within its own namespace only"
_REMOVE = "remove it from the target"
_WIDEN = (
    f"{_REMOVE}; isolation: cluster would allow it, and is chosen when a session is created: "
    "gitops-run up NAME PATH --isolation cluster"
)


class Refusals:
    """Write the problems of one snapshot."""

    def __init__(self, snapshot: Snapshot, target: str, session: SessionPlace, *, is_chart: bool) -> None:
        self._snapshot = snapshot
        self._target = target
        self._session = session
        self._is_chart = is_chart

    def place(self, ref: ObjectRef, name: str) -> str:
        """Write where a field of an object stands, as "app/web.yaml:4"."""
        path, line = locate(ref, self.sources, name)
        return f"{path}:{line}" if line else path

    def of(self, ref: ObjectRef, look: Look, finding: Finding) -> Problem:
        """Write what the cluster finds wrong with an object."""
        if finding.obstacle is Obstacle.IMPERSONATION:
            return Problem(
                message=f"you may not impersonate {ACCOUNT}: an older gitops-run created this session",
                hint="update it: gitops-run up NAME",
            )
        message, hint = self._told(ref, look, finding)
        path, line = locate(ref, self.sources, finding.field)
        if "expected string" in message and not hint:
            hint = unquoted_hint(self._snapshot.read_text(path) or "", line)
        return Problem(path=path, line=line, message=f"{ref}: {message}", hint=hint)

    def _told(self, ref: ObjectRef, look: Look, finding: Finding) -> tuple[str, str]:
        """Write a finding and what to do about it."""
        match finding.obstacle:
            case Obstacle.KIND:
                return finding.message, "check its apiVersion and kind, or install what provides the kind"
            case Obstacle.NAMESPACE:
                return (
                    f"there is no namespace {ref.namespace}",
                    "remove the namespace: the session sets it",
                )
            case Obstacle.RIGHT:
                is_own = look.is_namespaced and ref.namespace in ("", self._session.namespace)
                return self._missing_right(ref, look), _REMOVE if is_own else _WIDEN
        text = f"{finding.field}: {finding.message}" if finding.field else finding.message
        return text, self._hint(look, finding)

    def _hint(self, look: Look, finding: Finding) -> str:
        """Write what to do about an object that the API server finds invalid."""
        if finding.message == NO_NAMESPACE.message and self._session.is_wide:
            return "name one: in its metadata, or for all objects with namespace: in the kustomization"
        if f"exceeded quota: {QUOTA}" in finding.message:
            return OVER_QUOTA
        return self._recreating if look.would_recreating_help(finding) else finding.hint

    @property
    def _recreating(self) -> str:
        if self._is_chart:
            return "delete it first"
        return f"delete it first, or let Flux recreate it: annotate it with {KUSTOMIZE_LABEL}/force: enabled"

    def _missing_right(self, ref: ObjectRef, look: Look) -> str:
        namespace = self._session.namespace
        if not look.is_namespaced:
            return _WHOLE_CLUSTER
        if ref.namespace not in ("", namespace):
            return f"it is in namespace {ref.namespace}, and the session may apply in {namespace} only"
        return f"the session's ServiceAccount {ACCOUNT} has no right to apply {look.resource}"

    def of_foreign(self, ref: ObjectRef, owner: str) -> Problem:
        """Refuse an object that is somebody else's."""
        path, line = locate(ref, self.sources)
        return Problem(
            path=path,
            line=line,
            message=f"{ref} {owner}: a session never takes over objects that it did not create",
            hint="rename it, or remove it from the target",
        )

    def of_own_part(self, ref: ObjectRef, claim: str) -> Problem:
        """Refuse what the session is made of; a Namespace is always its own, since kustomize renames it."""
        if ref.kind != "Namespace" or self._session.is_wide:
            return self.of_foreign(ref, claim)
        path, line = locate(ref, self.sources)
        return Problem(path=path, line=line, message=f"{ref}: {_WHOLE_CLUSTER}", hint=_WIDEN)

    @cached_property
    def sources(self) -> Sources:
        """Read the sources only if something must be found in them."""
        return sources_of(self._snapshot, self._target)
