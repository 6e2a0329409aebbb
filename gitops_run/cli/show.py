"""`list` and `status`: what a cluster says of its sessions."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import anyio
import click

from gitops_run.api import status as api
from gitops_run.cli.basics import json_flag
from gitops_run.cli.control import suspended_by
from gitops_run.cli.options import CLUSTER_KEYS, cluster_settings, session_settings, settings_flags
from gitops_run.cli.output import note, print_json
from gitops_run.cli.render import SIGNS, counted, duration
from gitops_run.cli.table import print_table
from gitops_run.model.names import SessionName
from gitops_run.model.session.key import SessionKey
from gitops_run.model.session.limits import Duration
from gitops_run.model.state.document import last_applied, to_document
from gitops_run.model.state.due import time_left
from gitops_run.model.state.history import short
from gitops_run.model.state.record import Record
from gitops_run.model.state.saves import Outcome, SaveRecord
from gitops_run.model.state.session_state import SessionState, TargetState, Writer, phase
from gitops_run.model.state.summary import SaveSummary
from gitops_run.model.state.timings import SLOW_MS, Step, percentile, steps, whole_ms

_BAR_WIDTH = 32
_SHORT_REVISION = len("sha256:") + 12
_SAVES_SHOWN = 5
_PROBLEM_CHARACTERS = 60


@click.command(name="list")
@settings_flags("kubeconfig", "context", "allowContexts")
@json_flag
def list_sessions(output: str, **flags: object) -> None:
    """List the sessions of a cluster."""
    settings = cluster_settings(flags)
    sessions = anyio.run(api.list_sessions, settings.require("kubeconfig"), settings.require("context"))
    now = datetime.now(UTC)
    if output == "json":
        print_json([to_document(session, now) for session in sessions])
    elif not sessions:
        note(f"there are no sessions on {settings.context}")
    else:
        heads = (
            "NAME",
            "STATE",
            "OWNER",
            "TARGET",
            "BUCKET",
            "REVISION",
            "SYNCED BY",
            "TIME LEFT",
            "LAST SAVE",
        )
        print_table(heads, [_row(session, now) for session in sessions])


@click.command()
@click.argument("name")
@settings_flags(*CLUSTER_KEYS)
@json_flag
def status(name: str, output: str, **flags: object) -> None:
    """Show what is live in session NAME, or why it is not."""
    parsed = SessionName.parse(name)
    settings = session_settings(parsed, flags)
    session = anyio.run(api.read_session, SessionKey.of(parsed, settings))
    now = datetime.now(UTC)
    if output == "json":
        print_json(to_document(session, now))
    else:
        print_table(("", ""), status_rows(session, now))


def _row(session: SessionState, now: datetime) -> tuple[str, ...]:
    place = session.place
    return (
        session.name,
        phase(session, now).value,
        _owner(session),
        f"{place.root}/{', '.join(place.targets)}" if place else "",
        place.store if place else "",
        _short(session.source.revision) if session.source else "",
        _person(session.synced_by),
        time_left_text(session, now),
        _last_save(session),
    )


def time_left_text(session: SessionState, now: datetime) -> str:
    """Write what is left of TTL and idle limit; "" where there is neither."""
    left = time_left(session, now)
    if left is None:
        return ""
    ttl = "" if left.left_s is None else _span(left.left_s) if left.left_s > 0 else "over"
    idle = "" if left.idle_left_s is None else f"idle {_span(max(left.idle_left_s, 0))}"
    return ", ".join(text for text in (ttl, idle) if text)


def _span(seconds: int) -> str:
    return Duration(seconds).rough


def _last_save(session: SessionState) -> str:
    """Write why the session is suspended, or the newest save."""
    if why := suspended_by(session):
        return f"suspended{why}"
    return _newest_save(session.summary.last) if session.summary and session.summary.last else ""


def _newest_save(last: SaveSummary) -> str:
    """Write the newest save with the first problem to fix, or how long it took."""
    if last.problem:
        problem = last.problem.splitlines()[0]
        if len(problem) > _PROBLEM_CHARACTERS:
            problem = f"{problem[: _PROBLEM_CHARACTERS - 1]}…"
        return f"{last.outcome}: {problem}"
    if last.outcome is Outcome.APPLIED:
        return f"{last.outcome} in {duration(last.took_ms)}, {last.at}"
    return f"{last.outcome}, {last.at}"


def status_rows(session: SessionState, now: datetime) -> list[tuple[str, ...]]:
    """Write what is live in a session as names and values."""
    place, source = session.place, session.source
    rows: list[tuple[str, ...]] = [
        ("session", session.name),
        ("state", phase(session, now).value),
        ("namespace", session.namespace),
        ("owner", _owner(session)),
        ("target", f"{place.root}/{', '.join(place.targets)}" if place else ""),
        ("bucket", place.store if place else ""),
        ("created", session.created),
        *_limit_rows(session, now),
        ("synced by", _writer(session.synced_by)),
    ]
    if source is not None:
        rows += [
            ("fetched", source.revision or "nothing yet"),
            ("fenced", f"by {source.fence}" if source.is_suspended else "no"),
        ]
    for target in session.targets:
        rows += _target_rows(target)
    return [*rows, *_newest_rows(session), *(_record_rows(session.record) if session.record else ())]


def _limit_rows(session: SessionState, now: datetime) -> list[tuple[str, ...]]:
    """Write when the session ends and when it is suspended as idle; nothing where it has no limit."""
    left = time_left(session, now)
    rows: list[tuple[str, ...]] = []
    if left is not None and left.left_s is not None:
        extended = ", extended" if left.is_extended else ""
        how = f"in {_span(left.left_s)}" if left.left_s > 0 else f"{_span(-left.left_s)} ago"
        rows.append(("ends", f"{left.expires}, {how} (TTL {left.ttl}{extended})"))
    if left is not None and left.idle_limit:
        when = f"{left.idle_until}" if left.idle_until else "suspended already"
        rows.append(("idle limit", f"{left.idle_limit}: {when}"))
    return rows


def _newest_rows(session: SessionState) -> list[tuple[str, ...]]:
    """Write what the state says already and the record, which is written less often, does not."""
    summary, record = session.summary, session.record or Record()
    if summary is None or summary.last is None or (summary.run, summary.seq) <= (record.run, record.seq):
        return []
    last = summary.last
    files = counted(last.files, "file")
    return [(f"save {last.number}", f"{last.at}  {last.outcome}: {last.problem or files}")]


def _target_rows(target: TargetState) -> list[tuple[str, ...]]:
    return [
        ("applied", target.applied or "nothing yet"),
        ("suspended", _suspended(target)),
        ("objects", str(target.objects)),
        ("verdict", _verdict(target)),
    ]


def _suspended(target: TargetState) -> str:
    if not target.is_suspended:
        return "no"
    since = f" since {target.suspended_at}" if target.suspended_at else ""
    return f"by {target.suspended_by}{since}: {target.suspended_reason}" if target.suspended_by else "yes"


def _person(writer: Writer | None) -> str:
    return writer.person if writer and writer.is_live else "nobody"


def _writer(writer: Writer | None) -> str:
    if writer is None:
        return "nobody"
    when = f" since {writer.since}" if writer.is_live else f", last seen {writer.seen}"
    return f"{writer.holder}{when}"


def _record_rows(record: Record) -> list[tuple[str, ...]]:
    """Write what the session's loop says: the files' state, the last saves, and what isn't healthy."""
    rows: list[tuple[str, ...]] = []
    if record.commit:
        dirty = ", with changes" if record.is_dirty else ""
        rows.append(("branch", f"{record.branch or 'none'} at {record.commit[:7]}{dirty}"))
    if (last := record.last) is not None and last.outcome is Outcome.BROKEN:
        more = f"; and {last.problem_count - 1} more" if last.problem_count > 1 else ""
        rows.append(("refused", f"the last save: {last.problems[0]}{more}"))
    if record.undone_to:
        rows.append(("undone to", f"{short(record.undone_to)}: files differ until the next save"))
    if record.trouble:
        rows.append(("waiting", record.trouble))
    rows += [("not healthy", f"{one.ref} {one.health} {one.message}".rstrip()) for one in record.unhealthy]
    return [*rows, *_save_rows(record), *_timing_rows(record)]


def _save_rows(record: Record) -> Iterable[tuple[str, ...]]:
    for save in reversed(record.saves[-_SAVES_SHOWN:]):
        yield f"save {save.number}", f"{save.at}  {_came_of(save)}"
        for change in save.changes[:_SAVES_SHOWN]:
            yield "", f"  {SIGNS[change.action]} {change.object}"


def _came_of(save: SaveRecord) -> str:
    """Describe what came of a save: why it was refused, otherwise of which files it was."""
    healthy = ", healthy" if save.is_healthy else ""
    refusals = [f"{one.reason} {one.message}".strip() for one in save.targets if one.message]
    why = [str(save.problems[0])] if save.problems else refusals
    files = ", ".join(save.files[:3]) + (", …" if save.file_count > 3 else "")
    return f"{save.outcome}{healthy}: {why[0] if why else files}"


def _owner(session: SessionState) -> str:
    """Name the owner; one that only an annotation names is marked, since the owner may change that."""
    return f"{session.known_owner} (claimed)" if session.is_owner_claimed else session.known_owner


def _timing_rows(record: Record) -> list[tuple[str, ...]]:
    """Write the last save step by step, each with a bar where it lies in the whole, and the recent ones."""
    rows: list[tuple[str, ...]] = []
    if (last := last_applied(record)) is not None:
        took = whole_ms(last.times_ms)
        slow = ", slow" if took > SLOW_MS else ""
        files = counted(last.file_count, "file")
        rows.append(("last save", f"save {last.number}: {files} applied in {duration(took)}{slow}"))
        rows += [(f"  {step.name}", _bar(step, took)) for step in steps(last.times_ms)]
    if record.recent_ms:
        p50, p95 = (percentile(record.recent_ms, percent) for percent in (50, 95))
        count = counted(len(record.recent_ms), "save")
        rows.append(("saves p50 / p95", f"{p50:,} / {p95:,} ms, of {count}"))
    return rows


def _bar(step: Step, whole_ms: int) -> str:
    """Draw a step at its place in the whole."""
    scale = _BAR_WIDTH / max(whole_ms, 1)
    begin = round(step.began_ms * scale)
    end = max(round((step.began_ms + step.took_ms) * scale), begin + 1)
    bar = (" " * begin + "#" * (end - begin))[:_BAR_WIDTH].ljust(_BAR_WIDTH)
    return f"{bar} {step.took_ms:>6,} ms"


def _verdict(target: TargetState) -> str:
    if not target.attempted:
        return "waiting for the first save"
    return f"{target.reason}: {target.message}"


def _short(revision: str) -> str:
    return revision[:_SHORT_REVISION] or "none"
