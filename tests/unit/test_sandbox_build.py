from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from gitops_run.errors import SandboxError
from gitops_run.sandbox import programs
from gitops_run.sandbox.build import digest, ensure_built, folder_of
from gitops_run.sandbox.golang import Go, choose_go, parse_version, required_version
from gitops_run.sandbox.programs import (
    GROUPS,
    Group,
    Kept,
    Program,
    Work,
    group_named,
    module_version,
)

OWN = "gitops-run.dev/toolchain/"


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Group:
    monkeypatch.setattr(programs, "TOOLCHAIN", tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return thing(tmp_path)


def test_a_digest_is_the_same_for_the_same_sources(group: Group) -> None:
    assert digest(group) == digest(replace(group))


@pytest.mark.parametrize("file", ["go.mod", "go.sum"])
def test_a_digest_changes_with_a_file(group: Group, file: str) -> None:
    before = digest(group)

    (group.folder / file).write_text("changed")

    assert digest(group) != before


def test_a_digest_changes_with_the_package_and_the_flags(group: Group) -> None:
    other_package = replace(group, programs=(Program(name="thing", package="example.com/other"),))
    other_flags = replace(group, variables=("example.com/thing.Version=v2",))

    assert len({digest(group), digest(other_package), digest(other_flags)}) == 3


def test_a_digest_changes_with_the_version_of_a_module_whose_files_are_kept(group: Group) -> None:
    keeper = replace(group, kept=(Kept(group="thing", module="example.com/kept", files=("*",), into=""),))
    go_mod = group.folder / "go.mod"
    other = thing(group.folder.parent, "other")
    keeping_of_other = replace(keeper, name="other", programs=group.programs)
    before = digest(keeping_of_other)

    go_mod.write_text(go_mod.read_text().replace("v1.0.0", "v1.0.1"))

    assert other.folder == keeping_of_other.folder
    assert digest(keeping_of_other) != before


def test_what_is_in_the_cache_is_not_built_again(group: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    folder_of(group).mkdir(parents=True)
    monkeypatch.setenv("PATH", "")
    told: list[str] = []

    ensure_built((group,), told.append)

    assert told == []


def test_the_names_of_a_build_lie_in_the_users_cache(group: Group, tmp_path: Path) -> None:
    assert folder_of(group) == tmp_path / "cache" / "gitops-run" / "toolchain" / f"thing-{digest(group)}"


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_every_program_is_a_tool_of_its_pinned_module(group: Group) -> None:
    go_mod = (group.folder / "go.mod").read_text()
    foreign = [program.package for program in group.programs if not program.package.startswith(OWN)]

    assert [package for package in foreign if package not in go_mod] == []
    assert (group.folder / "go.sum").exists()


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_every_program_of_our_own_has_its_source_in_the_toolchain(group: Group) -> None:
    own = [program.package for program in group.programs if program.package.startswith(OWN)]
    sources = [programs.TOOLCHAIN / package.removeprefix(OWN) / "main.go" for package in own]

    assert [source for source in sources if not source.exists()] == []


def test_a_digest_changes_with_a_source_of_our_own(group: Group) -> None:
    before = digest(group)

    (group.folder / "main.go").write_text("package main")

    assert digest(group) != before


def test_the_node_is_built_from_the_module_of_its_control_plane() -> None:
    kubernetes, node = group_named("kubernetes"), group_named("kubernetes-node")

    assert node.folder == kubernetes.folder
    assert node.linker_flags == kubernetes.linker_flags


def test_the_version_of_a_module_is_read_from_its_pin() -> None:
    assert module_version("versitygw", "github.com/versity/versitygw") == "v1.8.0"
    with pytest.raises(LookupError, match=r"example\.com/other"):
        module_version("versitygw", "example.com/other")


@pytest.mark.parametrize(
    ("name", "module", "version"),
    [
        ("coredns", "github.com/coredns/coredns", "v1.15.0"),
        ("etcd", "go.etcd.io/etcd/server/v3", "v3.6.5"),
        ("helm-controller", "github.com/fluxcd/helm-controller", "v1.6.4"),
        ("kubernetes", "k8s.io/kubernetes", "v1.36.3"),
        ("kustomize-controller", "github.com/fluxcd/kustomize-controller", "v1.9.5"),
        ("kwok", "sigs.k8s.io/kwok", "v0.8.0"),
        ("pulumi", "github.com/pulumi/pulumi/pkg/v3", "v3.259.0"),
        ("pulumi", "github.com/pulumi/pulumi/sdk/v3", "v3.259.0"),
        ("pulumi-language-python", "github.com/pulumi/pulumi/sdk/v3", "v3.78.1"),
        ("source-controller", "github.com/fluxcd/source-controller", "v1.9.3"),
        ("versitygw", "github.com/versity/versitygw", "v1.8.0"),
    ],
)
def test_a_module_is_pinned_to_the_version_that_was_tried(name: str, module: str, version: str) -> None:
    go_mod = (programs.TOOLCHAIN / name / "go.mod").read_text()

    assert re.search(
        rf"^\s*(require )?{re.escape(module)} {re.escape(version)}( //.*)?$", go_mod, re.MULTILINE
    )


def test_kubernetes_tells_the_version_that_it_is_pinned_to() -> None:
    kubernetes = group_named("kubernetes")

    assert "gitVersion=v1.36.3" in kubernetes.linker_flags
    assert "gitMajor=1" in kubernetes.linker_flags
    assert "gitMinor=36" in kubernetes.linker_flags


@pytest.mark.parametrize(
    ("text", "version"),
    [("go1.26.8", (1, 26, 8)), ("v3.259.0", (3, 259, 0)), ("go1.27", (1, 27, 0)), ("go1.27rc1", (1, 27, 0))],
)
def test_versions_are_read_from_what_programs_print(text: str, version: tuple[int, int, int]) -> None:
    assert parse_version(text) == version


def test_the_newest_go_that_any_module_asks_for_is_required() -> None:
    assert required_version(["go 1.26\n", "module x\n\ngo 1.26.3\n", "go 1.25.9\n"]) == (1, 26, 3)


def test_the_first_go_that_is_new_enough_is_chosen() -> None:
    old, good, newer = (go(path, version) for path, version in (("a", 25), ("b", 26), ("c", 27)))

    assert choose_go([old, good, newer], (1, 26, 0)) == good


def test_where_no_go_is_new_enough_the_error_names_what_was_found() -> None:
    with pytest.raises(SandboxError, match=r"needs Go 1\.26\.0 or later: /opt/go is 1\.25\.0") as refused:
        choose_go([go("/opt/go", 25)], (1, 26, 0))

    assert "pip install 'gitops-run[sandbox]'" in refused.value.hint


def thing(toolchain: Path, name: str = "thing") -> Group:
    """Make a group of one program, whose work is four packages."""
    (toolchain / name).mkdir()
    (toolchain / name / "go.mod").write_text("module thing\n\ngo 1.26\n\nrequire example.com/kept v1.0.0\n")
    (toolchain / name / "go.sum").write_text("sum\n")
    program = Program(name=name, package=f"example.com/{name}")
    return Group(name=name, programs=(program,), work=Work(cpu_s=10, packages=4))


def go(path: str, minor: int) -> Go:
    return Go(path=Path(path), version=(1, minor, 0), origin="PATH")
