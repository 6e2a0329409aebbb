"""What pages are made of: a session's state, and what was read for the viewer who looks at it.

This module knows no HTML and asks nobody. Whoever answers a request fills these in, with the viewer's rights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from gitops_run.model.flux.requests import Verb
from gitops_run.model.platform.status import CollectorRun, PlatformStatus
from gitops_run.model.session.commands import Place
from gitops_run.model.session.receipt import Receipt
from gitops_run.model.state.details import ClusterEvent, SessionDetails
from gitops_run.model.state.session_state import SessionState

BULK_ACTIONS = (Verb.RETRY, Verb.SUSPEND, Verb.RESUME, Verb.EXTEND)


class Tab(StrEnum):
    """Name a tab of one session's page, as its URL does: ?tab=logs."""

    SAVES = "saves"
    OBJECTS = "objects"
    LOGS = "logs"
    WHY = "why"
    ACCESS = "access"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """Say which actions a viewer may take on one session.

    missing: by action, why it can't be taken, in words: "you need the right to patch buckets web in namespace
    run-web", "nobody syncs it"; an action that isn't named is allowed.
    """

    missing: Mapping[Verb, str] = field(default_factory=dict)

    def why_not(self, action: Verb) -> str:
        """Name the right that is missing; "" where the action is allowed."""
        return self.missing.get(action, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewerView:
    """Say who looks. csrf: the token of this login's forms. context: of the kubeconfig, or "".

    place: completes commands for the cluster. rights: what the user may do, in words, for the page /me.
    """

    user: str
    groups: tuple[str, ...] = ()
    csrf: str = ""
    context: str = ""
    place: Place = field(default_factory=Place)
    rights: tuple[str, ...] = ()


class NoticeKind(StrEnum):
    """Name why there is nothing to show."""

    LOADING = "loading"
    EMPTY = "empty"
    NOT_ALLOWED = "not_allowed"
    GONE = "gone"
    CUT_OFF = "cut_off"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Explain why there is nothing to show, and the next step. command: to type, or ""."""

    kind: NoticeKind
    title: str
    explanation: str
    next_step: str = ""
    command: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """Say what came of an action, or what was wrong with its form."""

    text: str
    hint: str = ""
    is_error: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectNode:
    """Hold one object of a session's tree, and what it owns: source, applier, workload, pod.

    status: ready, progressing, failed, terminating, missing, suspended, or "" where it isn't known.
    created: RFC 3339.
    """

    kind: str
    name: str
    namespace: str = ""
    group: str = ""
    version: str = "v1"
    status: str = ""
    reason: str = ""
    created: str = ""
    children: tuple[ObjectNode, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedObject:
    """Hold what is read of the one object that the viewer has opened. yaml: with Secrets' values masked.

    notice: why there is no YAML, if there is none.
    """

    kind: str
    name: str
    namespace: str = ""
    group: str = ""
    yaml: str = ""
    events: tuple[ClusterEvent, ...] = ()
    notice: Notice | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PodView:
    """Hold one pod whose logs can be read. has_previous: one of its containers crashed before."""

    name: str
    phase: str = ""
    containers: tuple[str, ...] = ()
    has_previous: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessLine:
    """Say what one subject may do. subject: "User ann". may: "see", "act". through: "RoleBinding owner"."""

    subject: str
    may: str
    through: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDiff:
    """Hold a unified diff of one file, without its two head lines. note: why there is none, or ""."""

    path: str
    lines: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Explain one thing that is wrong, as the terminal does. place: "deploy/app.yaml:12", or ""."""

    title: str
    lines: tuple[str, ...] = ()
    place: str = ""
    hint: str = ""
    log: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionView:
    """Hold one session for one viewer. A part that isn't read for the shown tab stays empty.

    carried_by: by action, who carries it out and when: "the sync of ann@laptop, within seconds"; "" where the
    cluster does at once.
    notices: by tab, why its content is missing. diffs: by (run, number) of a save, on the
    owner's machine alone.
    extend_by: the duration that the form proposes, "8h". has_all_objects: show more than the first 200.
    place: completes the commands. has_stack: the session's stack is on this machine.
    """

    state: SessionState
    rights: Rights = Rights()
    details: SessionDetails = field(default_factory=SessionDetails)
    carried_by: Mapping[Verb, str] = field(default_factory=dict)
    objects: tuple[ObjectNode, ...] = ()
    opened: OpenedObject | None = None
    pods: tuple[PodView, ...] = ()
    access: tuple[AccessLine, ...] = ()
    diffs: Mapping[tuple[int, int], tuple[FileDiff, ...]] = field(default_factory=dict)
    notices: Mapping[Tab, Notice] = field(default_factory=dict)
    message: Message | None = None
    extend_by: str = ""
    has_all_objects: bool = False
    place: Place = field(default_factory=Place)
    has_stack: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchView:
    """Say how one watch of the API server is. hidden: the right that is missing for it, or ""."""

    kind: str
    since: str = ""
    restarts: int = 0
    hidden: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformView:
    """Hold how the platform is. collector: its last run; None where it isn't seen. streams: of open pages."""

    status: PlatformStatus | None = None
    collector: CollectorRun | None = None
    watches: tuple[WatchView, ...] = ()
    streams: int = 0
    notice: Notice | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndView:
    """List what an end deletes, before the viewer types the session's name.

    carried_by, place, has_stack: as in SessionView.
    """

    state: SessionState
    deleted: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    carried_by: str = ""
    missing_right: str = ""
    place: Place = field(default_factory=Place)
    has_stack: bool = False
    message: Message | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptView:
    """Report a session's end. receipt: None as long as it isn't done. carried_by: who does it, and when.

    is_asked: the collector has yet to do it. collector: its last run; None where it isn't seen.
    """

    namespace: str
    name: str
    receipt: Receipt | None = None
    carried_by: str = ""
    is_asked: bool = False
    collector: CollectorRun | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionsQuery:
    """Hold what the viewer has chosen, as the URL has it: ?q=&state=&state=&owner=&ns=&sort=&group=.

    q: words that must occur, "!word" must not. owner: "mine" stands for the viewer. sort: a name of
    ordering.SORTS, "-" before it reverses. group: "" or one of ordering.GROUPS. is_whole: all
    rows at once, which a browser without a script asks for.
    """

    q: str = ""
    states: tuple[str, ...] = ()
    owner: str = ""
    namespace: str = ""
    sort: str = ""
    group: str = ""
    is_whole: bool = False
