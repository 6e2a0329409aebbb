"""A session whose state was cut off or is lost: what it doesn't know is found by labels and names."""

from __future__ import annotations

import anyio
import pytest

from gitops_run.errors import GuardError
from gitops_run.flows import lifecycle
from gitops_run.model.stack.events import KnownResources, PendingObject
from tests.unit.test_lifecycle_keys import BUCKET, KEYS, KNOWN, World, request, up

NAMESPACE = PendingObject(api_version="v1", kind="Namespace", namespace="", name="run-web")
SECRET = PendingObject(api_version="v1", kind="Secret", namespace="run-web", name="reader")
EMPTY = KnownResources(objects=frozenset(), has_bucket=False)
PART = KnownResources(objects=frozenset({NAMESPACE}), has_bucket=True)


def lost_world(known: KnownResources | None) -> World:
    """A session that was made, and synced, of which a state knows less."""
    return World(
        facts=KNOWN,
        accounts={*KEYS, "other"},
        buckets={BUCKET},
        full={BUCKET},
        known=known,
        labelled=(NAMESPACE, SECRET),
    )


def test_up_removes_what_a_continued_state_does_not_know_and_makes_it_again() -> None:
    world = lost_world(EMPTY)
    world.refusals = 1
    up(world, request())
    assert world.calls == ["up", "remove run-web", "remove reader", "close", "up"]
    assert world.buckets == set()


def test_up_leaves_what_a_continued_state_knows() -> None:
    world = lost_world(PART)
    world.refusals = 1
    up(world, request())
    assert world.calls == ["up", "remove reader", "up"]
    assert world.buckets == {BUCKET}


def test_up_removes_nothing_of_a_session_that_another_state_has_made() -> None:
    world = lost_world(None)
    world.refusals = 10
    with pytest.raises(GuardError):
        up(world, request())
    assert world.calls == ["up"]


def test_down_ends_what_a_continued_state_does_not_know() -> None:
    world = lost_world(PART)
    receipt = anyio.run(lifecycle.down, request(), world.ports, print)
    assert not receipt.left
    assert world.calls == ["destroy", "remove run-web", "remove reader", "forget", "close"]
    assert (world.buckets, world.accounts) == (set(), {"other"})


def test_down_from_the_cluster_ends_a_session_without_any_state_and_forgets_its_stack() -> None:
    world = lost_world(None)
    receipt = anyio.run(lifecycle.down_from_cluster, request(), world.ports, print)
    assert {line.what for line in receipt.lines} == {f"S3 bucket {BUCKET}", *(f"S3 key {k}" for k in KEYS)}
    assert not receipt.left
    assert world.calls == ["remove run-web", "remove reader", "close", "discard"]
    assert (world.buckets, world.accounts) == (set(), {"other"})
