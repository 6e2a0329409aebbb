"""Stacks: made, changed, looked at and removed, with as few runs of Pulumi's command line as will do.

This module knows the Automation API, and what a killed run leaves: a lock, and creates of which nobody knows
whether they happened. Each run costs 0.15 s and more, so none is made to ask what the last one has said.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final, TypeVar

import anyio
import yaml
from anyio import from_thread, lowlevel, to_thread
from pulumi import automation

from gitops_run.adapters.machine.private_files import create_private
from gitops_run.adapters.pulumi.command import PulumiProcess, require_pulumi
from gitops_run.adapters.pulumi.copies import StateCopy
from gitops_run.adapters.pulumi.locks import clear_dead
from gitops_run.adapters.pulumi.project import ProjectHome
from gitops_run.adapters.pulumi.reports import Report
from gitops_run.adapters.pulumi.runs import Runs
from gitops_run.adapters.pulumi.state import close_to_others, drop_torn_sidecars
from gitops_run.errors import GitOpsRunError, LockedError
from gitops_run.model.stack.events import (
    KnownResources,
    PendingObject,
    StackEvent,
    StackLock,
    StackNotice,
    StackOutcome,
)
from gitops_run.model.stack.failures import failure, parse_locks
from gitops_run.model.stack.state import has_made_nothing, known_resources, object_of, without_cluster
from gitops_run.model.text.masking import Masker

T = TypeVar("T")
Tell = Callable[[StackEvent], None]

DISK_LOOK_S: Final = 1.0
LOCK_LOOKS: Final = 4
LOCK_PAUSE_S: Final = (0.1, 1.5)
"""Taken at random, so that two runs that saw each other's lock don't do so again."""
_OURS: Final = "# Written by gitops-run up, removed by gitops-run down.\n"
_UNASKED: Final = automation.UpdateSummary(
    kind="update", start_time=datetime.fromtimestamp(0, UTC), message="", environment={}, config={}, result=""
)


class _Stack(automation.Stack):
    """A stack that is neither selected before nor asked after a run: five runs less of the command line."""

    def __init__(self, name: str, workspace: automation.LocalWorkspace) -> None:
        self.name = name
        self.workspace = workspace

    def outputs(self) -> automation.OutputMap:
        """The engine's events have reported them."""
        return {}

    def info(self, show_secrets: bool | None = None) -> automation.UpdateSummary | None:  # noqa: ARG002, FBT001
        """Nobody asks."""
        return _UNASKED


class Stacks:
    """Work on the stacks of one project, one run at a time. Only what works on one needs Pulumi."""

    def __init__(
        self,
        home: ProjectHome,
        masker: Masker | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """masker: knows the values that are given to Pulumi, and takes them out of what it says.

        pause: waits for seconds, in the thread of a run.
        """
        self._home = home
        self._masker = masker or Masker()
        self._pause = pause

    async def up(
        self, name: str, config: Mapping[str, str], program: Callable[[], None], tell: Tell
    ) -> StackOutcome:
        """Make or change a stack. config: plain settings by key, kept in the stack's file.

        Raises LockedError, UsageError, BackendError or GuardError, as Pulumi failed.
        """

        def work(process: PulumiProcess, report: Report) -> StackOutcome:
            stack = self._stack(process, name, program)

            def declare() -> None:
                self._make(process, name, config)
                self._copy(name).keep()
                stack.up(on_event=report.take)

            try:
                declare()
            except automation.StackNotFoundError:  # its file was written by a person
                self._init(process, name)
                declare()
            self._runs(name).forget_ended()
            self._copy(name).settle()
            return StackOutcome(
                outputs=report.outputs, changed=report.changed, has_pending=report.has_pending
            )

        return await self._drive(work, tell, stack=name)

    async def destroy(self, name: str, tell: Tell) -> StackOutcome:
        """Remove everything that a stack knows, and keep the empty stack. Raises NotFound, and as up."""

        def work(process: PulumiProcess, report: Report) -> StackOutcome:
            self._stack(process, name, None).destroy(on_event=report.take)
            self._runs(name).forget_ended()
            return StackOutcome(outputs={}, changed=report.changed, has_pending=report.has_pending)

        return await self._drive(work, tell, stack=name)

    async def drop_cluster(self, name: str) -> None:
        """Take everything that lies in the cluster out of a stack's state. Raises NotFound."""

        def work(process: PulumiProcess, _: Report) -> None:
            workspace = self._stack(process, name, None).workspace
            state = workspace.export_stack(name)
            deployment = dict(state.deployment or {})
            deployment["resources"] = without_cluster(deployment.get("resources") or ())
            workspace.import_stack(name, automation.Deployment(version=state.version, deployment=deployment))

        await self._drive(work, stack=name)

    async def forget(self, name: str) -> None:
        """Remove an empty stack, if there is one, and its file where `up` wrote it."""
        file = self._home.stack_file(name)

        def work(process: PulumiProcess, _: Report) -> None:
            with suppress(automation.StackNotFoundError):
                self._run(process, "stack", "rm", "--stack", name, "--yes", "--preserve-config")
            if file.is_file() and file.read_text(encoding="utf-8").startswith(_OURS):
                file.unlink()
            self._copy(name).forget()

        await self._drive(work, stack=name)

    async def discard(self, name: str) -> None:
        """Forget a stack whose resources are gone, whatever its state says; its file too where it is ours."""

        def work(process: PulumiProcess, _: Report) -> None:
            with suppress(automation.StackNotFoundError):
                self._run(process, "stack", "rm", "--stack", name, "--yes", "--force", "--preserve-config")

        self._copy(name).forget()
        await self._drive(work, stack=name)
        await self.forget(name)

    async def forget_unmade(self, name: str) -> None:
        """Remove a stack that has made nothing, and its file where `up` wrote it; keep any other."""

        def work(process: PulumiProcess, _: Report) -> bool:
            state = json.loads(self._run(process, "stack", "export", "--stack", name))
            return has_made_nothing(state["deployment"])

        if await self._drive(work, stack=name):
            await self.discard(name)

    async def known(self, name: str, tell: Tell) -> KnownResources | None:
        """List what a state knows that was cut off and continued from a copy; None where it never was."""

        def work(process: PulumiProcess, _: Report) -> KnownResources | None:
            if not self._copy(name).is_continued:
                return None
            state = json.loads(self._run(process, "stack", "export", "--stack", name))
            return known_resources(state["deployment"].get("resources") or ())

        return await self._drive(work, tell, stack=name)

    async def outputs(self, name: str, tell: Tell) -> dict[str, str]:
        """Read a stack's outputs about its session. Raises NotFound."""

        def work(process: PulumiProcess, _: Report) -> dict[str, str]:
            told = json.loads(self._run(process, "stack", "output", "--json", "--stack", name))
            return {key: str(value) for key, value in told.items()}

        return await self._drive(work, tell, stack=name)

    async def encrypted_settings(self, name: str) -> dict[str, str]:
        """Decrypt what is encrypted in a stack's file, by key; nothing where the stack isn't made yet."""
        prefix = f"{self._home.kind.name}:"

        def work(process: PulumiProcess, _: Report) -> dict[str, str]:
            with suppress(automation.StackNotFoundError):
                told = json.loads(self._run(process, "config", "--show-secrets", "--json", "--stack", name))
                return {
                    key.removeprefix(prefix): str(entry["value"])
                    for key, entry in told.items()
                    if key.startswith(prefix) and entry["secret"]
                }
            return {}

        return await self._drive(work, stack=name)

    async def names(self) -> tuple[str, ...]:
        """List the stacks of this project in this backend."""

        def work(process: PulumiProcess, _: Report) -> tuple[str, ...]:
            return tuple(entry["name"] for entry in json.loads(self._run(process, "stack", "ls", "--json")))

        return await self._drive(work, stack="")

    async def pending_creates(self, name: str) -> tuple[PendingObject, ...]:
        """List the objects that were being created when a run was killed: they may be there or not."""

        def work(process: PulumiProcess, _: Report) -> tuple[PendingObject, ...]:
            state = json.loads(self._run(process, "stack", "export", "--stack", name))
            operations = state["deployment"].get("pending_operations") or ()
            return tuple(
                object_of(operation["resource"]["inputs"])
                for operation in operations
                if operation["type"] == "creating" and operation["resource"]["type"].startswith("kubernetes:")
            )

        return await self._drive(work, stack=name)

    async def clear_pending(self, name: str) -> None:
        """Drop what a killed run left pending from the stack's state, and refresh the rest."""

        def work(process: PulumiProcess, report: Report) -> None:
            self._stack(process, name, None).refresh(clear_pending_creates=True, on_event=report.take)

        await self._drive(work, stack=name)

    async def _drive(
        self, work: Callable[[PulumiProcess, Report], T], tell: Tell = lambda _: None, *, stack: str
    ) -> T:
        """Do work in a thread; when this task is cancelled, Pulumi is signalled once and then awaited."""
        require_pulumi()
        process, token = PulumiProcess(self._runs(stack), self._masker), lowlevel.current_token()
        report = Report(
            stack=stack,
            tell=lambda event: from_thread.run_sync(tell, event, token=token),
            masker=self._masker,
        )
        outcome: T | GitOpsRunError
        async with anyio.create_task_group() as group:
            group.start_soon(_interrupt_when_cancelled, process)
            group.start_soon(_report_full_disk, self._copy(stack), tell)
            try:
                outcome = await to_thread.run_sync(self._attempt, work, process, report)
            except GitOpsRunError as error:
                outcome = error
            group.cancel_scope.cancel()
        await anyio.lowlevel.checkpoint()
        if isinstance(outcome, GitOpsRunError):
            raise outcome
        return outcome

    def _attempt(
        self, work: Callable[[PulumiProcess, Report], T], process: PulumiProcess, report: Report
    ) -> T:
        """Do work, in spite of what a killed run has left."""
        close_to_others(self._home.backend)
        if report.stack:
            self._continue(report)
        try:
            return self._unless_torn(work, process, report)
        except automation.CommandError as error:
            told = "\n".join([*(f"error: {text}" for text in report.errors), str(error)])
            by_hand = self._home.command("preview", report.stack) if report.stack else ""
            raise failure(self._masker.mask(told), by_hand) from error

    def _continue(self, report: Report) -> None:
        """Keep the state while it is complete; continue from the copy where it is cut off."""
        copy = self._copy(report.stack)
        if copy.restore():
            text = "Pulumi's state was truncated, as by a full disk: continuing from its last complete copy"
            report.tell(StackNotice(text=text))
        copy.keep()

    def _unless_torn(
        self, work: Callable[[PulumiProcess, Report], T], process: PulumiProcess, report: Report
    ) -> T:
        """Do work, again where a killed run's lock was in the way, and again where it left a torn sidecar."""
        try:
            return self._unless_locked(work, process, report)
        except automation.CommandError as error:
            if "EOF" not in str(error) or not drop_torn_sidecars(self._home.backend):
                raise
            report.tell(StackNotice(text="repaired Pulumi's state, which a killed run left incomplete"))
            return self._unless_locked(work, process, report)

    def _unless_locked(
        self, work: Callable[[PulumiProcess, Report], T], process: PulumiProcess, report: Report
    ) -> T:
        """Do work, again where a lock was in the way that nobody holds by then.

        Pulumi writes its lock and then looks for others: of two runs that begin at once, each may see the
        other's and give up. A lock that is there at the second look is held.
        """
        seen: frozenset[StackLock] = frozenset()
        for look in range(1, LOCK_LOOKS + 1):
            try:
                return work(process, report)
            except automation.ConcurrentUpdateError as error:
                locks = frozenset(parse_locks(str(error)))
                is_held = not locks or bool(locks & seen) or look == LOCK_LOOKS
                self._clear(locks, report, is_held=is_held)
                seen = locks
        return work(process, report)

    def _clear(self, locks: frozenset[StackLock], report: Report, *, is_held: bool) -> None:
        """Remove the locks of runs that have ended; wait once for others. Raises LockedError on one held."""
        stack = report.stack
        try:
            clear_dead(locks, self._runs(stack), report.tell, cancel=self._home.command("cancel", stack))
        except LockedError:
            if is_held:
                raise
            self._pause(random.uniform(*LOCK_PAUSE_S))  # noqa: S311 - nothing secret

    def _copy(self, stack: str) -> StateCopy:
        return StateCopy(backend=self._home.backend, stack=f"{self._home.kind.name}/{stack}")

    def _runs(self, stack: str) -> Runs:
        return self._home.runs_of(stack)

    def _stack(self, process: PulumiProcess, name: str, program: Callable[[], None] | None) -> _Stack:
        workspace = automation.LocalWorkspace(
            work_dir=str(self._home.directory),
            env_vars=self._home.environment,
            pulumi_command=process,
            program=program,
        )
        return _Stack(name, workspace)

    def _make(self, process: PulumiProcess, name: str, config: Mapping[str, str]) -> None:
        """See that the stack's file says what config says, and that a new one gets its stack."""
        file, prefix = self._home.stack_file(name), self._home.kind.name
        said = {f"{prefix}:{key}": _plain(value) for key, value in config.items()}
        if not file.is_file():
            with suppress(FileExistsError):  # another run has just written it
                create_private(file, _OURS + yaml.safe_dump({"config": said}, sort_keys=False))
                self._init(process, name)
                return
        document = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        said = document.get("config") or {}
        new = {key: value for key, value in config.items() if said.get(f"{prefix}:{key}") != _plain(value)}
        if new:
            entries = json.dumps({f"{prefix}:{key}": _entry(value) for key, value in new.items()})
            self._run(process, "config", "set-all", "--stack", name, "--json", entries)

    def _init(self, process: PulumiProcess, name: str) -> None:
        try:
            self._run(process, "stack", "init", "--stack", name, "--no-select")
        except automation.StackAlreadyExistsError:
            return  # its file was lost, and the state knows its own salt; or another run has just made it

    def _run(self, process: PulumiProcess, *arguments: str) -> str:
        result = process.run(list(arguments), str(self._home.directory), self._home.environment)
        return str(result.stdout)


async def _report_full_disk(copy: StateCopy, tell: Tell) -> None:
    """Report once that the disk is full: Pulumi says so only after it has tried for minutes."""
    while not (folder := copy.full_disk()):  # noqa: ASYNC110 - nobody announces it
        await anyio.sleep(DISK_LOOK_S)
    text = f"the disk of {folder} is full: Pulumi continues once there is room on it, and Ctrl-C cancels"
    tell(StackNotice(text=text))


async def _interrupt_when_cancelled(process: PulumiProcess) -> None:
    try:
        await anyio.sleep_forever()
    finally:
        process.interrupt()


def _plain(value: str) -> object:
    return json.loads(value) if value.startswith("[") else value


def _entry(value: str) -> dict[str, object]:
    """Write a plain value as `pulumi config --json` does."""
    plain = _plain(value)
    return {"value": value, "secret": False} | ({} if plain == value else {"objectValue": plain})
