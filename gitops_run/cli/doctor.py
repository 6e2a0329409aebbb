"""`doctor`: what is wrong with a laptop or a cluster, and what to do."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Final

import anyio
import click

from gitops_run.api.doctor import doctor as api_doctor
from gitops_run.cli.basics import json_flag
from gitops_run.cli.caller import this_caller
from gitops_run.cli.hints import completed_here
from gitops_run.cli.options import flag_source, settings_flags
from gitops_run.cli.output import print_json
from gitops_run.cli.signals import until_interrupted
from gitops_run.cli.terminal import marks_for, painted
from gitops_run.cli.text import lines_after
from gitops_run.model.platform.diagnosis import Finding, Level, exit_code
from gitops_run.model.session.settings import Source

KEYS: Final = ("kubeconfig", "context", "allowContexts", "allowUnlockedFlux")


@click.command()
@settings_flags(*KEYS)
@json_flag
def doctor(output: str, **flags: object) -> None:
    """Check this machine and its cluster, and say for each finding what to do.

    Ends with 0 where nothing keeps sessions from working, else with the exit code of the first problem.
    """
    findings = anyio.run(until_interrupted, _check, flag_source(flags), output)
    if output == "json":
        print_json([asdict(one) for one in findings])
    click.get_current_context().exit(exit_code(findings))


async def _check(said: Source, output: str) -> list[Finding]:
    found = []
    async for finding in api_doctor(said, this_caller()):
        found.append(finding)
        if output != "json":
            _print(finding)
    return found


def _print(finding: Finding) -> None:
    marks = marks_for(sys.stdout)
    mark = {Level.OK: marks.good, Level.WARNING: marks.note, Level.PROBLEM: marks.bad}[finding.level]
    click.echo(painted(lines_after(mark, f"{finding.area} {finding.check}: {finding.message}"), sys.stdout))
    if finding.hint:
        click.echo(lines_after(" ", completed_here(finding.hint)))
