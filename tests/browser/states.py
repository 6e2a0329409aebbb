"""Example sessions as a team has them, one in each state, and as many as a large cluster has."""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from gitops_run.model.flux.conditions import SourceStatus
from gitops_run.model.objects.change import Change, FieldChange
from gitops_run.model.objects.identity import ObjectRef
from gitops_run.model.session.limits import Duration, Lifetime, Limits
from gitops_run.model.state.record import Record
from gitops_run.model.state.saves import (
    Answer,
    KeptRevision,
    Outcome,
    SaveRecord,
    TargetVerdict,
    UnhealthyObject,
)
from gitops_run.model.state.session_state import Place, SessionState, TargetState, Writer
from gitops_run.model.state.summary import summarize
from gitops_run.model.text.problem import Problem

NOW = datetime(2026, 11, 26, 12, 3, 11, tzinfo=UTC)
RECENT_MS = (640, 588, 702, 615, 940, 655, 610, 598, 1480, 634, 605, 571, 720, 688, 622, 590)


def ago(**how_long: float) -> str:
    return (NOW - timedelta(**how_long)).strftime("%Y-%m-%dT%H:%M:%SZ")


def revision(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def times(took_ms: int, until: str = "applied") -> dict[str, int]:
    parts = {
        "scanned": 0.02,
        "rendered": 0.1,
        "checked": 0.22,
        "settled": 0.26,
        "fenced": 0.34,
        "uploaded": 0.42,
        "fetched": 0.63,
        "applied": 1.0,
    }
    names = list(parts)
    return {name: round(parts[name] * took_ms) for name in names[: names.index(until) + 1]}


def change(kind: str, name: str, action: str, *fields: tuple[str, str, str]) -> Change:
    group = "apps" if kind == "Deployment" else ""
    ref = ObjectRef(group=group, kind=kind, namespace="run-checkout", name=name)
    changed = (FieldChange(path=path, before=before, after=after) for path, before, after in fields)
    return Change(ref=ref, action=action, fields=tuple(changed))


def save(
    number: int,
    outcome: Outcome,
    at: str,
    *,
    files: tuple[str, ...] = ("overlays/dev/deployment.yaml",),
    took_ms: int = 640,
    changes: tuple[Change, ...] = (),
    problems: tuple[Problem, ...] = (),
    targets: tuple[TargetVerdict, ...] = (),
) -> SaveRecord:
    is_broken = outcome in {Outcome.BROKEN, Outcome.WITHDRAWN}
    return SaveRecord(
        run=3,
        number=number,
        at=at,
        outcome=outcome,
        revision="" if is_broken else revision(f"save {number}"),
        files=files,
        file_count=len(files),
        times_ms=times(took_ms, "checked" if is_broken else "applied"),
        changes=changes,
        change_count=len(changes),
        problems=problems,
        problem_count=len(problems),
        targets=targets,
        is_healthy=outcome is Outcome.APPLIED,
    )


WEB = change(
    "Deployment",
    "web",
    "change",
    ("spec.replicas", "2", "3"),
    ("spec.template.spec.containers[0].image", '"shop/web:1.41"', '"shop/web:1.42"'),
)
PROBLEM = Problem(
    path="overlays/dev/deployment.yaml",
    line=17,
    message='Deployment web: spec.containers[0].ports[0].containerPort: expected integer, got "http"',
    hint="write the port's number, or use its name in the Service's targetPort",
)
REFUSED = TargetVerdict(
    target="overlays/dev",
    outcome=Outcome.FAILED,
    reason="ReconciliationFailed",
    message="Deployment/run-checkout/web dry-run failed: spec.selector: field is immutable",
    hint="rename the Deployment, or delete it once: a selector can't change",
)


def saves() -> tuple[SaveRecord, ...]:
    settings = change("ConfigMap", "settings-7h2k", "replace", ("data.PAYMENT_TIMEOUT", '"3s"', '"5s"'))
    return (
        save(38, Outcome.APPLIED, ago(minutes=47), took_ms=605),
        save(39, Outcome.FAILED, ago(minutes=44), took_ms=820, targets=(REFUSED,)),
        save(40, Outcome.APPLIED, ago(minutes=41), took_ms=571, changes=(settings,)),
        save(41, Outcome.SUPERSEDED, ago(minutes=12), took_ms=310),
        save(42, Outcome.WITHDRAWN, ago(minutes=11), problems=(PROBLEM,)),
        save(
            43,
            Outcome.APPLIED,
            ago(minutes=9),
            took_ms=720,
            files=("base/service.yaml", "base/kustomization.yaml"),
        ),
        save(
            44,
            Outcome.APPLIED,
            ago(minutes=4),
            took_ms=1480,
            files=("overlays/dev/deployment.yaml", "overlays/dev/settings.ini", "base/ingress.yaml"),
            changes=(
                WEB,
                settings,
                change("Ingress", "web", "create"),
                change("Service", "web-old", "delete"),
            ),
        ),
        save(45, Outcome.APPLIED, ago(seconds=48), took_ms=590, changes=(WEB,)),
    )


def record(**changed: object) -> Record:
    kept = tuple(
        KeptRevision(revision=revision(f"save {number}"), taken=ago(minutes=minutes))
        for number, minutes in ((38, 47), (40, 41), (43, 9), (44, 4), (45, 0.8))
    )
    made = Record(
        run=3,
        seq=412,
        at=ago(seconds=47),
        since=ago(hours=2),
        targets=("overlays/dev",),
        saves=saves(),
        recent_ms=RECENT_MS,
        kept=kept,
        branch="feature/express-checkout",
        commit="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b",
        is_dirty=True,
    )
    return replace(made, **changed)  # type: ignore[arg-type]


def session(name: str = "checkout", owner: str = "mara", **changed: object) -> SessionState:
    last = revision("save 45")
    source = SourceStatus(revision=last, ready="True", reason="Succeeded")
    lifetime = Lifetime(
        limits=Limits(ttl=Duration(8 * 3600), idle=Duration(3600)),
        expires=(NOW + timedelta(hours=5, minutes=40)).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
    made = SessionState(
        namespace=f"run-{name}",
        name=name,
        namespace_created=ago(hours=2, minutes=20),
        pod_security="restricted",
        owner=owner,
        place=Place(
            root="shop",
            targets=("overlays/dev",),
            created=ago(hours=2, minutes=20),
            store="in cluster",
            isolation="namespace",
            lifetime=lifetime,
        ),
        source=source,
        targets=(
            TargetState(
                target="overlays/dev",
                object=f"Kustomization {name}",
                applied=last,
                attempted=last,
                ready="True",
                reason="ReconciliationSucceeded",
                objects=14,
            ),
        ),
        synced_by=Writer(holder=f"{owner}@{owner}-laptop/4211", since=ago(hours=2), is_live=True),
        summary=summarize(record()),
        record=record(),
    )
    return replace(made, **changed)  # type: ignore[arg-type]


def with_record(state: SessionState, made: Record) -> SessionState:
    return replace(state, record=made, summary=summarize(made))


def with_target(state: SessionState, **changed: object) -> SessionState:
    return replace(state, targets=tuple(replace(one, **changed) for one in state.targets))  # type: ignore[arg-type]


def with_end(state: SessionState, **until: float) -> SessionState:
    assert state.place
    lifetime = Lifetime(
        limits=Limits(ttl=Duration(8 * 3600)),
        expires=(NOW + timedelta(**until)).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
    return replace(state, place=replace(state.place, lifetime=lifetime))


def broken() -> SessionState:
    problem = Problem(
        path="charts/search/values.yaml", line=8, message="did not find expected key", hint="mend the YAML"
    )
    last = save(
        13, Outcome.BROKEN, ago(seconds=20), problems=(problem,), files=("charts/search/values.yaml",)
    )
    return with_record(
        session("search", "jonas"), record(saves=(*saves()[:3], last), branch="main", is_dirty=True)
    )


def failed() -> SessionState:
    message = 'container "api" in pod "ledger-6d9f" is waiting: CrashLoopBackOff'
    ref = ObjectRef(group="apps", kind="Deployment", namespace="run-payments", name="ledger")
    log = ("panic: dial tcp 10.0.4.7:5432: connect: connection refused", "main.main()", "\t/src/main.go:41")
    unhealthy = UnhealthyObject(ref=ref, health="failed", message=message, log=log)
    made = record(unhealthy=(unhealthy,), unhealthy_count=1, branch="fix/ledger-retry")
    return with_record(session("payments", "priya"), made)


def suspended() -> SessionState:
    return with_target(
        replace(session("catalog", "tom"), synced_by=None),
        is_suspended=True,
        suspended_by="mara",
        suspended_reason="demo for the board until 14:00",
        suspended_at=ago(hours=1),
    )


def aged(state: SessionState, minutes: float, seed: int) -> SessionState:
    """Give a session saves of its own: the last one so long ago, and times that nobody else has."""
    chance = random.Random(seed)
    assert state.record
    assert state.record.last
    recent = tuple(round(chance.gauss(640, 90)) + 700 * (chance.random() > 0.9) for _ in range(16))
    took = times(recent[-1]) if state.record.last.outcome is Outcome.APPLIED else state.record.last.times_ms
    last = replace(state.record.last, at=ago(minutes=minutes), number=chance.randint(4, 90), times_ms=took)
    branch = chance.choice(("main", "feature/eu-tax", "fix/retry-loop", "spike/otel", "feature/search-v2"))
    made = replace(
        state.record,
        saves=(*state.record.saves[:-1], last),
        recent_ms=recent,
        branch=branch,
        is_dirty=chance.random() > 0.5,
    )
    newest = revision(str(seed))
    applied = newest if state.source and state.targets[0].applied == state.source.revision else "older"
    kept = with_target(with_record(state, made), applied=applied, objects=chance.randint(4, 48))
    return replace(kept, source=replace(state.source, revision=newest) if state.source else None)


def team() -> list[SessionState]:
    """One session in each state, and a few more."""
    progressing = with_target(session("recommendations", "lin"), applied=revision("save 44"))
    new = replace(session("onboarding", "noah"), summary=None, record=None, source=SourceStatus())
    return [
        session(),
        aged(broken(), 0.3, 1),
        aged(failed(), 6, 2),
        aged(suspended(), 66, 3),
        aged(progressing, 0.05, 4),
        with_target(with_end(new, hours=7, minutes=58), applied="", attempted="", ready="", objects=0),
        aged(with_end(session("loadtest", "lin"), minutes=22), 34, 6),
        aged(with_end(replace(session("spike-oauth", "jonas"), synced_by=None), hours=-3), 460, 7),
        aged(with_end(replace(session("invoices", "priya"), synced_by=None), hours=6), 131, 8),
        with_end(
            replace(session("warehouse", "tom"), source=None, targets=(), summary=None, record=None), hours=7
        ),
        aged(session("web-mara", "mara"), 18, 10),
        aged(replace(session("notifications", "noah"), pod_security="baseline"), 3, 11),
        aged(session("pricing", "tom"), 9, 12),
    ]


def many(count: int = 500, seed: int = 1) -> list[SessionState]:
    """Sessions of a large cluster, no two alike."""
    chance = random.Random(seed)
    owners = [f"{name}.{number}" for name in ("ann", "bo", "cy", "di", "ed") for number in range(20)]
    found = []
    for number in range(count):
        owner = chance.choice(owners)
        kind = chance.choice([session] * 6 + [_failed, _broken, _suspended, _idle])
        state = kind(f"app-{number:03d}", owner)
        recent = tuple(chance.randint(450, 1500) for _ in range(30))
        last = save(
            chance.randint(1, 400),
            state.record.last.outcome if state.record and state.record.last else Outcome.APPLIED,
            ago(seconds=chance.randint(1, 90_000)),
            took_ms=recent[-1],
            problems=state.record.last.problems if state.record and state.record.last else (),
        )
        made = replace(
            state.record or Record(),
            saves=(last,),
            recent_ms=recent,
            branch=f"feature/{chance.randint(1, 999)}",
        )
        state = with_end(with_record(state, made), seconds=chance.randint(4_000, 28_000))
        assert state.source
        found.append(replace(state, source=replace(state.source, revision=revision(f"{seed} {number}"))))
    return [with_target(one, applied=one.source.revision) if one.source else one for one in found]


def _renamed(state: SessionState, name: str, owner: str) -> SessionState:
    return replace(state, name=name, namespace=f"run-{name}", owner=owner)


def _failed(name: str, owner: str) -> SessionState:
    return _renamed(failed(), name, owner)


def _broken(name: str, owner: str) -> SessionState:
    return _renamed(broken(), name, owner)


def _suspended(name: str, owner: str) -> SessionState:
    return _renamed(suspended(), name, owner)


def _idle(name: str, owner: str) -> SessionState:
    return replace(session(name, owner), synced_by=None)


ANSWERED = Answer(
    request="1", verb="undo", who="mara", at=ago(minutes=1), is_accepted=False, message="not kept"
)
