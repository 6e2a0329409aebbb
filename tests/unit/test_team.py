"""A team's file: what it says of each session, what is refused, and how many are worked on at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest
import yaml

from gitops_run.api import sessions, team
from gitops_run.api.caller import Caller
from gitops_run.errors import BackendError, GuardError, NotFound, UsageError
from gitops_run.model.session.request import SessionRequest
from gitops_run.model.stack.events import ResourceStep, StackNotice
from tests import virtual_time
from tests.conftest import EXAMPLES

Write = Callable[[object], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(document: object) -> Path:
        file = tmp_path / "team.yaml"
        file.write_text(yaml.safe_dump(document))
        return file

    return write


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def caller(tmp_path: Path, told: list[str]) -> Caller:
    """Somebody whose kubeconfig has one context."""
    kubeconfig = tmp_path / "kubeconfig"
    cluster = {"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}
    context = {"name": "kind-c", "context": {"cluster": "c", "user": "u"}}
    user = {"name": "u", "user": {"token": "t"}}
    kubeconfig.write_text(
        json.dumps({"kind": "Config", "clusters": [cluster], "contexts": [context], "users": [user]})
    )
    environment = {"HOME": str(tmp_path), "KUBECONFIG": str(kubeconfig), "GITOPS_RUN_CONTEXT": "kind-c"}
    return Caller(environment=environment, here=tmp_path, report=told.append)


WORK_S = 10.0


class Pulumi:
    """Stands for Pulumi: a session is worked on until the others that fit have begun, too."""

    def __init__(self, caller: Caller, **failures: Exception) -> None:
        self.caller = caller
        self.failures = failures
        self.running = self.most = 0
        self.operations = "create"
        self.began: list[float] = []

    async def up(self, request: SessionRequest, caller: Caller) -> None:
        await self._work(request, caller)

    async def down(self, request: SessionRequest, caller: Caller) -> None:
        await self._work(request, caller)

    async def _work(self, request: SessionRequest, caller: Caller) -> None:
        name = request.key.name.text
        self.running += 1
        self.most = max(self.most, self.running)
        self.began.append(anyio.current_time())
        await anyio.sleep(WORK_S)
        self.running -= 1
        if name in self.failures:
            raise self.failures[name]
        caller.tell(StackNotice(text="a notice"))
        for operation in self.operations.split():
            caller.tell(ResourceStep(resource=name, kind="Secret", operation=operation, phase="done"))


def named(*names: str) -> dict[str, object]:
    return {"defaults": {"target": "."}, "sessions": [{"name": name} for name in names]}


def run(
    monkeypatch: pytest.MonkeyPatch, pulumi: Pulumi, file: Path, work: Any = team.up, at_once: int = 4
) -> tuple[list[team.Result], Sequence[team.Result]]:
    """Return the results as they were reported, and as they were returned."""
    monkeypatch.setattr(sessions, "up", pulumi.up)
    monkeypatch.setattr(sessions, "down", pulumi.down)
    reported: list[team.Result] = []
    members = team.read_team(file)
    returned = virtual_time.run(lambda: work(members, pulumi.caller, reported.append, at_once=at_once))
    return reported, returned


def test_a_session_has_its_own_settings_and_those_of_the_team(write: Write, tmp_path: Path) -> None:
    entries = [{"name": "ann", "owner": "ann@example.com"}, {"name": "ben", "ttl": "1d", "root": "app"}]
    members = team.read_team(write({"defaults": {"ttl": "5d", "root": "../web"}, "sessions": entries}))
    assert [(member.name.text, dict(member.said.values)) for member in members] == [
        ("ann", {"ttl": "5d", "root": str(tmp_path.parent / "web"), "owner": "ann@example.com"}),
        ("ben", {"ttl": "1d", "root": str(tmp_path / "app")}),
    ]


def test_a_target_that_is_a_chart_is_applied_by_helm(write: Write, tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "Chart.yaml").write_text("name: shop\n")
    (member,) = team.read_team(write({"sessions": [{"name": "ann", "root": ".", "target": "shop"}]}))
    assert member.said.values["applier"] == "helm"


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ({}, "sessions must be a list"),
        ({"sessions": []}, "sessions must be a list"),
        ({"sessions": {"ann": {}}}, "sessions must be a list"),
        ({"sessions": ["ann"]}, "number 1 of sessions"),
        ({"sessions": [{"name": "ann"}, {"secretKey": "s3cret"}]}, "number 2 of sessions"),
        ({"sessions": [{"name": False}]}, "with a name"),
        ({"sessions": [{"name": "ann", 1: 2}]}, "with a name"),
        ({"sessions": [{"name": "Ann"}]}, "'Ann' is not allowed"),
        ({"sessions": [{"name": "ann"}, {"name": "ann"}]}, "session ann is listed twice"),
        ({"session": [{"name": "ann"}]}, "unknown key 'session'"),
        ({"defaults": ["ttl"], "sessions": [{"name": "ann"}]}, "defaults must be a mapping"),
        ({"sessions": [{"name": "ann", "tll": "8h"}]}, "'tll' in {file}, session ann"),
        ({"sessions": [{"name": "ann", "ttl": 8}]}, "ttl in {file}, session ann"),
        ({"defaults": {"secretKey": "s3cret"}, "sessions": [{"name": "ann"}]}, "session ann: secretKey"),
        ({"defaults": {"settleMs": 50}, "sessions": [{"name": "ann"}]}, "session ann: settleMs"),
        (
            {"defaults": {"namespace": "team"}, "sessions": [{"name": "ann"}, {"name": "ben"}]},
            "sessions ann and ben have the namespace team",
        ),
    ],
)
def test_a_fault_is_refused_by_name(write: Write, document: object, named: str) -> None:
    file = write(document)
    with pytest.raises(UsageError) as refused:
        team.read_team(file)
    assert named.format(file=file) in refused.value.message
    assert "s3cret" not in f"{refused.value.message}{refused.value.hint}"
    assert refused.value.hint


def test_the_example_is_a_team() -> None:
    names = [member.name.text for member in team.read_team(EXAMPLES / "team.yaml")]
    assert names == ["ann", "ben", "cleo"]


@pytest.mark.parametrize("at_once", [1, 3])
def test_so_many_sessions_are_worked_on_at_once(
    write: Write, caller: Caller, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    pulumi = Pulumi(caller)
    run(monkeypatch, pulumi, write(named("a", "b", "c", "d", "e")), at_once=at_once)
    assert pulumi.most == at_once


def test_sessions_begin_one_after_another_so_that_the_cluster_answers_each_in_time(
    write: Write, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulumi = Pulumi(caller)
    run(monkeypatch, pulumi, write(named("a", "b", "c", "d")), at_once=3)
    began = [at - pulumi.began[0] for at in pulumi.began]
    apart = team.BEGIN_APART_S
    assert began == pytest.approx([0, apart, 2 * apart, WORK_S])


@pytest.mark.parametrize(("wanted", "processors", "most"), [(50, 2, 8), (4, 1, 4), (4, 8, 4)])
def test_no_more_are_worked_on_at_once_than_the_machine_carries(
    wanted: int, processors: int, most: int
) -> None:
    assert team.most_at_once(wanted, processors) == most


def test_none_at_once_is_refused(write: Write, caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="--at-once is 0"):
        run(monkeypatch, Pulumi(caller), write(named("a")), at_once=0)


def test_a_session_that_fails_leaves_the_others_alone(
    write: Write, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    failure = BackendError("the store is full", hint="make room")
    reported, returned = run(monkeypatch, Pulumi(caller, b=failure), write(named("a", "b", "c")))
    assert [(one.name.text, one.did, one.error) for one in returned] == [
        ("a", "created", None),
        ("b", "failed", failure),
        ("c", "created", None),
    ]
    assert sorted(reported, key=lambda one: one.name.text) == list(returned)


def test_settings_that_cannot_be_used_here_fail_their_session_alone(
    write: Write, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write({"sessions": [{"name": "a", "caFile": "missing.pem"}, {"name": "b"}]})
    _, returned = run(monkeypatch, Pulumi(caller), file)
    assert [one.did for one in returned] == ["failed", "created"]


@pytest.mark.parametrize(
    ("operations", "did"),
    [("", "unchanged"), ("same same", "unchanged"), ("same create", "created"), ("create update", "changed")],
)
def test_a_result_says_what_pulumi_did(
    write: Write, caller: Caller, monkeypatch: pytest.MonkeyPatch, operations: str, did: str
) -> None:
    pulumi = Pulumi(caller)
    pulumi.operations = operations
    _, (result,) = run(monkeypatch, pulumi, write(named("a")))
    assert result.did == did


def test_a_session_that_is_gone_already_is_no_failure(
    write: Write, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulumi = Pulumi(caller, a=NotFound("no such stack"))
    _, returned = run(monkeypatch, pulumi, write(named("a", "b")), team.down)
    assert [one.did for one in returned] == ["not there", "ended"]


def test_a_notice_of_pulumi_is_reported_with_its_session(
    write: Write, caller: Caller, monkeypatch: pytest.MonkeyPatch, told: list[str]
) -> None:
    run(monkeypatch, Pulumi(caller), write(named("a")))
    assert told == ["a: a notice"]


def stack_of(file: Path) -> Any:
    return yaml.safe_load(file.read_text())


def test_stack_files_say_what_the_team_s_file_says(write: Write, caller: Caller) -> None:
    entry = {"name": "ann", "context": "kind-c", "valuesFiles": ["a.yaml"], "sharedKeys": True}
    (file,) = team.write_stack_files(team.read_team(write({"sessions": [entry]})), caller)
    assert stack_of(file)["config"] == {
        "gitops-run:context": "kind-c",
        "gitops-run:valuesFiles": ["a.yaml"],
        "gitops-run:sharedKeys": True,
    }
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_stack_file_keeps_what_the_team_s_file_does_not_say(write: Write, caller: Caller) -> None:
    (file,) = team.write_stack_files(team.read_team(write(named("ann"))), caller)
    document = stack_of(file) | {"encryptionsalt": "v1:salt"}
    document["config"]["gitops-run:cluster"] = "uid"
    file.write_text(yaml.safe_dump(document))
    changed = team.read_team(write({"sessions": [{"name": "ann", "target": ".", "ttl": "1d"}]}))
    team.write_stack_files(changed, caller)
    document["config"]["gitops-run:ttl"] = "1d"
    assert stack_of(file) == document


def test_no_stack_file_is_written_where_one_contradicts_the_team_s_file(write: Write, caller: Caller) -> None:
    (file,) = team.write_stack_files(team.read_team(write(named("ann"))), caller)
    other = {"sessions": [{"name": "ben"}, {"name": "ann", "target": "elsewhere"}]}
    with pytest.raises(GuardError, match="it is fixed when a session is created"):
        team.write_stack_files(team.read_team(write(other)), caller)
    assert list(file.parent.iterdir()) == [file]
    assert stack_of(file)["config"] == {"gitops-run:target": "."}
