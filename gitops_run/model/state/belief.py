"""What a sync believes about its store and its cluster, and what follows from that.

One frozen value with few transitions, and the decisions of docs/save-protocol.md that need nothing else:
whether a save needs a fence, whether the cluster contradicts it, whether one object may be put while the
store is listed. Knows no store and no clock; `flows.sync` and `flows.push` act on it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from gitops_run.model.flux.conditions import SourceStatus
from gitops_run.model.names import STORE_PREFIX
from gitops_run.model.objects.identity import ObjectRef
from gitops_run.model.store.objects import StoredObject, flux_revision
from gitops_run.model.tree.tree import Plan, Tree, diff, edited_file

HEALS_MAX = 3
"""How often in a row a store that differs is put right before a person is asked to look."""


@dataclass(frozen=True, slots=True)
class Stored:
    """Hold what is stored at a path. An object that was listed is known by its ETag alone."""

    digest: str = field(compare=False)
    etag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """Name a pushed revision. token: asked for its fetch. was_live: it was published before."""

    text: str
    token: str
    was_live: bool


class Reported(StrEnum):
    """Say what the last save was reported as, as far as the next report depends on it."""

    PUSHED = "pushed"
    BROKEN = "broken"
    LIVE = "live"


@dataclass(frozen=True, slots=True, kw_only=True)
class Belief:
    """Hold what a sync takes to be true between two of its steps.

    save: the number of the last save that was refused, or whose push began.
    stored: what the store holds by path; None while that is in doubt.
    is_doubted: something came into doubt since the last push began.
    checked: the digests of the objects that the API server need not be asked about again.
    revisions: all that were ever live. expected: what Flux fetches, or has fetched, until the next push.
    heeds_conditions: whether the store does; None until it was tried.
    differed: the save at which the store last differed. heals: how many saves in a row it did.
    """

    save: int = 0
    reported: Reported = Reported.PUSHED
    stored: Mapping[str, Stored] | None = None
    is_doubted: bool = False
    checked: Mapping[ObjectRef, str] = field(default_factory=dict)
    revisions: frozenset[str] = frozenset()
    expected: Revision | None = None
    is_fetched: bool = False
    heeds_conditions: bool | None = None
    differed: int = 0
    heals: int = 0

    def broken(self, save: int) -> Belief:
        """Return what is believed once a save was refused."""
        return replace(self, save=save, reported=Reported.BROKEN)

    def unchanged(self) -> Belief:
        """Return what is believed once the tree was reported to be live."""
        return replace(self, reported=Reported.LIVE)

    def begun(self, save: int, live: Collection[str]) -> Belief:
        """Return what is believed while a push is under way: nothing of the store, and nothing of Flux.

        live: the revisions that Flux shows; they count at the first push.
        """
        revisions = self.revisions or frozenset(live)
        return replace(self._unexpecting(), save=save, stored=None, is_doubted=False, revisions=revisions)

    def pushed(self, stored: Mapping[str, Stored], revision: Revision) -> Belief:
        """Return what is believed once Flux was asked for a push; what came into doubt meanwhile stays so."""
        return replace(
            self,
            reported=Reported.PUSHED,
            stored=None if self.is_doubted else stored,
            revisions=self.revisions | {revision.text},
            expected=revision,
            is_fetched=False,
        )

    def with_checked(self, digests: Mapping[ObjectRef, str]) -> Belief:
        """Return this belief with other objects that need not be asked about again."""
        return replace(self, checked=digests)

    def with_conditions(self, *, are_heeded: bool) -> Belief:
        """Return this belief once it is known whether the store heeds conditions."""
        return replace(self, heeds_conditions=are_heeded)

    def fetched(self, source: SourceStatus) -> Belief:
        """Return what is believed after a look at the Bucket."""
        if self.expected is None or self.is_fetched:
            return self
        shown, expected = (source.revision, source.handled), (self.expected.text, self.expected.token)
        return replace(self, is_fetched=True) if shown == expected else self

    def doubted(self) -> Belief:
        """Return what is believed after an error: not the store, not what the API server once said."""
        return replace(self, stored=None, is_doubted=True, checked={})

    def replaced(self) -> Belief:
        """Return what is believed once another, empty store stands in this one's place."""
        return replace(self._unexpecting(), stored=None, is_doubted=True)

    def contradicted(self, save: int) -> Belief:
        """Return what is believed once Flux fetched something else than this save pushed."""
        heals = self.heals + 1 if self.differed == save - 1 else 1
        return replace(self._unexpecting().doubted(), differed=save, heals=heals)

    def _unexpecting(self) -> Belief:
        return replace(self, expected=None, is_fetched=False)

    @property
    def is_empty(self) -> bool:
        """Say whether nothing that is known is in the store."""
        return not self.stored

    @property
    def must_list(self) -> bool:
        """Say whether the store must be listed before anything is written to it."""
        return self.stored is None

    @property
    def heals_at_once(self) -> bool:
        """Say whether a store that differs is put right now, rather than after a wait."""
        return self.heals <= HEALS_MAX

    def holds(self, tree: Tree) -> bool:
        """Say whether this tree is what was pushed last."""
        return self.stored is not None and digests(self.stored) == tree.digests

    def is_edit(self, tree: Tree) -> bool:
        """Say whether the content of one file is all that differs from what was pushed last."""
        return bool(edited_file(digests(self.stored or {}), tree))

    def plan(self, tree: Tree) -> Plan:
        """Plan the way from what is known to be in the store to a tree."""
        return diff(digests(self.stored or {}), tree.digests)

    def revision(self, stored: Mapping[str, Stored], token: str) -> Revision:
        """Name what Flux will fetch of a store that holds this."""
        text = flux_revision(
            StoredObject(key=f"{STORE_PREFIX}{path}", etag=entry.etag, size=0)
            for path, entry in stored.items()
        )
        return Revision(text=text, token=token, was_live=text in self.revisions)

    def needs_fence(self, plan: Plan, source: SourceStatus) -> bool:
        """Skip the fence where one operation leads from a known tree to the next, never at first.

        Flux lists and then downloads: a fetch during which two operations happen would take the list of one
        tree and the content of another. So the fetch of the last push must have ended successfully: Flux
        retries one that failed at any time.
        """
        if self.stored is None or self.expected is None or not plan.is_single or source.is_suspended:
            return True
        return (source.handled, source.revision) != (self.expected.token, self.expected.text)

    def put_while_listing(self, plan: Plan, *, is_fenced: bool) -> str:
        """Name the object that may be put while the store is listed, which saves a round trip; or "".

        Only one that replaces a known object, unfenced, in a store that refuses it in any other's place.
        """
        path = plan.puts[0] if plan.is_single and plan.puts else ""
        is_safe = bool(self.heeds_conditions) and not is_fenced
        return path if is_safe and path in (self.stored or {}) else ""

    def is_contradicted_by(self, source: SourceStatus) -> bool:
        """Say whether Flux has fetched something else than what was pushed, after it had fetched that."""
        return self.expected is not None and self.is_fetched and source.revision != self.expected.text


def digests(stored: Mapping[str, Stored]) -> dict[str, str]:
    """Map each path to the digest of its content."""
    return {path: entry.digest for path, entry in stored.items()}


def etags(stored: Mapping[str, Stored]) -> dict[str, str]:
    """Map each path to its ETag."""
    return {path: entry.etag for path, entry in stored.items()}
