"""A real sync, killed at each step of a save: the cluster stays on a whole tree, the next sync heals it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.integration.conftest import SharedSession
from tests.people import Running

OLD, NEW = "old", "new"
NAMES = ("first", "second")
STEPS = [
    ("fence", "before"),
    ("fence", "after"),
    ("list", "before"),
    ("put_many", "before"),
    ("put_many", "after"),
    ("delete", "before"),
    ("delete", "after"),
    ("release", "before"),
    ("release", "after"),
]
SINGLE_STEPS = [("put_many", "before"), ("put_many", "after"), ("request_fetch", "after")]


def write(session: SharedSession, name: str, value: str) -> None:
    text = f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n  value: {value}\n"
    (session.root / f"{name}.yaml").write_text(text)


def values(session: SharedSession) -> dict[str, str]:
    found = session.owner.get("configmaps", session.namespace)
    return {
        item["metadata"]["name"]: item["data"]["value"]
        for item in found
        if item["metadata"]["name"] in (*NAMES, "third")
    }


@contextmanager
def doomed_sync(session: SharedSession, step: str, when: str) -> Iterator[Running]:
    """Run a sync that kills itself at a step, and wait until it has."""
    with session.signalled("SIGKILL", step, when) as running:
        yield running
        assert running.ends() == -signal.SIGKILL, running.errors


@pytest.fixture
def before(session: SharedSession) -> SharedSession:
    """The session with an old tree live."""
    for name in (*NAMES, "third"):
        write(session, name, OLD)
    with session.syncing():
        pass
    return session


@pytest.mark.parametrize(("step", "when"), STEPS)
def test_a_kill_amid_a_fenced_save_leaves_a_whole_tree_and_the_next_sync_heals_it(
    before: SharedSession, step: str, when: str
) -> None:
    for name in NAMES:
        write(before, name, NEW)
    (before.root / "third.yaml").unlink()
    with doomed_sync(before, step, when):
        pass
    old, new = {"first": OLD, "second": OLD, "third": OLD}, {"first": NEW, "second": NEW}
    assert values(before) == old or (step, when) == ("release", "after")
    with before.syncing():
        assert values(before) == new
    assert not before.source()["spec"].get("suspend", False)


@pytest.mark.parametrize(("step", "when"), SINGLE_STEPS)
def test_a_kill_amid_a_save_of_one_file_leaves_a_whole_tree_and_the_next_sync_heals_it(
    before: SharedSession, step: str, when: str
) -> None:
    with doomed_sync(before, step, when) as sync:
        sync.tells("save_applied")
        write(before, "first", NEW)
    old = {"first": OLD, "second": OLD, "third": OLD}
    assert values(before) == old or step == "request_fetch"
    with before.syncing():
        assert values(before) == {**old, "first": NEW}
