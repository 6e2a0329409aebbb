"""The documentation says what is true: its commands parse, its targets, files and exit codes exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from gitops_run import errors
from gitops_run.cli.app import COMMANDS, cli
from gitops_run.errors import INTERRUPTED_EXIT_CODE, GitOpsRunError

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def shell_lines() -> Iterator[str]:
    for document in DOCUMENTS:
        for block in re.findall(r"```sh\n(.*?)```", document.read_text(), re.DOTALL):
            yield from block.splitlines()


def commands_of(program: str) -> list[str]:
    return sorted({line for line in shell_lines() if line.startswith(f"{program} ")})


@pytest.mark.parametrize("line", commands_of("gitops-run"))
def test_a_command_in_the_documentation_is_one_that_exists(line: str) -> None:
    context = click.Context(cli)
    command: click.Command = cli
    arguments = shlex.split(line)[1:]
    while isinstance(command, click.Group):
        name, found, arguments = command.resolve_command(context, arguments)
        assert name is not None
        assert found is not None
        command, context = found, click.Context(found, info_name=name, parent=context)
    command.make_context(line, arguments)


@pytest.mark.parametrize("line", commands_of("make"))
def test_a_make_target_in_the_documentation_is_one_that_exists(line: str) -> None:
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert line.split()[1] in targets


def test_links_in_the_documentation_lead_somewhere() -> None:
    for document in DOCUMENTS:
        for link in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
            assert link.startswith("https://") or (document.parent / link).exists(), (document, link)


def test_every_exit_code_is_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text().partition("Exit codes:")[2].partition("\n\n")[0]
    stated = {int(number) for number in re.findall(r"(\d+) [a-zA-Z]", text)}
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    used = {kind.exit_code for kind in kinds if issubclass(kind, GitOpsRunError)}
    assert stated == used | {0, INTERRUPTED_EXIT_CODE}


def test_every_command_has_its_line_in_the_help() -> None:
    for name, (place, line) in COMMANDS.items():
        assert place.startswith("gitops_run.cli."), name
        assert line.endswith("."), name


def test_files_that_the_architecture_names_exist() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text().partition("```")[2].partition("```")[0]
    names = set(re.findall(r"\b([a-z_]+\.(?:py|yaml))\b", text))
    below = ("gitops_run", "tests", "stacks", "examples")
    existing = {path.name for folder in below for path in (ROOT / folder).rglob("*")}
    existing |= {path.name for path in ROOT.iterdir()}
    assert names <= existing, names - existing
