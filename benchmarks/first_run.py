"""What a first run costs: `make demo` with empty caches, then the rest of what `make test` needs.

The modules themselves are not downloaded again. CPU time is that of every process that the two commands
start, also of those that outlive them: this process adopts them.
"""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from gitops_run.sandbox.golang import choose_go, installed_go, required_version
from gitops_run.sandbox.programs import GROUPS

ROOT = Path(__file__).parents[1]
ADOPT = 36  # PR_SET_CHILD_SUBREAPER in <sys/prctl.h>
OWN = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "GOCACHE", "PULUMI_HOME")


def measure_first_run() -> dict[str, Any]:
    """Measure seconds of CPU time (user and system) and of waiting."""
    with tempfile.TemporaryDirectory(prefix="gitops-run-first-", ignore_cleanup_errors=True) as folder:
        env = os.environ | {name: str(Path(folder, name.lower())) for name in OWN}
        env["GOMODCACHE"] = _module_cache()
        _adopt()
        began, cpu = time.monotonic(), _cpu_s()
        _run(["make", "--no-print-directory", "demo"], env)
        demo_s, demo_cpu = time.monotonic() - began, _cpu_s()
        _run([sys.executable, "-m", "tests.programs"], env)
        figures = {
            "cpu_s": round(demo_cpu - cpu),
            "wall_s": round(demo_s),
            "test_cpu_s": round(_cpu_s() - demo_cpu),
        }
    return {"first_run": figures}


def _run(command: list[str], env: dict[str, str]) -> None:
    subprocess.run(command, cwd=ROOT, env=env, check=True)
    with suppress(ChildProcessError):  # until all that was left behind has ended
        while True:
            os.wait()


def _adopt() -> None:
    """Become the parent of what the commands leave behind, as its CPU time is known to its parent alone."""
    if ctypes.CDLL(None, use_errno=True).prctl(ADOPT, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _module_cache() -> str:
    go = choose_go(installed_go(), required_version((g.folder / "go.mod").read_text() for g in GROUPS)).path
    answer = subprocess.run([go, "env", "GOMODCACHE"], check=True, capture_output=True, text=True)
    return answer.stdout.strip()
