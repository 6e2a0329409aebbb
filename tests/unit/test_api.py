"""What the room without a terminal leaves to its callers."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import gitops_run.api

MODULES = sorted(Path(gitops_run.api.__file__).parent.glob("*.py"))
CALLERS_OWN = {"environ", "getenv", "cwd", "getcwd", "chdir", "expanduser", "home"}
"""Of os and Path: what belongs to a process, of which one may serve several callers."""
PRINTING = {"print", "input"}
STREAMS = {"stdin", "stdout", "stderr", "argv"}


def taken_by(source: str) -> set[str]:
    """List the names by which a module reads what is a caller's, or prints."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in CALLERS_OWN | STREAMS:
            found.add(node.attr)
        elif isinstance(node, ast.Name) and node.id in PRINTING:
            found.add(node.id)
        elif isinstance(node, ast.ImportFrom) and node.module in {"os", "sys"}:
            found |= {alias.name for alias in node.names} & (CALLERS_OWN | STREAMS)
    return found


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_the_api_reads_nothing_of_its_process_and_prints_nothing(module: Path) -> None:
    assert taken_by(module.read_text(encoding="utf-8")) == set()


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("import os\nos.environ['HOME']", "environ"),
        ("from os import getenv", "getenv"),
        ("from pathlib import Path\nPath.cwd()", "cwd"),
        ("print('done')", "print"),
        ("import sys\nsys.stderr.write('done')", "stderr"),
    ],
)
def test_what_belongs_to_the_process_is_recognised(source: str, name: str) -> None:
    assert taken_by(source) == {name}
