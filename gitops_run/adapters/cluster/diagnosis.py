"""What `doctor` asks a cluster: its version and time, who this user is and what they may do."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from gitops_run.adapters.cluster.connection import Connection
from gitops_run.adapters.cluster.paths import path_of
from gitops_run.model.platform.diagnosis import Rights

_REVIEWS: Final = path_of("authorization.k8s.io/v1", "selfsubjectaccessreviews")


async def read_version(connection: Connection) -> str:
    """Ask for the version of Kubernetes, "v1.36.1"."""
    return str((await connection.get("/version")).get("gitVersion", ""))


async def read_skew_s(connection: Connection) -> float | None:
    """Measure how far this machine's clock is ahead of the API server's; None where that doesn't say.

    The Date of an answer has whole seconds and is written during the request: a skew of one second is none.
    """
    before = datetime.now(UTC)
    text = await connection.date()
    between = before + (datetime.now(UTC) - before) / 2
    try:
        skew = (between - parsedate_to_datetime(text)).total_seconds()
    except (ValueError, TypeError):
        return None
    return skew - 0.5


async def read_denied(connection: Connection, wanted: Mapping[str, Rights]) -> dict[str, list[str]]:
    """Ask which rights this user lacks in all namespaces, by what they are for."""
    asked = [(purpose, right) for purpose, of in wanted.items() for right in of.needed]
    answers = await asyncio.gather(*(connection.create(_REVIEWS, _review(*right)) for _, right in asked))
    denied: dict[str, list[str]] = {purpose: [] for purpose in wanted}
    for (purpose, (verb, group, resource)), answer in zip(asked, answers, strict=True):
        if not answer["status"]["allowed"]:
            denied[purpose].append(f"{verb} {resource}.{group}".rstrip("."))
    return denied


async def read_node_images(connection: Connection) -> tuple[frozenset[str], ...] | None:
    """List the images that each node says it has; None where this user may not read nodes.

    A node reports its 50 largest images (kubelet's nodeStatusMaxImages).
    """
    listed = await connection.find(path_of("v1", "nodes"))
    if not listed:
        return None
    nodes = (node.get("status", {}).get("images") or () for node in listed.get("items") or ())
    return tuple(frozenset(name for one in images for name in one.get("names") or ()) for images in nodes)


def _review(verb: str, group: str, resource: str) -> dict[str, Any]:
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"verb": verb, "group": group, "resource": resource}},
    }
