"""Start and stop a sandbox, and report its state.

The start reads as a recipe: programs, what a former run left, ports, keys, files, supervisor, ready.
The supervisor does the watching; here one waits for what it says.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import shlex
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from gitops_run.adapters.machine.host import is_running
from gitops_run.adapters.machine.user_files import data_directory
from gitops_run.errors import NotFound, SandboxError
from gitops_run.sandbox import certificates, first_use, kubeconfigs
from gitops_run.sandbox.binaries import ensure_binaries
from gitops_run.sandbox.build import Progress
from gitops_run.sandbox.environment import (
    ensure_pulumi_state,
    inherited,
    with_environment,
    with_stand_in,
    write_cluster_settings,
    write_settings,
)
from gitops_run.sandbox.flux_manifests import manifests_path, write_manifests
from gitops_run.sandbox.journal import SUPERVISOR, log_tail, read_state, recorded_processes
from gitops_run.sandbox.node import machine
from gitops_run.sandbox.node.choice import make_address, make_node, node_of
from gitops_run.sandbox.processes import end
from gitops_run.sandbox.pulumi_plugin import ensure_kubernetes_plugin, has_kubernetes_plugin
from gitops_run.sandbox.state import (
    DEFAULT_NAME,
    LOOPBACK,
    PORT_NAMES,
    REAL_NODE_PORTS,
    NodeKind,
    Sandbox,
    load,
    make_folder,
    pick_ports,
    refuse_taken_ports,
    reserved_ports,
    sandbox_folder,
    save,
)
from gitops_run.sandbox.store import ensure_administrator

_READY_WITHIN_S = 90.0
_PART_PATIENCE_S = 5.0
_CRASHES_UNTIL_FAILURE = 4
_SUPERVISOR_PATIENCE_S = 20.0


def start(
    name: str = DEFAULT_NAME,
    base: Path | None = None,
    tell: Progress = lambda _: None,
    node: NodeKind | None = None,
) -> Sandbox:
    """Start a sandbox, or find that it runs, and return when everything in it is ready.

    base: as for sandbox_folder. node: which kind it gets; None for what it has, otherwise a real one where
    that can run. Raises SandboxError with the log's tail of a part that doesn't get ready.
    """
    folder = sandbox_folder(name, base)
    kind = node_of(folder, node, tell)
    make_folder(folder)
    with _only_starter(folder):
        node_of(folder, kind, tell)  # another starter may have decided otherwise meanwhile
        if is_up(folder):
            running = load(name, base)
            _write_settings(running)  # what runs may have been started by an older version
            return with_stand_in(running, has_plugin=has_kubernetes_plugin(os.environ))
        programs = ensure_binaries(tell, kind)
        (folder / "programs.json").write_text(
            json.dumps({program: [str(b.path), b.origin] for program, b in programs.items()})
        )
        _end_all(folder)  # what a killed supervisor left
        sandbox = _described(name, folder, kind, {p: binary.path for p, binary in programs.items()})
        _prepare(sandbox, tell)
        with ThreadPoolExecutor(1) as pool, _undone_on_failure(sandbox):
            plugin = pool.submit(ensure_kubernetes_plugin, sandbox, sandbox.binaries["pulumi"])
            _supervise(sandbox, tell)
            has_plugin = plugin.result()
        if kind is NodeKind.SIMULATED and first_use.is_needed():
            tell("helm-controller and helm, which only charts need, are built in the background")
        sandbox = with_environment(sandbox, has_plugin=has_plugin)
        save(sandbox)
        return sandbox


def stop(name: str = DEFAULT_NAME, base: Path | None = None) -> None:
    """End a sandbox's supervisor and every part, and make sure that none is left. Its state stays."""
    _end_all(load(name, base).folder)


def delete(name: str = DEFAULT_NAME, base: Path | None = None) -> Path:
    """End a sandbox and remove all that it holds; return the folder that is gone. Raises NotFound."""
    folder = load(name, base).folder
    _end_all(folder)
    if left := machine.mounts_below(folder) if sys.platform == "linux" else []:
        raise SandboxError(
            f"sandbox {name} is stopped, and not deleted: {', '.join(left)} is still mounted",
            hint=f"unmount it, then: gitops-run sandbox delete --name {name}",
        )
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise SandboxError(
            f"sandbox {name} is stopped, and {error.filename} can't be removed: {error.strerror}",
            hint=f"remove the rest by hand: rm -r {shlex.quote(str(folder))}",
        ) from error
    return folder


def is_up(folder: Path) -> bool:
    """Report whether a sandbox's supervisor runs and everything has been ready."""
    state = read_state(folder)
    supervisor = recorded_processes(state).get(SUPERVISOR)
    return bool(state["ready"]) and supervisor is not None and is_running(supervisor)


def _described(name: str, folder: Path, kind: NodeKind, binaries: dict[str, Path]) -> Sandbox:
    """Describe a sandbox, with the ports and the address that it had before, and keep the description."""
    try:
        known = load(name, folder.parent)
        ports, address = known.ports, known.address
        if kind is NodeKind.SIMULATED:
            refuse_taken_ports(ports)
    except NotFound:
        ports, address = _new_ports(kind, folder.parent), _new_address(kind, folder.parent)
    sandbox = Sandbox(
        name=name,
        folder=folder,
        ports=ports,
        binaries=binaries,
        path=(),
        variables={},
        node=kind,
        address=address,
    )
    save(sandbox)
    return sandbox


def _new_ports(kind: NodeKind, base: Path) -> Mapping[str, int]:
    return REAL_NODE_PORTS if kind is NodeKind.REAL else pick_ports(PORT_NAMES, reserved_ports(base))


def _new_address(kind: NodeKind, base: Path) -> str:
    return make_address(base) if kind is NodeKind.REAL else LOOPBACK


def _prepare(sandbox: Sandbox, tell: Progress) -> None:
    """Make or read everything that lasts: keys, kubeconfigs, settings, and what a node stands on."""
    certificates.make_all(sandbox)
    kubeconfigs.write_all(sandbox)
    write_manifests(manifests_path(sandbox))
    ensure_pulumi_state(data_directory(os.environ))
    _write_settings(sandbox)
    if sandbox.node is NodeKind.REAL:
        make_node(sandbox, tell)


def _write_settings(sandbox: Sandbox) -> None:
    administrator = ensure_administrator(sandbox.folder / "store")
    if sandbox.node is NodeKind.REAL:
        write_cluster_settings(sandbox)
    else:
        write_settings(sandbox, administrator)


@contextmanager
def _undone_on_failure(sandbox: Sandbox) -> Iterator[None]:
    """Leave nothing of a node behind where the start fails: nobody would think of stopping it."""
    try:
        yield
    except BaseException:
        _end_all(sandbox.folder)
        raise


def _end_all(folder: Path) -> None:
    """End the supervisor, then every recorded part that it didn't end: it may have been killed."""
    with _spawning(folder):
        supervisor = recorded_processes(read_state(folder)).get(SUPERVISOR)
    left = end([supervisor] if supervisor else [], _SUPERVISOR_PATIENCE_S)
    # What it started while it was ending is in what it wrote last.
    parts = recorded_processes(read_state(folder), with_supervisor=False)
    left += end(parts.values(), _PART_PATIENCE_S)
    if left:
        pids = " ".join(str(process.pid) for process in left)
        raise SandboxError(f"processes {pids} of the sandbox don't end", hint=f"kill -9 {pids}")
    machine.restore(folder)


def _supervise(sandbox: Sandbox, tell: Progress) -> None:
    """Start the supervisor in a session of its own and wait until it says that everything is ready."""
    module = "gitops_run.sandbox.supervisor"
    command = [sys.executable, "-m", module, sandbox.name, str(sandbox.folder.parent)]
    with (sandbox.folder / "logs" / f"{SUPERVISOR}.log").open("ab") as log, _spawning(sandbox.folder) as lock:
        supervisor = subprocess.Popen(
            [*command, str(lock)],
            pass_fds=(lock,),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
            cwd=sandbox.folder,
            env=inherited(os.environ) | {"PYTHONPATH": str(Path(__file__).parents[2])},
        )
    try:
        _wait_until_ready(sandbox, cast("IO[bytes]", supervisor.stdout), tell)
    except BaseException:
        supervisor.terminate()
        supervisor.wait()
        raise
    finally:
        cast("IO[bytes]", supervisor.stdout).close()
    supervisor.returncode = 0  # it lives on; nobody needs to wait for it


def _wait_until_ready(sandbox: Sandbox, lines: IO[bytes], tell: Progress) -> None:
    waiting: dict[str, str] = {}
    tails: dict[str, str] = {}
    crashes: Counter[str] = Counter()
    for event in _events(lines, time.monotonic() + _READY_WITHIN_S):
        part, kind = event["part"], event["event"]
        if kind == "ready":
            if part == SUPERVISOR:
                return
            waiting.pop(part, None)
            tell(f"{part} is ready after {event['seconds']:.1f} s")
        elif kind == "crashed":
            waiting.pop(part, None)
            waiting = {part: f"ended with exit code {event['exit_code']}", **waiting}
            tails[part] = event["log"]
            crashes[part] += 1
            if crashes[part] == _CRASHES_UNTIL_FAILURE:
                break
        elif part != SUPERVISOR:
            waiting.setdefault(part, "is not ready")
    part, what = next(iter(waiting.items()), (SUPERVISOR, "ended"))
    tail = tails.get(part) or log_tail(sandbox.folder, part)
    log = sandbox.folder / "logs" / f"{part}.log"
    raise SandboxError(f"{part} {what}; the end of its log:\n{tail}", hint=f"the whole of it: {log}")


def _events(lines: IO[bytes], deadline: float) -> Iterator[dict[str, Any]]:
    """Yield the supervisor's reports, until it ends or the deadline passes."""
    buffered = b""
    while (left := deadline - time.monotonic()) > 0 and select.select([lines], [], [], left)[0]:
        chunk = os.read(lines.fileno(), 65536)
        if not chunk:
            return
        *complete, buffered = (buffered + chunk).split(b"\n")
        yield from map(json.loads, complete)


@contextmanager
def _spawning(folder: Path) -> Iterator[int]:
    """Wait for a supervisor that was started and isn't recorded yet: it holds the lock until then.

    So a supervisor whose starter was killed at once is found too.
    """
    with (folder / "run" / "spawning.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock.fileno()


@contextmanager
def _only_starter(folder: Path) -> Iterator[None]:
    with (folder / "run" / "starter.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
