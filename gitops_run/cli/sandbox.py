"""The commands of the sandbox: a control plane without a cluster."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import click

from gitops_run.cli.basics import help_without_command, json_flag
from gitops_run.cli.output import note, ok, print_json
from gitops_run.cli.table import print_table
from gitops_run.cli.text import for_terminal
from gitops_run.errors import NotFound, UsageError
from gitops_run.sandbox import lifecycle, state
from gitops_run.sandbox.environment import shell_lines, with_stand_in
from gitops_run.sandbox.export import export as write_archive
from gitops_run.sandbox.journal import log_tail
from gitops_run.sandbox.node.importing import import_archive
from gitops_run.sandbox.pulumi_plugin import has_kubernetes_plugin
from gitops_run.sandbox.status import SandboxStatus, status_of

AUTO = "auto"
_LOG_LINES_SHOWN = 3

Command = TypeVar("Command", bound=Callable[..., Any])

_base = click.option(
    "--state-dir",
    "base",
    type=click.Path(path_type=Path, file_okay=False),
    help=f"The folder of all sandboxes. [env: {state.STATE_DIR_VARIABLE}]",
)


def _which(command: Command) -> Command:
    """Add the options that select a sandbox."""
    name = click.option("--name", default=state.DEFAULT_NAME, show_default=True, help="Which sandbox.")
    return name(_base(command))


@click.group(invoke_without_command=True)
def sandbox() -> None:
    """Run a control plane on this machine: Kubernetes, Flux and an S3 store."""
    help_without_command()


@sandbox.command()
@_which
@click.option(
    "--node",
    type=click.Choice([AUTO, *(kind.value for kind in state.NodeKind)]),
    default=AUTO,
    show_default=True,
    help="Run pods in containers (real), or only simulate them.",
)
def start(name: str, base: Path | None, node: str) -> None:
    """Start a sandbox; the first time, build its programs."""
    began = time.monotonic()
    started = lifecycle.start(name, base, note, None if node == AUTO else state.NodeKind(node))
    ok(f"sandbox {name} is ready after {time.monotonic() - began:.1f} s: context {started.context}")
    note(f'to use it here: eval "$(gitops-run sandbox env --name {name})"')
    if started.node is state.NodeKind.REAL:
        note("then install Flux in the cluster: gitops-run platform up")


@sandbox.command()
@_which
def stop(name: str, base: Path | None) -> None:
    """Stop all processes of a sandbox, and keep its state."""
    lifecycle.stop(name, base)
    ok(f"sandbox {name} is stopped; its state is kept in {state.load(name, base).folder}")
    note(f"to continue it: gitops-run sandbox start --name {name}")
    note(f"to remove its state too: gitops-run sandbox delete --name {name}")


@sandbox.command()
@_which
def delete(name: str, base: Path | None) -> None:
    """Stop a sandbox and remove its state: its cluster, its buckets and its keys.

    What sessions in it have on this machine stays until `gitops-run down NAME --cluster-gone`.
    """
    ok(f"sandbox {name} is deleted, with everything in {lifecycle.delete(name, base)}")


@sandbox.command(name="list")
@_base
@json_flag
def list_sandboxes(base: Path | None, output: str) -> None:
    """List the sandboxes of this machine, running or not."""
    found = sorted(state.known_sandboxes(state.sandboxes_folder(base)), key=lambda one: one.name)
    rows = [(one, lifecycle.is_up(one.folder)) for one in found]
    if output == "json":
        print_json([{**_identity(one), "up": is_up} for one, is_up in rows])
    elif not rows:
        note("there are no sandboxes; to start one: gitops-run sandbox start")
    else:
        print_table(
            ("NAME", "STATE", "NODE", "CONTEXT", "FOLDER"),
            [
                (one.name, "running" if is_up else "stopped", one.node, one.context, str(one.folder))
                for one, is_up in rows
            ],
        )


@sandbox.command()
@_which
@json_flag
def status(name: str, base: Path | None, output: str) -> None:
    """Show the state of each part, and the origin of each program."""
    found = status_of(name, base)
    if output == "json":
        print_json(_status_document(found))
        return
    running = "running" if found.is_up else "stopped"
    click.echo(f"sandbox {name} is {running}; its node is {found.sandbox.node}")
    click.echo(f"its state is kept in {found.sandbox.folder}")
    for part in found.parts:
        memory = f"{part.memory_mb:.0f} MB" if part.memory_mb else ""
        restarts = f"restarts {part.restarts}" if part.restarts else ""
        click.echo(f"  {part.name:<24}{part.state:<9}{part.pid or '':<9}{memory:<9}{restarts}".rstrip())
    for crash in found.crashes:
        click.echo(f"{crash['time']} {crash['part']} ended with exit code {crash['exit_code']}")
        for line in crash["log"].splitlines()[-_LOG_LINES_SHOWN:]:
            click.echo(for_terminal(f"  | {line}"))
    for program in found.programs:
        click.echo(f"{program.name:<24}{program.origin}: {program.path}")


@sandbox.command()
@_which
@click.option("--lines", default=50, show_default=True, help="The number of lines from the end of each log.")
@click.argument("parts", nargs=-1)
def logs(name: str, base: Path | None, lines: int, parts: tuple[str, ...]) -> None:
    """Show the end of the logs, of all parts or of the named ones."""
    folder = state.load(name, base).folder
    known = sorted(path.stem for path in (folder / "logs").glob("*.log"))
    for part in parts or known:
        if part not in known:
            raise NotFound(f"the sandbox has no part {part!r}", hint=f"one of: {', '.join(known)}")
        for line in log_tail(folder, part, lines).splitlines():
            click.echo(for_terminal(line if len(parts) == 1 else f"{part}: {line}"))


@sandbox.command()
@_which
def kubeconfig(name: str, base: Path | None) -> None:
    """Print the path of the sandbox's kubeconfig."""
    click.echo(state.load(name, base).kubeconfig)


@sandbox.command()
@_which
@json_flag
def env(name: str, base: Path | None, output: str) -> None:
    """Print the environment for using the sandbox, for a shell to evaluate."""
    found = with_stand_in(state.load(name, base), has_plugin=has_kubernetes_plugin(os.environ))
    if output == "json":
        print_json(found.env)
    else:
        click.echo(shell_lines(found))


@sandbox.command()
@_which
@click.argument("archive", type=click.Path(path_type=Path, dir_okay=False))
def load(name: str, base: Path | None, archive: Path) -> None:
    """Import an image, as `docker save` writes it, for the pods of a real node."""
    found = state.load(name, base)
    if found.node is not state.NodeKind.REAL:
        raise UsageError(f"sandbox {name} has a simulated node: no image is ever run there")
    for image in import_archive(found, archive.absolute()):
        click.echo(image)


@sandbox.command()
@_which
@click.argument("archive", type=click.Path(path_type=Path, dir_okay=False), required=False)
def export(name: str, base: Path | None, archive: Path | None) -> None:
    """Write logs, events and Flux's objects into one archive, with the values of secrets masked."""
    target = archive or Path(f"{state.context_name(name)}.tar.gz")
    write_archive(state.load(name, base), target)
    click.echo(target)


def _identity(found: state.Sandbox) -> dict[str, Any]:
    return {
        "name": found.name,
        "folder": str(found.folder),
        "context": found.context,
        "node": found.node,
    }


def _status_document(found: SandboxStatus) -> dict[str, Any]:
    return {
        **_identity(found.sandbox),
        "up": found.is_up,
        "ports": dict(found.sandbox.ports),
        "parts": [asdict(part) for part in found.parts],
        "programs": [asdict(program) for program in found.programs],
        "crashes": [dict(crash) for crash in found.crashes],
    }
