"""`list` and `status`: what a cluster says of its sessions."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial

import anyio
import click

from gitops_run.api import status as api
from gitops_run.api.listing import ListRequest, watch_list
from gitops_run.api.listing import list_sessions as api_list
from gitops_run.cli.basics import json_flag
from gitops_run.cli.caller import this_caller
from gitops_run.cli.following import JsonScreen, Screen, follow, screen_of
from gitops_run.cli.options import CLUSTER_KEYS, cluster_settings, session_settings, settings_flags
from gitops_run.cli.output import note, print_json
from gitops_run.cli.render import SIGNS
from gitops_run.cli.signals import until_interrupted
from gitops_run.cli.table import print_table
from gitops_run.errors import UsageError
from gitops_run.model.names import SessionName
from gitops_run.model.session.key import SessionKey
from gitops_run.model.session.limits import Duration
from gitops_run.model.stack.collection import pending
from gitops_run.model.state.details import SessionDetails
from gitops_run.model.state.document import last_applied, to_document
from gitops_run.model.state.due import time_left
from gitops_run.model.state.history import short
from gitops_run.model.state.reasons import health_of, isolation_of
from gitops_run.model.state.record import Record
from gitops_run.model.state.saves import Outcome, SaveRecord
from gitops_run.model.state.session_state import Phase, SessionState, TargetState, Writer, phase
from gitops_run.model.state.summary import SaveSummary, Summary
from gitops_run.model.state.timings import SLOW_MS, Step, percentile, steps, whole_ms
from gitops_run.model.text.amounts import counted, duration

_BAR_WIDTH = 32
_SHORT_REVISION = len("sha256:") + 12
_SAVES_SHOWN = 5
_PROBLEM_CHARACTERS = 60
_OBJECTS_SHOWN = 10


HEADS = (
    "NAME",
    "STATE",
    "OWNER",
    "TARGET",
    "BRANCH",
    "BUCKET",
    "ISOLATION",
    "REVISION",
    "SYNCED BY",
    "TIME LEFT",
    "LAST SAVE",
    "HEALTH",
)


@click.command(name="list")
@click.option("--owner", metavar="USER", help="Only the sessions of this Kubernetes user.")
@click.option("--mine", "is_mine", is_flag=True, help="Only your own sessions.")
@click.option(
    "--state",
    "in_phase",
    type=click.Choice([one.value for one in Phase]),
    help="Only sessions in this state.",
)
@click.option(
    "--namespace",
    "namespaces",
    multiple=True,
    metavar="NAMESPACE",
    help="Only the session of this namespace. Repeatable.",
)
@click.option("-w", "--watch", "is_watching", is_flag=True, help="Show each change until Ctrl-C.")
@settings_flags("kubeconfig", "context", "allowContexts")
@json_flag
def list_sessions(  # noqa: PLR0913 - one for each flag
    output: str,
    *,
    owner: str | None,
    is_mine: bool,
    in_phase: str | None,
    namespaces: tuple[str, ...],
    is_watching: bool,
    **flags: object,
) -> None:
    """List the sessions of a cluster that you may see."""
    if owner and is_mine:
        raise UsageError("--owner and --mine exclude each other", hint="leave one of them out")
    settings = cluster_settings(flags)
    request = ListRequest(
        kubeconfig=settings.require("kubeconfig"),
        context=settings.require("context"),
        namespaces=namespaces,
        owner=owner,
        phase=Phase(in_phase) if in_phase else None,
        is_mine=is_mine,
    )
    caller = this_caller()
    if is_watching:
        anyio.run(partial(until_interrupted, follow, watch_list(request, caller), _screen(output)))
        return
    sessions = anyio.run(api_list, request, caller)
    now = datetime.now(UTC)
    if output == "json":
        print_json([to_document(session, now) for session in sessions])
    elif not sessions:
        note(f"there are no such sessions on {settings.context}")
    else:
        print_table(HEADS, [list_row(session, now) for session in sessions])


def _screen(output: str) -> Screen:
    return JsonScreen(_now) if output == "json" else screen_of(sys.stdout, HEADS, _row_now)


def _row_now(session: SessionState) -> tuple[str, ...]:
    return list_row(session, _now())


def _now() -> datetime:
    return datetime.now(UTC)


@click.command()
@click.argument("name")
@click.option("--objects", "has_all_objects", is_flag=True, help="All objects, not the first ten.")
@settings_flags(*CLUSTER_KEYS)
@json_flag
def status(name: str, output: str, *, has_all_objects: bool, **flags: object) -> None:
    """Show what is live in session NAME, or why it is not."""
    parsed = SessionName.parse(name)
    settings = session_settings(parsed, flags)
    session, details = anyio.run(api.read_session, SessionKey.of(parsed, settings))
    now = datetime.now(UTC)
    if output == "json":
        print_json(to_document(session, now, details))
    else:
        shown = None if has_all_objects else _OBJECTS_SHOWN
        print_table(("", ""), [*status_rows(session, now), *detail_rows(details, shown)])


def detail_rows(details: SessionDetails, most: int | None) -> list[tuple[str, ...]]:
    """Write objects, conditions and events as names and values. most: how many objects, None for all."""
    refs = details.inventory[:most]
    rows: list[tuple[str, ...]] = [("object", str(ref)) for ref in refs]
    if more := len(details.inventory) - len(refs):
        rows.append(("", f"… and {more} more: --objects"))
    for one in details.conditions:
        said = f"{one.reason} {one.message}".strip()
        rows.append(("condition", f"{one.object}: {one.type} {one.status}, {said}"))
    for event in details.events:
        times = f" ({event.count} times)" if event.count > 1 else ""
        rows.append(("event", f"{event.at}  {event.object}: {event.reason} {event.message}{times}"))
    return rows


def list_row(session: SessionState, now: datetime) -> tuple[str, ...]:
    """Write a session under HEADS."""
    place = session.place
    return (
        session.name,
        phase(session, now).value,
        _owner(session),
        f"{place.root}/{', '.join(place.targets)}" if place else "",
        _branch(session.summary),
        place.store if place else "",
        isolation_of(session),
        _short(session.source.revision) if session.source else "",
        _person(session.synced_by),
        time_left_text(session, now),
        _last_save(session.summary.last if session.summary else None),
        _cut(health_of(session)),
    )


def _branch(summary: Summary | None) -> str:
    """Write the git branch of the files; a star stands for changes that aren't committed."""
    return f"{summary.branch}{'*' if summary.is_dirty else ''}" if summary else ""


def _cut(text: str) -> str:
    line = next(iter(text.splitlines()), "")
    return line if len(line) <= _PROBLEM_CHARACTERS else f"{line[: _PROBLEM_CHARACTERS - 1]}…"


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


def _last_save(last: SaveSummary | None) -> str:
    """Write the newest save with the first problem to fix, or how long it took."""
    if last is None:
        return ""
    if last.problem:
        return f"{last.outcome}: {_cut(last.problem)}"
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
        ("isolation", isolation_of(session)),
        ("created", session.created),
        *_limit_rows(session, now),
        ("synced by", _writer(session.synced_by)),
    ]
    if (request := pending(session)) is not None:
        rows.append(("asked", str(request)))
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
    if record.answers:
        last_answer = record.answers[-1]
        came = "carried out" if last_answer.is_accepted else f"refused: {last_answer.message}"
        rows.append(("answered", f"{last_answer.verb}, asked by {last_answer.who}: {came}"))
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
    about = why[0] if why else files
    return f"{save.outcome}{healthy}: {about}" if about else f"{save.outcome}{healthy}"


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
