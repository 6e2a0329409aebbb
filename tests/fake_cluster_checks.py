"""A small cluster for preflight: it knows what is live, and merges what a dry run applies."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio

from gitops_run.flows.judgement import InspectionSettings
from gitops_run.flows.ports import Renderer
from gitops_run.flows.preflight import Inspector
from gitops_run.model.objects.dry_run import Finding, Look, Obstacle
from gitops_run.model.objects.identity import ObjectRef, RenderedObject
from gitops_run.model.objects.ownership import SessionPlace

PLACE = SessionPlace(name="web", namespace="ns")


@dataclass
class FakeCluster:
    """live: by inventory id. refuses: what a dry run finds, by name.
    refuses_new: what it finds of an object under another name. looked_at: each look, in order.

    hides: names of objects that Flux may not read. unknown: fields of a spec that no kind has.
    """

    live: dict[str, dict[str, Any]] = field(default_factory=dict)
    refuses: dict[str, tuple[Finding, ...]] = field(default_factory=dict)
    refuses_new: dict[str, tuple[Finding, ...]] = field(default_factory=dict)
    looked_at: list[tuple[str, bool]] = field(default_factory=list)
    hides: frozenset[str] = frozenset()
    unknown: frozenset[str] = frozenset()

    def has(self, ref: ObjectRef, **body: Any) -> None:
        """Put an object there; labels and all of it as in body."""
        metadata = {"name": ref.name, "namespace": ref.namespace, **body.pop("metadata", {})}
        self.live[ref.inventory_id] = {"kind": ref.kind, "metadata": metadata, **body}

    async def look(self, objects: Sequence[RenderedObject], *, has_dry_run: bool) -> tuple[Look, ...]:
        await anyio.sleep(0.005 if objects else 0)
        self.looked_at += [(item.ref.name, has_dry_run) for item in objects]
        return tuple(self._look(item, has_dry_run=has_dry_run) for item in objects)

    def _look(self, item: RenderedObject, *, has_dry_run: bool) -> Look:
        live = self.live.get(item.ref.inventory_id)
        if not has_dry_run:
            return Look(live=live)
        findings = self.refuses.get(item.ref.name, ()) or self._of_unknown(item.body)
        result = None if findings else _merged(live or {}, item.body)
        resource = f"{item.ref.kind.lower()}s"
        is_namespaced = item.ref.kind not in ("Namespace", "ClusterRole", "CustomResourceDefinition")
        is_hidden = item.ref.name in self.hides
        return Look(
            live=None if is_hidden else live,
            result=result,
            findings=findings,
            resource=resource,
            is_namespaced=is_namespaced,
            is_hidden=is_hidden,
            if_new=self.refuses_new.get(item.ref.name, ()) if findings and live is not None else None,
        )

    def _of_unknown(self, body: Mapping[str, Any]) -> tuple[Finding, ...]:
        named = sorted(self.unknown & body.get("spec", {}).keys())
        return tuple(
            Finding(obstacle=Obstacle.CONTENT, message="unknown field", field=f"spec.{name}")
            for name in named
        )


def _merged(live: Mapping[str, Any], applied: Mapping[str, Any]) -> dict[str, Any]:
    merged = copy.deepcopy(dict(live))
    for key, value in applied.items():
        old = merged.get(key)
        merged[key] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def inspector(renderer: Renderer, cluster: FakeCluster | None = None, **settings: Any) -> Inspector:
    """An inspector of session web in namespace ns, for a target app."""
    chosen = InspectionSettings(**{"target": "app", "session": PLACE, **settings})
    return Inspector(renderer, cluster or FakeCluster(), chosen)
