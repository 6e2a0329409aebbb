"""No module and no function grows beyond what one reads at once, except the tables that are named here."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).parents[2]
CODE = ("gitops_run", "platform", "examples", "benchmarks", "image", "tests")
MODULE_LINES = 400
TEST_MODULE_LINES = 600
"""A module of tests is a list of cases of one subject."""
FUNCTION_LINES = 40
DEFINITION = re.compile(r"( *)(?:(async def|def) |class |@|[A-Z_]+(?:: .*)? = )")

LONG_MODULES = {
    "tests/fakes.py": "small implementations of all ports of the loop, which know each other",
    "tests/generated/features.py": "a table of what a kustomization can have",
}
LONG_FUNCTIONS = {
    "gitops_run/adapters/cluster/states.py session_kinds": "a table of the collections that are watched",
    "gitops_run/cli/render.py lines": "a table of events and their lines",
    "gitops_run/model/platform/admission.py _parts_policy": "a table: the rules of one policy",
    "gitops_run/model/state/record.py _folded": "a table: what each event changes",
    "gitops_run/model/session/limits.py time_policy": "a table: the rules of one policy",
    "gitops_run/sandbox/node/configuration.py kubelet": "a table: the kubelet's configuration",
}


def modules() -> Iterator[tuple[str, str]]:
    for folder in CODE:
        for path in sorted((PROJECT / folder).rglob("*.py")):
            yield path.relative_to(PROJECT).as_posix(), path.read_text()


def limit_of(module: str) -> int:
    return TEST_MODULE_LINES if Path(module).name.startswith("test_") else MODULE_LINES


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines of a function from its name to its end, without its docstring."""
    docstring = function.body[0] if ast.get_docstring(function, clean=False) is not None else None
    spent = (docstring.end_lineno or 0) - docstring.lineno + 1 if docstring else 0
    return (function.end_lineno or 0) - function.lineno + 1 - spent


def may_have_long_functions(text: str) -> bool:
    """Say whether any function is further than the limit from the next statement that is not within it.

    Parsing all modules takes seconds, and this leaves few of them.
    """
    lines = text.splitlines()
    open_since: list[tuple[int, int]] = []
    for number, line in enumerate([*lines, "def end"]):
        if match := DEFINITION.match(line):
            indent = len(match[1])
            while open_since and open_since[-1][0] >= indent:
                if number - open_since.pop()[1] > FUNCTION_LINES:
                    return True
            if match[2]:
                open_since.append((indent, number))
    return False


def long_functions(module: str, text: str) -> Iterator[str]:
    if not may_have_long_functions(text):
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and lines_of(node) > FUNCTION_LINES:
            yield f"{module} {node.name}"


def test_no_module_is_long_but_those_with_a_reason() -> None:
    found = {module for module, text in modules() if text.count("\n") > limit_of(module)}
    assert found == LONG_MODULES.keys(), "divide what is new here; remove from the list what got shorter"


def test_no_function_is_long_but_those_with_a_reason() -> None:
    found = {name for module, text in modules() for name in long_functions(module, text)}
    assert found == LONG_FUNCTIONS.keys(), "divide what is new here; remove from the list what got shorter"


def test_a_long_function_is_found_wherever_it_is() -> None:
    body = "".join(f"            a = {number}\n" for number in range(FUNCTION_LINES))
    head = "class A:\n    def short(self): ...\n\n    async def outer(self):\n        def inner():\n"
    text = f"{head}{body}\nX = 1\n"
    assert set(long_functions("m", text)) == {"m outer", "m inner"}
    assert not list(long_functions("m", text.replace(body, "            a = 1\n" * (FUNCTION_LINES - 2))))
