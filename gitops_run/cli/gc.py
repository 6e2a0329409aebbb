"""`gitops-run gc`: what sessions have outlived or left behind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import anyio
import click

from gitops_run.api import collector
from gitops_run.cli.basics import json_flag
from gitops_run.cli.caller import this_caller
from gitops_run.cli.hints import completed_here
from gitops_run.cli.options import cluster_settings, settings_flags
from gitops_run.cli.output import note, ok, print_json
from gitops_run.cli.signals import until_interrupted
from gitops_run.cli.table import print_table
from gitops_run.errors import BackendError
from gitops_run.flows.gc import Done
from gitops_run.model.stack.collection import Finding, Kind
from gitops_run.model.text.amounts import counted

_DONE: Final = {
    Kind.REQUESTED: "answered",
    Kind.EXPIRING: "warned in its record",
    Kind.IDLING: "warned in its record",
    Kind.IDLE: "suspended",
    Kind.EXPIRED: "ended",
    Kind.INCOMPLETE: "ended",
    Kind.ORPHAN: "removed",
    Kind.BUCKET: "removed",
    Kind.LOCK: "removed",
}


@click.command()
@click.option("--apply", "is_applied", is_flag=True, help="Apply the changes; without it, only list them.")
@settings_flags("kubeconfig", "context", "allowContexts")
@json_flag
def gc(output: str, *, is_applied: bool, **flags: object) -> None:
    """Carry out requests, suspend idle sessions, end expired ones, and remove what ended ones have left.

    Lists what would be done, and changes nothing, unless --apply is given.
    """
    settings, caller = cluster_settings(flags), this_caller()
    if not is_applied:
        findings = anyio.run(collector.find, settings, caller)
        _show([Done(finding=one) for one in findings], output)
        if findings and output == "text":
            note(completed_here("nothing was changed; to do it: gitops-run gc --apply"))
        return
    done = anyio.run(until_interrupted, collector.apply, settings, caller, _tell)
    if output == "json" or not done:
        _show(done, output)
    failed = [one for one in done if one.error]
    if failed:
        first = failed[0].error
        raise BackendError(
            f"{counted(len(failed), 'finding')} of {len(done)} could not be dealt with",
            hint=first.hint if first else "",
        )


def _tell(done: Done) -> None:
    finding = done.finding
    what = f"session {finding.session}: {finding.reason}"
    if done.error:
        note(f"{what}: {done.error.message}")
    elif done.is_done:
        ok(f"{what}: {_DONE[finding.kind]}")
    else:
        note(f"{what}: left as it is, since it has changed meanwhile")


def _show(done: Sequence[Done], output: str) -> None:
    if output == "json":
        print_json([_to_json(one) for one in done])
    elif not done:
        note("nothing is due, and nothing is left behind")
    else:
        rows = [_row(one.finding) for one in done]
        print_table(("SESSION", "NAMESPACE", "FOUND", "ACTION", "WHY"), rows)


def _row(finding: Finding) -> tuple[str, ...]:
    return (finding.session, finding.namespace, finding.kind, finding.action, finding.reason)


def _to_json(done: Done) -> dict[str, object]:
    finding = done.finding
    return {
        "kind": finding.kind,
        "session": finding.session,
        "namespace": finding.namespace,
        "reason": finding.reason,
        "action": finding.action,
        "done": done.is_done,
        "error": done.error.message if done.error else "",
    }
