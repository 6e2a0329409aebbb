"""The sessions of a team, from one file that lists them: created, ended, or written as stack files.

Each session has a stack of its own, so that several are worked on at once, and one that fails leaves the
others alone. Pulumi runs for each in a thread; its Automation API keeps what an inline program sets in
context variables (pulumi 3.272, automation/_server.py), and a stack is named only once in a file.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Final, Literal, TypeGuard

import anyio
import yaml

from gitops_run.adapters.machine import user_files
from gitops_run.adapters.machine.facts import processors
from gitops_run.adapters.machine.private_files import create_private, replace_private
from gitops_run.adapters.pulumi.project import find_home
from gitops_run.api import sessions
from gitops_run.api.caller import Caller
from gitops_run.errors import GitOpsRunError, NotFound, UsageError
from gitops_run.model.flux.helm_release import CHART_FILE
from gitops_run.model.names import SessionName
from gitops_run.model.session.settings import PROJECT, SETTINGS, Settings, Source, resolve
from gitops_run.model.stack.events import ResourceStep, StackEvent

AT_ONCE: Final = 4
PER_PROCESSOR: Final = 4
"""With more runs of Pulumi, answers come too late for each (docs/decisions/0024-fifty-sessions.md)."""
BEGIN_APART_S: Final = 0.2
"""A session begins with some thirty requests: those of several would come at the same moment."""
_TOP_KEYS: Final = ("defaults", "sessions")
_EXAMPLE: Final = "sessions: [{name: ann, owner: ann@example.com}]"
_LOOP_KEYS: Final = frozenset(setting.key for setting in SETTINGS if setting.is_for_loop)
_STORE_KEYS: Final = frozenset(setting.key for setting in SETTINGS if setting.is_store_key)

Did = Literal["created", "changed", "unchanged", "ended", "not there", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """Hold one session of a team. said: what the file says of it, with the defaults of the team."""

    name: SessionName
    said: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Hold what was done to one session. error: why it failed."""

    name: SessionName
    did: Did
    took_s: float
    error: GitOpsRunError | None = None


Work = Callable[[Member], Awaitable[Did]]
Report = Callable[[Result], None]


def read_team(file: Path) -> tuple[Member, ...]:
    """Read a team's file: `sessions`, a list with a name and settings each, and `defaults` for all of them.

    Settings are those of Pulumi.yaml; paths are relative to the file. Raises UsageError on the first fault,
    with the session that has it.
    """
    document = user_files.read_private_mapping(file)
    _refuse_unknown(file, document)
    entries, defaults = document.get("sessions"), document.get("defaults") or {}
    if not isinstance(entries, list) or not entries:
        raise UsageError(f"{file}: sessions must be a list with at least one", hint=f"write: {_EXAMPLE}")
    if not _is_mapping(defaults):
        raise UsageError(f"{file}: defaults must be a mapping of settings", hint="write lines like: ttl: 8h")
    members = tuple(_member(file, defaults, entry, number) for number, entry in enumerate(entries, 1))
    _refuse_repeated(file, members)
    return members


async def up(
    members: Sequence[Member], caller: Caller, report: Report, *, at_once: int = AT_ONCE
) -> tuple[Result, ...]:
    """Create what is missing of each session, and bring the rest up to the file.

    report: takes each result when it is known. at_once: at most PER_PROCESSOR on each processor. Returns all
    results, in the order of the file. A session that fails leaves the others alone; when this is cancelled,
    each Pulumi that runs finishes its current step.
    """
    return await _each(members, partial(_up, caller), report, most_at_once(at_once, processors()))


async def down(
    members: Sequence[Member], caller: Caller, report: Report, *, at_once: int = AT_ONCE
) -> tuple[Result, ...]:
    """End each session. Reports and returns as up."""
    return await _each(members, partial(_down, caller), report, most_at_once(at_once, processors()))


def write_stack_files(members: Sequence[Member], caller: Caller) -> tuple[Path, ...]:
    """Write what the file says into the stack files of the project near the caller, for `pulumi up -s NAME`.

    Other settings in an existing stack file stay. Returns the files. Raises GuardError where one has another
    value that is fixed when a session is created; no file is changed then.
    """
    home = find_home(caller.here, user_files.data_directory(caller.environment), caller.environment)
    files = tuple(home.stack_file(member.name.text) for member in members)
    for member, file in zip(members, files, strict=True):
        resolve((member.said, user_files.read_stack_file(file)))
    for member, file in zip(members, files, strict=True):
        _write_stack_file(member, file)
    return files


def _member(file: Path, defaults: Mapping[str, object], entry: object, number: int) -> Member:
    if not _is_mapping(entry) or not isinstance(entry.get("name"), str):
        raise UsageError(  # without the entry, which may hold a secret
            f"{file}: number {number} of sessions is not a mapping with a name",
            hint=f"write: {_EXAMPLE}; quote a name that YAML reads as something else, such as no or 1",
        )
    name = SessionName.parse(str(entry["name"]))
    values = {key: value for key, value in {**defaults, **entry}.items() if key != "name"}
    said = user_files.team_source(values, file, name.text)
    _refuse_elsewhere(said)
    settings = resolve((said,))
    if "applier" not in values and _is_chart(settings):
        said = replace(said, values={**said.values, "applier": "helm"})
    return Member(name=name, said=said)


def _is_mapping(value: object) -> TypeGuard[Mapping[str, object]]:
    return isinstance(value, dict) and all(isinstance(key, str) for key in value)


def _is_chart(settings: Settings) -> bool:
    return bool(settings.root) and Path(settings.root or "", settings.target or ".", CHART_FILE).is_file()


def _refuse_unknown(file: Path, document: Mapping[str, object]) -> None:
    for key in document:
        if key not in _TOP_KEYS:
            near = get_close_matches(key, _TOP_KEYS, n=1)
            hint = f"did you mean {near[0]}?" if near else "settings for all sessions belong in defaults"
            raise UsageError(f"unknown key {key!r} in {file}", hint=hint)


def _refuse_elsewhere(said: Source) -> None:
    """Refuse what a session's stack doesn't keep: a secret, or a setting of the loop."""
    for key in said.values:
        if key in _STORE_KEYS:
            raise UsageError(
                f"{said.place}: {key} is a key of the store, and a team's file holds none",
                hint="name a file that only you can read, with each session's keys: keysFile",
            )
        if key in _LOOP_KEYS:
            raise UsageError(
                f"{said.place}: {key} is read by sync, where that runs",
                hint="leave it out, and set it in the owner's settings file",
            )


def _refuse_repeated(file: Path, members: Sequence[Member]) -> None:
    names: set[str] = set()
    namespaces: dict[str, str] = {}
    for member in members:
        name = member.name.text
        if name in names:
            raise UsageError(f"{file}: session {name} is listed twice", hint="give each session its own name")
        names.add(name)
        namespace = resolve((member.said,)).namespace or member.name.namespace
        if namespace in namespaces:
            raise UsageError(
                f"{file}: sessions {namespaces[namespace]} and {name} have the namespace {namespace}",
                hint="leave namespace out of defaults: each session creates its own",
            )
        namespaces[namespace] = name


def most_at_once(wanted: int, processors: int) -> int:
    """Choose how many sessions are worked on at the same time. Raises UsageError on less than one."""
    if wanted < 1:
        raise UsageError(
            f"--at-once is {wanted}; it must be at least 1", hint=f"leave it out to work on {AT_ONCE}"
        )
    return min(wanted, PER_PROCESSOR * processors)


async def _each(members: Sequence[Member], work: Work, report: Report, at_once: int) -> tuple[Result, ...]:
    limiter, results = anyio.CapacityLimiter(at_once), dict[str, Result]()

    async def run(member: Member) -> None:
        async with limiter:
            results[member.name.text] = result = await _attempted(member, work)
        report(result)

    async with anyio.create_task_group() as tasks:
        for number, member in enumerate(members, 1):
            if 1 < number <= at_once:
                await anyio.sleep(BEGIN_APART_S)
            tasks.start_soon(run, member)
    return tuple(results[member.name.text] for member in members)


async def _attempted(member: Member, work: Work) -> Result:
    began = time.monotonic()
    did: Did = "failed"
    failure = None
    try:
        did = await work(member)
    except GitOpsRunError as error:
        failure = error
    return Result(name=member.name, did=did, took_s=time.monotonic() - began, error=failure)


async def _up(caller: Caller, member: Member) -> Did:
    steps = _Steps(name=member.name, caller=caller)
    sources = await sessions.stack_sources(member.name, member.said, caller)
    request = sessions.making(member.name, sources, caller)
    await sessions.up(request, replace(caller, tell=steps.take))
    if not steps.operations:
        return "unchanged"
    return "created" if steps.operations == {"create"} else "changed"


async def _down(caller: Caller, member: Member) -> Did:
    sources = await sessions.stack_sources(member.name, member.said, caller)
    request = sessions.ending(member.name, sources, caller)
    try:
        await sessions.down(request, replace(caller, tell=_Steps(name=member.name, caller=caller).take))
    except NotFound:
        return "not there"
    return "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Steps:
    """Gather what Pulumi does for one session, and pass its notices on with the session's name."""

    name: SessionName
    caller: Caller
    operations: set[str] = field(default_factory=set)

    def take(self, event: StackEvent) -> None:
        if not isinstance(event, ResourceStep):
            self.caller.report(f"{self.name}: {event.text}")
        elif event.phase == "done" and event.operation != "same":
            self.operations.add(event.operation)


def _write_stack_file(member: Member, file: Path) -> None:
    said = dict(_entries(member.said))
    if not file.is_file():
        create_private(file, yaml.safe_dump({"config": said}, sort_keys=False))
        return
    document = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    config = document.get("config") or {}
    if config != {**config, **said}:
        document["config"] = {**config, **said}
        replace_private(file, yaml.safe_dump(document, sort_keys=False))


def _entries(said: Source) -> Iterator[tuple[str, object]]:
    """Write settings as a stack's file has them. What says nothing, as an empty text, is left out."""
    for key, value in said.values.items():
        if value not in (None, ""):
            yield f"{PROJECT}:{key}", value
