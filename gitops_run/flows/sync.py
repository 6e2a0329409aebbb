"""The save loop: from a settled change on disk to a revision that Flux was asked to apply.

docs/save-protocol.md is its law. The loop decides when a snapshot is taken, checked and pushed;
`flows.preflight` decides whether it may be, `flows.verdict` what became of it, and `model.state.belief` what
follows from what is known of the store and the cluster. It never waits for a verdict: that runs alongside it,
and a newer save ends it.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

import anyio
from anyio.abc import TaskGroup

from gitops_run.errors import GuardError, TransientError, WaitTimeout, ungrouped
from gitops_run.flows.backoff import Backoff
from gitops_run.flows.changes import Changes
from gitops_run.flows.follow import Concerns, Follower, Save
from gitops_run.flows.health import HealthFollower
from gitops_run.flows.judgement import Inspects, Live, Preflight
from gitops_run.flows.ports import (
    Emit,
    Files,
    Flux,
    History,
    Lease,
    SteadyStore,
    Store,
    StoreWatch,
)
from gitops_run.flows.push import Pusher
from gitops_run.flows.records import RecordPorts, Records
from gitops_run.flows.requests import Carrier, PendingUndo, Requests
from gitops_run.model.flux.requests import Verb
from gitops_run.model.names import applied_path
from gitops_run.model.objects.pruning import prune_question, pruned
from gitops_run.model.state.belief import Belief, Reported, Revision
from gitops_run.model.state.events import (
    ObjectsAwaited,
    SaveBroken,
    SavePushed,
    SaveUnchanged,
    ServiceFailed,
    StoreDiffered,
    StoreReplaced,
    TreeIsLive,
    WholeRootNeeded,
)
from gitops_run.model.state.history import UndoRequest
from gitops_run.model.text.problem import Problem
from gitops_run.model.tree.snapshot import Snapshot

FINISH_S = 5.0
"""How long a push may go on after the loop was asked to end. One that is cut off is fenced and safe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncSettings:
    """Hold what a person may set of the loop. settle_s: quiet time; settle_cap_s: the longest wait for it."""

    target: str
    settle_s: float = 0.08
    settle_cap_s: float = 2.0
    prune_limit_percent: int = 50
    verdict_deadline_s: float = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Bundle what the loop acts through. confirm: asks a person, False where nobody can answer."""

    files: Files
    inspector: Inspects
    store: Store
    flux: Flux
    lease: Lease
    emit: Emit
    confirm: Callable[[str], Awaitable[bool]]
    new_token: Callable[[], str]
    health: HealthFollower
    history: History
    carrier: Carrier
    store_watch: StoreWatch = field(default_factory=SteadyStore)


_Checked = tuple[Snapshot, Preflight | None]
"""A snapshot with what preflight says; None where it was what is live already."""


class SaveLoop:
    """Push every settled state of a root, one at a time, until cancelled."""

    def __init__(self, ports: Ports, settings: SyncSettings, undo: UndoRequest | None = None) -> None:
        self._ports = ports
        self._settings = settings
        self._changes = Changes()
        self._pusher = Pusher(ports.store, ports.flux, ports.lease, ports.emit, ports.new_token)
        self._records = Records(
            RecordPorts(history=ports.history, health=ports.health, flux=ports.flux, emit=ports.emit)
        )
        self._requests = Requests(ports.flux, ports.emit, ports.carrier)
        self._undo = PendingUndo(self._requests, ports.history, ports.emit, undo)
        self._whole_root_reason = ""
        self._backoff = Backoff()
        self._is_edit = False

    @property
    def _belief(self) -> Belief:
        return self._pusher.belief

    @_belief.setter
    def _belief(self, belief: Belief) -> None:
        self._pusher.belief = belief

    async def run(self) -> None:
        """Save until cancelled. Raises LockedError when the lease is lost, NotFound when the session is."""
        with ungrouped():
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._ports.lease.keep)
                tasks.start_soon(self._watch_files)
                tasks.start_soon(self._watch_session, tasks)
                tasks.start_soon(self._watch_requests)
                tasks.start_soon(self._watch_store)
                tasks.start_soon(self._ports.health.run)
                # The watcher's first step sets its watches up: what changes from here on is seen.
                await anyio.lowlevel.checkpoint()
                await self._save_for_ever(tasks)

    async def _watch_files(self) -> None:
        async for paths in self._ports.files.batches():
            if paths:
                self._undo.drop("files have changed since it was asked for")
            self._changes.add(paths)

    async def _watch_requests(self) -> None:
        async for request in self._requests.come():
            if request.verb == Verb.UNDO:  # one whose snapshot isn't kept is refused once that is known
                self._undo.ask(request)
            else:
                self._pusher.doubt()
                self._requests.answer(request)
            self._changes.add(frozenset())

    async def _watch_store(self) -> None:
        """Fill an emptied store without waiting for the next save, which would find it empty."""
        while True:
            message = await self._ports.store_watch.replaced()
            self._belief = self._belief.replaced()
            self._ports.emit(StoreReplaced(message=message))
            self._backoff.reset()
            self._changes.add(frozenset())

    async def _watch_session(self, tasks: TaskGroup) -> None:
        """End the loop where the session goes, or applies something else than what is checked here.

        What `up` has changed of it may mend a save that was refused: it is checked again. Between saves, Flux
        may find that somebody else wrote to the store: that is put right.
        """
        expected = applied_path(self._settings.target)
        generation = self._ports.flux.applier.generation
        while True:
            if generation != self._ports.flux.applier.generation:
                generation = self._ports.flux.applier.generation
                self._belief = self._belief.with_checked({})
                self._changes.add(frozenset())
            path = self._ports.flux.applier.path
            if path not in ("", expected):
                raise GuardError(
                    f"the session applies {path} now, and this sync was started for {expected}",
                    hint="to sync what it applies: gitops-run sync NAME",
                )
            source = self._ports.flux.source
            self._belief = self._belief.fetched(source)
            if self._belief.is_contradicted_by(source):
                self._put_right(tasks, self._belief.save, f"Flux fetched {source.revision or 'nothing'}")
            await self._ports.flux.changed()

    async def _save_for_ever(self, tasks: TaskGroup) -> None:
        def try_again(error: TransientError | WaitTimeout) -> None:
            self._pusher.doubt()
            self._retry_later(tasks, error.message, error.hint)

        concerns = Concerns(
            fetched=self._backoff.reset,
            differs=lambda save, verdict: self._put_right(tasks, save.number, verdict.message),
            fails=try_again,
            applied=self._records.applied,
        )
        ports, deadline_s = self._ports, self._settings.verdict_deadline_s
        follower = Follower(ports.flux, ports.emit, deadline_s, concerns)
        self._changes.add(frozenset())
        while True:
            try:
                await self._save_once(tasks, follower)
            except (TransientError, WaitTimeout) as error:
                try_again(error)

    async def _save_once(self, tasks: TaskGroup, follower: Follower) -> None:
        await self._changes.arrived()
        save = Save(self._belief.save + 1, anyio.current_time())
        snapshot, checked = await self._settled(save)
        save.plan = self._pusher.plan(snapshot.tree)
        if self._pusher.holds(snapshot.tree) and not snapshot.problems:
            self._tell_unchanged()
            return
        if checked is None:  # it was what is live when it was looked at, and that came into doubt since
            self._changes.add(frozenset())
            return
        problems = checked.problems or await self._refusal(checked)
        if self._changes.is_pending and problems:
            return  # answered by another change: that one is examined again
        if problems is None:
            self._ports.emit(ObjectsAwaited(target=self._settings.target))
        elif problems:
            self._tell_broken(save, problems)
        else:
            follower.supersede(by=save.number)
            revision = await self._finished(partial(self._push, snapshot, save, checked))
            follower.start(tasks, save, revision)
            self._records.pushed(tasks, save)

    async def _settled(self, save: Save) -> _Checked:
        """Check a snapshot while waiting for quiet; begin again where something changes meanwhile.

        After settle_cap_s a snapshot is good enough, however much still changes.
        """
        touched: frozenset[str] = frozenset()
        found: list[_Checked] = []
        quiet_s = self._settings.settle_s
        while not found:
            touched |= self._changes.take()
            is_late = anyio.current_time() >= save.started + self._settings.settle_cap_s
            self._is_edit = False
            with ungrouped():
                async with anyio.create_task_group() as checking:
                    checking.start_soon(self._check, touched, save, found)
                    if not is_late and not await self._changes.settle(quiet_s, lambda: self._is_edit):
                        checking.cancel_scope.cancel()
            if self._changes.is_pending and not is_late:
                found.clear()
        save.mark("settled")
        return found[0]

    async def _check(self, touched: frozenset[str], save: Save, found: list[_Checked]) -> None:
        snapshot = await self._snapshot(touched, save)
        save.mark("scanned")
        self._is_edit = not snapshot.problems and self._belief.is_edit(snapshot.tree)
        if not snapshot.problems and self._pusher.holds(snapshot.tree):
            found.append((snapshot, None))
            return
        if not snapshot.problems and not snapshot.tree.has_files_in(self._settings.target):
            found.append((snapshot, Preflight()))
            return
        applier = self._ports.flux.applier
        live = Live(digests=self._belief.checked, inventory=applier.inventory, versions=applier.versions)
        found.append((snapshot, await self._ports.inspector.inspect(snapshot, live, save.mark)))

    async def _snapshot(self, touched: frozenset[str], save: Save) -> Snapshot:
        """Take the files as they are, or as they were where an undo asked for that and none changed since."""
        await self._records.kept()
        earlier = await self._undo.snapshot()
        save.undone_to = earlier.taken if earlier else ""
        if earlier is not None:
            return earlier
        snapshot = await self._ports.files.snapshot(touched)
        if snapshot.whole_root_reason not in ("", self._whole_root_reason):
            self._ports.emit(WholeRootNeeded(reason=snapshot.whole_root_reason))
        self._whole_root_reason = snapshot.whole_root_reason
        return snapshot

    def _retry_later(self, tasks: TaskGroup, message: str, hint: str) -> None:
        wait_s = self._backoff.next_s()
        self._ports.emit(ServiceFailed(message=message, hint=hint, seconds=math.ceil(wait_s)))
        tasks.start_soon(self._change_after, wait_s)

    async def _change_after(self, seconds: float) -> None:
        await anyio.sleep(seconds)
        self._changes.add(frozenset())

    def _put_right(self, tasks: TaskGroup, save: int, found: str) -> None:
        """Push again over a store that somebody else has written to."""
        self._belief = self._belief.contradicted(save)
        message = f"the store holds something else than what was pushed: {found}"
        self._ports.emit(StoreDiffered(save=save, message=message))
        if self._belief.heals_at_once:
            self._changes.add(frozenset())
        else:
            self._retry_later(tasks, message, "find out who else writes to the session's bucket")

    def _tell_unchanged(self) -> None:
        if self._belief.reported is Reported.BROKEN:
            self._ports.emit(SaveUnchanged(save=self._belief.save))
        elif self._belief.reported is Reported.PUSHED:
            self._ports.emit(TreeIsLive(revision=self._ports.flux.source.revision))
        self._belief = self._belief.unchanged()

    def _tell_broken(self, save: Save, problems: tuple[Problem, ...]) -> None:
        self._belief = self._belief.broken(save.number)
        # What a broken target needs isn't known: files that only seem to be gone aren't named.
        paths = save.plan.puts or tuple(sorted({problem.path for problem in problems if problem.path}))
        self._ports.emit(
            SaveBroken(save=save.number, paths=paths, problems=problems, times_ms=dict(save.times_ms))
        )

    async def _refusal(self, checked: Preflight) -> tuple[Problem, ...] | None:
        """Refuse what would prune too much; None where there is nothing to apply and never was."""
        inventory = self._ports.flux.applier.inventory
        if not checked.is_rendered:
            return ()
        if not checked.objects:
            if not inventory and self._belief.is_empty:
                return None
            return (
                Problem(message="nothing left to apply", hint="to end the session: gitops-run down NAME"),
            )
        left = pruned(checked.objects, inventory)
        gone = [ref for ref in left if ref.inventory_id not in checked.spared]
        question = prune_question(gone, len(inventory), self._settings.prune_limit_percent)
        if not question or await self._is_confirmed(f"{question}. Delete them?"):
            return ()
        hint = (
            "if that is meant: gitops-run sync NAME --allow-prune; a run must be kept for that, with --keep"
        )
        return (Problem(message=question, hint=hint),)

    async def _is_confirmed(self, question: str) -> bool:
        """Ask, until somebody answers or something changes: a later state may not delete anything."""
        answers: list[bool] = []

        async def ask(scope: anyio.CancelScope) -> None:
            answers.append(await self._ports.confirm(question))
            scope.cancel()

        async with anyio.create_task_group() as asking:
            asking.start_soon(ask, asking.cancel_scope)
            await self._changes.arrived()
            asking.cancel_scope.cancel()
        return answers == [True] and not self._changes.is_pending

    async def _finished(self, push: Callable[[], Awaitable[Revision]]) -> Revision:
        """Finish a push that has begun although the loop is to end, for FINISH_S at most.

        Without the lease nothing is finished: another writer may have begun.
        """
        shield = anyio.CancelScope(shield=True)

        async def limit() -> None:
            try:
                await anyio.sleep_forever()
            finally:
                shield.deadline = anyio.current_time() + (0 if self._ports.lease.is_lost else FINISH_S)

        with ungrouped():
            async with anyio.create_task_group() as limiting:
                limiting.start_soon(limit)
                with shield:
                    revision = await push()
                limiting.cancel_scope.cancel()
        if shield.cancelled_caught:
            # The loop is being cancelled: this is where it ends.
            await anyio.sleep_forever()
        return revision

    async def _push(self, snapshot: Snapshot, save: Save, checked: Preflight) -> Revision:
        """Push a checked snapshot; what was refused once it is pushed can't be taken back."""
        save.snapshot = snapshot
        if checked.is_rendered:
            self._ports.health.leaving(pruned(checked.objects, self._ports.flux.applier.inventory))
        revision = await self._pusher.push(snapshot, save)
        self._belief = self._belief.with_checked(checked.digests)
        self._tell_pushed(save, revision.text, checked)
        return revision

    def _tell_pushed(self, save: Save, revision: str, checked: Preflight) -> None:
        self._ports.emit(
            SavePushed(
                save=save.number,
                puts=save.plan.puts,
                deletes=save.plan.deletes,
                revision=revision,
                is_fenced=save.is_fenced,
                times_ms=dict(save.times_ms),
                changes=checked.changes,
                not_checked=checked.not_checked,
            )
        )
