"""Decide whether a snapshot may be pushed: render it, and look at what it would apply.

Nothing is written before this has passed, and nothing is ever rolled back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gitops_run.flows.ports import Permissions, Renderer, Snapshot
from gitops_run.model.events import Change
from gitops_run.model.kustomize import MANIFEST_SUFFIXES, locate
from gitops_run.model.objects import ObjectRef, parse_inventory_id, parse_objects
from gitops_run.model.problem import Problem

PRUNE_ALWAYS_ALLOWED = 3
"""Objects that a save may prune whatever their share is: a small session changes by large shares."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """Hold what the loop knows of the cluster. digests: of each object as it was last pushed."""

    digests: Mapping[ObjectRef, str]
    inventory: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """Hold what a snapshot would apply, or why it may not be pushed."""

    objects: tuple[ObjectRef, ...] = ()
    problems: tuple[Problem, ...] = ()
    changes: tuple[Change, ...] = ()
    not_checked: tuple[str, ...] = ()
    digests: Mapping[ObjectRef, str] = field(default_factory=dict)


class Inspector:
    """Render snapshots of one target and check every object of them."""

    def __init__(self, target: str, renderer: Renderer, permissions: Permissions) -> None:
        self._target = target
        self._renderer = renderer
        self._permissions = permissions

    async def inspect(self, snapshot: Snapshot, live: Live, mark: Callable[[str], None]) -> Preflight:
        """Render a snapshot and check every object of it."""
        del live
        if snapshot.problems:
            return Preflight(problems=snapshot.problems)
        rendered = await self._renderer.render(snapshot, self._target)
        mark("rendered")
        if isinstance(rendered, Problem):
            return Preflight(problems=(_with_ignore_rule(rendered, snapshot),))
        try:
            objects = parse_objects(rendered)
        except ValueError as error:
            return Preflight(problems=(Problem(path=self._target, message=str(error)),))
        refusals = await self._permissions.refusal(objects)
        mark("checked")
        return Preflight(objects=objects, problems=_located(refusals.items(), snapshot))


def _with_ignore_rule(problem: Problem, snapshot: Snapshot) -> Problem:
    rule = snapshot.hidden_by(problem.path) if problem.path else None
    if rule is None:
        return problem
    return replace(
        problem,
        message=f"the target needs this file, but an ignore rule hides it: {rule}",
        hint=f"change the rule, or bring the file back with: !{problem.path.rpartition('/')[2]}",
    )


def _located(refusals: Iterable[tuple[ObjectRef, str]], snapshot: Snapshot) -> tuple[Problem, ...]:
    found = list(refusals)
    if not found:
        return ()
    sources = [
        (path, text)
        for path in snapshot.tree.files
        if path.endswith(MANIFEST_SUFFIXES) and (text := snapshot.read_text(path)) is not None
    ]
    problems = []
    for ref, reason in found:
        path, line = locate(ref, sources)
        problems.append(
            Problem(path=path, line=line, message=f"{ref}: {reason}", hint="remove it from the target")
        )
    return tuple(problems)


def pruned(objects: Sequence[ObjectRef], inventory: Sequence[str]) -> tuple[ObjectRef, ...]:
    """List what Flux would delete: what its inventory holds and the snapshot doesn't."""
    kept = {ref.inventory_id for ref in objects}
    return tuple(parse_inventory_id(entry) for entry in inventory if entry not in kept)


def is_large_prune(gone: int, inventory: int, limit_percent: int) -> bool:
    """Say whether a prune needs someone's word: more than its share, and more than a handful."""
    return gone > PRUNE_ALWAYS_ALLOWED and gone * 100 > inventory * limit_percent
