"""Who asks, and what they may do, in the API server's own words.

Source: Kubernetes' authentication.k8s.io/v1 and authorization.k8s.io/v1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import anyio

from gitops_run.adapters.cluster.connection import Connection
from gitops_run.adapters.cluster.paths import path_of
from gitops_run.errors import ungrouped
from gitops_run.model.rights.right import Identity, Right

AT_ONCE: Final = 20
"""Reviews that are asked at the same time: 500 take half a second, and an API server limits one client."""


async def identity(connection: Connection) -> Identity:
    """Ask the cluster who this is. Raises BackendError."""
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    answer = await connection.create(path_of(review["apiVersion"], "selfsubjectreviews"), review)
    info = answer["status"]["userInfo"]
    return Identity(str(info["username"]), tuple(str(group) for group in info.get("groups") or ()))


async def allowed(connection: Connection, rights: Sequence[Right]) -> tuple[bool, ...]:
    """Ask whether this user has each of these rights, in their order. Raises BackendError."""
    answers = [False] * len(rights)
    limiter = anyio.CapacityLimiter(AT_ONCE)

    async def ask(number: int, right: Right) -> None:
        async with limiter:
            answers[number] = await _is_allowed(connection, right)

    with ungrouped():
        async with anyio.create_task_group() as tasks:
            for number, right in enumerate(rights):
                tasks.start_soon(ask, number, right)
    return tuple(answers)


async def _is_allowed(connection: Connection, right: Right) -> bool:
    attributes = {
        "verb": right.verb,
        "group": right.group,
        "resource": right.resource,
        "subresource": right.subresource,
        "namespace": right.namespace,
        "name": right.name,
    }
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {key: value for key, value in attributes.items() if value}},
    }
    answer = await connection.create(path_of("authorization.k8s.io/v1", "selfsubjectaccessreviews"), review)
    return bool(answer["status"].get("allowed"))
