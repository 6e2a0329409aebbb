"""A .helmignore hides what Helm passes over."""

from __future__ import annotations

import pytest

from gitops_run.model.tree.helm_ignore import helm_rules


@pytest.mark.parametrize(
    ("rules", "path", "kind", "expected"),
    [
        ("", "templates/a.yaml", "file", "seen"),
        ("", "templates/.hidden", "file", "hidden"),
        ("# a.yaml\n\n", "a.yaml", "file", "seen"),
        ("\ufeffa.yaml", "sub/a.yaml", "file", "hidden"),
        ("sub/", "templates/sub", "folder", "hidden"),
        ("sub/", "templates/sub", "file", "seen"),
        ("/a.yaml", "sub/a.yaml", "file", "seen"),
        ("/a.yaml", "a.yaml", "file", "hidden"),
        ("templates/*.txt", "templates/a.txt", "file", "hidden"),
        ("templates/*.txt", "templates/sub/a.txt", "file", "seen"),
        ("!*.yaml", "a.txt", "file", "hidden"),
        ("!*.yaml", "a.yaml", "file", "seen"),
        (" *.txt ", "a.txt", "file", "hidden"),
    ],
)
def test_the_first_rule_that_matches_hides(rules: str, path: str, kind: str, expected: str) -> None:
    is_hidden = helm_rules(rules).hides(path, is_dir=kind == "folder")
    assert is_hidden is (expected == "hidden")
