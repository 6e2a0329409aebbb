"""Child processes that render: run within limits of time, memory and output, with a small environment.

This module knows processes, and how a program written in Go ends when it has no memory or crashes. It knows
nothing of what is rendered. A child is the leader of a session and a process group of its own: it has no
terminal to ask anybody on, and what it started ends with it.

Memory is limited by RLIMIT_DATA. RLIMIT_AS counts the address space that Go reserves and never uses;
RLIMIT_DATA counts what is writable, and kubectl 1.36 was measured to fail within a tenth of the limit. It
takes Linux; elsewhere GOMEMLIMIT alone makes Go collect more eagerly, and time and output are limited.
"""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, cast

import anyio
import anyio.lowlevel
from anyio.abc import ByteReceiveStream, Process

from gitops_run.errors import TransientError

MIB: Final = 1024 * 1024
MESSAGE_BYTES_MAX: Final = 32 * 1024
"""What is kept of standard error. The rest is read and dropped: what a message means is found by patterns
that take time by the square of its length."""
GO_SHARE: Final = 0.9
"""The share of the memory limit at which Go's collector starts to work harder (GOMEMLIMIT)."""
GO_GROWTH: Final = "400"
"""By how many percent Go's heap grows before it is collected (GOGC): most renderings end before that."""

PASSED_VARIABLES: Final = (
    "PATH",  # git, which fetches remote bases
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    # Remote bases are fetched over HTTPS, and company networks have CAs and proxies of their own.
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
)
"""All that a rendering child inherits. Flux renders without the user's keys, agents and git configuration
too: what needs them here would fail there."""

_NO_MEMORY = re.compile(
    r"^(fatal error|runtime): .*(out of memory|cannot allocate memory|unexpected signal during runtime)"
    r"|^SIGSEGV: segmentation violation",
    re.MULTILINE,
)
"""Go's runtime doesn't check every allocation: of ten crashes, about one is a segmentation violation.

A fault of the program itself is a panic, and its first line begins with that word.
"""
_GO_TRACE = re.compile(r"\n+(goroutine \d+|runtime stack:|runtime: g )")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limit one run. The defaults are those of the settings."""

    time_s: float = 60
    memory_mb: int = 1024
    output_mb: int = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Excess:
    """Report which limit was exceeded. message: begins with a verb. hint: how to raise the limit."""

    message: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """Hold what a run came to. code: the exit code. message: standard error, without traces of Go."""

    code: int = 0
    output: bytes = b""
    message: str = ""
    excess: Excess | None = None

    def text(self) -> str | None:
        """Read the output as text; None where it is none."""
        try:
            return self.output.decode()
        except UnicodeDecodeError:
            return None


class LimitedRuns:
    """Run one program within limits. What exceeded them is not tried again before its subject changes."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._exceeded: tuple[object, Finished] | None = None

    async def run(self, command: Sequence[str], *, env: Mapping[str, str], subject: object) -> Finished:
        """Run to the end. subject: what is rendered. Raises TransientError where it can't be started."""
        if self._exceeded is not None and self._exceeded[0] == subject:
            return self._exceeded[1]
        self._exceeded = None
        finished = await run_limited(command, env=env, limits=self._limits)
        if finished.excess is not None:
            self._exceeded = (subject, finished)
        return finished


def rendering_environment(environment: Mapping[str, str], *, home: str) -> dict[str, str]:
    """Choose what a rendering child inherits. home: a folder without configuration or keys.

    Its temporary files are in that folder too: remote bases that it cloned would else stay after a kill.
    """
    passed = {name: environment[name] for name in PASSED_VARIABLES if name in environment}
    return {**passed, "HOME": home, "TMPDIR": home, "GIT_TERMINAL_PROMPT": "0"}


async def run_limited(command: Sequence[str], *, env: Mapping[str, str], limits: Limits) -> Finished:
    """Run to the end or to a limit, and end all that the program started.

    Raises TransientError where it can't be started.
    """
    share = int(limits.memory_mb * GO_SHARE)
    try:
        with anyio.CancelScope(shield=True):  # cancelling this would leave a child behind
            process = await anyio.open_process(
                command,
                stdin=subprocess.DEVNULL,
                env={**env, "GOGC": GO_GROWTH, "GOMEMLIMIT": f"{share}MiB"},
                start_new_session=True,
            )
    except OSError as error:
        raise TransientError(
            f"{command[0]} can't be started: {error.strerror}", hint="install it again"
        ) from error
    _limit_memory(process.pid, limits.memory_mb)
    try:
        with anyio.move_on_after(limits.time_s):
            return await _followed(process, limits)
    finally:
        await _end(process)
    message = f"takes longer than {limits.time_s:g} s"
    return Finished(excess=Excess(message=message, hint=_raise("renderTimeoutS")))


async def _followed(process: Process, limits: Limits) -> Finished:
    output, message = bytearray(), bytearray()
    is_too_long = False
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_keep_beginning, cast("ByteReceiveStream", process.stderr), message)
        async for chunk in cast("ByteReceiveStream", process.stdout):
            output += chunk
            if len(output) > limits.output_mb * MIB:
                is_too_long = True
                _kill_group(process.pid)
                break
    code = await process.wait()
    if is_too_long:
        text = f"writes more than {limits.output_mb} MiB"
        return Finished(excess=Excess(message=text, hint=_raise("renderOutputMb")))
    printed = message.decode("utf-8", "replace")
    if code and _NO_MEMORY.search(printed):
        text = f"needs more than {limits.memory_mb} MiB of memory"
        return Finished(code=code, excess=Excess(message=text, hint=_raise("renderMemoryMb")))
    if code == -signal.SIGKILL:
        text = "was killed by the system, which may be out of memory"
        return Finished(code=code, excess=Excess(message=text, hint="check the system's log: dmesg"))
    return Finished(code=code, output=bytes(output), message=without_go_trace(printed))


async def _keep_beginning(stream: ByteReceiveStream, kept: bytearray) -> None:
    async for chunk in stream:
        kept += chunk[: max(MESSAGE_BYTES_MAX - len(kept), 0)]


async def _end(process: Process) -> None:
    """Kill the process and what it started, and wait for it: also where the caller is cancelled."""
    with anyio.CancelScope(shield=True):
        _kill_group(process.pid)
        await process.wait()
        await process.aclose()
        await anyio.lowlevel.checkpoint()  # asyncio closes pipes in its next turn


def _kill_group(group: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _limit_memory(pid: int, megabytes: int) -> None:
    limit = getattr(resource, "prlimit", None)
    if limit is not None:
        with suppress(ProcessLookupError):
            limit(pid, resource.RLIMIT_DATA, (megabytes * MIB, megabytes * MIB))


def without_go_trace(message: str) -> str:
    """Cut what Go writes after a crash's reason: the stacks of its goroutines."""
    return _GO_TRACE.split(message, maxsplit=1)[0]


def _raise(setting: str) -> str:
    return f"make it smaller, or raise the setting {setting}"
