"""What a machine needs before a real node can run on it, and how to get what it lacks."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

from gitops_run.errors import SandboxError

SYSTEM_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
CNI_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))
CNI_PLUGINS = ("ptp", "host-local", "loopback")
PACKAGES = {
    "containerd": "containerd",
    "ctr": "containerd",
    "containerd-shim-runc-v2": "containerd",
    "runc": "runc",
    "nft": "nftables",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "mount": "mount",
    **dict.fromkeys(CNI_PLUGINS, "containernetworking-plugins"),
}
"""Each program by the Debian package that brings it."""

_CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21}
_CAP_SYS_RESOURCE = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Hold what matters of a machine.

    capabilities: those of this process, as a mask. programs: those of PACKAGES that are there.
    """

    system: str
    user: int
    capabilities: int
    programs: frozenset[str]
    has_cgroups: bool


def this_machine() -> Machine:
    """Look at this machine."""
    programs = {name for name in PACKAGES if name not in CNI_PLUGINS and find_program(name)}
    programs |= {name for name in CNI_PLUGINS if cni_folder(name)}
    return Machine(
        system=platform.system(),
        user=os.geteuid(),
        capabilities=_capabilities(),
        programs=frozenset(programs),
        has_cgroups=os.access("/sys/fs/cgroup", os.W_OK),
    )


def obstacle(machine: Machine) -> SandboxError | None:
    """Explain why no real node can run on a machine, with a hint; None if one can."""
    other = "gitops-run sandbox start --node simulated"
    if machine.system != "Linux":
        return SandboxError(f"a real node needs Linux; this is {machine.system}", hint=other)
    if machine.user != 0:
        return SandboxError("a real node needs root, for namespaces, mounts and cgroups", hint=other)
    lacking = [name for name, bit in _CAPABILITIES.items() if not machine.capabilities & 1 << bit]
    if lacking:
        return SandboxError(f"a real node needs {' and '.join(lacking)}, which this root lacks", hint=other)
    missing = [name for name in PACKAGES if name not in machine.programs]
    if missing:
        packages = dict.fromkeys(PACKAGES[name] for name in missing)
        return SandboxError(
            f"a real node needs {', '.join(missing)}",
            hint=f"apt-get install -y {' '.join(packages)}",
        )
    if not machine.has_cgroups:
        return SandboxError("a real node needs to make cgroups; /sys/fs/cgroup is read-only", hint=other)
    return None


def find_program(name: str) -> str | None:
    """Find a program of the system; root's PATH may lack the folders of those for root."""
    return shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), *SYSTEM_PATH)))


def cni_folder(plugin: str = CNI_PLUGINS[0]) -> Path | None:
    """Return the folder that holds a CNI plugin."""
    return next((folder for folder in CNI_FOLDERS if os.access(folder / plugin, os.X_OK)), None)


def has_sys_resource() -> bool:
    """Report whether this process may lower the score by which the kernel picks whom to kill."""
    return bool(_capabilities() & 1 << _CAP_SYS_RESOURCE)


def _capabilities() -> int:
    try:
        status = Path("/proc/self/status").read_text()
    except FileNotFoundError:
        return 0
    return next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:"))
