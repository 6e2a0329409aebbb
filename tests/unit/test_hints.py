"""Every hint in the source works as typed: it is collected there and parsed by the real commands."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest

import gitops_run
from gitops_run.cli.app import cli
from gitops_run.cli.diff import print_difference
from gitops_run.cli.output import event_stream
from gitops_run.errors import GitOpsRunError
from gitops_run.flows.judgement import Preflight
from gitops_run.model.session.commands import COMMAND, Place, completed
from gitops_run.model.state.events import SaveBroken
from gitops_run.model.text.problem import Problem

SOURCE = Path(gitops_run.__file__).parent
PLACE = Place(name="web", root="/home/al/my app", target="deploy", cluster=("--context", "kind-dev"))
NO_HINTS = (
    "# Written by gitops-run",
    "an older gitops-run created",
    "a user who may create sessions can: ",
    "gitops-run bucket",
    "gitops-run sandbox web",
)
"""Texts that only look like a command."""
FILLED = {"wanted": "real"}
"""What a variable of a hint is filled with here, where that isn't a name."""
LEFT_TO_A_PERSON = {"DIR", "DURATION", "FILE", "NAMESPACE", "REVISION", "TEXT", "URL"}
"""What nobody but the person who reads a hint can know."""
OTHER_COMMAND = re.compile(r"(?:: |; |then |^)(kubectl|pulumi|flux|helm|go) (?!is |failed)([a-z]+)")
OTHERS = {
    "kubectl": {"auth", "config", "get", "patch", "rollout"},
    "pulumi": {"config", "destroy", "login", "plugin", "refresh", "stack", "state", "up"},
    "flux": {"install"},
    "helm": {"dependency", "history", "rollback", "uninstall"},
    "go": {"install"},
}
"""Commands of other programs that hints may name: each was typed once by hand."""


@cache
def texts() -> tuple[tuple[str, str], ...]:
    """List every text in the source that isn't a docstring, with its place; what is filled in is web."""
    return tuple(
        (f"{path.relative_to(SOURCE)}:{line}", text)
        for path in sorted(SOURCE.rglob("*.py"))
        for line, text in _texts_of(ast.parse(path.read_text(encoding="utf-8")))
    )


def _texts_of(node: ast.AST) -> Iterator[tuple[int, str]]:
    if isinstance(node, ast.JoinedStr):
        yield node.lineno, "".join(_filled(part) for part in node.values)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.lineno, node.value
    else:
        for part in ast.iter_child_nodes(node):
            is_docstring = isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant)
            if not is_docstring:
                yield from _texts_of(part)


def _filled(part: ast.expr) -> str:
    if isinstance(part, ast.Constant):
        return str(part.value)
    return FILLED.get(ast.unparse(part.value) if isinstance(part, ast.FormattedValue) else "", "web")


def commands() -> dict[str, str]:
    return {
        f"{place} {found.group().strip()}": found.group().strip()
        for place, text in texts()
        if not any(known in text for known in NO_HINTS)
        for found in COMMAND.finditer(text)
    }


def parse(words: list[str]) -> None:
    """Parse a command line with the real commands, without running it. Raises click's errors."""
    command: click.Command = cli
    context = click.Context(cli, info_name=words.pop(0))
    while isinstance(command, click.Group):
        found = command.get_command(context, words[0])
        if found is None:
            raise click.UsageError(f"no command {words[0]}")
        context = (
            found.make_context(words[0], words[1:], parent=context)
            if not isinstance(found, click.Group)
            else click.Context(found, info_name=words[0], parent=context)
        )
        command, words = found, words[1:]


def problem(command: str) -> str:
    """Say why the command of a hint can't be typed; "" where it can."""
    shown = completed(command, PLACE)
    if left := set(re.findall(r"\b[A-Z]{3,}\b", shown)) - LEFT_TO_A_PERSON:
        return f"{shown}: nothing replaces {sorted(left)}"
    try:
        parse(shlex.split(shown))
    except click.ClickException as error:
        return f"{shown}: {error.format_message()}"
    return ""


@pytest.mark.parametrize("command", ["gitops-run undo ANY", "gitops-run delete web", "gitops-run up --no"])
def test_a_command_that_cannot_be_typed_would_be_found(command: str) -> None:
    assert problem(command)


def test_the_commands_of_all_hints_can_be_typed() -> None:
    found = commands()
    assert len(found) > 40
    assert {place: problem(command) for place, command in found.items() if problem(command)} == {}


def test_a_command_of_another_program_is_one_that_is_known() -> None:
    named = {(found[1], found[2]) for _, text in texts() for found in OTHER_COMMAND.finditer(text)}
    assert {(program, verb) for program, verb in named if verb not in OTHERS[program]} == set()


def test_a_hint_gets_the_name_the_place_and_the_flags_that_led_there_quoted() -> None:
    place = Place(
        name="web", root="/a b/c", target="d", given=("--context", "my prod", "--allow-contexts", "my prod")
    )
    hint = "bring it back, or: gitops-run down NAME, then gitops-run up NAME PATH; that is all"
    flags = "--context 'my prod' --allow-contexts 'my prod'"
    assert completed(hint, place) == (
        f"bring it back, or: gitops-run down web {flags}, "
        f"then gitops-run up web '/a b/c/d' --root '/a b/c' {flags}; that is all"
    )


def test_list_is_told_the_cluster_that_a_session_s_stack_file_names() -> None:
    place = Place(name="web", cluster=("--context", "kind-dev"))
    assert (
        completed("to list them: gitops-run list", place)
        == "to list them: gitops-run list --context kind-dev"
    )


def test_a_hint_without_a_command_of_ours_stays_as_it_is() -> None:
    assert completed("check NAME in gitops-run's log", PLACE) == "check NAME in gitops-run's log"


def test_the_hint_of_an_error_is_completed_by_what_its_command_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubeconfig = tmp_path / "kube config"
    kubeconfig.write_text(
        "clusters: [{name: a, cluster: {server: 'https://127.0.0.1:1'}}]\n"
        "contexts: [{name: kind-a, context: {cluster: a}}]\n"
    )
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    arguments = ["history", "web", "--context", "kind-a", "--kubeconfig", str(kubeconfig)]
    with pytest.raises(GitOpsRunError) as failed:
        cli.main(arguments, prog_name="gitops-run", standalone_mode=False)
    assert failed.value.hint.endswith(f"gitops-run sync web --kubeconfig '{kubeconfig}' --context kind-a")


def test_a_difference_and_an_event_complete_their_hints_too(capsys: pytest.CaptureFixture[str]) -> None:
    problem = Problem(message="refused", hint="to end it: gitops-run down NAME")
    broken = SaveBroken(save=1, paths=(), problems=(problem,), times_ms={})
    with click.Context(cli) as context:
        context.meta["gitops_run.place"] = PLACE
        print_difference(Preflight(problems=(problem,)), "run-web")
        event_stream("text", "web").emit(broken)
        event_stream("json", "web").emit(broken)
    printed = capsys.readouterr().out
    assert printed.count("gitops-run down web") == 3
    assert "NAME" not in printed
