"""`gitops-run version`: it asks nobody, and imports nothing that would make it slow."""

from __future__ import annotations

import json

import click

from gitops_run.cli.basics import json_flag
from gitops_run.version import VERSION


@click.command()
@json_flag
def version(output: str) -> None:
    """Show the version."""
    click.echo(json.dumps({"version": VERSION}, indent=2) if output == "json" else VERSION)
