"""Rendering: within limits, on a disk that refuses, and from a copy that is uploaded afterwards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from gitops_run.adapters.files import WorkTree
from gitops_run.adapters.render import kubectl
from gitops_run.adapters.render.children import Limits
from gitops_run.adapters.render.kubectl import Kustomize
from gitops_run.errors import TransientError
from gitops_run.model.text.problem import Problem
from tests.work_trees import snapshot, write


def test_a_disk_that_takes_no_working_files_is_tried_again_later(
    root: Path, work_tree: WorkTree, tmp_path: Path
) -> None:
    write(root, "kustomization.yaml", "resources: []")
    taken, no_folder = snapshot(work_tree), write(tmp_path, "a-file")

    with pytest.raises(TransientError, match="can't be written: Not a directory"):
        anyio.run(Kustomize("ns", no_folder / "work").render, taken, ".")


def test_a_rendering_that_is_cancelled_leaves_the_copy_as_it_was(
    root: Path, work_tree: WorkTree, tmp_path: Path
) -> None:
    write(root, "kustomization.yaml", "resources: []")
    taken = snapshot(work_tree)

    async def cancel() -> None:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await Kustomize("ns", tmp_path / "work").render(taken, ".")

    anyio.run(cancel)

    assert [path.name for path in taken.folder.iterdir()] == ["kustomization.yaml"]
    assert taken.read_text("kustomization.yaml") == "resources: []"


def test_a_rendering_without_a_kustomization_adds_nothing_to_the_copy(
    root: Path, work_tree: WorkTree, tmp_path: Path
) -> None:
    write(root, "a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")
    taken = snapshot(work_tree)

    rendered = anyio.run(Kustomize("ns", tmp_path / "work").render, taken, ".")

    assert rendered == "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  namespace: ns\n"
    assert [path.name for path in taken.folder.iterdir()] == ["a.yaml"]


def test_an_error_of_the_kustomization_is_told_by_the_lines_of_its_author(
    root: Path, work_tree: WorkTree, tmp_path: Path
) -> None:
    write(root, "kustomization.yaml", "# a comment\n\nresources: [a.yaml\n")
    problem = anyio.run(Kustomize("ns", tmp_path / "work").render, snapshot(work_tree), ".")
    assert str(problem).startswith("kustomization.yaml:4: not valid YAML: ")


CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ("!!int '12:30:45'", "kustomization.yaml:4"),
        ("!!binary '%'", "kustomization.yaml:4"),
        ("!!str 12", ""),
    ],
)
def test_a_value_that_is_not_of_the_type_of_its_tag_is_refused_in_the_target_s_kustomization(
    root: Path, work_tree: WorkTree, tmp_path: Path, value: str, place: str
) -> None:
    text = f"configMapGenerator:\n- name: a\ncommonAnnotations:\n  a: {value}\n"
    write(root, "kustomization.yaml", text)
    found = anyio.run(Kustomize("ns", tmp_path / "work").render, snapshot(work_tree), ".")
    assert (found.place if isinstance(found, Problem) else "") == place


def test_a_directory_named_kustomization_is_no_obstacle_where_flux_writes_nothing(
    root: Path, work_tree: WorkTree, tmp_path: Path
) -> None:
    write(root, "kustomization.yaml/a.yaml", CONFIG)
    write(root, "kustomization.yml", "resources: [kustomization.yaml/a.yaml]")
    found = anyio.run(Kustomize("ns", tmp_path / "work").render, snapshot(work_tree), ".")
    assert isinstance(found, str)
    assert "name: a" in found


def test_such_a_directory_further_down_is_a_directory_like_others(
    root: Path, work_tree: WorkTree, tmp_path: Path
) -> None:
    write(root, "sub/kustomization.yaml/a.yaml", CONFIG)
    found = anyio.run(Kustomize("ns", tmp_path / "work").render, snapshot(work_tree), ".")
    assert isinstance(found, str)
    assert "name: a" in found


def program(folder: Path, script: str) -> str:
    """Write a program that stands for kubectl."""
    file = write(folder, "program", f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return str(file)


@pytest.fixture
def rendered(
    root: Path, work_tree: WorkTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], str | Problem]:
    def render(script: str) -> str | Problem:
        found = program(tmp_path / "bin", script)
        monkeypatch.setattr(kubectl, "find_kubectl", lambda: found)
        limits = Limits(time_s=0.3, output_mb=1)
        return anyio.run(Kustomize("ns", tmp_path / "work", limits=limits).render, snapshot(work_tree), ".")

    write(root, "kustomization.yaml", "resources: []")
    return render


def test_what_renders_inherits_no_key(
    rendered: Callable[[str], str | Problem], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    monkeypatch.setenv("GITOPS_RUN_WRITER_SECRET_KEY", "hush")
    text = rendered("env")
    assert isinstance(text, str)
    assert "PATH=" in text
    assert "hush" not in text


def test_what_renders_has_its_temporary_files_where_they_go_with_the_session(
    tmp_path: Path, rendered: Callable[[str], str | Problem]
) -> None:
    assert rendered('printf %s "$TMPDIR"') == str(tmp_path / "work")


def test_a_rendering_without_an_end_is_a_problem_of_the_save(
    rendered: Callable[[str], str | Problem],
) -> None:
    problem = rendered("sleep 600")
    assert isinstance(problem, Problem)
    assert problem.message == "kustomize takes longer than 0.3 s"
    assert "renderTimeoutS" in problem.hint


def test_a_rendering_that_exceeds_a_limit_names_the_file_that_is_large(
    root: Path, rendered: Callable[[str], str | Problem]
) -> None:
    write(root, "kustomization.yaml", "resources: [small.yaml, large.yaml]")
    write(root, "small.yaml", "a: b")
    write(root, "large.yaml", "#" * 2**21)
    problem = rendered("yes")
    assert isinstance(problem, Problem)
    assert (problem.path, problem.message) == ("large.yaml", "kustomize writes more than 1 MiB")


def test_output_that_is_no_text_is_a_problem_of_the_save(rendered: Callable[[str], str | Problem]) -> None:
    problem = rendered(r"printf 'a: \377'")
    assert isinstance(problem, Problem)
    assert problem.message == "the rendered output is not UTF-8"


def test_a_crash_is_told_without_the_stacks_of_go(rendered: Callable[[str], str | Problem]) -> None:
    problem = rendered(r"printf 'panic: oops\n\ngoroutine 1 [running]:\nmain.main()\n' >&2; exit 2")
    assert isinstance(problem, Problem)
    assert problem.message == "panic: oops"


def dotenv(key: str) -> str:
    return f"{key}=ENC[AES256_GCM,data:x]\nsops_mac=ENC[AES256_GCM,data:y]\nsops_version=3\n"


@pytest.mark.parametrize("is_decrypted", [True, False])
def test_encrypted_files_of_one_generator_have_keys_in_common_unless_flux_decrypts_them(
    root: Path, work_tree: WorkTree, tmp_path: Path, *, is_decrypted: bool
) -> None:
    write(root, "kustomization.yaml", "secretGenerator: [{name: s, envs: [a.env, b.env]}]")
    write(root, "a.env", dotenv("A"))
    write(root, "b.env", dotenv("B"))
    taken = snapshot(work_tree)

    found = anyio.run(Kustomize("ns", tmp_path / "work", is_decrypted=is_decrypted).render, taken, ".")

    assert isinstance(found, str) == is_decrypted
    assert [taken.read_text(f"{name.lower()}.env") for name in "AB"] == [dotenv("A"), dotenv("B")]
