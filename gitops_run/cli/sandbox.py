"""The commands of the sandbox: a control plane without a cluster."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import click

from gitops_run.cli.options import json_flag
from gitops_run.cli.output import note, ok, print_json
from gitops_run.cli.text import for_terminal
from gitops_run.errors import NotFound, UsageError
from gitops_run.sandbox import lifecycle, state
from gitops_run.sandbox.environment import shell_lines
from gitops_run.sandbox.export import export as write_archive
from gitops_run.sandbox.journal import log_tail
from gitops_run.sandbox.node.importing import import_archive
from gitops_run.sandbox.status import SandboxStatus, status_of

AUTO = "auto"
_LOG_LINES_SHOWN = 3

Command = TypeVar("Command", bound=Callable[..., Any])


def _which(command: Command) -> Command:
    """Add the options that select a sandbox."""
    command = click.option(
        "--state-dir",
        "base",
        type=click.Path(path_type=Path, file_okay=False),
        help=f"Where sandboxes are kept. [env: {state.STATE_DIR_VARIABLE}]",
    )(command)
    return click.option("--name", default=state.DEFAULT_NAME, show_default=True, help="Which sandbox.")(
        command
    )


@click.group()
def sandbox() -> None:
    """Run a control plane without a cluster: Kubernetes, Flux and an S3 store, on this machine."""


@sandbox.command()
@_which
@click.option(
    "--node",
    type=click.Choice([AUTO, *(kind.value for kind in state.NodeKind)]),
    default=AUTO,
    show_default=True,
    help="Whether pods run in containers, or a simulated node says that they do.",
)
def start(name: str, base: Path | None, node: str) -> None:
    """Start a sandbox; the first time, build its programs."""
    began = time.monotonic()
    started = lifecycle.start(name, base, note, None if node == AUTO else state.NodeKind(node))
    ok(f"sandbox {name} is ready after {time.monotonic() - began:.1f} s: context {started.context}")
    option = "" if name == state.DEFAULT_NAME else f" --name {name}"
    note(f'to use it here: eval "$(gitops-run sandbox env{option})"')
    if started.node is state.NodeKind.REAL:
        note("then bring Flux into the cluster: gitops-run platform up")


@sandbox.command()
@_which
def stop(name: str, base: Path | None) -> None:
    """End every process of a sandbox; its state stays."""
    lifecycle.stop(name, base)
    ok(f"sandbox {name} is stopped; what it holds stays in {state.load(name, base).folder}")


@sandbox.command()
@_which
@json_flag
def status(name: str, base: Path | None, output: str) -> None:
    """Show how each part is, and where each program comes from."""
    found = status_of(name, base)
    if output == "json":
        print_json(_status_document(found))
        return
    condition = f"{'up' if found.is_up else 'not up'}, with a {found.sandbox.node} node"
    click.echo(f"sandbox {name} is {condition}, in {found.sandbox.folder}")
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
@click.option("--lines", default=50, show_default=True, help="How many of each log's last lines.")
@click.argument("parts", nargs=-1)
def logs(name: str, base: Path | None, lines: int, parts: tuple[str, ...]) -> None:
    """Show the end of the logs, of all parts or of those named."""
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
    """Print what a shell needs to use the sandbox, to be evaluated."""
    found = state.load(name, base)
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


def _status_document(found: SandboxStatus) -> dict[str, Any]:
    return {
        "name": found.sandbox.name,
        "folder": str(found.sandbox.folder),
        "context": found.sandbox.context,
        "up": found.is_up,
        "node": found.sandbox.node,
        "ports": dict(found.sandbox.ports),
        "parts": [asdict(part) for part in found.parts],
        "programs": [asdict(program) for program in found.programs],
        "crashes": [dict(crash) for crash in found.crashes],
    }
