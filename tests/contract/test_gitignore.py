"""Our ignore rules decide as git does: what `git check-ignore` says is the law, of tracked files too."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitops_run.adapters.files.root import IgnoreFiles

PATHS = (
    "a", "b", "ab", "a.yaml", "b.yaml", "A.yaml", "a b.yaml", "a ", "#a", "!a", "a\\b", "[a]", "ü.yaml",
    "a*b", "a?b", "-", "]", "^a",
    "d/a", "d/b", "d/a.yaml", "d/ab", "d/!a",
    "d/e/a", "d/e/b.yaml", "d/e/f/a", "d/e/f/a.yaml", "d/e/f/g/b",
    "out/a", "out/keep.yaml", "out/d/a", "x/out/a", "x/d/e/a",
    ".deploy/a", ".deploy/d/b", "deploy/a",
    "foo/bar/baz", "foo/x/bar", "foo/x/y/bar", "bar", "foobar/a", "1.log", "d/12.log",
)  # fmt: skip
FOLDERS = sorted({str(parent) for path in PATHS for parent in Path(path).parents if str(parent) != "."})

TEXTS = [
    "a", "/a", "a/", "/a/", "*", "*\n!a", "*\n!*/\n!*.yaml", "/*\n!/d", "/*\n!/d/", "*.yaml", "!*.yaml",
    "*.yaml\n!a.yaml", "*.yaml\n!d/a.yaml", "d", "d/", "/d/", "d/*", "d/*\n!d/a", "d/**", "d/**\n!d/e/",
    "**/a", "**/d/a", "**/e/**", "**/", "/**", "**", "a/**", "foo/**/bar", "**/bar", "foo/*/bar", "foo/**",
    "foo**bar", "foo/**bar", "f**/bar", "**foo", "out/\n!out/keep.yaml", "out/*\n!out/keep.yaml",
    "out\n!out", "d/e", "/d/e", "e/f", "e/f/", "**/e/f", "#a", "\\#a", "\\!a", "!a", "# a\n\na", "a ", "a\\ ",
    "a  ", "a\t", "a b.yaml", "a\\ b.yaml", "[a]", "\\[a\\]", "[ab]", "[!a]", "[^a]", "[a-b].yaml", "[]]",
    "[!]]", "[]-]", "[]a]", "[a", "a]", "[[:alpha:]]", "[[:digit:]]*.log", "[[:upper:]]*", "[a-]", "[]",
    "[[:bogus:]]", "[z-a]", "a\\*b", "a*b", "a?b", "a\\?b", "a\\\\b", "a\\b", "\\a", "a\\", "\\", "?", "??",
    "*.*", "*.y?ml", "ü.yaml", "*ü*", "\\ü.yaml", "/", "//", "///a", "./a", "../a", "d//a", "/d/../a", "!",
    "!/", "!!a", "a\r\nb\r\n", "a\r", "\ufeffa", "a\nb\n!a\na\n!b", "-", "d/e/f/../a", "d/*/a", "d/?/a",
    "*/a", "*/*", "*/*/*", "**/*", "**/*.yaml", "**/d/**/a", "d/**/a", "/d/**/a", "/**/a", "**/**/a",
    "d/**/**/a", "***", "d/***/a", "a**", "**a", "*a*", "x/**/a", "x/**/", "/x/**/", "foo/", "foo/bar/",
    "*.log", "[0-9].log", "[0-9]*.log", "d/*.log", "\\*", "a.yaml\n!A.yaml", "*\n!/foo/\n!/foo/**",
    "/*\n!/foo\n/foo/*\n!/foo/bar", "**/foo/bar", "foo/bar/baz/", "foo/bar/*", "foo/*", "!foo", "d/*/",
    "a\x0bb", "a\x0c", "\x0c", " a", " ", "\t", "  \na", "!\\!a", "\\\\", "[\\]a]", "[\\a]", "[a\\-z]",
    "[,-.]", "d/e/*", "[[:a]", "[[:alpha:]", "[[:alpha:]-z]", "[a-[:alpha:]]", "[[.a.]]", "a\\  ", "a\\\\ ",
    "d/**\\/a",
    "[!/]a", "d[/]a", "d?a", "d/[!b]", "[*]", "a[*]b", "a[?]b", "\\-", "[--a]", "out/**/a", "*/", "!*/",
    "a\rb", "a\r\0b", "a\0b", "a\0\r", "\0a", "a \0b", "!\0", "*\n!a\0x", "a\rb\r", "b\ra\nd", "a\0\nb",
    "d/\0",
]  # fmt: skip


@pytest.fixture(scope="session")
def work_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("git")
    for path in PATHS:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")
    git(root, "init", "-q")
    return root


def git(root: Path, *arguments: str, stdin: bytes = b"") -> bytes:
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(
        ["git", *arguments], cwd=root, env=env, input=stdin, capture_output=True, check=False
    )
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


def ignored_by_git(root: Path, folder: str = ".") -> set[str]:
    """List what git ignores of the paths, relative to a folder of the work tree."""
    prefix = "" if folder == "." else f"{folder}/"
    asked = [path.removeprefix(prefix) for path in (*PATHS, *FOLDERS) if path.startswith(prefix)]
    stdin = b"".join(os.fsencode(path) + b"\0" for path in asked)
    out = git(root / folder, "check-ignore", "--no-index", "-z", "--stdin", stdin=stdin)
    return {os.fsdecode(path) for path in out.split(b"\0") if path}


def ignored_by_us(root: Path, folder: str = ".") -> set[str]:
    prefix = "" if folder == "." else f"{folder}/"
    rules = IgnoreFiles(root / folder).matcher()
    found = set()
    for path in (*PATHS, *FOLDERS):
        inside = path.removeprefix(prefix)
        if path.startswith(prefix) and rules.hidden_by(inside, is_dir=path in FOLDERS):
            found.add(inside)
    return found


def write_rules(root: Path, texts: Mapping[str, str]) -> None:
    for file in (*root.rglob(".gitignore"), root / ".git" / "info" / "exclude"):
        file.unlink(missing_ok=True)
    for path, text in texts.items():
        (root / path).write_bytes(text.encode())


@pytest.mark.parametrize("text", TEXTS)
def test_a_file_of_rules_means_what_it_means_to_git(work_tree: Path, text: str) -> None:
    write_rules(work_tree, {".gitignore": text})
    assert ignored_by_us(work_tree) == ignored_by_git(work_tree)


PATTERNS = st.one_of(
    st.sampled_from([text for text in TEXTS if "\n" not in text]),
    st.lists(
        st.sampled_from(["a", "b", "d", "e", "*", "**", "/", "?", "!", ".yaml", "[ab]", "out"]), max_size=5
    ).map("".join),
)
RULES = st.lists(PATTERNS, max_size=4).map("\n".join)
PLACES = st.sampled_from(
    [".gitignore", "d/.gitignore", "d/e/.gitignore", "out/.gitignore", ".git/info/exclude"]
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.dictionaries(PLACES, RULES, max_size=4))
def test_rules_at_every_level_add_up_as_they_do_in_git(work_tree: Path, texts: dict[str, str]) -> None:
    write_rules(work_tree, texts)
    assert ignored_by_us(work_tree) == ignored_by_git(work_tree)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.dictionaries(PLACES, RULES, max_size=4))
def test_rules_above_a_root_count_within_it(work_tree: Path, texts: dict[str, str]) -> None:
    write_rules(work_tree, texts)
    assert ignored_by_us(work_tree, "d") == ignored_by_git(work_tree, "d")


@pytest.mark.parametrize("text", ["/deploy/a", "/.deploy/a", "deploy", ".deploy/d/", "/*/a", ".*/d/b"])
def test_rules_above_a_root_with_a_dot_in_its_name_count_within_it(work_tree: Path, text: str) -> None:
    write_rules(work_tree, {".gitignore": text})
    assert ignored_by_us(work_tree, ".deploy") == ignored_by_git(work_tree, ".deploy")


WORDS = st.lists(
    st.sampled_from(["a", "b", "/", "/a/", "a/b", "aab", ".", "\n", "\\"]), min_size=1, max_size=8
).map("".join)
WILD = st.lists(
    st.sampled_from(
        [
            "a",
            "b",
            "/",
            "*",
            "**",
            "**/",
            "/**",
            "/**/",
            "**\\/",
            "?",
            "[ab]",
            "[!a]",
            "\\a",
            "\\/",
            "a*",
            "*b",
        ]
    ),
    min_size=1,
    max_size=10,
).map("".join)


def named(word: str) -> str:
    """Make a path that can be on a disk: no empty names, no dots alone."""
    names = [name for name in word.split("/") if name.strip(".")]
    return "/".join(names)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pattern=WILD,
    paths=st.lists(WORDS.map(named).filter(bool), min_size=1, max_size=40, unique=True).map(sorted),
)
def test_wildcards_in_any_order_match_what_they_match_in_git(
    empty_tree: Path, pattern: str, paths: list[str]
) -> None:
    (empty_tree / ".gitignore").write_bytes(pattern.encode())
    stdin = b"".join(os.fsencode(path) + b"\0" for path in paths)
    out = git(empty_tree, "check-ignore", "--no-index", "-z", "--stdin", stdin=stdin)
    rules = IgnoreFiles(empty_tree).matcher()
    assert {path for path in paths if rules.hidden_by(path)} == set(os.fsdecode(out).split("\0")) - {""}


@pytest.fixture(scope="session")
def empty_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("empty")
    git(root, "init", "-q")
    return root


TRACKED = ("a.yaml", "d/a", "d/e/b.yaml", "out/keep.yaml", "x/d/e/a", "ü.yaml", "a b.yaml", "1.log")
RULES_FOR_ALL = ["*", "*.yaml", "d/", "d", "/d/*", "out/", "e", "*\n!*/", "x/", "/x/d", "[a-z]*", "!*"]
INDEX_KINDS = {
    "2": ["-c", "index.version=2"],
    "3": ["-c", "index.version=3"],
    "4": ["-c", "index.version=4"],
}


def make_tree(root: Path, *init: str) -> None:
    for path in PATHS:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")
    git(root, "init", "-q", *init)


def not_ignored(root: Path) -> set[str]:
    """List the files that git tracks, or would add."""
    out = git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    return {os.fsdecode(path) for path in out.split(b"\0") if path} - {".gitignore"}


def kept_by_us(root: Path, paths: tuple[str, ...]) -> set[str]:
    rules = IgnoreFiles(root).matcher()
    return {path for path in paths if rules.hidden_by(path) is None}


@pytest.mark.parametrize("text", RULES_FOR_ALL)
@pytest.mark.parametrize("version", INDEX_KINDS)
def test_what_git_tracks_is_ignored_by_no_rule_of_git(tmp_path: Path, version: str, text: str) -> None:
    make_tree(tmp_path)
    git(tmp_path, *INDEX_KINDS[version], "add", "-f", *TRACKED)
    git(tmp_path, "update-index", f"--index-version={version}")
    git(tmp_path, "add", "-N", "-f", "d/b")
    (tmp_path / ".gitignore").write_text(text)
    assert kept_by_us(tmp_path, PATHS) == not_ignored(tmp_path)
    assert set(TRACKED) < kept_by_us(tmp_path, PATHS)


def test_what_a_repository_with_longer_object_names_tracks_is_ignored_by_no_rule(tmp_path: Path) -> None:
    make_tree(tmp_path, "--object-format=sha256")
    git(tmp_path, "add", "-f", *TRACKED)
    (tmp_path / ".gitignore").write_text("*")
    assert kept_by_us(tmp_path, PATHS) == not_ignored(tmp_path) == set(TRACKED)


def test_what_is_tracked_no_more_is_ignored_again(tmp_path: Path) -> None:
    make_tree(tmp_path)
    git(tmp_path, "add", "-f", *TRACKED)
    (tmp_path / ".gitignore").write_text("*")
    rules = IgnoreFiles(tmp_path)
    assert rules.matcher().hidden_by("a.yaml") is None
    git(tmp_path, "rm", "-q", "--cached", "a.yaml")
    assert rules.matcher().hidden_by("a.yaml") is not None


def test_in_another_work_tree_its_own_index_counts(tmp_path: Path) -> None:
    main, other = tmp_path / "main", tmp_path / "other"
    main.mkdir()
    make_tree(main)
    git(main, "-c", "user.name=n", "-c", "user.email=e@x", "commit", "-q", "--allow-empty", "-m", "m")
    git(main, "worktree", "add", "-q", str(other))
    (other / "a.yaml").touch()
    (other / "b.yaml").touch()
    git(main, "add", "-f", "b.yaml")
    git(other, "add", "-f", "a.yaml")
    (other / ".gitignore").write_text("*")
    assert kept_by_us(other, PATHS) == not_ignored(other) == {"a.yaml"}


def test_in_a_submodule_below_an_ignored_folder_its_own_rules_count(tmp_path: Path) -> None:
    source, root = tmp_path / "source", tmp_path / "root"
    person = ["-c", "user.name=n", "-c", "user.email=e@x", "-c", "protocol.file.allow=always"]
    source.mkdir()
    root.mkdir()
    for path in ("a.yaml", "b.log", "c.log", "d/a.yaml"):
        (source / path).parent.mkdir(exist_ok=True)
        (source / path).touch()
    (source / ".gitignore").write_text("*.log\n")
    git(source, "init", "-q")
    git(source, "add", "-f", ".gitignore", "a.yaml", "b.log", "d/a.yaml")
    git(source, *person, "commit", "-q", "-m", "m")
    git(root, "init", "-q")
    git(root, *person, "submodule", "--quiet", "add", "--force", str(source), "vendor/sub")
    (root / ".gitignore").write_text("vendor/\n*.yaml\n")
    (root / "vendor/sub/c.log").touch()
    (root / "vendor/x").touch()
    inside = ("a.yaml", "b.log", "c.log", "d/a.yaml")
    kept = kept_by_us(root, (*(f"vendor/sub/{path}" for path in inside), "vendor/sub", "vendor", "vendor/x"))
    assert not_ignored(root / "vendor/sub") == {"a.yaml", "b.log", "d/a.yaml"}
    below = {f"vendor/sub/{path}" for path in not_ignored(root / "vendor/sub")}
    assert kept == {"vendor", "vendor/sub", *below}
