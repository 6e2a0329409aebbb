"""What an inspection of a snapshot is given and finds, and how it judges each object that changed.

Asks nobody: `flows.preflight` builds the snapshot and asks the cluster. Knows what Flux does with an object.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from gitops_run.flows.building import Built
from gitops_run.flows.refusals import Refusals
from gitops_run.model.names import ACCOUNT
from gitops_run.model.objects.change import Change
from gitops_run.model.objects.changes import find_change, find_recreation
from gitops_run.model.objects.dry_run import Finding, Look, Obstacle, conflict_of
from gitops_run.model.objects.flux_apply import drops_labels
from gitops_run.model.objects.identity import ObjectRef, RenderedObject, has_mark, mapping
from gitops_run.model.objects.ownership import (
    KUSTOMIZE_LABEL,
    SessionPlace,
    foreign_owner,
    own_claim,
)
from gitops_run.model.objects.sops import encrypted_without_key, holds_ciphertext
from gitops_run.model.objects.substitution import Variables
from gitops_run.model.state.events import NamedNamespace
from gitops_run.model.text.problem import Problem
from gitops_run.model.tree.places import locate
from gitops_run.model.tree.snapshot import Snapshot

_CIPHERTEXT = (
    "SOPS has encrypted its values, and without a key Flux applies them encrypted: "
    "gitops-run up NAME PATH --decryption-key-file FILE"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """Hold what the loop knows of the cluster.

    digests: of each rendered object as it was last pushed; empty at first or in doubt. inventory: Flux's.
    versions: the API version of each entry of it, in pairs.
    """

    digests: Mapping[ObjectRef, str]
    inventory: tuple[str, ...]
    versions: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """Hold what a snapshot would apply and change, or why it may not be pushed.

    not_checked: lines for a person about what only Flux knows. digests: of every rendered object.
    overridden: what names a namespace other than the session's. spared: entries of the inventory that the
    save lacks, and that stay or may stay in the cluster, or are replaced under another name. is_rendered:
    False where only Flux can render the target, so that none of the others is known.
    """

    objects: tuple[ObjectRef, ...] = ()
    problems: tuple[Problem, ...] = ()
    changes: tuple[Change, ...] = ()
    not_checked: tuple[str, ...] = ()
    digests: Mapping[ObjectRef, str] = field(default_factory=dict)
    overridden: tuple[NamedNamespace, ...] = ()
    spared: frozenset[str] = frozenset()
    is_rendered: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectionSettings:
    """Describe what is inspected for which session.

    variables: what is substituted after the build; None where nothing is. has_dry_run: False leaves the API
    server's opinion to Flux.
    """

    target: str
    session: SessionPlace
    variables: Variables | None = None
    has_decryption_key: bool = False
    has_dry_run: bool = True
    is_chart: bool = False

    def is_marked(self, body: Mapping[str, Any], name: str, value: str) -> bool:
        """Report whether an object has this annotation for kustomize-controller."""
        return not self.is_chart and has_mark(body, f"{KUSTOMIZE_LABEL}/{name}", value)

    def leaves_alone(self, body: Mapping[str, Any]) -> bool:
        """Report whether an annotation of an object, live or not, keeps Flux from applying it."""
        return self.is_marked(body, "reconcile", "disabled") or self.is_marked(body, "ssa", "Ignore")


class Inspects(Protocol):
    """Check snapshots, as Inspector does."""

    async def inspect(self, snapshot: Snapshot, live: Live, mark: Callable[[str], None]) -> Preflight:
        """Build a snapshot and check every object of it that changed."""
        ...


def judged(
    built: Built,
    live: Live,
    settings: InspectionSettings,
    snapshot: Snapshot,
    looks: Sequence[tuple[RenderedObject, Look]],
) -> Preflight:
    """Judge the objects that changed. looks: what the cluster says of each."""
    judgement = _Judgement(built, live, settings, snapshot)
    for item, look in looks:
        judgement.judge(item, look)
    return judgement.result()


class _Judgement:
    """Gather what one inspection finds."""

    def __init__(self, built: Built, live: Live, settings: InspectionSettings, snapshot: Snapshot) -> None:
        self._built = built
        self._known = frozenset(live.inventory)
        self._settings = settings
        self._refusals = Refusals(snapshot, settings.target, settings.session, is_chart=settings.is_chart)
        self._new_kinds = frozenset(_new_kinds(built.objects))
        self._new_namespaces = frozenset(i.ref.name for i in built.objects if i.ref.kind == "Namespace")
        times = Counter(item.ref.inventory_id for item in built.objects)
        self._twofold = frozenset(entry for entry, count in times.items() if count > 1)
        claims = [(item.ref, own_claim(item, settings.session)) for item in built.objects]
        self._problems = [self._refusals.of_own_part(ref, claim) for ref, claim in claims if claim]
        self._changes: list[Change] = []
        self._not_checked: list[str] = []

    def judge(self, item: RenderedObject, look: Look) -> None:
        """Report of one object whether it may be applied, and what that would change."""
        ref, session = item.ref, self._settings.session
        if any(self._settings.leaves_alone(body) for body in (item.body, look.live or {})):
            self._not_checked.append(f"{ref}: its annotation makes Flux ignore it")
            return
        if look.live is not None and self._settings.is_marked(item.body, "ssa", "IfNotPresent"):
            self._not_checked.append(f"{ref}: it exists, and its annotation makes Flux ignore it then")
            return
        if look.live is not None and ref.inventory_id not in self._known:
            owner = foreign_owner(look.live, session)
            if owner:
                self._problems.append(self._refusals.of_foreign(ref, owner))
                return
        if item.is_encrypted and not self._settings.has_decryption_key:
            self._problems.append(encrypted_without_key(*locate(ref, self._refusals.sources)))
            return
        is_forced = look.if_new is not None and self._is_forced(item, look)
        refused = (look.if_new or ()) if is_forced else look.findings
        findings = [finding for finding in refused if not self._is_for_flux(item, finding)]
        self._problems += [self._refusals.of(ref, look, finding) for finding in findings]
        self._not_checked += self._dropped(item, look)
        self._tell_change(item, look, is_recreated=is_forced and not refused)

    def _tell_change(self, item: RenderedObject, look: Look, *, is_recreated: bool) -> None:
        """Describe what applying an object would change, or why that can't be determined."""
        ref = item.ref
        if is_recreated:
            self._changes.append(find_recreation(ref, look.live or {}, item.body, look.made_new))
        elif look.is_hidden and not look.findings:
            reason = f"{ACCOUNT} may not read it, so its existence and its owner are unknown"
            self._not_checked.append(f"{ref}: {reason}")
        elif look.result is not None and look.live is not None and ref.inventory_id in self._twofold:
            reason = "it is defined in several API versions, and the one that Flux applies last wins"
            self._not_checked.append(f"{ref} ({ref.api_version}): {reason}")
        elif look.result is not None:
            change = find_change(ref, look.live, look.result)
            self._changes += [change] if change else []
            self._tell_ciphertext(item)
            self._not_checked += [self._once(ref, finding) for finding in conflict_of(item.body)]
        elif not look.findings and self._settings.has_dry_run:
            reason = self._built.unevaluated.get(ref, "it is encrypted")
            self._not_checked.append(f"{ref}: {reason}")

    def _once(self, ref: ObjectRef, finding: Finding) -> str:
        """Report a field that the API server accepts now, but not once the object has another version."""
        place = self._refusals.place(ref, finding.field)
        what = f"{ref}: {finding.field} ({place})"
        return f"{what}: Flux applies it once and refuses it afterwards: {finding.hint}"

    def _dropped(self, item: RenderedObject, look: Look) -> list[str]:
        """List what Flux leaves out of an object that it applies."""
        ref, place = item.ref, partial(self._refusals.place, item.ref)
        found = [f"{ref}: Flux drops the unknown field {name} ({place(name)})" for name in look.dropped]
        if not self._settings.is_chart and drops_labels(item.body):
            labels = "metadata.labels"
            found.append(f"{ref}: Flux drops {labels} ({place(labels)}): one of them is not a string")
        return found

    def _tell_ciphertext(self, item: RenderedObject) -> None:
        """Describe what a dry run doesn't show of an object that holds or names what SOPS has encrypted."""
        if reason := self._built.naming_encrypted.get(item.ref):
            self._not_checked.append(f"{item.ref}: {reason}")
        elif not self._settings.has_decryption_key and holds_ciphertext(item.body):
            self._not_checked.append(f"{item.ref}: {_CIPHERTEXT}")

    def result(self) -> Preflight:
        """Bring the findings together; what can't be asked for at all is reported once."""
        objects = tuple(item.ref for item in self._built.objects)
        return Preflight(
            objects=objects,
            problems=tuple(dict.fromkeys(self._problems)),
            changes=_distinct(self._changes),
            not_checked=tuple(self._not_checked),
        )

    def _is_forced(self, item: RenderedObject, look: Look) -> bool:
        """Report whether Flux recreates an object whose change is refused: it or the live one has a mark."""
        marked = (item.body, look.live or {})
        return any(self._settings.is_marked(body, "force", "enabled") for body in marked)

    def _is_for_flux(self, item: RenderedObject, finding: Finding) -> bool:
        """Report whether a finding is not the save's fault; its reason is reported as not checked."""
        ref, reason = item.ref, ""
        if finding.obstacle is Obstacle.KIND and (ref.group, ref.kind) in self._new_kinds:
            reason = "this save creates its kind"
        elif finding.obstacle is Obstacle.NAMESPACE and ref.namespace in self._new_namespaces:
            reason = "this save creates its namespace"
        if reason:
            self._not_checked.append(f"{ref}: {reason}")
        is_left_to_flux = not self._settings.has_dry_run and finding.obstacle is not Obstacle.IMPERSONATION
        return bool(reason) or is_left_to_flux


def _new_kinds(objects: Iterable[RenderedObject]) -> Iterable[tuple[str, str]]:
    for item in objects:
        if item.ref.kind == "CustomResourceDefinition":
            spec = mapping(item.body.get("spec"))
            yield str(spec.get("group")), str(mapping(spec.get("names")).get("kind"))


def _distinct(changes: Sequence[Change]) -> tuple[Change, ...]:
    """Report an object that is defined in two API versions once."""
    return tuple({(one.object, one.action, one.fields): one for one in changes}.values())
