"""`list` and `status`: what a cluster says of its sessions."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import anyio
import click

from gitops_run.adapters.cluster.sessions import LiveSession
from gitops_run.api import status as api
from gitops_run.cli.basics import json_flag
from gitops_run.cli.options import CLUSTER_KEYS, cluster_settings, session_settings, settings_flags
from gitops_run.cli.output import note, print_json
from gitops_run.cli.render import counted, duration
from gitops_run.cli.table import print_table
from gitops_run.model.conditions import ApplierStatus
from gitops_run.model.history import short
from gitops_run.model.session import SessionName
from gitops_run.model.session_key import SessionKey
from gitops_run.model.timings import Step, Timings, steps

_BAR_WIDTH = 32
_SHORT_REVISION = len("sha256:") + 12


@click.command(name="list")
@settings_flags("kubeconfig", "context", "allowContexts")
@json_flag
def list_sessions(output: str, **flags: object) -> None:
    """List the sessions of a cluster."""
    settings = cluster_settings(flags)
    sessions = anyio.run(api.list_sessions, settings.require("kubeconfig"), settings.require("context"))
    if output == "json":
        print_json([_to_json(session) for session in sessions])
    elif not sessions:
        note(f"there are no sessions on {settings.context}")
    else:
        print_table(
            ("NAME", "OWNER", "TARGET", "BUCKET", "REVISION", "CREATED"),
            [(s.name, _owner(s), _target(s), s.store, _revision(s), s.created) for s in sessions],
        )


@click.command()
@click.argument("name")
@settings_flags(*CLUSTER_KEYS)
@json_flag
def status(name: str, output: str, **flags: object) -> None:
    """Show what is live in session NAME, or why not."""
    parsed = SessionName.parse(name)
    settings = session_settings(parsed, flags)
    session = anyio.run(api.read_session, SessionKey.of(parsed, settings))
    if output == "json":
        print_json(_to_json(session))
    else:
        print_table(("", ""), status_rows(session))


def _to_json(session: LiveSession) -> dict[str, Any]:
    return {**asdict(session), "timings": _timings_json(session.timings) if session.timings else None}


def _timings_json(timings: Timings) -> dict[str, Any]:
    found: dict[str, Any] = {
        "saves": len(timings.recent_ms),
        "p50_ms": timings.p50_ms,
        "p95_ms": timings.p95_ms,
        "last": None,
    }
    if timings.last is not None:
        waterfall = [asdict(step) for step in steps(timings.last.times_ms)]
        found["last"] = {**asdict(timings.last), "took_ms": timings.last.took_ms, "steps": waterfall}
    return found


def status_rows(session: LiveSession) -> list[tuple[str, ...]]:
    """Write what is live in a session as names and values."""
    applier = session.applier
    rows: list[tuple[str, ...]] = [
        ("session", session.name),
        ("namespace", session.namespace),
        ("owner", _owner(session)),
        ("target", f"{session.root}/{session.target}"),
        ("bucket", session.store),
        ("created", session.created),
        ("synced by", f"{session.writer}, seen {session.renewed}" if session.writer else "nobody"),
        ("fetched", session.source.revision or "nothing yet"),
        ("fenced", f"by {session.source.fence}" if session.source.is_suspended else "no"),
    ]
    if applier is not None:
        rows += [
            ("applied", applier.applied or "nothing yet"),
            ("suspended", "yes" if applier.is_suspended else "no"),
            ("objects", str(len(applier.inventory))),
            ("verdict", _verdict(applier)),
        ]
    if session.refused:
        rows.append(("refused", f"the last save: {session.refused}"))
    if session.undone_to:
        rows.append(("undone to", f"{short(session.undone_to)}: files differ until the next save"))
    return [*rows, *(_timing_rows(session.timings) if session.timings else ())]


def _target(session: LiveSession) -> str:
    return "" if session.is_incomplete else f"{session.root}/{session.target}"


def _revision(session: LiveSession) -> str:
    """Show what is fetched; a session that is incomplete is gone on with by up, and ended by down."""
    return "incomplete" if session.is_incomplete else _short(session.source.revision)


def _owner(session: LiveSession) -> str:
    """Name the owner; one that only an annotation names is marked, since the owner may change that."""
    return f"{session.owner} (claimed)" if session.is_owner_claimed else session.owner


def _timing_rows(timings: Timings) -> list[tuple[str, ...]]:
    """Write the last save step by step, each with a bar where it lies in the whole, and the recent ones."""
    rows: list[tuple[str, ...]] = []
    if (last := timings.last) is not None:
        slow = ", slow" if last.is_slow else ""
        files = counted(last.paths, "file")
        rows.append(("last save", f"save {last.number}: {files} applied in {duration(last.took_ms)}{slow}"))
        rows += [(f"  {step.name}", _bar(step, last.took_ms)) for step in steps(last.times_ms)]
    if timings.recent_ms:
        count = len(timings.recent_ms)
        rows.append(
            ("saves p50 / p95", f"{timings.p50_ms:,} / {timings.p95_ms:,} ms, of {counted(count, 'save')}")
        )
    return rows


def _bar(step: Step, whole_ms: int) -> str:
    """Draw a step at its place in the whole."""
    scale = _BAR_WIDTH / max(whole_ms, 1)
    begin = round(step.began_ms * scale)
    end = max(round((step.began_ms + step.took_ms) * scale), begin + 1)
    bar = (" " * begin + "#" * (end - begin))[:_BAR_WIDTH].ljust(_BAR_WIDTH)
    return f"{bar} {step.took_ms:>6,} ms"


def _verdict(applier: ApplierStatus) -> str:
    if not applier.attempted:
        return "waiting for the first save"
    return f"{applier.reason}: {applier.message}"


def _short(revision: str) -> str:
    return revision[:_SHORT_REVISION] or "none"
