"""Bring the store from one whole tree to the next, and ask Flux for it.

docs/save-protocol.md, steps 2 to 5. Knows what the store holds, as far as nobody else writes to it, and
which revisions were live before.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial

import anyio

from gitops_run.errors import TransientError, ungrouped
from gitops_run.flows.follow import Save
from gitops_run.flows.ports import Emit, Flux, Lease, Snapshot, Store
from gitops_run.flows.verdict import Revision
from gitops_run.model.names import STORE_PREFIX
from gitops_run.model.state.events import SaveUploading, StoreDiffered
from gitops_run.model.store.objects import StoredObject, flux_revision, store_difference
from gitops_run.model.tree.tree import Plan, Tree, diff, edited_file

BATCH = 100
"""Files whose contents are held in memory at a time."""
UPLOAD_REPORTED_BYTES = 8 * 1000 * 1000
UPLOAD_REPORTED_FILES = 5 * BATCH
"""Uploads of more than either take seconds to a store that is far away, and are reported as they go on."""
LISTING_S = 1.0
"""How long a put may take whose listing runs alongside, before the store is listed once more."""
ROUNDS = 3
"""How often one push writes the difference between its tree and a listing before it gives up."""


@dataclass(frozen=True, slots=True)
class _Stored:
    """Hold what is stored at a path. An object that was listed is known by its ETag alone."""

    digest: str = field(compare=False)
    etag: str


class Pusher:
    """Write trees to one session's store. One at a time."""

    def __init__(
        self, store: Store, flux: Flux, lease: Lease, emit: Emit, new_token: Callable[[], str]
    ) -> None:
        self._store = store
        self._flux = flux
        self._lease = lease
        self._emit = emit
        self._new_token = new_token
        self._published: dict[str, _Stored] | None = None
        self._revisions: set[str] = set()
        self._last_token = ""
        self._last_revision = ""
        self._doubts = 0
        self._has_conditions: bool | None = None

    @property
    def is_empty(self) -> bool:
        """Say whether nothing that is known was ever pushed."""
        return not self._published

    def doubt(self) -> None:
        """Forget what the store holds: something failed, or somebody else wrote to it."""
        self._published = None
        self._doubts += 1

    def holds(self, tree: Tree) -> bool:
        """Say whether this tree is what was pushed last."""
        return self._published is not None and _digests(self._published) == tree.digests

    def is_edit(self, tree: Tree) -> bool:
        """Say whether the content of one file is all that differs from what was pushed last."""
        return bool(edited_file(_digests(self._published or {}), tree))

    def plan(self, tree: Tree) -> Plan:
        """Plan the way from what is known to be in the store to a tree."""
        return diff(_digests(self._published or {}), tree.digests)

    async def push(self, snapshot: Snapshot, save: Save) -> Revision:
        """Write the difference, behind a fence where it takes more than one operation; mark save's steps.

        Flux is asked only once a listing shows the whole tree: a store that lost objects unnoticed would
        else have the next save prune them.

        What the store holds is in doubt until the end. Raises LockedError where the lease was lost,
        GuardError where the fence was.
        """
        if not self._revisions:
            self._revisions |= {self._flux.source.revision, self._flux.applier.applied}
        mark, token = f"{self._lease.holder}/{save.number}", self._new_token()
        published, needs_fence = self._published, self._needs_fence(save.plan)
        self._published = None
        doubts = self._doubts
        with ExitStack() as admitted:
            if needs_fence:
                await self._fence(save, mark, admitted)
            published = await self._brought_to(
                snapshot, save, published, partial(self._fence, save, mark, admitted)
            )
        save.mark("uploaded")
        if save.is_fenced:
            await self._flux.release(mark, token)
        else:
            await self._flux.request_fetch(token)
        # What came into doubt after the last listing stays so: another store may stand there by now.
        self._published = published if self._doubts == doubts else None
        revision = self._revision(published, token)
        self._last_token, self._last_revision = token, revision.text
        return revision

    async def _brought_to(
        self,
        snapshot: Snapshot,
        save: Save,
        published: dict[str, _Stored] | None,
        fence: Callable[[], Awaitable[None]],
    ) -> dict[str, _Stored]:
        """Write until a listing shows just the snapshot. published: what is known to be stored.

        Raises TransientError where the store's listings never show what was put.
        """
        for _ in range(ROUNDS):
            if published is None:
                published = await self._listed()
                save.plan = diff(_digests(published), snapshot.tree.digests)
            # What others did to the store meanwhile, or since the last save, must not reach Flux.
            found = await self._written(snapshot, save, published)
            if found == published:
                await self._try_conditions(snapshot, save, published)
                return published
            difference = store_difference(_etags(published), _etags(found))
            self._emit(
                StoreDiffered(save=save.number, message=f"the store holds something else: {difference}")
            )
            published = None
            await fence()
        raise TransientError(
            f"the store does not list what was put, {ROUNDS} times in a row: {difference}",
            hint="find out who else writes to the bucket, or what changes its listings: a gateway, a cache",
        )

    async def _written(
        self, snapshot: Snapshot, save: Save, published: dict[str, _Stored]
    ) -> Mapping[str, _Stored]:
        """Write a save's plan, and list the store; published is kept in step with what was written."""
        path = save.plan.puts[0] if save.plan.is_single and save.plan.puts else ""
        if path in published and self._has_conditions and not save.is_fenced:
            return await self._replaced(snapshot, path, published)
        await self._write(snapshot, save, published)
        return await self._listed()

    async def _replaced(
        self, snapshot: Snapshot, path: str, published: dict[str, _Stored]
    ) -> Mapping[str, _Stored]:
        """Replace one object while the store is listed, which spares a round trip.

        The store takes it only in the place of the known one: in a store that was emptied after the listing
        it would be all that Flux finds. So what counts is the listing with either of the two.
        """
        before, key, began = published[path], f"{STORE_PREFIX}{path}", anyio.current_time()
        found: dict[str, _Stored] = {}

        async def look() -> None:
            found.update(await self._listed())

        with ungrouped():
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(look)
                content = {key: snapshot.read_bytes(path)}
                etags = await self._store.put_many(content, self._lease.ensure, {key: before.etag})
        digest = snapshot.tree.files[path].digest
        # What wasn't taken may be there all the same, by an attempt whose answer was lost: its MD5 tells.
        published[path] = _Stored(digest, etags.get(key, digest))
        if key not in etags or anyio.current_time() - began > LISTING_S:
            return await self._listed()
        return found | {path: published[path]} if found.get(path) == before else found

    async def _try_conditions(self, snapshot: Snapshot, save: Save, published: Mapping[str, _Stored]) -> None:
        """Find out once whether the store heeds conditions: behind a fence, by a put that changes nothing."""
        if self._has_conditions is not None or not save.is_fenced or not published:
            return
        path = min(published, key=lambda name: snapshot.tree.files[name].size)
        key, content = f"{STORE_PREFIX}{path}", snapshot.read_bytes(path)
        with suppress(TransientError):
            self._has_conditions = await self._store.heeds_conditions(key, content, self._lease.ensure)

    async def _fence(self, save: Save, mark: str, admitted: ExitStack) -> None:
        """Keep Flux from fetching, once; behind that, a store that began anew may be filled."""
        if not save.is_fenced:
            await self._flux.fence(mark, self._lease.ensure)
            save.is_fenced = True
            save.mark("fenced")
            admitted.enter_context(self._store.admitting())

    def _revision(self, published: Mapping[str, _Stored], token: str) -> Revision:
        text = flux_revision(
            StoredObject(key=f"{STORE_PREFIX}{path}", etag=stored.etag, size=0)
            for path, stored in published.items()
        )
        revision = Revision(text=text, token=token, was_live=text in self._revisions)
        self._revisions.add(text)
        return revision

    def _needs_fence(self, plan: Plan) -> bool:
        """Spare the fence where one operation leads from a known tree to the next: never at first.

        Flux lists and then downloads: a fetch amid which two operations fall would take the list of one tree
        and the content of the next but one. So the fetch of the last push has to be over, and well: one that
        failed is tried again by Flux, at any time.
        """
        is_one_step = self._published is not None and plan.is_single
        source = self._flux.source
        is_settled = source.handled == self._last_token and source.revision == self._last_revision
        return not is_one_step or source.is_suspended or not is_settled

    async def _listed(self) -> dict[str, _Stored]:
        """List the store; what has no business there is removed."""
        found = await self._store.list()
        strangers = [stored.key for stored in found if not stored.key.startswith(STORE_PREFIX)]
        if strangers:
            await self._store.delete(strangers, self._lease.ensure)
        return {
            stored.key.removeprefix(STORE_PREFIX): _Stored(stored.etag, stored.etag)
            for stored in found
            if stored.key.startswith(STORE_PREFIX)
        }

    async def _write(self, snapshot: Snapshot, save: Save, published: dict[str, _Stored]) -> None:
        """Put, then delete, but for what stands in a put's way; published is kept in step."""
        plan = save.plan
        sizes = {path: snapshot.tree.files[path].size for path in plan.puts}
        shadowing = dict.fromkeys(plan.shadowing)
        await self._delete(tuple(shadowing), published)
        for start in range(0, len(plan.puts), BATCH):
            batch = plan.puts[start : start + BATCH]
            self._report_upload(save.number, sizes, plan.puts[:start])
            contents = {f"{STORE_PREFIX}{path}": snapshot.read_bytes(path) for path in batch}
            etags = await self._store.put_many(contents, self._lease.ensure)
            for path in batch:
                digest = snapshot.tree.files[path].digest
                published[path] = _Stored(digest, etags[f"{STORE_PREFIX}{path}"])
        await self._delete([path for path in plan.deletes if path not in shadowing], published)

    def _report_upload(self, save: int, sizes: Mapping[str, int], done: Sequence[str]) -> None:
        """Report how far an upload is that a person waits for."""
        whole = sum(sizes.values())
        if whole < UPLOAD_REPORTED_BYTES and len(sizes) <= UPLOAD_REPORTED_FILES:
            return
        percent = 100 * sum(sizes[path] for path in done) // max(whole, 1)
        self._emit(SaveUploading(save=save, files=len(sizes), size=whole, percent=percent))

    async def _delete(self, paths: Sequence[str], published: dict[str, _Stored]) -> None:
        if not paths:
            return
        await self._store.delete([f"{STORE_PREFIX}{path}" for path in paths], self._lease.ensure)
        for path in paths:
            del published[path]


def _digests(stored: Mapping[str, _Stored]) -> dict[str, str]:
    return {path: entry.digest for path, entry in stored.items()}


def _etags(stored: Mapping[str, _Stored]) -> dict[str, str]:
    return {path: entry.etag for path, entry in stored.items()}
