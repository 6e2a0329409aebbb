"""Bring the store from one whole tree to the next, and ask Flux for it.

docs/save-protocol.md, steps 2 to 5. Keeps the sync's `Belief` in step with what was done; what follows from
that is decided in `model.state.belief`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial

import anyio

from gitops_run.errors import TransientError, ungrouped
from gitops_run.flows.follow import Save
from gitops_run.flows.ports import Emit, Flux, Lease, Store
from gitops_run.model.names import STORE_PREFIX
from gitops_run.model.state.belief import Belief, Revision, Stored, digests, etags
from gitops_run.model.state.events import SaveUploading, StoreDiffered
from gitops_run.model.store.objects import store_difference
from gitops_run.model.tree.snapshot import Snapshot
from gitops_run.model.tree.tree import Plan, Tree, diff

BATCH = 100
"""Files whose contents are held in memory at a time."""
UPLOAD_REPORTED_BYTES = 8 * 1000 * 1000
UPLOAD_REPORTED_FILES = 5 * BATCH
"""Uploads of more than either take seconds to a store that is far away, and are reported as they go on."""
LISTING_S = 1.0
"""How long a put may take whose listing runs alongside, before the store is listed once more."""
ROUNDS = 3
"""How often one push writes the difference between its tree and a listing before it gives up."""


class Pusher:
    """Write trees to one session's store, one at a time. belief: what is known of it and of Flux."""

    def __init__(
        self, store: Store, flux: Flux, lease: Lease, emit: Emit, new_token: Callable[[], str]
    ) -> None:
        self._store = store
        self._flux = flux
        self._lease = lease
        self._emit = emit
        self._new_token = new_token
        self.belief = Belief()

    def doubt(self) -> None:
        """Take nothing for granted in the next push: something failed."""
        self.belief = self.belief.doubted()

    def holds(self, tree: Tree) -> bool:
        """Say whether this tree is what was pushed last."""
        return self.belief.holds(tree)

    def plan(self, tree: Tree) -> Plan:
        """Plan the way from what is known to be in the store to a tree."""
        return self.belief.plan(tree)

    async def push(self, snapshot: Snapshot, save: Save) -> Revision:
        """Write the difference, behind a fence where it takes more than one operation; mark save's steps.

        Flux is asked only once a listing shows the whole tree: a store that lost objects unnoticed would
        else have the next save prune them.

        What the store holds is in doubt until the end. Raises LockedError where the lease was lost,
        GuardError where the fence was.
        """
        mark, token = f"{self._lease.holder}/{save.number}", self._new_token()
        before, source = self.belief, self._flux.source
        self.belief = before.begun(save.number, live=(source.revision, self._flux.applier.applied))
        with ExitStack() as admitted:
            if before.needs_fence(save.plan, source):
                await self._fence(save, mark, admitted)
            published = await self._brought_to(
                snapshot, save, before, partial(self._fence, save, mark, admitted)
            )
        save.mark("uploaded")
        if save.is_fenced:
            await self._flux.release(mark, token)
        else:
            await self._flux.request_fetch(token)
        # What came into doubt since the push began stays so: another store may stand there by now.
        revision = self.belief.revision(published, token)
        self.belief = self.belief.pushed(published, revision)
        return revision

    async def _brought_to(
        self, snapshot: Snapshot, save: Save, before: Belief, fence: Callable[[], Awaitable[None]]
    ) -> Mapping[str, Stored]:
        """Write until a listing shows just the snapshot. before: what was believed as the push began.

        Raises TransientError where the store's listings never show what was put.
        """
        published = None if before.must_list else dict(before.stored or {})
        for _ in range(ROUNDS):
            if published is None:
                published = await self._listed()
                save.plan = diff(digests(published), snapshot.tree.digests)
            # What others did to the store meanwhile, or since the last save, must not reach Flux.
            replacing = before.put_while_listing(save.plan, is_fenced=save.is_fenced)
            if replacing:
                found = await self._replaced(snapshot, replacing, published)
            else:
                await self._write(snapshot, save, published)
                found = await self._listed()
            if found == published:
                await self._try_conditions(snapshot, save, published)
                return published
            difference = store_difference(etags(published), etags(found))
            self._emit(
                StoreDiffered(save=save.number, message=f"the store holds something else: {difference}")
            )
            published = None
            await fence()
        raise TransientError(
            f"the store does not list what was put, {ROUNDS} times in a row: {difference}",
            hint="find out who else writes to the bucket, or what changes its listings: a gateway, a cache",
        )

    async def _replaced(
        self, snapshot: Snapshot, path: str, published: dict[str, Stored]
    ) -> Mapping[str, Stored]:
        """Replace one object while the store is listed, which saves a round trip.

        The store takes it only in the place of the known one: in a store that was emptied after the listing
        it would be all that Flux finds. So what counts is the listing with either of the two.
        """
        before, key, began = published[path], f"{STORE_PREFIX}{path}", anyio.current_time()
        found: dict[str, Stored] = {}

        async def look() -> None:
            found.update(await self._listed())

        with ungrouped():
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(look)
                content = {key: snapshot.read_bytes(path)}
                taken = await self._store.put_many(content, self._lease.ensure, {key: before.etag})
        digest = snapshot.tree.files[path].digest
        # The attempt whose answer was lost may have stored the object: its MD5 shows that.
        published[path] = Stored(digest, taken.get(key, digest))
        if key not in taken or anyio.current_time() - began > LISTING_S:
            return await self._listed()
        return found | {path: published[path]} if found.get(path) == before else found

    async def _try_conditions(self, snapshot: Snapshot, save: Save, published: Mapping[str, Stored]) -> None:
        """Find out once whether the store heeds conditions: behind a fence, by a put that changes nothing."""
        if self.belief.heeds_conditions is not None or not save.is_fenced or not published:
            return
        path = min(published, key=lambda name: snapshot.tree.files[name].size)
        key, content = f"{STORE_PREFIX}{path}", snapshot.read_bytes(path)
        with suppress(TransientError):
            are_heeded = await self._store.heeds_conditions(key, content, self._lease.ensure)
            self.belief = self.belief.with_conditions(are_heeded=are_heeded)

    async def _fence(self, save: Save, mark: str, admitted: ExitStack) -> None:
        """Keep Flux from fetching, once; behind that fence, an emptied store may be filled."""
        if not save.is_fenced:
            await self._flux.fence(mark, self._lease.ensure)
            save.is_fenced = True
            save.mark("fenced")
            admitted.enter_context(self._store.admitting())

    async def _listed(self) -> dict[str, Stored]:
        """List the store; what has no business there is removed."""
        found = await self._store.list()
        strangers = [stored.key for stored in found if not stored.key.startswith(STORE_PREFIX)]
        if strangers:
            await self._store.delete(strangers, self._lease.ensure)
        return {
            stored.key.removeprefix(STORE_PREFIX): Stored(stored.etag, stored.etag)
            for stored in found
            if stored.key.startswith(STORE_PREFIX)
        }

    async def _write(self, snapshot: Snapshot, save: Save, published: dict[str, Stored]) -> None:
        """Put, then delete, but for what stands in a put's way; published is kept in step."""
        plan = save.plan
        sizes = {path: snapshot.tree.files[path].size for path in plan.puts}
        shadowing = dict.fromkeys(plan.shadowing)
        await self._delete(tuple(shadowing), published)
        for start in range(0, len(plan.puts), BATCH):
            batch = plan.puts[start : start + BATCH]
            self._report_upload(save.number, sizes, plan.puts[:start])
            contents = {f"{STORE_PREFIX}{path}": snapshot.read_bytes(path) for path in batch}
            taken = await self._store.put_many(contents, self._lease.ensure)
            for path in batch:
                digest = snapshot.tree.files[path].digest
                published[path] = Stored(digest, taken[f"{STORE_PREFIX}{path}"])
        await self._delete([path for path in plan.deletes if path not in shadowing], published)

    def _report_upload(self, save: int, sizes: Mapping[str, int], done: Sequence[str]) -> None:
        """Report how far an upload is that a person waits for."""
        whole = sum(sizes.values())
        if whole < UPLOAD_REPORTED_BYTES and len(sizes) <= UPLOAD_REPORTED_FILES:
            return
        percent = 100 * sum(sizes[path] for path in done) // max(whole, 1)
        self._emit(SaveUploading(save=save, files=len(sizes), size=whole, percent=percent))

    async def _delete(self, paths: Sequence[str], published: dict[str, Stored]) -> None:
        if not paths:
            return
        await self._store.delete([f"{STORE_PREFIX}{path}" for path in paths], self._lease.ensure)
        for path in paths:
            del published[path]
