"""What people, clocks and other programs do to sessions: all of it is survived, and nothing of them stays."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gitops_run.sandbox.processes import wait_until
from gitops_run.sandbox.state import Sandbox
from tests.conftest import DEVELOPER, EXAMPLES
from tests.integration.own_clusters import bind, someone, user_of
from tests.integration.test_killed_commands import found, left_of, syncs, tried
from tests.people import COMMAND, PATIENCE_S, Person

HELD = """apiVersion: v1
kind: ConfigMap
metadata:
  name: held
  finalizers: [example.com/hold]
data: {a: b}
"""


@pytest.fixture(scope="module")
def engineer(own_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Person:
    engineer = someone(own_sandbox, tmp_path_factory.mktemp("engineer"))
    engineer.succeeds("platform", "up")
    return engineer


@pytest.fixture(scope="module")
def other(own_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Person:
    """Another engineer, on another machine."""
    return someone(own_sandbox, tmp_path_factory.mktemp("other"))


@pytest.fixture(scope="module")
def colleague(own_sandbox: Sandbox, engineer: Person) -> Person:
    """Another user, who may make sessions too."""
    bind(engineer, "gitops-run-session-maker", DEVELOPER)
    return user_of(own_sandbox, engineer, DEVELOPER)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EXAMPLES / "plain", tmp_path / "plain"))


@pytest.fixture
def name() -> str:
    return f"fault-{uuid.uuid4().hex[:6]}"


@pytest.fixture
def made(own_sandbox: Sandbox, engineer: Person, root: Path, name: str) -> Iterator[str]:
    """A session, which the test spoils; at the end nothing of it may be left."""
    engineer.succeeds("up", name, str(root), "--root", str(root))
    yield name
    ended = engineer.types("down", name)
    assert ended.code in (0, 7), ended.err
    assert left_of(own_sandbox, engineer, name) == set()


@pytest.fixture(scope="module")
def used(
    own_sandbox: Sandbox, engineer: Person, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path]]:
    """A session and its root, which tests only write annotations and data into; nothing of it is left."""
    name = f"used-{uuid.uuid4().hex[:6]}"
    root = Path(shutil.copytree(EXAMPLES / "plain", tmp_path_factory.mktemp("used") / "plain"))
    engineer.succeeds("up", name, str(root), "--root", str(root))
    yield name, root
    engineer.succeeds("down", name)
    assert left_of(own_sandbox, engineer, name) == set()


def user_name(person: Person) -> str:
    return person.kubectl("auth", "whoami", "-o", "jsonpath={.status.userInfo.username}")


IMPATIENT = """
from gitops_run.adapters.cluster import remains
from gitops_run.cli.app import main

remains.GONE_WITHIN_S = 5.0
main()
"""


def impatiently(person: Person, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command that waits 5 s instead of a minute for what is being deleted."""
    return subprocess.run(
        [sys.executable, "-c", IMPATIENT, *command],
        env=dict(person.env),
        cwd=person.cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
        stdin=subprocess.DEVNULL,
    )


def patch(person: Person, kind: str, name: str, body: object) -> None:
    where = ("-n", f"run-{name}", "--type", "merge", "-p", json.dumps(body))
    person.kubectl("patch", kind, name, *where)


def data_of(person: Person, name: str, which: str, text: str) -> None:
    body = json.dumps({"data": {"loop": text}})
    person.kubectl("patch", "configmap", which, "-n", f"run-{name}", "--type", "merge", "-p", body)


def test_of_two_up_of_one_session_at_once_one_wins_and_the_other_says_who(
    own_sandbox: Sandbox, engineer: Person, root: Path, name: str
) -> None:
    command = [*COMMAND, "up", name, str(root), "--root", str(root)]
    both = [
        subprocess.Popen(
            command,
            env=dict(engineer.env),
            cwd=engineer.cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=PATIENCE_S)[1] for process in both]
    codes = [process.returncode for process in both]
    assert sorted(codes) == [0, 3], said
    lost = codes.index(3)
    assert str(both[1 - lost].pid) in said[lost] or "locked" in said[lost]
    syncs(engineer, root, name)
    engineer.succeeds("down", name)
    assert left_of(own_sandbox, engineer, name) == set()


def test_a_second_developer_who_uses_the_name_is_refused_and_learns_whose_it_is(
    made: str, engineer: Person, colleague: Person, root: Path
) -> None:
    refused = colleague.types("up", made, str(root), "--root", str(root))
    assert refused.code == 3
    assert user_name(engineer) in refused.err
    assert "already exists" not in refused.err
    assert colleague.types("down", made).code in (3, 7)
    syncs(engineer, root, made)


def test_a_session_whose_namespace_somebody_deleted_is_made_again(
    made: str, engineer: Person, root: Path
) -> None:
    engineer.kubectl("delete", "namespace", f"run-{made}")
    engineer.succeeds("up", made, str(root), "--root", str(root))
    syncs(engineer, root, made)


def test_a_session_whose_namespace_somebody_deleted_is_ended(made: str, engineer: Person) -> None:
    engineer.kubectl("delete", "namespace", f"run-{made}")
    assert all(line["is_gone"] for line in engineer.succeeds("down", made, "-o", "json").json)


@pytest.mark.parametrize(
    "kind", ["buckets.source.toolkit.fluxcd.io", "kustomizations.kustomize.toolkit.fluxcd.io"]
)
def test_a_session_whose_flux_object_somebody_deleted_is_made_whole(
    made: str, engineer: Person, root: Path, kind: str
) -> None:
    engineer.kubectl("delete", kind, made, "-n", f"run-{made}")
    engineer.succeeds("up", made, str(root), "--root", str(root))
    syncs(engineer, root, made)


def test_a_session_whose_stack_file_is_lost_is_ended(made: str, engineer: Person, root: Path) -> None:
    syncs(engineer, root, made)
    (file,) = Path(engineer.env["XDG_DATA_HOME"]).rglob(f"Pulumi.{made}.yaml")
    file.unlink()
    engineer.succeeds("down", made)


def test_gc_removes_the_lock_that_a_killed_up_has_left(
    own_sandbox: Sandbox, engineer: Person, root: Path, name: str
) -> None:
    process = engineer.begins("up", name, str(root), "--root", str(root), until="create Namespace")
    state = Path(engineer.env["PULUMI_BACKEND_URL"].removeprefix("file://"))
    (lock,) = state.glob(f".pulumi/locks/organization/*/{name}/*.json")
    os.kill(json.loads(lock.read_text())["pid"], signal.SIGKILL)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=PATIENCE_S)
    due = engineer.succeeds("gc", "-o", "json").json
    assert [one["kind"] for one in due if one["session"] == name] == ["lock"]
    assert lock.exists()
    engineer.succeeds("gc", "--apply")
    assert not lock.exists()
    engineer.succeeds("down", name)
    assert left_of(own_sandbox, engineer, name) == set()


def test_gc_names_what_holds_one_end_up_and_ends_the_others(
    own_sandbox: Sandbox, engineer: Person, other: Person, root: Path, name: str
) -> None:
    stuck, free = f"{name}-a", f"{name}-b"
    (root / "held.yaml").write_text(HELD)
    engineer.succeeds("up", stuck, str(root), "--root", str(root), "--ttl", "10s")
    syncs(engineer, root, stuck)
    (root / "held.yaml").unlink()
    engineer.succeeds("up", free, str(root), "--root", str(root), "--ttl", "3s")
    assert wait_until(lambda: {stuck, free} <= found(other), PATIENCE_S)
    told = impatiently(other, "gc", "--apply")
    assert told.returncode != 0
    assert stuck in told.stderr
    assert f"run-{free}" not in engineer.names("namespace")
    engineer.kubectl(
        *("patch", "configmap", "held", "-n", f"run-{stuck}", "--type", "merge"),
        *("-p", '{"metadata":{"finalizers":null}}'),
    )
    other.succeeds("gc", "--apply")
    for one in (stuck, free):
        assert engineer.types("down", one).code in (0, 7)
        assert left_of(own_sandbox, engineer, one) == set()


@pytest.mark.parametrize("hours", [-2, 2])
def test_a_lease_of_a_machine_whose_clock_is_wrong_is_taken_once_it_is_not_renewed(
    used: tuple[str, Path], engineer: Person, hours: int
) -> None:
    name, root = used
    syncs(engineer, root, name)
    when = (datetime.now(UTC) + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    patch(engineer, "lease", name, {"spec": {"holderIdentity": "eve@elsewhere/1/x-1", "renewTime": when}})
    taken = ("--take-over",) if hours > 0 else ()
    syncs(engineer, root, name, *taken)


@pytest.mark.parametrize(
    "text",
    tried(["", "no json", "[]", '{"id": 1}', '{"id": "x", "verb": 7, "when": ""}', "x" * 100_000]),
    ids=lambda text: text[:20],
)
def test_a_request_that_nobody_can_read_disturbs_neither_gc_nor_list_nor_a_sync(
    used: tuple[str, Path], engineer: Person, text: str
) -> None:
    name, root = used
    said = {"gitops-run.dev/request": text, "gitops-run.dev/requested-by": user_name(engineer)}
    patch(engineer, "buckets.source.toolkit.fluxcd.io", name, {"metadata": {"annotations": said}})
    assert name not in found(engineer)
    engineer.succeeds("list")
    syncs(engineer, root, name)


@pytest.mark.parametrize(
    "text", tried(["", "no json", "[]", '{"v": 99}', '{"saves": [{"number": "x"}]}']), ids=repr
)
def test_a_state_and_a_record_that_nobody_can_read_are_written_again(
    used: tuple[str, Path], engineer: Person, text: str
) -> None:
    name, root = used
    for which in ("gitops-run-state", "gitops-run-record"):
        data_of(engineer, name, which, text)
    for command in (("list",), ("status", name), ("gc",)):
        engineer.succeeds(*command)
    syncs(engineer, root, name)
    assert engineer.succeeds("status", name, "-o", "json").json["record"]["saves"]


def test_a_tombstone_that_somebody_made_up_ends_no_session(
    used: tuple[str, Path], engineer: Person, tmp_path: Path
) -> None:
    """Whoever may write to the namespace default may claim anything there."""
    name, root = used
    stone = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": f"gitops-run-ended-run-{name}",
            "namespace": "default",
            "labels": {"gitops-run.dev/ended-session": name},
        },
        "data": {"session": name, "namespace": f"run-{name}", "by": "eve", "at": "soon", "reason": "fun"},
    }
    file = tmp_path / "stone.json"
    file.write_text(json.dumps(stone))
    engineer.kubectl("apply", "-f", str(file))
    engineer.succeeds("gc", "--apply")
    engineer.succeeds("up", name, str(root), "--root", str(root))
    syncs(engineer, root, name)


@pytest.mark.parametrize(
    "annotation", tried(["ttl=soon", "idle-limit=-1h", "suspended-at=yesterday", "created="])
)
def test_an_annotation_that_says_nothing_sensible_ends_and_suspends_nothing(
    used: tuple[str, Path], engineer: Person, annotation: str
) -> None:
    name, _ = used
    flags = ("-n", f"run-{name}", "--overwrite", f"gitops-run.dev/{annotation}")
    engineer.kubectl("annotate", "buckets.source.toolkit.fluxcd.io", name, *flags)
    engineer.succeeds("list")
    engineer.succeeds("gc", "--apply")
    (applier,) = engineer.get("kustomizations.kustomize.toolkit.fluxcd.io", f"run-{name}")
    assert not applier["spec"].get("suspend")
