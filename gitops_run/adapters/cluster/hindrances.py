"""Read what keeps a session from being gone: objects that wait for finalizers, or its namespace."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from gitops_run.adapters.cluster.connection import Connection
from gitops_run.adapters.cluster.paths import applier_path, namespace_path, path_of, release_path, source_path
from gitops_run.model.rights.access import APPLICABLE
from gitops_run.model.session.hindrance import Hindrance, hindrances
from gitops_run.model.session.key import SessionKey


async def read_hindrances(connection: Connection, key: SessionKey) -> tuple[Hindrance, ...]:
    """Find what holds a session's end up, as far as this user may see it. Raises TransientError."""
    namespace, *listings = await asyncio.gather(
        connection.find(namespace_path(key.namespace)),
        *(connection.find(path) for path in _collections(key.namespace)),
    )
    objects = [
        {**live, "kind": listing["kind"].removesuffix("List")}
        for listing in listings
        for live in listing.get("items") or ()
    ]
    return hindrances(key, namespace, objects)


def _collections(namespace: str) -> Iterator[str]:
    for path in (applier_path, release_path, source_path):
        yield path(namespace)
    for group, resources in APPLICABLE:
        for resource in resources:
            yield path_of(f"{group}/v1" if group else "v1", resource, namespace)
