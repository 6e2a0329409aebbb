"""What every command has, without anything that takes time to import."""

from __future__ import annotations

import click

json_flag = click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", help="The output format."
)


def help_without_command() -> None:
    """Show a group's help where no command of it was named."""
    context = click.get_current_context()
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
