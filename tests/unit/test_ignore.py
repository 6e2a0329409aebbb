import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitops_run.model.tree.ignore import ignoring, matcher

NO_FILES: dict[str, str] = {}


def test_git_itself_is_never_part_of_a_session() -> None:
    assert matcher(NO_FILES.get).hidden_by(".git/config") is not None


def test_a_rule_names_its_file_and_line() -> None:
    rules = matcher({"a/.gitignore": "# comment\n*.log\n"}.get)
    assert str(rules.hidden_by("a/x.log")) == "*.log in a/.gitignore:2"


def test_a_rule_holds_only_below_its_own_directory() -> None:
    rules = matcher({"a/.gitignore": "*.log\n"}.get)
    assert rules.hidden_by("b/x.log") is None


def test_a_deeper_file_brings_back_what_an_upper_one_ignores() -> None:
    rules = matcher({".gitignore": "*.log\n", "a/.gitignore": "!keep.log\n"}.get)
    assert rules.hidden_by("a/keep.log") is None


def test_nothing_comes_back_from_an_ignored_directory() -> None:
    rules = matcher({".gitignore": "build/\n!build/keep.yaml\n"}.get)
    assert rules.hidden_by("build/keep.yaml") is not None


def test_a_rooted_rule_is_rooted_at_its_own_directory() -> None:
    rules = matcher({"a/.gitignore": "/out.yaml\n"}.get)
    assert rules.hidden_by("a/out.yaml") is not None
    assert rules.hidden_by("a/b/out.yaml") is None


def test_sourceignore_can_not_bring_back_what_git_ignores() -> None:
    rules = matcher({".gitignore": "x.yaml\n", ".sourceignore": "!x.yaml\n"}.get)
    assert rules.hidden_by("x.yaml") is not None


def test_sourceignore_leaves_out_more() -> None:
    assert matcher({".sourceignore": "docs/\n"}.get).hidden_by("docs/a.yaml") is not None


def test_the_exclude_file_of_git_is_the_weakest_rule() -> None:
    rules = matcher({".gitignore": "!x.yaml\n"}.get, git_exclude="*.yaml\n")
    assert rules.hidden_by("x.yaml") is None
    assert rules.hidden_by("y.yaml") is not None


def test_a_directory_rule_spares_a_file_of_that_name() -> None:
    assert matcher({".gitignore": "out/\n"}.get).hidden_by("out") is None


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("a*a*a*a*a*a*a*a*a*b", "a" * 80),
        ("*a" * 10 + "b", "a" * 255),
        ("**/*a*a*a*b/**/*a*a*b/c", "/".join(["a" * 30] * 100)),
        ("**/a/" * 30 + "b", "a/" * 150 + "a"),
        ("/**\\/" * 10 + "x", "a/" * 150 + "y"),
    ],
)
def test_no_pattern_takes_exponential_time(pattern: str, path: str) -> None:
    assert matcher({".gitignore": pattern}.get).hidden_by(path) is None


def test_a_path_of_any_depth_is_decided() -> None:
    assert matcher({".gitignore": "x.yaml"}.get).hidden_by("a/" * 1_100 + "x.yaml") is not None


@settings(max_examples=40, deadline=None)
@given(st.text(st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="/"), min_size=1))
def test_the_line_that_a_hint_names_ignores_that_path_and_no_other(name: str) -> None:
    line = re.search(r"add the line (.*) to \.sourceignore", ignoring(name), re.DOTALL)
    assert line is not None
    texts = {".sourceignore": f"{line[1]}\n"}
    rules = matcher(texts.get)
    assert rules.hidden_by(name) is not None
    # Some names, such as x~, are ignored by rules that always hold.
    no_line: dict[str, str] = {}
    assert rules.hidden_by(f"x{name}") == matcher(no_line.get).hidden_by(f"x{name}")
