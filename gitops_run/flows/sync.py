"""The save loop: from a settled change on disk to a revision that Flux was asked to apply.

docs/save-protocol.md is its law. The loop decides when a snapshot is taken, checked and pushed;
`flows.preflight` decides whether it may be, `flows.verdict` what became of it. It never waits for a
verdict: that runs beside it, and a newer save ends it.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import anyio
from anyio.abc import TaskGroup

from gitops_run.errors import GuardError, TransientError, WaitTimeout, ungrouped
from gitops_run.flows.changes import Changes
from gitops_run.flows.follow import Concerns, Follower, Save
from gitops_run.flows.ports import Emit, Files, Flux, Lease, Snapshot, Store
from gitops_run.flows.preflight import Inspector, Live, Preflight, is_large_prune, pruned
from gitops_run.flows.verdict import Revision
from gitops_run.model.conditions import Verdict
from gitops_run.model.events import (
    ObjectsAwaited,
    SaveBroken,
    SavePushed,
    SaveUnchanged,
    ServiceFailed,
    StoreDiffered,
)
from gitops_run.model.objects import ObjectRef
from gitops_run.model.problem import Problem
from gitops_run.model.session import STORE_PREFIX, applied_path
from gitops_run.model.store import StoredObject, flux_revision
from gitops_run.model.tree import Plan, diff

BATCH = 100
"""Objects that are written before the lease is looked at again."""
RETRY_FIRST_S = 0.5
RETRY_MAX_S = 15.0
HEALS_MAX = 3
"""How often in a row a store that differs is put right before a person is asked to look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncSettings:
    """Hold what a person may set of the loop. settle_s: quiet time; settle_cap_s: the longest wait for it."""

    target: str
    settle_s: float = 0.08
    settle_cap_s: float = 1.0
    prune_limit_percent: int = 50
    verdict_deadline_s: float = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Bundle what the loop acts through. confirm: asks a person, False where nobody can answer."""

    files: Files
    inspector: Inspector
    store: Store
    flux: Flux
    lease: Lease
    emit: Emit
    confirm: Callable[[str], Awaitable[bool]]
    new_token: Callable[[], str]


@dataclass(frozen=True, slots=True)
class _Stored:
    digest: str
    etag: str


class SaveLoop:
    """Push every settled state of a root, one at a time, until cancelled."""

    def __init__(self, ports: Ports, settings: SyncSettings) -> None:
        self._ports = ports
        self._settings = settings
        self._changes = Changes()
        self._published: dict[str, _Stored] | None = None
        self._pushed: Mapping[ObjectRef, str] = {}
        self._revisions: set[str] = set()
        self._count = 0
        self._heals = 0
        self._differed_last = 0
        self._retry_s = RETRY_FIRST_S
        self._is_broken = False

    async def run(self) -> None:
        """Save until cancelled. Raises LockedError when the lease is lost, NotFound when the session is."""
        with ungrouped():
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._ports.lease.keep)
                tasks.start_soon(self._watch_files)
                tasks.start_soon(self._watch_session)
                # The watcher's first step sets its watches up: what changes from here on is seen.
                await anyio.lowlevel.checkpoint()
                await self._save_for_ever(tasks)

    async def _watch_files(self) -> None:
        async for paths in self._ports.files.batches():
            self._changes.add(paths)

    async def _watch_session(self) -> None:
        """End the loop where the session goes, or applies something else than what is checked here."""
        expected = applied_path(self._settings.target)
        while True:
            path = self._ports.flux.applier.path
            if path not in ("", expected):
                raise GuardError(
                    f"the session applies {path} now, and this sync was started for {expected}",
                    hint="to sync what it applies, start gitops-run sync again",
                )
            await self._ports.flux.changed()

    async def _save_for_ever(self, tasks: TaskGroup) -> None:
        def try_again(error: TransientError | WaitTimeout) -> None:
            self._published = None
            self._retry_later(tasks, error.message, error.hint)

        concerns = Concerns(
            differs=lambda save, verdict: self._put_right(tasks, save, verdict), fails=try_again
        )
        ports, deadline_s = self._ports, self._settings.verdict_deadline_s
        follower = Follower(ports.flux, ports.emit, deadline_s, concerns)
        self._changes.add(frozenset())
        while True:
            try:
                await self._save_once(tasks, follower)
                self._retry_s = RETRY_FIRST_S
            except (TransientError, WaitTimeout) as error:
                try_again(error)

    async def _save_once(self, tasks: TaskGroup, follower: Follower) -> None:
        await self._changes.arrived()
        save = Save(self._count + 1, anyio.current_time())
        snapshot, checked = await self._settled(save)
        save.plan = diff(_digests(self._published or {}), snapshot.tree.digests)
        if self._published is not None and save.plan.is_empty and not snapshot.problems:
            self._tell_unchanged()
            return
        problems = checked.problems or await self._refusal(checked)
        if problems is None:
            self._ports.emit(ObjectsAwaited(target=self._settings.target))
        elif problems:
            self._tell_broken(save, problems)
        else:
            follower.supersede(by=save.number)
            with anyio.CancelScope(shield=True):
                revision = await self._push(snapshot, save, checked)
            follower.start(tasks, save, revision)

    async def _settled(self, save: Save) -> tuple[Snapshot, Preflight]:
        """Check a snapshot while waiting for quiet; begin anew where something changes meanwhile.

        After settle_cap_s a snapshot is good enough, however much still changes.
        """
        touched: frozenset[str] = frozenset()
        found: list[tuple[Snapshot, Preflight]] = []
        while not found:
            touched |= self._changes.take()
            is_late = anyio.current_time() >= save.started + self._settings.settle_cap_s
            with ungrouped():
                async with anyio.create_task_group() as checking:
                    checking.start_soon(self._check, touched, save, found)
                    if not is_late and not await self._changes.stays_quiet(self._settings.settle_s):
                        checking.cancel_scope.cancel()
            if self._changes.is_pending and not is_late:
                found.clear()
        save.mark("settled")
        return found[0]

    async def _check(
        self, touched: frozenset[str], save: Save, found: list[tuple[Snapshot, Preflight]]
    ) -> None:
        snapshot = await self._ports.files.snapshot(touched)
        save.mark("scanned")
        is_known = self._published is not None and _digests(self._published) == snapshot.tree.digests
        has_target = snapshot.tree.has_files_in(self._settings.target)
        if not snapshot.problems and (is_known or not has_target):
            found.append((snapshot, Preflight()))
            return
        digests = self._pushed if self._published is not None else {}
        live = Live(digests=digests, inventory=self._ports.flux.applier.inventory)
        checked = await self._ports.inspector.inspect(snapshot, live, save.mark)
        found.append((snapshot, checked))

    def _retry_later(self, tasks: TaskGroup, message: str, hint: str) -> None:
        self._ports.emit(ServiceFailed(message=message, hint=hint, seconds=math.ceil(self._retry_s)))
        tasks.start_soon(self._change_after, self._retry_s)
        self._retry_s = min(self._retry_s * 2, RETRY_MAX_S)

    async def _change_after(self, seconds: float) -> None:
        await anyio.sleep(seconds)
        self._changes.add(frozenset())

    def _put_right(self, tasks: TaskGroup, save: Save, verdict: Verdict) -> None:
        """Push again over a store that somebody else has written to."""
        self._published = None
        self._heals = self._heals + 1 if self._differed_last == save.number - 1 else 1
        self._differed_last = save.number
        message = f"the store holds something else than was pushed: {verdict.message}"
        self._ports.emit(StoreDiffered(save=save.number, message=message))
        if self._heals <= HEALS_MAX:
            self._changes.add(frozenset())
        else:
            self._retry_later(tasks, message, "find out who else writes to the session's bucket")

    def _tell_unchanged(self) -> None:
        if self._is_broken:
            self._ports.emit(SaveUnchanged(save=self._count))
        self._is_broken = False

    def _tell_broken(self, save: Save, problems: tuple[Problem, ...]) -> None:
        self._is_broken = True
        self._count = save.number
        self._ports.emit(
            SaveBroken(save=save.number, paths=save.plan.paths, problems=problems, times_ms=save.times_ms)
        )

    async def _refusal(self, checked: Preflight) -> tuple[Problem, ...] | None:
        """Refuse what would prune too much; None where there is nothing to apply and never was."""
        inventory = self._ports.flux.applier.inventory
        if not checked.objects:
            if not inventory and not self._published:
                return None
            return (Problem(message="nothing left to apply", hint="to end the session: gitops-run down"),)
        gone = pruned(checked.objects, inventory)
        if not is_large_prune(len(gone), len(inventory), self._settings.prune_limit_percent):
            return ()
        names = ", ".join(str(ref) for ref in gone[:3])
        question = f"this save would delete {len(gone)} of {len(inventory)} objects ({names}, …)"
        if await self._ports.confirm(f"{question}. Delete them?"):
            return ()
        hint = (
            "if that is meant: gitops-run sync with --allow-prune; a run has to be kept for that, with --keep"
        )
        return (Problem(message=question, hint=hint),)

    async def _push(self, snapshot: Snapshot, save: Save, checked: Preflight) -> Revision:
        """Bring the store from one whole tree to the next and ask Flux for it."""
        ports = self._ports
        self._count = save.number
        mark = f"{ports.lease.holder}/{save.number}"
        token = ports.new_token()
        if not self._revisions:
            self._revisions |= {ports.flux.source.revision, ports.flux.applier.applied}
        published, is_fenced = self._published, self._needs_fence(save.plan)
        self._published = None  # in doubt until the writes are through
        await ports.lease.ensure()
        if is_fenced:
            await ports.flux.fence(mark)
            save.mark("fenced")
        if published is None:
            published = await self._listed()
            save.plan = diff(_digests(published), snapshot.tree.digests)
        await self._write(snapshot, save.plan, published)
        save.mark("uploaded")
        if is_fenced:
            await ports.flux.release(mark, token)
        else:
            await ports.flux.request_fetch(token)
        self._published, self._pushed, self._is_broken = published, checked.digests, False
        text = flux_revision(
            StoredObject(key=f"{STORE_PREFIX}{path}", etag=stored.etag, size=0)
            for path, stored in published.items()
        )
        revision = Revision(text=text, token=token, was_live=text in self._revisions)
        self._revisions.add(text)
        self._tell_pushed(save, text, checked, is_fenced=is_fenced)
        return revision

    def _needs_fence(self, plan: Plan) -> bool:
        """Spare the fence where one operation leads from a known tree to the next: never at first."""
        is_one_step = self._published is not None and plan.is_single
        return not is_one_step or self._ports.flux.source.is_suspended

    async def _listed(self) -> dict[str, _Stored]:
        """List the store; what has no business there is listed too, and so will be deleted."""
        found = await self._ports.store.list()
        strangers = [stored.key for stored in found if not stored.key.startswith(STORE_PREFIX)]
        if strangers:
            await self._ports.store.delete(strangers)
        return {
            stored.key.removeprefix(STORE_PREFIX): _Stored(stored.etag, stored.etag)
            for stored in found
            if stored.key.startswith(STORE_PREFIX)
        }

    async def _write(self, snapshot: Snapshot, plan: Plan, published: dict[str, _Stored]) -> None:
        """Put, then delete, but for what stands in a put's way; published is kept in step."""
        shadowing = plan.shadowing
        await self._delete(shadowing, published)
        for start in range(0, len(plan.puts), BATCH):
            await self._ports.lease.ensure()
            batch = plan.puts[start : start + BATCH]
            contents = {f"{STORE_PREFIX}{path}": snapshot.read_bytes(path) for path in batch}
            etags = await self._ports.store.put_many(contents)
            for path in batch:
                digest = snapshot.tree.files[path].digest
                published[path] = _Stored(digest, etags[f"{STORE_PREFIX}{path}"])
        await self._delete([path for path in plan.deletes if path not in shadowing], published)

    async def _delete(self, paths: Sequence[str], published: dict[str, _Stored]) -> None:
        if not paths:
            return
        await self._ports.lease.ensure()
        await self._ports.store.delete([f"{STORE_PREFIX}{path}" for path in paths])
        for path in paths:
            del published[path]

    def _tell_pushed(self, save: Save, revision: str, checked: Preflight, *, is_fenced: bool) -> None:
        self._ports.emit(
            SavePushed(
                save=save.number,
                puts=save.plan.puts,
                deletes=save.plan.deletes,
                revision=revision,
                is_fenced=is_fenced,
                times_ms=dict(save.times_ms),
                changes=checked.changes,
                not_checked=checked.not_checked,
            )
        )


def _digests(stored: Mapping[str, _Stored]) -> dict[str, str]:
    return {path: entry.digest for path, entry in stored.items()}
