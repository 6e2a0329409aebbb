"""What a real node takes of the machine, and gives back: namespaces, a link, cgroups, every process in them.

The node has a network and a mount namespace of its own. They are held by files in the sandbox's folder,
not by a process, so that any part may die and be started again in the same place. Mounts of pods, nftables
rules, interfaces and sysctls exist in these namespaces only, and end with them. The kernel's settings that
the kubelet writes for the whole machine are plain files there: the machine's own are never touched.

What is left to undo has names that follow from the sandbox's folder. So it can be undone whoever was killed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from gitops_run.errors import SandboxError
from gitops_run.sandbox.node import network
from gitops_run.sandbox.node.requirements import SYSTEM_PATH, find_program
from gitops_run.sandbox.processes import wait_until

_CGROUPS = Path("/sys/fs/cgroup")
_PROC = Path("/proc")
_KILLED_WITHIN_S = 5.0
_CGROUPS_EMPTY_WITHIN_S = 3.0
_NAMESPACES = ("net", "mnt")
_PRIVATE_FOLDERS = ("/run/containerd", "/var/lib/cni", "/var/log/containers")
"""Where containerd, CNI and kubelet write whatever their configuration says."""

_KERNEL_SETTINGS = ("kernel/panic", "kernel/panic_on_oops", "vm/overcommit_memory")
_KEY_SETTINGS = ("kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes")
_NETWORK_SETTINGS = {
    "net/ipv4/ip_forward": "1",
    "net/ipv4/conf/all/rp_filter": "0",
    "net/ipv4/conf/default/rp_filter": "0",
}

# The copied table holds the namespace files of other sandboxes, whose ends they would outlive here.
_SETUP = """
umount --all --lazy --types nsfs
mount --make-rshared /
for folder in {folders}; do mount -t tmpfs -o mode=755 gitops-run "$folder"; done
for setting in {settings}; do
  [ -e "/proc/sys/$setting" ] || continue
  mkdir -p "$1/${{setting%/*}}"
  cat "/proc/sys/$setting" > "$1/$setting"
  mount --bind "$1/$setting" "/proc/sys/$setting"
done
{network}
ip link set lo up
"""


def node_folder(folder: Path) -> Path:
    """Return the folder of what only a real node has, within a sandbox's."""
    return folder / "node"


def cgroup_of(folder: Path) -> str:
    """Name the cgroup below which all pods of a sandbox are."""
    return f"/gitops-run-{_identity(folder)}"


def interface_of(folder: Path) -> str:
    """Name the host's end of the link to a sandbox's node; the kernel allows 15 characters."""
    return f"gitops-{_identity(folder)}"


def inside(folder: Path) -> tuple[str, ...]:
    """Return the words that, before a command, run it in the node's namespaces as the very same process."""
    held = _held(folder)
    program = find_program("nsenter") or "nsenter"
    return (program, f"--net={held / 'net'}", f"--mount={held / 'mnt'}", "--")


def prepare(folder: Path, address: str) -> None:
    """Make the namespaces, the link with the node's address, and the cgroup. Raises SandboxError."""
    node = node_folder(folder)
    held = _held(folder)
    for made in (held, node / "kernel", *map(Path, _PRIVATE_FOLDERS)):
        made.mkdir(parents=True, exist_ok=True)
    _run("mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "gitops-run", str(held))
    _run("mount", "--make-private", str(held))
    for name in _NAMESPACES:
        (held / name).touch()
    files = (f"--net={held / 'net'}", f"--mount={held / 'mnt'}")
    _run(
        "unshare", *files, "--propagation=private", "sh", "-euc", _setup_script(), "sh", str(node / "kernel")
    )
    _make_link(folder, address)
    _make_cgroup(cgroup_of(folder))


def restore(folder: Path) -> None:
    """Undo what prepare did and what the node's parts left: every process, mount, interface and cgroup.

    Does nothing where nothing is left. Raises SandboxError that names processes which can't be killed.
    """
    if not node_folder(folder).is_dir():
        return
    wait_until(lambda: not _kill(folder), _KILLED_WITHIN_S)
    if left := members(folder):
        pids = " ".join(map(str, left))
        raise SandboxError(f"processes {pids} of the sandbox's node don't end", hint=f"kill -9 {pids}")
    for mount in sorted(mounts_below(_held(folder)), reverse=True):
        _run("umount", "--lazy", mount)
    if Path("/sys/class/net", interface_of(folder)).exists():
        _run("ip", "link", "delete", interface_of(folder))
    wait_until(lambda: _remove_cgroups(cgroup_of(folder)), _CGROUPS_EMPTY_WITHIN_S)
    for remains in ("containerd/state", "addresses"):
        shutil.rmtree(node_folder(folder) / remains, ignore_errors=True)


def members(folder: Path) -> set[int]:
    """Return the processes of a node: those in its cgroups, and those in its namespaces."""
    found: set[int] = set()
    for cgroup in _cgroup_folders(cgroup_of(folder)):
        with suppress(OSError):
            found.update(map(int, (cgroup / "cgroup.procs").read_text().split()))
    own = {f"{name}:[{number}]" for name in _NAMESPACES if (number := _namespace(_held(folder) / name))}
    if own:
        found.update(int(p.name) for p in _PROC.iterdir() if p.name.isdigit() and own & _namespaces(p))
    return found - {0, os.getpid()}


def _identity(folder: Path) -> str:
    return hashlib.sha256(str(folder).encode()).hexdigest()[:8]


def _held(folder: Path) -> Path:
    return node_folder(folder) / "namespaces"


def _setup_script() -> str:
    """Write what is done within the new namespaces; its argument is the folder of kernel settings."""
    network_lines = (f"echo {value} > /proc/sys/{name}" for name, value in _NETWORK_SETTINGS.items())
    return _SETUP.format(
        folders=" ".join(_PRIVATE_FOLDERS),
        settings=" ".join((*_KERNEL_SETTINGS, *_KEY_SETTINGS)),
        network="\n".join(network_lines),
    )


def _make_link(folder: Path, address: str) -> None:
    interface, held = interface_of(folder), _held(folder)
    length = network.link_of(address).prefixlen
    link = ("ip", "link", "add", interface, "type", "veth", "peer", "name", "host", "netns")
    _run(*link, str(held / "net"))
    _run("ip", "address", "add", f"{network.host_address(address)}/{length}", "dev", interface)
    _run("ip", "link", "set", interface, "up")
    within = ("nsenter", f"--net={held / 'net'}", "--", "ip")
    _run(*within, "address", "add", f"{address}/{length}", "dev", "host")
    _run(*within, "link", "set", "host", "up")
    # The node's own processes need a route before a service's address is replaced by a pod's. There is no
    # default route, and none to pods that are gone: what can't be reached is refused at once.
    _run(*within, "route", "add", network.SERVICES, "dev", "host")
    _run(*within, "route", "add", "unreachable", network.PODS)


def _hierarchies() -> list[Path]:
    """Return the roots of all cgroup hierarchies: one in version 2, one a controller in version 1."""
    if (_CGROUPS / "cgroup.controllers").exists():
        return [_CGROUPS]
    return [folder for folder in _CGROUPS.iterdir() if (folder / "cgroup.procs").exists()]


def _make_cgroup(name: str) -> None:
    """Make a cgroup in every hierarchy. Raises SandboxError where this is not the machine's own root."""
    try:
        _write_cgroup(name)
    except OSError as error:
        raise SandboxError(
            f"no cgroup can be made here for a node's pods: {error}",
            hint="in a container the node must be simulated: gitops-run sandbox start --node simulated",
        ) from error


def _write_cgroup(name: str) -> None:
    for root in _hierarchies():
        folder = root / name.lstrip("/")
        folder.mkdir(exist_ok=True)
        for setting in ("cpuset.cpus", "cpuset.mems"):  # version 1 lets nobody in before they are set
            if (root / setting).exists():
                (folder / setting).write_text((root / setting).read_text())
        controllers = root / "cgroup.controllers"
        if root == _CGROUPS and controllers.exists():
            wanted = " ".join(f"+{controller}" for controller in controllers.read_text().split())
            for parent in (root, folder):
                (parent / "cgroup.subtree_control").write_text(wanted)


def _cgroup_folders(name: str) -> Iterator[Path]:
    """Yield a cgroup and all below it in every hierarchy, the deepest first."""
    for root in _hierarchies():
        for path, _, _ in os.walk(root / name.lstrip("/"), topdown=False):
            yield Path(path)


def _remove_cgroups(name: str) -> bool:
    """Remove a cgroup and all below it; return whether none is left."""
    for folder in _cgroup_folders(name):
        with suppress(OSError):
            folder.rmdir()
    return not any((root / name.lstrip("/")).exists() for root in _hierarchies())


def _namespace(file: Path) -> int | None:
    """Return the number of the namespace that a file holds, None where it holds none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino if found.st_dev == Path("/proc/self/ns/net").stat().st_dev else None


def _namespaces(process: Path) -> set[str]:
    try:
        return {str(Path(process, "ns", name).readlink()) for name in _NAMESPACES}
    except OSError:
        return set()


def _kill(folder: Path) -> set[int]:
    """Kill every process of a node; return those that were there."""
    found = members(folder)
    for pid in found:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return found


def mounts_below(folder: Path) -> list[str]:
    """List what is mounted in a folder. Linux only."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = (Path(line.split()[4].replace(r"\040", " ")) for line in lines)
    return [str(point) for point in points if point.is_relative_to(folder.resolve())]


def _run(*command: str) -> None:
    path = os.pathsep.join((os.environ.get("PATH", ""), *SYSTEM_PATH))
    answer = subprocess.run(
        command, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False
    )
    if answer.returncode:
        raise SandboxError(
            f"{' '.join(command[:3])} … failed, for the sandbox's node: {answer.stderr.strip()}",
            hint="for a simulated node: gitops-run sandbox start --node simulated --name simulated",
        )
