"""Snapshots of real directories."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import gitops_run.adapters.files.work_tree as work_tree_module
from gitops_run.adapters.files import MAX_BYTES, WorkTree, find_root
from gitops_run.adapters.files.reading import read_regular
from gitops_run.errors import UsageError
from tests.work_trees import snapshot, write


def test_a_snapshot_holds_every_file_with_its_bytes(root: Path, work_tree: WorkTree) -> None:
    (root / "a").mkdir()
    (root / "a" / "b.yaml").write_bytes(b"x")
    (root / "empty.yaml").write_bytes(b"")
    taken = snapshot(work_tree)
    assert sorted(taken.tree.files) == ["a/b.yaml", "empty.yaml"]
    assert taken.read_bytes("a/b.yaml") == b"x"


def test_a_snapshot_stays_as_it_was_while_the_root_changes(root: Path, work_tree: WorkTree) -> None:
    (root / "a.yaml").write_bytes(b"old")
    taken = snapshot(work_tree)
    (root / "a.yaml").write_bytes(b"new")
    assert taken.read_bytes("a.yaml") == b"old"


def test_a_touched_file_is_read_again_even_where_its_times_look_the_same(
    root: Path, work_tree: WorkTree
) -> None:
    (root / "a.yaml").write_bytes(b"1")
    first = snapshot(work_tree).tree.digests["a.yaml"]
    (root / "a.yaml").write_bytes(b"2")
    assert snapshot(work_tree, "a.yaml").tree.digests["a.yaml"] != first


def test_a_deleted_file_leaves_the_snapshot_and_its_copy(root: Path, work_tree: WorkTree) -> None:
    (root / "a").mkdir()
    (root / "a" / "b.yaml").write_bytes(b"1")
    folder = snapshot(work_tree).folder
    (root / "a" / "b.yaml").unlink()
    assert snapshot(work_tree).tree.files == {}
    assert not (folder / "a").exists()


def test_a_file_may_become_a_folder_and_back(root: Path, work_tree: WorkTree) -> None:
    (root / "a.yaml").write_bytes(b"1")
    snapshot(work_tree)
    (root / "a.yaml").unlink()
    (root / "a.yaml").mkdir()
    (root / "a.yaml" / "b.yaml").write_bytes(b"2")
    assert snapshot(work_tree).read_bytes("a.yaml/b.yaml") == b"2"
    shutil.rmtree(root / "a.yaml")
    (root / "a.yaml").write_bytes(b"3")
    assert snapshot(work_tree).read_bytes("a.yaml") == b"3"


def test_ignored_files_are_left_out_and_their_rule_is_known(root: Path, work_tree: WorkTree) -> None:
    (root / ".gitignore").write_text("x*.yaml\n")
    (root / "x.yaml").write_bytes(b"1")
    (root / "y.yaml").write_bytes(b"1")
    taken = snapshot(work_tree)
    assert list(taken.tree.files) == ["y.yaml"]
    assert str(taken.hidden_by("x.yaml")) == "x*.yaml in .gitignore:1"


def test_a_link_within_the_root_is_followed_as_content(root: Path, work_tree: WorkTree) -> None:
    (root / "a.yaml").write_bytes(b"1")
    (root / "link.yaml").symlink_to("a.yaml")
    assert snapshot(work_tree).read_bytes("link.yaml") == b"1"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("/etc/hostname", "this link points outside the root"),
        ("nowhere", "this link points to nothing"),
        (".", "this link points to a folder that contains it"),
    ],
)
def test_a_link_that_can_not_be_followed_is_a_problem(
    root: Path, work_tree: WorkTree, target: str, message: str
) -> None:
    (root / "link.yaml").symlink_to(target)
    assert [problem.message for problem in snapshot(work_tree).problems] == [message]


def test_a_root_that_is_gone_is_a_problem_and_not_an_empty_tree(root: Path, work_tree: WorkTree) -> None:
    root.rmdir()
    assert snapshot(work_tree).problems


def test_a_root_that_is_too_large_is_refused_before_it_is_read(root: Path, work_tree: WorkTree) -> None:
    with (root / "dump.yaml").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    taken = snapshot(work_tree)
    assert taken.problems[0].path == "dump.yaml"
    assert not (taken.folder / "dump.yaml").exists()


def test_the_root_is_the_git_work_tree_that_holds_the_target(root: Path) -> None:
    (root / ".git").mkdir()
    (root / "deploy").mkdir()
    assert find_root(root / "deploy") == root.resolve()


def test_a_target_outside_the_named_root_is_refused(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not within"):
        find_root(tmp_path, root)


def test_a_file_that_vanishes_while_it_is_read_is_no_part_of_the_snapshot(
    root: Path, work_tree: WorkTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "a.yaml").write_bytes(b"1")
    (root / "b.yaml").write_bytes(b"1")

    def vanish(path: Path, limit: int) -> bytes:
        if path.name == "b.yaml":
            path.unlink()
        return read_regular(path, limit)

    monkeypatch.setattr(work_tree_module, "read_regular", vanish)
    taken = snapshot(work_tree)
    assert (list(taken.tree.files), taken.problems) == (["a.yaml"], ())


def test_a_file_that_may_not_be_read_is_named_and_not_taken_for_deleted(
    root: Path, work_tree: WorkTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "a.yaml").write_bytes(b"1")

    def refuse(path: Path, limit: int) -> bytes:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(work_tree_module, "read_regular", refuse)
    (problem,) = snapshot(work_tree).problems
    assert str(problem) == "a.yaml: can't be read: Permission denied"
    assert "chmod" in problem.hint


def test_only_what_the_target_needs_is_copied(root: Path, app: WorkTree) -> None:
    taken = snapshot(app)
    assert sorted(taken.tree.files) == ["app/kustomization.yaml", "shared/a.yaml"]
    assert not (taken.folder / "other").exists()


def test_a_link_out_of_the_root_that_nobody_needs_is_no_problem(root: Path, app: WorkTree) -> None:
    (root / "app" / "link.yaml").symlink_to("/etc/hostname")
    (root / "other" / "away").symlink_to("/etc")
    assert snapshot(app).problems == ()


def test_a_needed_file_behind_a_link_out_of_the_root_is_refused_by_name(root: Path, app: WorkTree) -> None:
    shutil.rmtree(root / "shared")
    (root / "shared").symlink_to("/etc")
    (problem,) = snapshot(app).problems
    assert str(problem) == "shared: this link points outside the root"


def test_a_needed_file_in_an_ignored_directory_is_hidden_by_a_rule_that_is_known(
    root: Path, app: WorkTree
) -> None:
    write(root, ".gitignore", "shared/\n")
    taken = snapshot(app)
    assert list(taken.tree.files) == ["app/kustomization.yaml"]
    assert str(taken.hidden_by("shared/a.yaml")) == "shared/ in .gitignore:1"


def test_a_needed_directory_that_is_ignored_is_hidden_by_a_rule_that_is_known(
    root: Path, app: WorkTree
) -> None:
    write(root, "app/kustomization.yaml", "resources: [../build]")
    write(root, "build/kustomization.yaml", "resources: []")
    write(root, ".gitignore", "build/\n")
    assert str(snapshot(app).hidden_by("build")) == "build/ in .gitignore:1"


@pytest.mark.parametrize("is_there", [True, False])
def test_a_generators_file_that_is_ignored_is_a_problem_where_it_is_there(
    root: Path, app: WorkTree, *, is_there: bool
) -> None:
    write(root, "app/kustomization.yaml", "secretGenerator: [{name: s, envs: [s.env]}]")
    write(root, ".gitignore", "*.env\n")
    if is_there:
        write(root, "app/s.env")
    told = [problem.message for problem in snapshot(app).problems]
    message = "the target needs this file, but an ignore rule hides it: *.env in .gitignore:1"
    assert told == [message] * is_there


def test_an_ignored_target_is_a_problem_that_names_the_rule(root: Path, app: WorkTree) -> None:
    write(root, ".gitignore", "/app\n")
    (problem,) = snapshot(app).problems
    assert problem.message == "the target is hidden by an ignore rule: /app in .gitignore:1"


def test_the_whole_root_is_taken_where_the_files_that_a_plugin_reads_can_not_be_told(
    root: Path, app: WorkTree
) -> None:
    write(root, "app/kustomization.yaml", "transformers: [../t]")
    write(root, "t/kustomization.yaml", "resources: [t.yaml]\npatches: []")
    write(root, "t/t.yaml", "apiVersion: builtin\nkind: PatchTransformer")
    taken = snapshot(app)
    assert "t/kustomization.yaml:2 has patches" in taken.whole_root_reason
    assert "other/b.yaml" in taken.tree.files


@pytest.mark.parametrize(
    "name", ["a b.yaml", "ü.yaml", "100%.yaml", "a#b.yaml", "%2e.yaml", "A.yaml", "a+b.yaml"]
)
def test_a_name_is_kept_letter_by_letter(root: Path, work_tree: WorkTree, name: str) -> None:
    write(root, name, "1")
    assert snapshot(work_tree).read_bytes(name) == b"1"


@pytest.mark.parametrize("name", ["a.yaml~", ".a.yaml.swp", "#a.yaml#", ".#a.yaml", "a.yaml___jb_tmp___"])
def test_what_editors_leave_beside_a_file_is_no_part_of_a_save(root: Path, tmp_path: Path, name: str) -> None:
    write(root, "app/Chart.yaml")
    write(root, f"app/{name}")
    taken = snapshot(WorkTree(root, tmp_path / "stage", "app"))
    assert list(taken.tree.files) == ["app/Chart.yaml"]


def test_a_rename_that_changes_only_case_leaves_one_file(root: Path, work_tree: WorkTree) -> None:
    write(root, "a.yaml", "1")
    snapshot(work_tree)
    (root / "a.yaml").rename(root / "A.yaml")
    assert list(snapshot(work_tree).tree.files) == ["A.yaml"]


def test_a_name_that_no_store_can_hold_is_refused(root: Path, work_tree: WorkTree) -> None:
    write(root, "a\tb.yaml")
    assert "control character" in snapshot(work_tree).problems[0].message


def test_a_pipe_in_a_files_place_is_a_problem_and_nothing_hangs(root: Path, work_tree: WorkTree) -> None:
    os.mkfifo(root / "a.yaml")
    assert [str(problem) for problem in snapshot(work_tree).problems] == [
        "a.yaml: this is not a regular file"
    ]


def test_the_exclude_file_of_a_git_worktree_lies_in_the_directory_that_all_share(
    root: Path, tmp_path: Path
) -> None:
    write(tmp_path, "main/.git/info/exclude", "x.yaml\n")
    write(tmp_path, "main/.git/worktrees/w/commondir", "../..\n")
    write(root, ".git", f"gitdir: {tmp_path}/main/.git/worktrees/w\n")
    write(root, "x.yaml")
    assert snapshot(WorkTree(root, tmp_path / "stage")).tree.files == {}


def test_rules_above_the_root_count_where_git_has_its_work_tree_there(root: Path, tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    write(tmp_path, ".gitignore", "/root/x.yaml\n")
    write(root, "x.yaml")
    taken = snapshot(WorkTree(root, tmp_path / "stage"))
    assert str(taken.hidden_by("x.yaml")) == "/root/x.yaml in ../.gitignore:1"
    assert taken.tree.files == {}


def test_a_root_that_is_a_link_is_what_it_leads_to(root: Path, tmp_path: Path) -> None:
    write(root, "a.yaml", "1")
    (tmp_path / "link").symlink_to(root)
    assert list(snapshot(WorkTree(tmp_path / "link", tmp_path / "stage")).tree.files) == ["a.yaml"]


def test_a_changed_ignore_file_counts_at_the_next_snapshot(root: Path, work_tree: WorkTree) -> None:
    write(root, "a.yaml")
    snapshot(work_tree)
    write(root, ".gitignore", "a.yaml\n")
    assert snapshot(work_tree).tree.files == {}


def over(file: Path, content: str) -> None:
    """Write as careful editors do: beside, then over."""
    write(file.parent, f"{file.name}.new", content).rename(file)


def test_a_checkout_of_many_files_is_seen_whole(root: Path, tmp_path: Path) -> None:
    for number in range(150):
        write(root, f"app/{number}.yaml", "1")

    def check_out() -> None:
        for number in range(150):
            over(root / "app" / f"{number}.yaml", "2")

    tree = WorkTree(root, tmp_path / "stage", "app")
    snapshot(tree)
    check_out()
    taken = snapshot(tree)
    assert {taken.read_bytes(path) for path in taken.tree.files} == {b"2"}


def test_a_save_looks_at_nothing_but_what_the_target_needs(
    root: Path, app: WorkTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(50):
        write(root, f"other/{number}/x.yaml")
    seen: list[str] = []
    stat = os.lstat
    monkeypatch.setattr(os, "lstat", lambda path: seen.append(str(path)) or stat(path))
    snapshot(app)
    assert not [path for path in seen if "/other/" in path]
    assert app.watched == {str(root), str(root / "app"), str(root / "shared")}


@pytest.mark.parametrize("name", ["kustomization.yaml", "kustomization.yml", "Kustomization"])
def test_a_kustomization_that_is_ignored_is_a_problem_that_names_the_rule(
    root: Path, app: WorkTree, name: str
) -> None:
    (root / "app" / "kustomization.yaml").rename(root / "app" / name)
    write(root, "app/a.yaml")
    write(root, ".gitignore", f"{name}\n")
    (problem,) = snapshot(app).problems
    assert (problem.path, f"hides it: {name} in .gitignore:1" in problem.message) == (f"app/{name}", True)


@pytest.mark.parametrize("kustomization", ["resources: [base]", None])
def test_an_ignored_kustomization_below_the_target_is_a_problem_that_names_the_rule(
    root: Path, app: WorkTree, kustomization: str | None
) -> None:
    (root / "app" / "kustomization.yaml").unlink()
    if kustomization is not None:
        write(root, "app/kustomization.yaml", kustomization)
    write(root, "app/base/kustomization.yaml", "resources: [a.yaml]")
    write(root, "app/base/a.yaml")
    write(root, ".gitignore", "app/base/kust*\n")
    (problem,) = snapshot(app).problems
    assert (problem.path, "app/base/kust* in .gitignore:1" in problem.message) == (
        "app/base/kustomization.yaml",
        True,
    )


def test_an_ignored_kustomization_beside_one_of_another_name_is_no_problem(root: Path, app: WorkTree) -> None:
    write(root, "app/kustomization.yml", "resources: []")
    write(root, ".gitignore", "kustomization.yml\n")
    assert snapshot(app).problems == ()


def test_an_ignored_folder_with_the_name_of_a_kustomization_is_no_problem(root: Path, app: WorkTree) -> None:
    (root / "app" / "kustomization.yaml").unlink()
    write(root, "app/Kustomization/a.yaml")
    write(root, "app/b.yaml")
    write(root, ".gitignore", "Kustomization/\n")
    assert snapshot(app).problems == ()


@pytest.mark.parametrize(
    ("path", "rule", "named"),
    [
        ("charts/dep-0.1.0.tgz", "*.tgz", "charts/dep-0.1.0.tgz"),
        ("charts/dep-0.1.0.tgz", "charts/", "charts"),
        ("charts/dep/Chart.yaml", "dep/", "charts/dep/Chart.yaml"),
        ("charts/other/charts/dep-0.1.0.tgz", "*.tgz", "charts/other/charts/dep-0.1.0.tgz"),
        ("charts/other/charts/dep/Chart.yaml", "other/charts/", "charts/other/charts"),
        ("values.yaml", "values.yaml", "values.yaml"),
        ("charts/_dep.tgz", "*.tgz", None),
        ("charts/README.md", "*.md", None),
        ("templates/a.yaml", "a.yaml", None),
    ],
)
def test_an_ignored_part_that_a_chart_can_not_do_without_is_a_problem(
    root: Path, app: WorkTree, path: str, rule: str, named: str | None
) -> None:
    (root / "app" / "kustomization.yaml").unlink()
    write(root, "app/Chart.yaml", "name: app\nversion: 0.1.0\n")
    write(root, "app/charts/other/Chart.yaml")
    write(root, f"app/{path}")
    write(root, ".gitignore", f"**/{rule}\n")
    told = [
        (problem.path, f"/{rule} in .gitignore:1" in problem.message) for problem in snapshot(app).problems
    ]
    assert told == ([(f"app/{named}", True)] if named else [])


@pytest.mark.parametrize("rule", ["*.tgz", "charts/"])
def test_an_ignored_package_of_a_chart_in_the_root_is_no_problem_since_flux_builds_it(
    root: Path, app: WorkTree, rule: str
) -> None:
    dependency = "dependencies: [{name: dep, version: 0.1.0, repository: 'file://../dep'}]\n"
    (root / "app" / "kustomization.yaml").unlink()
    write(root, "app/Chart.yaml", f"name: app\nversion: 0.1.0\n{dependency}")
    write(root, "app/charts/dep-0.1.0.tgz")
    write(root, "dep/Chart.yaml")
    write(root, ".gitignore", f"{rule}\n")
    assert snapshot(app).problems == ()


def track(root: Path, *paths: str) -> None:
    """Let git track files, whatever its rules say."""
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
    for command in (["init", "-q"], ["add", "-f", *paths]):
        subprocess.run(["git", *command], cwd=root, env=env, check=True)


def test_a_tracked_file_that_a_rule_names_is_part_of_a_save_as_it_is_of_git(
    root: Path, app: WorkTree
) -> None:
    (root / "app" / "kustomization.yaml").unlink()
    for name in ("cert-a", "cert-b", "c"):
        write(root, f"app/{name}.yaml")
    write(root, ".gitignore", "cert-*\n")
    track(root, "app/cert-b.yaml")
    taken = snapshot(app)
    assert (sorted(taken.tree.files), taken.problems) == (["app/c.yaml", "app/cert-b.yaml"], ())


def test_a_tracked_target_in_an_ignored_folder_is_no_problem(root: Path, app: WorkTree) -> None:
    write(root, ".gitignore", "app/\nshared/\n")
    track(root, "app/kustomization.yaml", "shared/a.yaml")
    taken = snapshot(app)
    assert (sorted(taken.tree.files), taken.problems) == (["app/kustomization.yaml", "shared/a.yaml"], ())


def test_a_file_that_is_tracked_from_now_on_counts_at_the_next_snapshot_and_is_watched(
    root: Path, app: WorkTree
) -> None:
    write(root, ".gitignore", "shared/\n")
    track(root, "app")
    assert snapshot(app).problems
    assert str(root / ".git") in app.watched
    track(root, "shared/a.yaml")
    assert snapshot(app).problems == ()


@pytest.fixture
def linked(root: Path, app: WorkTree) -> WorkTree:
    """A target with a link to a folder whose kustomization names a file above it."""
    write(root, "app/kustomization.yaml", "resources: [base]")
    write(root, "shared/base/kustomization.yaml", "resources: [../a.yaml]")
    (root / "app" / "base").symlink_to("../shared/base")
    return app


def test_a_file_above_where_a_link_leads_is_the_one_that_is_meant(root: Path, linked: WorkTree) -> None:
    taken = snapshot(linked)
    assert (taken.problems, taken.read_bytes("app/a.yaml")) == ((), b"1")
    write(root, "shared/a.yaml", "2")
    assert snapshot(linked, "shared/a.yaml").read_bytes("app/a.yaml") == b"2"


def test_a_file_in_the_place_of_one_above_where_a_link_leads_is_never_taken_for_it(
    root: Path, linked: WorkTree
) -> None:
    snapshot(linked)
    write(root, "app/a.yaml", "another")
    (problem,) = snapshot(linked).problems
    assert problem.path == "app/base/kustomization.yaml"
    assert "../a.yaml means shared/a.yaml" in problem.message


def test_a_file_that_is_not_above_where_a_link_leads_is_not_taken_from_above_the_link(
    root: Path, linked: WorkTree
) -> None:
    (root / "shared" / "a.yaml").unlink()
    write(root, "app/a.yaml", "another")
    assert "../a.yaml means shared/a.yaml" in snapshot(linked).problems[0].message
    (root / "app" / "a.yaml").unlink()
    taken = snapshot(linked)
    assert (list(taken.problems), "shared/a.yaml" in taken.tree.files) == ([], False)


def test_a_file_behind_a_link_among_bare_manifests_does_not_become_one_of_them(
    root: Path, linked: WorkTree
) -> None:
    (root / "app" / "kustomization.yaml").unlink()
    (problem,) = snapshot(linked).problems
    assert problem.hint == "name shared/base itself where app/base is named"


@pytest.mark.parametrize(("rule", "is_hidden"), [("/shared/", False), ("/app/base/b.yaml", True)])
def test_rules_decide_on_what_is_behind_a_link_by_the_links_path(
    root: Path, linked: WorkTree, rule: str, *, is_hidden: bool
) -> None:
    write(root, "shared/base/kustomization.yaml", "resources: [b.yaml]")
    write(root, "shared/base/b.yaml")
    write(root, ".gitignore", f"{rule}\n")
    taken = snapshot(linked)
    assert [problem.path for problem in taken.problems] == ["app/base/b.yaml"] * is_hidden
    assert ("app/base/b.yaml" in taken.tree.files) is not is_hidden


@pytest.mark.parametrize("folder", ["app", "app/sub"])
def test_a_kustomization_that_a_rule_for_flux_hides_from_a_target_is_remarked(
    folder: str, root: Path
) -> None:
    write(root, "app/a.yaml", "a: b")
    write(root, f"{folder}/kustomization.yaml", "resources: []")
    write(root, ".sourceignore", "kustomization.yaml\n")
    taken = snapshot(WorkTree(root, root.parent / "other-stage", "app"))
    assert taken.problems == ()
    [remark] = taken.remarks
    assert remark.startswith(f"{folder}/kustomization.yaml: kustomization.yaml in .sourceignore:1 hides")


@pytest.mark.parametrize(("rules", "name"), [(".gitignore", "sub"), (".sourceignore", "base")])
def test_a_kustomization_that_git_hides_or_that_is_named_is_refused(
    rules: str, name: str, root: Path
) -> None:
    write(root, "app/a.yaml", "a: b")
    write(root, f"app/{name}/kustomization.yaml", "resources: []")
    if name == "base":
        write(root, "app/kustomization.yml", "resources: [base]")
    write(root, rules, "kustomization.yaml\n")
    taken = snapshot(WorkTree(root, root.parent / "other-stage", "app"))
    assert [problem.path for problem in taken.problems] == [f"app/{name}/kustomization.yaml"]
    assert taken.remarks == ()
