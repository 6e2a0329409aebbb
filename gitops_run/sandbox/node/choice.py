"""Which kind of node a sandbox gets, and the making of a real one."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

from gitops_run.errors import NotFound, SandboxError
from gitops_run.sandbox.build import Progress
from gitops_run.sandbox.node import machine, network
from gitops_run.sandbox.node.configuration import is_socket_path_too_long, write_configuration
from gitops_run.sandbox.node.images import ensure_archives
from gitops_run.sandbox.node.requirements import cni_folder, has_sys_resource, obstacle, this_machine
from gitops_run.sandbox.state import LOOPBACK, NodeKind, Sandbox, known_sandboxes, load


def node_of(folder: Path, wanted: NodeKind | None, tell: Progress) -> NodeKind:
    """Decide which kind of node a sandbox gets.

    wanted: None leaves it to what the sandbox has, otherwise to what the machine can. Raises SandboxError
    where the wanted kind can't be had.
    """
    kept = _kept_kind(folder)
    if wanted and kept and wanted is not kept:
        raise SandboxError(
            f"sandbox {folder.name} was created with a {kept} node, and keeps it",
            hint=f"to start another: gitops-run sandbox start --name {folder.name}-{wanted} --node {wanted}; "
            f"to replace this one: gitops-run sandbox delete --name {folder.name}",
        )
    kind = wanted or kept
    if kind is NodeKind.SIMULATED:
        return kind
    problem = obstacle(this_machine()) or _path_problem(folder)
    if problem is None:
        if kind is None:
            tell("the node is a real one: pods run in containers")
        return NodeKind.REAL
    if kind is NodeKind.REAL:
        raise problem
    tell(f"the node is simulated, no container runs: {problem}; {problem.hint}")
    return NodeKind.SIMULATED


def make_address(base: Path) -> str:
    """Pick an address for a new sandbox's node; it keeps it, since kubeconfigs and stacks hold it.

    base: the folder with the other sandboxes.
    """
    others = {network.link_of(s.address) for s in known_sandboxes(base) if s.address != LOOPBACK}
    return str(network.pick_node_address(network.host_networks() | others))


def make_node(sandbox: Sandbox, tell: Progress) -> None:
    """Make everything that a real node stands on: images, configuration, namespaces, the link to it."""
    ensure_archives(sandbox.binaries, tell)
    machine.node_folder(sandbox.folder).mkdir(mode=0o700, exist_ok=True)
    _refuse_taken_link(sandbox)
    plugins = cni_folder()
    if plugins is None:
        raise SandboxError("the CNI plugins are gone", hint="apt-get install -y containernetworking-plugins")
    write_configuration(sandbox, plugins, may_lower_scores=has_sys_resource())
    try:
        machine.prepare(sandbox.folder, sandbox.address)
    except BaseException:
        machine.restore(sandbox.folder)
        raise


def _kept_kind(folder: Path) -> NodeKind | None:
    try:
        return load(folder.name, folder.parent).node
    except NotFound:
        return None


def _path_problem(folder: Path) -> SandboxError | None:
    if not is_socket_path_too_long(folder):
        return None
    return SandboxError(f"the path {folder} is too long for a socket", hint="choose a shorter --state-dir")


def _refuse_taken_link(sandbox: Sandbox) -> None:
    link: IPv4Network = network.link_of(sandbox.address)
    if taken := [str(other) for other in network.host_networks() if other.overlaps(link)]:
        raise SandboxError(
            f"the host now has a route to {taken[0]}, the network of this sandbox's node: {sandbox.address}",
            hint="remove that route, or start a sandbox of another --name",
        )
