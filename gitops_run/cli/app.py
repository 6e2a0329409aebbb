"""The commands, found when they are asked for, and the one place where errors become text and exit codes."""

from __future__ import annotations

import errno
import importlib
import os
import shlex
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click

from gitops_run.cli.basics import help_without_command
from gitops_run.cli.streams import drain, leave, lost, queued_streams
from gitops_run.errors import INTERRUPTED_EXIT_CODE, BackendError, GitOpsRunError, UsageError, ungrouped
from gitops_run.version import VERSION

BUG_OF_DIFF_EXIT_CODE: Final = 70
"""EX_SOFTWARE of sysexits.h."""

HELP_FLAGS: Final = frozenset({"-h", "--help"})
THIS_MACHINE: Final = ("localhost", "127.0.0.1", "::1")

COMMANDS: Final = {
    "diff": ("gitops_run.cli.diff:diff", "Show what a save would change now."),
    "doctor": ("gitops_run.cli.doctor:doctor", "Check this machine and its cluster."),
    "down": ("gitops_run.cli.lifecycle:down", "End a session and prove that nothing of it remains."),
    "extend": ("gitops_run.cli.control:extend", "Let a session live longer."),
    "gc": ("gitops_run.cli.gc:gc", "Suspend idle sessions, end expired ones, and remove leftovers."),
    "history": ("gitops_run.cli.history:history", "List the snapshots that a session can go back to."),
    "list": ("gitops_run.cli.show:list_sessions", "List the sessions of a cluster."),
    "platform": ("gitops_run.cli.platform:platform", "Prepare a cluster for sessions, including Flux."),
    "request": ("gitops_run.cli.request:request", "Ask a session's sync or the collector for something."),
    "resume": ("gitops_run.cli.control:resume", "Apply the saves of a suspended session again."),
    "retry": ("gitops_run.cli.retry:retry", "Check, push and apply the files of a session again."),
    "run": ("gitops_run.cli.run:run", "Create a session on a directory, sync it, and end it."),
    "sandbox": ("gitops_run.cli.sandbox:sandbox", "Run a control plane on this machine."),
    "status": ("gitops_run.cli.show:status", "Show what is live in a session, or why it is not."),
    "suspend": ("gitops_run.cli.control:suspend", "Store the saves of a session without applying them."),
    "sync": ("gitops_run.cli.sync:sync", "Push every save to a session."),
    "ui": ("gitops_run.cli.ui:ui", "Show the sessions of a cluster in a browser."),
    "undo": ("gitops_run.cli.history:undo", "Apply an earlier snapshot of a session again."),
    "up": ("gitops_run.cli.lifecycle:up", "Create or update a session."),
    "wait": ("gitops_run.cli.wait:wait", "Wait until a session is applied, healthy or gone."),
    "version": ("gitops_run.cli.version:version", "Show the version."),
}
"""Imported when called: the SDKs behind them take a second to load, and help needs none of them."""


class _LazyGroup(click.Group):
    def invoke(self, ctx: click.Context) -> object:
        """Run a command; the hint of its error gets what this command knows of the session."""
        try:
            with ungrouped(Exception):
                return super().invoke(ctx)
        except GitOpsRunError as error:
            from gitops_run.cli.hints import place_of  # noqa: PLC0415 - saves 60 ms, see _fail
            from gitops_run.model.session.commands import completed  # noqa: PLC0415 - as above

            error.hint = completed(error.hint, place_of(ctx))
            raise

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command; `run` says first that it begins, since its imports take a second."""
        if args[:1] == ["run"] and not ctx.resilient_parsing and HELP_FLAGS.isdisjoint(args):
            from gitops_run.cli.output import note  # noqa: PLC0415 - saves 60 ms where help is asked for

            note("starting a session; Ctrl-C stops it")
        return super().resolve_command(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in sorted(COMMANDS)])


@click.group(
    cls=_LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": sorted(HELP_FLAGS)},
)
@click.version_option(VERSION, prog_name="gitops-run")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def cli(*, debug: bool) -> None:
    """Start a session on a directory: Flux applies every save to your cluster."""
    del debug
    help_without_command()
    context = click.get_current_context()
    if context.invoked_subcommand in {None, "version"}:
        return
    from gitops_run.adapters.machine.scratch import own_temporary_files  # noqa: PLC0415 - saves 60 ms where help is asked for

    context.with_resource(own_temporary_files(os.environ))


def main() -> None:
    """Run the command line and exit."""
    with queued_streams(), _without_warnings():
        try:
            code = _exit_code()
            drain(None)
            if code == 0 and (error := lost()):
                code = _unexpected(error, is_debug=False)
                drain(None)
        except KeyboardInterrupt:
            leave(INTERRUPTED_EXIT_CODE)
    sys.exit(code)


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Keep what libraries warn their programmers of from people, unless Python was asked for it.

    The Automation API would print a whole event of the engine, with the values in it.
    """
    with warnings.catch_warnings():
        if not sys.warnoptions:
            warnings.simplefilter("ignore")
        yield


def _exit_code() -> int:
    """Run the command line; errors become text and an exit code."""
    is_debug = "--debug" in sys.argv
    _reach_this_machine_straight()
    try:
        _refuse_a_folder_that_is_gone()
        with ungrouped(Exception):
            code = cli.main(standalone_mode=False)
    except GitOpsRunError as error:
        _fail(error.message, error.hint, is_debug=is_debug)
        return error.exit_code
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        help_for = context.command_path if context else "gitops-run"
        _fail(error.format_message(), f"{help_for} --help", is_debug=False)
        return 2
    except click.Abort:
        raise KeyboardInterrupt from None
    except BrokenPipeError:
        return 0
    except Exception as error:  # noqa: BLE001 - the last line of defence
        return _unexpected(error, is_debug=is_debug)
    return code if isinstance(code, int) else 0


def _unexpected(error: Exception, *, is_debug: bool) -> int:
    """Report a full disk as one, and anything else as a bug; return the exit code."""
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        what = f"{error.filename} can't be written" if error.filename else str(error)
        _fail(f"the disk is full: {what}", "make room on it, and try again", is_debug=is_debug)
        return BackendError.exit_code
    _fail(
        f"unexpected error: {type(error).__name__}: {error}",
        f"to see where: gitops-run --debug {shlex.join(sys.argv[1:])}",
        is_debug=is_debug,
    )
    return _bug_exit_code(sys.argv[1:])


def _reach_this_machine_straight() -> None:
    """Keep a proxy out of the way to this machine, here and in what is started; Go's programs do so anyway.

    Both names get the same list, since which of the two counts depends on the library.
    """
    variables = ("NO_PROXY", "no_proxy")
    known = [host for variable in variables for host in os.environ.get(variable, "").split(",") if host]
    os.environ |= dict.fromkeys(variables, ",".join(dict.fromkeys((*known, *THIS_MACHINE))))


def _bug_exit_code(arguments: list[str]) -> int:
    """Choose a bug's exit code: of `diff`, 1 means differences, and must not mean anything else."""
    command = next((argument for argument in arguments if not argument.startswith("-")), "")
    return BUG_OF_DIFF_EXIT_CODE if command == "diff" else GitOpsRunError.exit_code


def _refuse_a_folder_that_is_gone() -> None:
    try:
        Path.cwd()
    except OSError as error:
        raise UsageError("the current folder no longer exists", hint="cd to one that exists") from error


def _fail(message: str, hint: str, *, is_debug: bool) -> None:
    from gitops_run.cli.render import TERMINAL_MARKS  # noqa: PLC0415 - saves 60 ms where nothing fails
    from gitops_run.cli.terminal import marks_for, painted  # noqa: PLC0415 - the same
    from gitops_run.cli.text import lines_after  # noqa: PLC0415 - the same

    if is_debug:
        traceback.print_exc()
    mark = marks_for(sys.stderr).bad
    shown = lines_after(mark if mark == TERMINAL_MARKS.bad else "failed:", message)
    click.echo(painted(shown, sys.stderr), err=True)
    if hint:
        click.echo(lines_after(" ", hint), err=True)
