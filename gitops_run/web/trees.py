"""What was read of a session, in the forms that its page takes: a tree, pods, notices. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from gitops_run.model.flux.conditions import SourceStatus
from gitops_run.model.names import ACCOUNT, OWNER_ROLE
from gitops_run.model.objects.identity import ObjectRef
from gitops_run.model.platform.objects import MAKER_ROLE, VIEWER_ROLE
from gitops_run.model.rights.access import FLUX_HELM_GROUP, FLUX_KUSTOMIZE_GROUP, FLUX_SOURCE_GROUP
from gitops_run.model.state.close_up import Bound, CloseUp, SeenObject, SeenPod
from gitops_run.model.state.saves import Outcome
from gitops_run.model.state.session_state import SessionState, TargetState
from gitops_run.model.tree.file_diff import FileChange
from gitops_run.web.pages.view import (
    AccessLine,
    FileDiff,
    Notice,
    NoticeKind,
    ObjectNode,
    PodView,
    Tab,
)

_RANK: Final = {
    "failed": 0,
    "missing": 1,
    "terminating": 2,
    "progressing": 3,
    "": 4,
    "suspended": 5,
    "ready": 6,
}
_MAY: Final = {
    OWNER_ROLE: "see and act",
    ACCOUNT: "apply what is saved, as Flux",
    VIEWER_ROLE: "see all sessions",
    MAKER_ROLE: "see, make and end all sessions",
    "cluster-admin": "do everything in the cluster",
}


def object_tree(state: SessionState, close_up: CloseUp) -> tuple[ObjectNode, ...]:
    """Put a session's objects into a tree: source, what applies, what is applied, its pods; failed first."""
    children: dict[str, list[SeenObject]] = {}
    known = {one.uid for one in close_up.objects if one.uid}
    tops = []
    for one in close_up.objects:
        if one.owner in known:
            children.setdefault(one.owner, []).append(one)
        else:
            tops.append(one)
    applied = _sorted(_node(one, children) for one in tops)
    first, *others = state.targets or (None,)
    appliers = [_applier(first, state, applied)] if first else list(applied)
    appliers += [_applier(one, state, ()) for one in others if one]
    if state.source is None:
        return tuple(appliers)
    return (_source(state, state.source, _sorted(appliers)),)


def _node(one: SeenObject, children: Mapping[str, Sequence[SeenObject]]) -> ObjectNode:
    ref = one.ref
    below = children.get(one.uid, ()) if one.uid else ()
    return ObjectNode(
        kind=ref.kind,
        name=ref.name,
        namespace=ref.namespace,
        group=ref.group,
        version=ref.version,
        status=one.health,
        reason=one.message,
        created=one.created,
        children=_sorted(_node(child, {}) for child in below),
    )


def _sorted(nodes: Iterable[ObjectNode]) -> tuple[ObjectNode, ...]:
    return tuple(sorted(nodes, key=lambda node: (_worst(node), node.kind, node.namespace, node.name)))


def _worst(node: ObjectNode) -> int:
    return min(_RANK.get(node.status, 4), *(_worst(child) for child in node.children), 6)


def _source(state: SessionState, source: SourceStatus, children: tuple[ObjectNode, ...]) -> ObjectNode:
    return ObjectNode(
        kind="Bucket",
        name=state.name,
        namespace=state.namespace,
        group=FLUX_SOURCE_GROUP,
        status="suspended" if source.is_suspended else _flux_status(source.ready),
        reason="" if source.ready == "True" else source.message,
        created=state.created,
        children=children,
    )


def _applier(target: TargetState, state: SessionState, children: tuple[ObjectNode, ...]) -> ObjectNode:
    kind, _, name = target.object.partition(" ")
    is_release = kind == "HelmRelease"
    return ObjectNode(
        kind=kind,
        name=name,
        namespace=state.namespace,
        group=FLUX_HELM_GROUP if is_release else FLUX_KUSTOMIZE_GROUP,
        version="v2" if is_release else "v1",
        status="suspended" if target.is_suspended else _flux_status(target.ready),
        reason="" if target.ready == "True" else f"{target.reason} {target.message}".strip(),
        created=state.created,
        children=children,
    )


def _flux_status(ready: str) -> str:
    return {"True": "ready", "False": "failed"}.get(ready, "progressing")


def refs_of(nodes: Iterable[ObjectNode]) -> Iterator[ObjectRef]:
    """Name every object of a tree: those of which a page may ask for more."""
    for node in nodes:
        yield ObjectRef(
            group=node.group,
            kind=node.kind,
            namespace=node.namespace,
            name=node.name,
            version=node.version,
        )
        yield from refs_of(node.children)


def pod_views(pods: Iterable[SeenPod]) -> tuple[PodView, ...]:
    """Write pods as the page of logs takes them."""
    return tuple(
        PodView(name=pod.name, phase=pod.phase, containers=pod.containers, has_previous=pod.has_previous)
        for pod in pods
    )


def access_lines(bound: Iterable[Bound]) -> tuple[AccessLine, ...]:
    """Say who may see and act, by the roles that they are bound to."""
    return tuple(
        AccessLine(
            subject=one.subject,
            may=_MAY.get(one.role, f"what the role {one.role} allows"),
            through=one.through,
        )
        for one in bound
    )


def save_diffs(
    state: SessionState, changes: Mapping[str, tuple[FileChange, ...]]
) -> dict[tuple[int, int], tuple[FileDiff, ...]]:
    """Give each applied save what it changed in the files. changes: by revision."""
    saves = state.record.saves if state.record else ()
    return {
        (save.run, save.number): tuple(
            FileDiff(path=one.path, lines=one.lines, note=one.note) for one in changes[save.revision]
        )
        for save in saves
        if save.revision in changes and save.outcome is Outcome.APPLIED
    }


def missing_notices(close_up: CloseUp) -> dict[Tab, Notice]:
    """Say which tabs lack something that this viewer may not see."""
    pods = close_up.missing.get("pods")
    if pods is None:
        return {}
    notice = Notice(
        kind=NoticeKind.NOT_ALLOWED,
        title="You may not see the pods of this session",
        explanation=f"This takes the right to {pods}.",
        next_step="Ask the session's owner, or whoever administers the cluster.",
    )
    return {Tab.LOGS: notice}
