"""Build what only charts need: ahead of time alongside a running sandbox, or when a chart first needs it.

This module runs as `python -m gitops_run.sandbox.first_use`, a process of its own that can be ended at any
moment: what it had compiled by then is kept. The sandbox's supervisor starts it with `--ahead`, records it,
and ends it with the sandbox.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Final

import anyio

from gitops_run.errors import SandboxError
from gitops_run.sandbox.build import ensure_built, missing
from gitops_run.sandbox.programs import CHART_GROUPS
from gitops_run.sandbox.state import load

NAME: Final = "build-ahead"
"""Its name among the sandbox's processes, and that of its log."""
_COMMAND: Final = (sys.executable, "-m", "gitops_run.sandbox.first_use")
AHEAD: Final = (*_COMMAND, "--ahead")

_LOWEST_PRIORITY: Final = 19
_STDERR: Final = 2


async def ensure_chart_programs(environment: Mapping[str, str]) -> None:
    """Build helm and helm-controller where the sandbox in use lacks them, with its progress on stderr.

    environment: says by its settings file which sandbox is in use. On any other cluster nothing is built.
    Raises SandboxError. Cancelled, it ends the build.
    """
    if not _lacks_chart_programs(environment):
        return
    async with await anyio.open_process(
        _COMMAND, stdin=subprocess.DEVNULL, stdout=_STDERR, stderr=_STDERR, env=dict(environment)
    ) as process:
        if await process.wait():
            raise SandboxError(
                "helm-controller and helm, which a chart needs, could not be built",
                hint="the lines above say why; what was compiled is kept, so run the command again",
            )


def is_needed() -> bool:
    """Report whether anything is left to build."""
    return bool(missing(CHART_GROUPS))


def _lacks_chart_programs(environment: Mapping[str, str]) -> bool:
    folder = Path(environment.get("GITOPS_RUN_SETTINGS", "")).parent
    if not (folder / "sandbox.json").is_file():
        return False
    programs = load(folder.name, folder.parent).binaries
    return not (programs["helm"].exists() and programs["helm-controller"].exists())


def main() -> int:
    """Build one group after another, so that nobody waits for more than what they need."""
    signal.signal(signal.SIGTERM, _end)
    if "--ahead" in sys.argv:
        os.nice(_LOWEST_PRIORITY)
    try:
        for group in CHART_GROUPS:
            ensure_built((group,), _tell)
    except SandboxError as error:
        _tell(f"{error}\n{error.hint}")
        return 1
    return 0


def _tell(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a process of its own, whose output is shown or logged


def _end(_number: int, _frame: FrameType | None) -> None:
    """Leave by an exception, so that the compilers are ended too."""
    sys.exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
