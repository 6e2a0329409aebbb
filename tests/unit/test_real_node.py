from __future__ import annotations

import json
import tarfile
import tomllib
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from gitops_run.cli.sandbox import sandbox as commands
from gitops_run.errors import NotFound, SandboxError, UsageError
from gitops_run.sandbox import nodes
from gitops_run.sandbox.environment import with_environment
from gitops_run.sandbox.node import choice, configuration, machine
from gitops_run.sandbox.node.dns import dns_objects
from gitops_run.sandbox.node.images import Image, images, write_archive
from gitops_run.sandbox.node.importing import import_archive
from gitops_run.sandbox.node.network import (
    DNS_ADDRESS,
    PODS,
    SERVICES,
    host_address,
    networks_in,
    pick_node_address,
)
from gitops_run.sandbox.node.requirements import PACKAGES, Machine, obstacle
from gitops_run.sandbox.parts import parts_of
from gitops_run.sandbox.state import REAL_NODE_PORTS, NodeKind, Sandbox, make_folder, save
from gitops_run.sandbox.store import Account

ABLE = Machine(
    system="Linux", user=0, capabilities=(1 << 41) - 1, programs=frozenset(PACKAGES), has_cgroups=True
)
ADDRESS = "10.213.4.2"
CRI = "io.containerd.grpc.v1.cri"


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    make_folder(tmp_path / "trial")
    programs = (
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "containerd",
        "kubelet",
        "kube-proxy",
    )
    return Sandbox(
        name="trial",
        folder=tmp_path / "trial",
        ports=REAL_NODE_PORTS,
        binaries={program: Path("/cache") / program for program in programs},
        path=(),
        variables={},
        node=NodeKind.REAL,
        address=ADDRESS,
    )


def test_a_machine_that_has_everything_can_run_a_node() -> None:
    assert obstacle(ABLE) is None


def test_what_is_missing_is_named_with_the_command_that_installs_it() -> None:
    found = frozenset(PACKAGES) - {"containerd", "ctr", "runc", "nft", "ptp", "loopback"}

    problem = obstacle(replace(ABLE, programs=found))

    assert str(problem) == "a real node needs containerd, ctr, runc, nft, ptp, loopback"
    assert problem is not None
    assert problem.hint == "apt-get install -y containerd runc nftables containernetworking-plugins"


@pytest.mark.parametrize(
    ("machine", "reason"),
    [
        (replace(ABLE, system="Darwin"), "needs Linux; this is Darwin"),
        (replace(ABLE, user=1000), "needs root"),
        (replace(ABLE, capabilities=ABLE.capabilities & ~(1 << 21)), "needs CAP_SYS_ADMIN, which"),
        (replace(ABLE, has_cgroups=False), "cgroup is read-only"),
    ],
    ids=["no Linux", "no root", "no capability", "no cgroups"],
)
def test_a_machine_that_cannot_run_a_node_is_told_why_and_what_it_can_do(
    machine: Machine, reason: str
) -> None:
    problem = obstacle(machine)

    assert problem is not None
    assert reason in str(problem)
    assert problem.hint == "gitops-run sandbox start --node simulated"


def test_left_to_itself_a_sandbox_gets_a_simulated_node_where_no_real_one_runs_and_hears_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "this_machine", lambda: replace(ABLE, user=1000))
    told: list[str] = []

    kind = choice.node_of(tmp_path / "new", None, told.append)

    assert kind is NodeKind.SIMULATED
    assert "the node is simulated" in told[0]
    assert "needs root" in told[0]


def test_left_to_itself_a_sandbox_gets_a_real_node_where_one_can_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "this_machine", lambda: ABLE)

    assert choice.node_of(tmp_path / "new", None, lambda _: None) is NodeKind.REAL


def test_a_real_node_that_was_asked_for_and_cannot_run_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "this_machine", lambda: replace(ABLE, user=1000))

    with pytest.raises(SandboxError, match="needs root"):
        choice.node_of(tmp_path / "new", NodeKind.REAL, lambda _: None)


def test_a_sandbox_keeps_the_kind_of_node_that_it_was_made_with(sandbox: Sandbox) -> None:
    save(replace(sandbox, node=NodeKind.SIMULATED))

    assert choice.node_of(sandbox.folder, None, lambda _: None) is NodeKind.SIMULATED
    with pytest.raises(SandboxError, match="created with a simulated node, and keeps it"):
        choice.node_of(sandbox.folder, NodeKind.REAL, lambda _: None)


def test_a_link_overlaps_with_nothing_that_the_host_knows() -> None:
    free = IPv4Network("10.213.200.4/30")
    taken = set(IPv4Network("10.213.0.0/16").address_exclude(free))

    assert pick_node_address(taken) == IPv4Address("10.213.200.6")


def test_a_host_without_room_for_a_link_is_told() -> None:
    with pytest.raises(SandboxError, match=r"free in 10\.213\.0\.0/16"):
        pick_node_address({IPv4Network("10.0.0.0/8")})


def test_routes_are_read_as_networks_and_the_default_route_counts_for_nothing() -> None:
    routes = [{"dst": "default"}, {"dst": "10.1.0.0/16"}, {"dst": "192.0.2.7"}]

    assert networks_in(routes) == {IPv4Network("10.1.0.0/16"), IPv4Network("192.0.2.7/32")}


def test_the_host_has_the_other_end_of_the_link() -> None:
    assert str(host_address(ADDRESS)) == "10.213.4.1"


def test_ranges_of_pods_services_and_links_do_not_meet() -> None:
    ranges = [IPv4Network(text) for text in (PODS, SERVICES, "10.213.0.0/16")]

    assert not any(one.overlaps(other) for one in ranges for other in ranges if one is not other)
    assert IPv4Address(DNS_ADDRESS) in IPv4Network(SERVICES)


def test_names_that_the_kernel_limits_are_short_enough_and_differ() -> None:
    folders = (Path("/a/sandbox"), Path("/b/sandbox"))

    interfaces = {machine.interface_of(folder) for folder in folders}

    assert len(interfaces) == len({machine.cgroup_of(folder) for folder in folders}) == 2
    assert max(map(len, interfaces)) <= 15


def test_a_folder_in_which_no_socket_fits_is_refused_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "this_machine", lambda: ABLE)

    with pytest.raises(SandboxError, match="too long for a socket"):
        choice.node_of(Path("/tmp") / ("long" * 25) / "trial", NodeKind.REAL, lambda _: None)


def test_containerd_keeps_everything_in_the_sandbox(sandbox: Sandbox) -> None:
    text = configuration.containerd(sandbox.folder, Path("/usr/lib/cni"), may_lower_scores=False)

    found = tomllib.loads(text)
    cri = found["plugins"][CRI]
    folder = str(sandbox.folder)
    kept = [found["root"], found["state"], found["grpc"]["address"], cri["cni"]["conf_dir"]]
    assert [path for path in kept if not path.startswith(folder)] == []
    assert cri["restrict_oom_score_adj"]
    assert cri["cni"]["bin_dir"] == "/usr/lib/cni"


def test_the_kubelet_lets_in_nobody_that_the_api_server_does_not_know(sandbox: Sandbox) -> None:
    found = yaml.safe_load(configuration.kubelet(sandbox))

    assert found["authentication"]["anonymous"] == {"enabled": False}
    assert found["authentication"]["webhook"] == {"enabled": True}
    assert found["authentication"]["x509"] == {"clientCAFile": str(sandbox.ca)}
    assert found["authorization"] == {"mode": "Webhook"}
    assert found["readOnlyPort"] == 0
    assert found["cgroupRoot"] == machine.cgroup_of(sandbox.folder)


def test_pods_get_addresses_of_their_range(sandbox: Sandbox) -> None:
    found = json.loads(configuration.pod_network(sandbox.folder))

    (plugin,) = found["plugins"]
    assert plugin["ipam"]["ranges"] == [[{"subnet": PODS}]]


def test_every_part_of_a_real_node_runs_in_its_namespaces_and_listens_on_its_address(
    sandbox: Sandbox,
) -> None:
    parts = parts_of(sandbox, Account(access="a", secret="s"))

    within = machine.inside(sandbox.folder)
    assert {part.argv[: len(within)] for part in parts} == {within}
    addressed = [part.health for part in parts if part.name != "containerd"]
    assert [health for health in addressed if f"//{ADDRESS}:" not in health] == []


def test_the_api_server_of_a_real_node_reaches_its_kubelet_and_is_reached_by_pods(sandbox: Sandbox) -> None:
    parts = {part.name: part.argv for part in parts_of(sandbox, Account(access="a", secret="s"))}

    options = parts["kube-apiserver"]
    assert "--endpoint-reconciler-type=lease" in options
    assert "--authorization-mode=Node,RBAC" in options
    assert f"--kubelet-client-certificate={sandbox.folder / 'pki' / 'kubelet-client.crt'}" in options


def test_a_node_is_ready_only_by_what_it_says_in_this_run() -> None:
    began = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    assert not nodes.has_ready_node(answer("True", "2026-01-02T03:04:04Z"), since=began)
    assert nodes.has_ready_node(answer("True", "2026-01-02T03:04:05Z"), since=began)
    assert not nodes.has_ready_node(answer("False", "2026-01-02T03:04:06Z"), since=began)
    assert not nodes.has_ready_node({"items": []})


def test_an_archive_names_the_image_and_holds_the_program(tmp_path: Path) -> None:
    (tmp_path / "program").write_bytes(b"ELF")
    image = Image(program="program", names=("example.com/a:1", "example.com/a:2"), path="/usr/bin/program")

    write_archive(image, tmp_path / "program", tmp_path / "image.tar")

    with tarfile.open(tmp_path / "image.tar") as archive:
        (manifest,) = read_json(archive, "manifest.json")
        settings = read_json(archive, manifest["Config"])
        layer_file = archive.extractfile(manifest["Layers"][0])
        with tarfile.open(fileobj=layer_file) as layer:
            files = {entry.name: entry for entry in layer.getmembers()}
            program = layer.extractfile("usr/bin/program")
            assert program is not None
            content = program.read()
    assert manifest["RepoTags"] == ["example.com/a:1", "example.com/a:2"]
    assert content == b"ELF"
    assert files["usr/bin/program"].mode == 0o755
    assert files["tmp"].mode == 0o1777
    assert settings["config"]["Entrypoint"] == ["/usr/bin/program"]
    assert settings["config"]["User"] == "65534:65534"


def test_the_same_program_makes_the_same_archive(tmp_path: Path) -> None:
    (tmp_path / "program").write_bytes(b"ELF")
    image = Image(program="program", names=("example.com/a:1",), path="/program")

    for name in ("one.tar", "two.tar"):
        write_archive(image, tmp_path / "program", tmp_path / name)

    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.tar", "program", "two.tar"]


def test_images_are_named_as_upstream_names_them() -> None:
    names = {name for image in images() for name in image.names}

    assert {
        "registry.k8s.io/pause:3.10.1",
        "registry.k8s.io/coredns/coredns:v1.15.0",
        "ghcr.io/fluxcd/source-controller:v1.9.3",
        "ghcr.io/fluxcd/kustomize-controller:v1.9.5",
        "ghcr.io/fluxcd/helm-controller:v1.6.4",
        "ghcr.io/versity/versitygw:v1.8.0",
    } <= names


def test_the_name_server_answers_at_the_address_that_the_kubelet_tells_pods(sandbox: Sandbox) -> None:
    service = next(one for one in dns_objects() if one["kind"] == "Service")

    assert yaml.safe_load(configuration.kubelet(sandbox))["clusterDNS"] == [service["spec"]["clusterIP"]]


def test_an_image_for_a_simulated_node_is_refused(sandbox: Sandbox) -> None:
    save(replace(sandbox, node=NodeKind.SIMULATED))
    arguments = ("load", "image.tar", "--name", "trial", "--state-dir", str(sandbox.folder.parent))

    result = CliRunner().invoke(commands, arguments)

    assert isinstance(result.exception, UsageError)
    assert "no image is ever run there" in str(result.exception)


def test_an_archive_that_is_not_there_is_not_found(sandbox: Sandbox, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no image archive"):
        import_archive(sandbox, tmp_path / "image.tar")


def test_a_shell_asks_a_real_node_s_address_without_a_proxy(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "localhost")
    programs = {name: Path("/cache") / name for name in ("pulumi", "pulumi-language-python", "helm")}

    variables = with_environment(replace(sandbox, binaries=programs), has_plugin=True).variables

    assert variables["NO_PROXY"] == variables["no_proxy"] == f"localhost,{ADDRESS}"


def answer(status: str, heartbeat: str) -> dict[str, Any]:
    condition = {"type": "Ready", "status": status, "lastHeartbeatTime": heartbeat}
    return {"items": [{"status": {"conditions": [condition]}}]}


def read_json(archive: tarfile.TarFile, name: str) -> Any:
    file = archive.extractfile(name)
    assert file is not None
    return json.loads(file.read())
