"""The save loop: from a settled change on disk to a revision that Flux was asked to apply.

docs/save-protocol.md is its law. The loop decides when a snapshot is taken, checked and pushed;
`flows.preflight` decides whether it may be, `flows.verdict` what became of it. It never waits for a
verdict: that runs beside it, and a newer save ends it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import anyio
from anyio.abc import TaskGroup

from gitops_run.errors import TransientError, WaitTimeout, ungrouped
from gitops_run.flows.changes import Changes
from gitops_run.flows.ports import Emit, Files, Flux, Lease, Permissions, Renderer, Snapshot, Store
from gitops_run.flows.preflight import Preflight, is_large_prune, preflight, pruned
from gitops_run.flows.verdict import Revision, wait_for_apply, wait_for_fetch
from gitops_run.model.conditions import Standing, Verdict
from gitops_run.model.events import (
    ObjectsAwaited,
    SaveApplied,
    SaveBroken,
    SaveFailed,
    SavePushed,
    SaveSuperseded,
    SaveSuspended,
    SaveUnchanged,
    SaveUndecided,
    ServiceFailed,
    StoreDiffered,
    Times,
)
from gitops_run.model.problem import Problem
from gitops_run.model.session import STORE_PREFIX
from gitops_run.model.store import StoredObject, flux_revision
from gitops_run.model.tree import Plan, diff

MAX_OVERTAKES = 1
"""How often in a row a newer change may overtake a checked snapshot before that is pushed all the same."""
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
    renderer: Renderer
    permissions: Permissions
    store: Store
    flux: Flux
    lease: Lease
    emit: Emit
    confirm: Callable[[str], bool]
    new_token: Callable[[], str]


@dataclass(slots=True)
class _Save:
    """Follow one save through its steps. started: when its first change was seen."""

    number: int
    started: float
    plan: Plan = field(default_factory=Plan)
    times_ms: Times = field(default_factory=dict)

    def mark(self, step: str) -> None:
        self.times_ms[step] = round((anyio.current_time() - self.started) * 1000)


@dataclass(frozen=True, slots=True)
class _Stored:
    digest: str
    etag: str


class SaveLoop:
    """Push every settled state of a root, one at a time, until cancelled."""

    def __init__(self, ports: Ports, settings: SyncSettings, *, is_taken_over: bool = False) -> None:
        self._ports = ports
        self._settings = settings
        self._is_taken_over = is_taken_over
        self._changes = Changes()
        self._published: dict[str, _Stored] | None = None
        self._revisions: set[str] = set()
        self._count = 0
        self._heals = 0
        self._retry_s = RETRY_FIRST_S
        self._is_broken = False
        self._follower: tuple[int, anyio.CancelScope] | None = None

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

    async def _save_for_ever(self, tasks: TaskGroup) -> None:
        self._changes.add(frozenset())
        overtakes = 0
        while True:
            is_done = await self._attempt(tasks, may_yield=overtakes < MAX_OVERTAKES)
            overtakes = 0 if is_done else overtakes + 1

    async def _watch_files(self) -> None:
        async for paths in self._ports.files.batches():
            self._changes.add(paths)

    async def _watch_session(self) -> None:
        while True:
            await self._ports.flux.changed()

    async def _attempt(self, tasks: TaskGroup, *, may_yield: bool) -> bool:
        """Take one settled snapshot as far as it goes; False where a newer one overtook it."""
        touched, started = await self._changes.settled(self._settings.settle_s, self._settings.settle_cap_s)
        save = _Save(number=self._count + 1, started=started)
        save.mark("settled")
        try:
            snapshot = await self._ports.files.snapshot(touched)
            save.mark("scanned")
            if not await self._may_push(snapshot, save):
                return True
            if may_yield and self._changes.is_pending:
                self._changes.add(touched)
                return False
            with anyio.CancelScope(shield=True):
                revision = await self._push(snapshot, save)
            self._follow(tasks, save, revision)
        except (TransientError, WaitTimeout) as error:
            self._published = None
            self._retry_later(tasks, error.message, error.hint)
        else:
            self._retry_s = RETRY_FIRST_S
        return True

    def _retry_later(self, tasks: TaskGroup, message: str, hint: str) -> None:
        self._ports.emit(ServiceFailed(message=message, hint=hint, seconds=round(self._retry_s)))
        tasks.start_soon(self._change_after, self._retry_s)
        self._retry_s = min(self._retry_s * 2, RETRY_MAX_S)

    async def _change_after(self, seconds: float) -> None:
        await anyio.sleep(seconds)
        self._changes.add(frozenset())

    async def _may_push(self, snapshot: Snapshot, save: _Save) -> bool:
        known = {path: stored.digest for path, stored in (self._published or {}).items()}
        save.plan = diff(known, snapshot.tree.digests)
        if self._published is not None and save.plan.is_empty and not snapshot.problems:
            self._tell_unchanged()
            return False
        if not snapshot.problems and not snapshot.tree.has_files_in(self._settings.target):
            checked = Preflight()
        else:
            checked = await preflight(
                snapshot, self._settings.target, self._ports.renderer, self._ports.permissions
            )
        save.mark("rendered")
        problems = checked.problems or self._refusal(checked)
        if problems is None:
            self._ports.emit(ObjectsAwaited(target=self._settings.target))
            return False
        if problems:
            self._tell_broken(save, problems)
            return False
        return True

    def _tell_unchanged(self) -> None:
        if self._is_broken:
            self._ports.emit(SaveUnchanged(save=self._count))
        self._is_broken = False

    def _tell_broken(self, save: _Save, problems: tuple[Problem, ...]) -> None:
        self._is_broken = True
        self._count = save.number
        self._ports.emit(
            SaveBroken(save=save.number, paths=save.plan.paths, problems=problems, times_ms=save.times_ms)
        )

    def _refusal(self, checked: Preflight) -> tuple[Problem, ...] | None:
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
        if self._ports.confirm(f"{question}. Delete them?"):
            return ()
        hint = "if that is meant: sync again with --allow-prune"
        return (Problem(message=question, hint=hint),)

    async def _push(self, snapshot: Snapshot, save: _Save) -> Revision:
        """Bring the store from one whole tree to the next and ask Flux for it."""
        ports = self._ports
        self._supersede(save.number)
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
            save.plan = diff({p: s.digest for p, s in published.items()}, snapshot.tree.digests)
        await self._write(snapshot, save.plan, published)
        save.mark("uploaded")
        if is_fenced:
            await ports.flux.release(mark, token)
        else:
            await ports.flux.request_fetch(token)
        self._published, self._is_broken, self._is_taken_over = published, False, False
        text = flux_revision(
            StoredObject(key=f"{STORE_PREFIX}{path}", etag=stored.etag, size=0)
            for path, stored in published.items()
        )
        revision = Revision(text=text, token=token, was_live=text in self._revisions)
        self._revisions.add(text)
        self._tell_pushed(save, text, is_fenced=is_fenced)
        return revision

    def _needs_fence(self, plan: Plan) -> bool:
        is_known = self._published is not None and not self._is_taken_over
        return not (is_known and plan.is_single) or self._ports.flux.source.is_suspended

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
        if plan.puts:
            contents = {f"{STORE_PREFIX}{path}": snapshot.read_bytes(path) for path in plan.puts}
            etags = await self._ports.store.put_many(contents)
            for path in plan.puts:
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

    def _tell_pushed(self, save: _Save, revision: str, *, is_fenced: bool) -> None:
        self._ports.emit(
            SavePushed(
                save=save.number,
                puts=save.plan.puts,
                deletes=save.plan.deletes,
                revision=revision,
                is_fenced=is_fenced,
                times_ms=dict(save.times_ms),
            )
        )

    def _supersede(self, by: int) -> None:
        if self._follower is not None:
            number, scope = self._follower
            scope.cancel()
            self._follower = None
            self._ports.emit(SaveSuperseded(save=number, by=by))

    def _follow(self, tasks: TaskGroup, save: _Save, revision: Revision) -> None:
        scope = anyio.CancelScope()
        self._follower = (save.number, scope)
        tasks.start_soon(self._follow_in, scope, tasks, save, revision)

    async def _follow_in(
        self, scope: anyio.CancelScope, tasks: TaskGroup, save: _Save, revision: Revision
    ) -> None:
        with scope:
            try:
                verdict = await self._verdict(save, revision)
            except TransientError as error:
                self._published = None
                self._retry_later(tasks, error.message, error.hint)
                return
            self._follower = None
            if verdict is not None and verdict.standing is Standing.DIFFERS:
                self._put_right(tasks, save, verdict)
            elif verdict is not None:
                self._tell_decided(save, revision, verdict)

    async def _verdict(self, save: _Save, revision: Revision) -> Verdict | None:
        """Wait for Flux's word on a revision; None, and told so, where the deadline passes first."""
        waited_for = "fetch"
        with anyio.move_on_after(self._settings.verdict_deadline_s):
            verdict = await wait_for_fetch(self._ports.flux, revision)
            save.mark("fetched")
            if verdict.standing is not Standing.FETCHED:
                return verdict
            waited_for = "apply"
            verdict = await wait_for_apply(self._ports.flux, revision)
            save.mark("applied")
            return verdict
        self._ports.emit(
            SaveUndecided(
                save=save.number,
                revision=revision.text,
                waited_for=f"Flux to {waited_for} {revision.text}",
                seconds=round(self._settings.verdict_deadline_s),
            )
        )
        return None

    def _put_right(self, tasks: TaskGroup, save: _Save, verdict: Verdict) -> None:
        """Push again over a store that somebody else has written to."""
        self._published = None
        self._heals += 1
        message = f"the store holds something else than was pushed: {verdict.message}"
        self._ports.emit(StoreDiffered(save=save.number, message=message))
        if self._heals <= HEALS_MAX:
            self._changes.add(frozenset())
        else:
            self._retry_later(tasks, message, "find out who else writes to the session's bucket")

    def _tell_decided(self, save: _Save, revision: Revision, verdict: Verdict) -> None:
        if verdict.standing is Standing.APPLIED:
            self._heals = 0
            self._ports.emit(
                SaveApplied(
                    save=save.number,
                    paths=save.plan.paths,
                    revision=revision.text,
                    objects=len(self._ports.flux.applier.inventory),
                    times_ms=save.times_ms,
                )
            )
        elif verdict.standing is Standing.SUSPENDED:
            self._ports.emit(
                SaveSuspended(
                    save=save.number, revision=revision.text, message=verdict.message, hint=verdict.hint
                )
            )
        else:
            self._ports.emit(
                SaveFailed(
                    save=save.number,
                    paths=save.plan.paths,
                    revision=revision.text,
                    reason=verdict.reason,
                    message=verdict.message,
                    hint=verdict.hint,
                    times_ms=save.times_ms,
                )
            )
