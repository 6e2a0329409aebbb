"""Where a sandbox keeps what outlives its processes, and how others find it by name.

The folder of a sandbox holds its ports, keys, databases and logs. Everything secret in it is readable
by its owner alone. Ports are picked once, when the sandbox is made, since addresses end up in
kubeconfigs and in the state of stacks.
"""

from __future__ import annotations

import json
import os
import random
import re
import socket
import tempfile
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from gitops_run.errors import NotFound, SandboxError, UsageError

LOOPBACK = "127.0.0.1"
NODE = "sandbox"
"""The name of the one node."""
REGION = "us-east-1"
DEFAULT_NAME = "default"
STATE_DIR_VARIABLE = "GITOPS_RUN_SANDBOX_DIR"


class NodeKind(StrEnum):
    """Report what is behind the sandbox's node: nothing, which kwok simulates, or containers."""

    SIMULATED = "simulated"
    REAL = "real"


PORT_NAMES = (
    "etcd",
    "etcd-peer",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kwok",
    "source-controller",
    "source-controller-health",
    "kustomize-controller-health",
    "helm-controller-health",
    "store",
)

REAL_NODE_PORTS = {
    "etcd": 2379,
    "etcd-peer": 2380,
    "kube-apiserver": 6443,
    "kube-controller-manager": 10257,
    "kube-scheduler": 10259,
    "kubelet": 10250,
    "kube-proxy": 10256,
}
"""Upstream's own: with a real node all of them are ports of an address that only this sandbox has."""

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
_OWNER_ONLY = 0o600
_PORTS = range(20000, 30000)
_FOLDERS = (
    "artifacts",
    "etcd",
    "kubeconfigs",
    "logs",
    "pki",
    "run",
    "store/accounts",
    "store/metadata",
    "store/objects",
    "store/versions",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """Hold where everything of one sandbox is.

    ports: by the names of PORT_NAMES, or of REAL_NODE_PORTS. binaries: the programs in use, by name.
    address: where the servers listen.
    path: folders that go before the present PATH. variables: what else `sandbox env` prints.
    """

    name: str
    folder: Path
    ports: Mapping[str, int]
    binaries: Mapping[str, Path]
    path: tuple[Path, ...]
    variables: Mapping[str, str]
    node: NodeKind = NodeKind.SIMULATED
    address: str = LOOPBACK

    @property
    def env(self) -> dict[str, str]:
        """Return what to add to the present environment, PATH included, to use the sandbox."""
        present = os.environ.get("PATH", os.defpath)
        return {**self.variables, "PATH": os.pathsep.join((*map(str, self.path), present))}

    @property
    def context(self) -> str:
        """Return the name of the sandbox's context in its kubeconfig."""
        return context_name(self.name)

    @property
    def kubeconfig(self) -> Path:
        """Return the administrator's kubeconfig."""
        return self.folder / "kubeconfig"

    @property
    def settings(self) -> Path:
        """Return the settings file that makes the other commands use this sandbox."""
        return self.folder / "settings.yaml"

    @property
    def ca(self) -> Path:
        """Return the certificate of the authority that signed every certificate of the sandbox."""
        return self.folder / "pki" / "ca.crt"

    @property
    def server(self) -> str:
        """Return the address of the API server."""
        return f"https://{self.address}:{self.ports['kube-apiserver']}"

    @property
    def store(self) -> str:
        """Return the address of the S3 store."""
        return f"https://{LOOPBACK}:{self.ports['store']}"


def context_name(name: str) -> str:
    """Name the kubeconfig context of a sandbox."""
    return "gitops-run-sandbox" if name == DEFAULT_NAME else f"gitops-run-sandbox-{name}"


def parse_name(text: str) -> str:
    """Parse a sandbox's name as a person typed it. Raises UsageError."""
    if _NAME.fullmatch(text):
        return text
    raise UsageError(
        f"sandbox name {text!r} is not allowed: use at most 32 of a-z, 0-9 and '-', not '-' at an end",
        hint=f"try: {DEFAULT_NAME}",
    )


def sandbox_folder(name: str, base: Path | None = None) -> Path:
    """Return the folder of a sandbox.

    base: the folder that holds sandboxes by name; otherwise $GITOPS_RUN_SANDBOX_DIR, otherwise the user's
    state folder.
    """
    given = base or os.environ.get(STATE_DIR_VARIABLE)
    if given:
        return Path(given).absolute() / parse_name(name)
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home, "gitops-run", "sandbox", parse_name(name))


_MOVED: Final = ("/plugins/kubernetes/bin", "/sandbox/kubernetes_plugin/bin")
"""Where sandboxes of 0.1 have the plugin that stands in for Pulumi's, and where it is now."""


def load(name: str = DEFAULT_NAME, base: Path | None = None) -> Sandbox:
    """Read what is known of a sandbox that was started before. Raises NotFound."""
    folder = sandbox_folder(name, base)
    try:
        facts = json.loads((folder / "sandbox.json").read_text())
    except FileNotFoundError:
        raise NotFound(
            f"there is no sandbox named {name!r} in {folder.parent}",
            hint=f"to start one: gitops-run sandbox start --name {name}",
        ) from None
    return Sandbox(
        name=name,
        folder=folder,
        ports=facts["ports"],
        binaries={program: Path(path) for program, path in facts["binaries"].items()},
        path=tuple(Path(folder.replace(*_MOVED)) for folder in facts["path"]),
        variables=facts["variables"],
        node=NodeKind(facts.get("node", NodeKind.SIMULATED)),
        address=facts.get("address", LOOPBACK),
    )


def save(sandbox: Sandbox) -> None:
    """Write what load reads."""
    facts = {
        "ports": dict(sandbox.ports),
        "binaries": {program: str(path) for program, path in sandbox.binaries.items()},
        "path": [str(folder) for folder in sandbox.path],
        "variables": dict(sandbox.variables),
        "node": sandbox.node,
        "address": sandbox.address,
    }
    write_private(sandbox.folder / "sandbox.json", json.dumps(facts, indent=2))


def sandboxes_folder(base: Path | None = None) -> Path:
    """Return the folder that holds sandboxes by name. base: as for sandbox_folder."""
    return sandbox_folder(DEFAULT_NAME, base).parent


def known_sandboxes(base: Path) -> list[Sandbox]:
    """Return the sandboxes in a folder, whether they run or not."""
    return [load(facts.parent.name, base) for facts in base.glob("*/sandbox.json")]


def make_folder(folder: Path) -> None:
    """Make a sandbox's folder and those in it, for the owner alone."""
    for part in ("", *_FOLDERS):
        (folder / part).mkdir(mode=0o700, parents=True, exist_ok=True)


def pick_ports(names: Iterable[str], reserved: Collection[int]) -> dict[str, int]:
    """Pick a free loopback port for each name, all different and none of those that others keep.

    They lie below the range from which Linux and macOS take the ports of outgoing connections: any
    client could hold one of those by chance when the sandbox is started again.
    """
    candidates = random.SystemRandom().sample(_PORTS, len(_PORTS))
    free = (port for port in candidates if port not in reserved and not _is_taken(port))
    return dict(zip(names, free, strict=False))


def reserved_ports(base: Path) -> set[int]:
    """Return the ports that the sandboxes in a folder keep, whether they run or not."""
    return {port for sandbox in known_sandboxes(base) for port in sandbox.ports.values()}


def refuse_taken_ports(ports: Mapping[str, int]) -> None:
    """Raise SandboxError that names every port on which another process listens."""
    taken = [f"{port} ({name})" for name, port in ports.items() if _is_taken(port)]
    if taken:
        raise SandboxError(
            f"another process listens on {LOOPBACK}, port {', '.join(taken)}, which belongs to this sandbox",
            hint="end that process, or start a sandbox of another --name; a sandbox keeps its ports, "
            "since kubeconfigs and stacks hold them",
        )


def _is_taken(port: int) -> bool:
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind((LOOPBACK, port))
        except OSError:
            return True
    return False


def write_private(path: Path, text: str) -> None:
    """Replace a file at once, readable by its owner alone."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "w") as file:
            os.fchmod(descriptor, _OWNER_ONLY)
            file.write(text)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
