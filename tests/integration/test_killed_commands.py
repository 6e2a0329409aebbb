"""up, down and gc, killed by SIGKILL at each step: the next run continues or cleans up, and nothing stays.

`make test` tries every third step, and GITOPS_RUN_FAULTS=all, which tests.faults sets, all of them.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import pytest
import yaml

from gitops_run.adapters.store.admin import open_store
from gitops_run.adapters.store.keys import open_keys
from gitops_run.model.store.objects import StoreAccess
from gitops_run.sandbox.processes import wait_until
from gitops_run.sandbox.state import Sandbox
from tests.conftest import EXAMPLES
from tests.integration.own_clusters import someone
from tests.people import Person

PATIENCE_S = 30.0
UP = [("facts", "after"), ("up", "before"), ("up", "after")]
DOWN = [
    ("facts", "after"),
    ("destroy", "before"),
    ("destroy", "after"),
    ("forget", "before"),
    ("forget", "after"),
    ("remains", "before"),
]
END = [
    ("leave_word", "before"),
    ("leave_word", "after"),
    ("drain", "before"),
    ("drain", "after"),
    ("remove", "before"),
    ("remove", "after"),
    ("remains", "after"),
]
ASKED = [
    ("suspend", "before"),
    ("suspend", "after"),
    ("write_record", "before"),
    ("write_record", "after"),
]


T = TypeVar("T")


def tried(all_of_them: Sequence[T]) -> Sequence[T]:
    """Choose the parameters of a test: every third, or all where the whole table is tried."""
    return all_of_them if os.environ.get("GITOPS_RUN_FAULTS") == "all" else all_of_them[1::3]


@pytest.fixture(scope="module")
def engineer(own_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Person:
    engineer = someone(own_sandbox, tmp_path_factory.mktemp("engineer"))
    engineer.succeeds("platform", "up")
    return engineer


@pytest.fixture(scope="module")
def other(own_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Person:
    """Another engineer, who has no stack."""
    return someone(own_sandbox, tmp_path_factory.mktemp("other"))


@dataclass(frozen=True)
class Place:
    """A session's name and directory, whoever makes it, and another engineer who has no stack."""

    sandbox: Sandbox
    engineer: Person
    other: Person
    root: Path
    name: str

    @property
    def command(self) -> tuple[str, ...]:
        return "up", self.name, str(self.root), "--root", str(self.root)

    def syncs(self) -> None:
        syncs(self.engineer, self.root, self.name)

    def is_ended(self) -> bool:
        """End the session, and report whether nothing of it is left."""
        ended = self.engineer.types("down", self.name)
        return ended.code in (0, 7) and not left_of(self.sandbox, self.engineer, self.name)


@pytest.fixture
def place(own_sandbox: Sandbox, engineer: Person, other: Person, tmp_path: Path) -> Place:
    root = Path(shutil.copytree(EXAMPLES / "plain", tmp_path / "plain"))
    return Place(own_sandbox, engineer, other, root, f"killed-{uuid.uuid4().hex[:6]}")


def killed(person: Person, step: str, when: str, *command: str) -> None:
    """Run a command that kills itself at a step."""
    path = f"{EXAMPLES.parent}:{os.environ.get('PYTHONPATH', '')}"
    ended = subprocess.run(
        [sys.executable, "-m", "tests.signalled", "SIGKILL", step, when, *command],
        env={**person.env, "PYTHONPATH": path},
        cwd=person.cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stdout + ended.stderr


def left_of(sandbox: Sandbox, person: Person, name: str) -> set[str]:
    """Name what cluster and store still have of a session: its namespace, bucket, keys and tombstone."""
    settings = yaml.safe_load(sandbox.settings.read_text())
    access = StoreAccess(
        endpoint=settings["endpoint"],
        region=settings["region"],
        access_key=settings["accessKey"],
        secret_key=settings["secretKey"],
        ca_cert=sandbox.ca.read_text(),
    )
    with open_store(access) as store, open_keys(access) as keys:
        stored = {*store.names(), *(keys.names() or ())}
    there = {*person.names("namespace"), *person.names("configmap", "default"), *stored}
    return {one for one in there if name in one}


def syncs(person: Person, root: Path, name: str, *flags: str) -> None:
    """Sync a root that has changed until that is applied."""
    content = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "changed"}}
    (root / "changed.yaml").write_text(yaml.safe_dump({**content, "data": {"now": uuid.uuid4().hex}}))
    with replace(person, cwd=root).leaves_running("sync", name, *flags) as sync:
        sync.tells("save_applied")


def found(person: Person) -> set[str]:
    """Name the sessions for which gc would do something."""
    return {one["session"] for one in person.succeeds("gc", "-o", "json").json}


@pytest.mark.parametrize(("step", "when"), tried(UP))
def test_an_up_that_was_killed_is_continued_by_the_next_one(place: Place, step: str, when: str) -> None:
    killed(place.engineer, step, when, *place.command)
    again = place.engineer.succeeds(*place.command)
    assert "already exists" not in again.out + again.err
    place.syncs()
    assert place.is_ended()


@pytest.mark.parametrize(("step", "when"), tried(UP))
def test_down_cleans_up_after_an_up_that_was_killed(place: Place, step: str, when: str) -> None:
    killed(place.engineer, step, when, *place.command)
    assert place.is_ended()


@pytest.mark.parametrize(("step", "when"), tried(DOWN))
def test_a_down_that_was_killed_is_finished_by_the_next_one(place: Place, step: str, when: str) -> None:
    place.engineer.succeeds(*place.command)
    place.syncs()
    killed(place.engineer, step, when, "down", place.name)
    assert place.is_ended()


@pytest.mark.parametrize(("step", "when"), tried(END))
def test_a_gc_that_was_killed_while_it_ended_a_session_is_finished_by_the_next_one(
    place: Place, step: str, when: str
) -> None:
    place.engineer.succeeds(*place.command, "--ttl", "3s")
    assert wait_until(lambda: place.name in found(place.other), PATIENCE_S)
    killed(place.other, step, when, "gc", "--apply")
    place.other.succeeds("gc", "--apply")
    assert f"run-{place.name}" not in place.engineer.names("namespace")
    assert place.is_ended()


@pytest.mark.parametrize(("step", "when"), tried(ASKED))
def test_a_request_whose_collector_was_killed_is_carried_out_and_answered_by_the_next_one(
    place: Place, step: str, when: str
) -> None:
    place.engineer.succeeds(*place.command)
    place.engineer.succeeds("request", place.name, "suspend", "--reason", "noon")
    killed(place.other, step, when, "gc", "--apply")
    place.other.succeeds("gc", "--apply")
    shown = place.engineer.succeeds("status", place.name, "-o", "json").json
    assert shown["targets"][0]["is_suspended"]
    assert [answer["is_accepted"] for answer in shown["record"]["answers"]] == [True]
    assert place.name not in found(place.other)
    assert place.is_ended()
