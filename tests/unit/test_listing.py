"""Which sessions a user gets to see with which rights, and how the table follows them."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest

from gitops_run.adapters.cluster.connection import Connection
from gitops_run.adapters.cluster.listing import list_states_within, places_to_list
from gitops_run.adapters.cluster.states import SessionAt
from gitops_run.adapters.machine.remembered import history_folder
from gitops_run.api.listing import changes, own_places, wanted
from gitops_run.api.watch import watch_sessions
from gitops_run.cli.following import JsonScreen, RowScreen, TableScreen, fitted
from gitops_run.cli.show import HEADS, list_row
from gitops_run.cli.table import table_lines
from gitops_run.errors import BackendError, NotFound
from gitops_run.model.flux.conditions import SourceStatus
from gitops_run.model.names import OWNER_ROLE, SESSION_LABEL, STATE_MAP, SessionName
from gitops_run.model.session.key import SessionKey
from gitops_run.model.session.limits import Duration, Lifetime, Limits
from gitops_run.model.state.details import to_details
from gitops_run.model.state.saves import Outcome
from gitops_run.model.state.session_state import (
    EMPTY_REVISION,
    Phase,
    Place,
    SessionState,
    TargetState,
    Writer,
)
from gitops_run.model.state.summary import SaveSummary, Summary
from tests.virtual_time import scenario

ACCESS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
FLUX = "/apis/source.toolkit.fluxcd.io/v1"
BUCKETS = f"{FLUX}/namespaces/run-web/buckets"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/run-web/leases"
BINDINGS = "/apis/rbac.authorization.k8s.io/v1/namespaces/run-web/rolebindings"
WEB = SessionAt("run-web", "web")
LABELS = {SESSION_LABEL: "web"}
BUCKET = {
    "kind": "Bucket",
    "metadata": {"name": "web", "namespace": "run-web", "labels": LABELS, "resourceVersion": "5"},
    "spec": {"endpoint": "s3:9000"},
}
BINDING = {
    "metadata": {"name": OWNER_ROLE, "namespace": "run-web", "labels": LABELS},
    "subjects": [{"kind": "User", "name": "alice"}],
}


@dataclass
class RestrictedApi:
    """A cluster that answers what is written down, and refuses everything else.

    answers: by path; a list has items. may_list_all: what it says of this user's rights.
    """

    answers: Mapping[str, Any] = field(default_factory=dict)
    may_list_all: bool = False
    context: str = "kind-dev"

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        del query
        answer = self.answers.get(path, BackendError(f"forbidden: {path}"))
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def create(self, path: str, body: Mapping[str, Any]) -> Any:
        assert path == ACCESS, body
        return {"status": {"allowed": self.may_list_all}}

    async def watch(
        self, path: str, query: Mapping[str, str], opened: object = None
    ) -> AsyncGenerator[tuple[str, Any], None]:
        del path, query
        await anyio.sleep_forever()
        yield "", {}

    find = Connection.find


def items(*objects: Any) -> dict[str, Any]:
    return {"metadata": {"resourceVersion": "9"}, "items": list(objects)}


def of_owner(**more: Any) -> RestrictedApi:
    """What an owner may read: the Bucket by its name, and who the owner is."""
    return RestrictedApi({f"{BUCKETS}/web": BUCKET, f"{BINDINGS}/{OWNER_ROLE}": BINDING, **more})


@scenario
async def test_who_may_list_everywhere_looks_at_the_whole_cluster() -> None:
    assert await places_to_list(RestrictedApi(may_list_all=True), (), (WEB,)) is None  # type: ignore[arg-type]


@scenario
async def test_who_may_not_list_everywhere_looks_at_the_namespaces_that_are_known() -> None:
    other = {"metadata": {"name": "run-api", "labels": {SESSION_LABEL: "api"}}}
    api = RestrictedApi({"/api/v1/namespaces": items(other)})
    assert await places_to_list(api, (), (WEB,)) == (SessionAt("run-api"), WEB)  # type: ignore[arg-type]


@scenario
async def test_who_knows_of_no_namespace_is_asked_for_one() -> None:
    with pytest.raises(BackendError) as failed:
        await places_to_list(RestrictedApi(), (), ())  # type: ignore[arg-type]
    assert failed.value.hint.endswith("gitops-run list --namespace NAMESPACE")


@scenario
async def test_an_owner_sees_the_session_of_which_only_single_objects_may_be_read() -> None:
    (found,) = await list_states_within(of_owner(), (WEB,))  # type: ignore[arg-type]
    assert (found.name, found.owner) == ("web", "alice")


@scenario
async def test_the_name_of_a_session_is_learned_from_its_state_where_the_buckets_may_not_be_listed() -> None:
    state = {"metadata": {"name": STATE_MAP, "namespace": "run-web", "labels": LABELS}, "data": {}}
    api = of_owner(**{f"/api/v1/namespaces/run-web/configmaps/{STATE_MAP}": state})
    (found,) = await list_states_within(api, (SessionAt("run-web", is_named=True),))  # type: ignore[arg-type]
    assert found.name == "web"


@scenario
async def test_a_namespace_that_was_named_and_is_forbidden_is_an_error() -> None:
    with pytest.raises(BackendError, match="forbidden"):
        await list_states_within(RestrictedApi(), (SessionAt("run-web", is_named=True),))  # type: ignore[arg-type]


@scenario
async def test_a_session_of_this_machine_that_is_gone_is_left_out() -> None:
    api = RestrictedApi({f"{BUCKETS}": items(), f"{BUCKETS}/web": NotFound("gone")})
    assert await list_states_within(api, (WEB,)) == ()  # type: ignore[arg-type]


@scenario
async def test_a_lease_that_may_be_read_and_not_watched_is_read_again() -> None:
    answers: dict[str, Any] = {f"{LEASES}/web": NotFound("nobody"), BUCKETS: items(BUCKET)}
    api = RestrictedApi(answers)
    async with watch_sessions(api, (WEB,)) as watch:  # type: ignore[arg-type]
        states = watch.board.watch_one("run-web")
        first = await anext(states)
        assert first is not None
        assert first.synced_by is None
        spec = {"holderIdentity": "alice@laptop/1/x", "renewTime": "2000-01-01T00:00:00Z"}
        answers[f"{LEASES}/web"] = {"metadata": {"name": "web", "namespace": "run-web"}, "spec": spec}
        second = await anext(states)
        assert second is not None
        assert second.synced_by is not None
        assert second.synced_by.person == "alice@laptop"
        await states.aclose()


def test_the_sessions_of_this_machine_are_those_of_its_stacks_and_of_its_memory(tmp_path: Path) -> None:
    environment = {"XDG_DATA_HOME": str(tmp_path / "data")}
    stacks = tmp_path / "stacks"
    stacks.mkdir()
    for name, config in (
        ("web", "{gitops-run:context: kind-dev}"),
        ("api", "{gitops-run:context: kind-dev, gitops-run:namespace: team-api}"),
        ("far", "{gitops-run:context: elsewhere}"),
        ("broken", "["),
    ):
        (stacks / f"Pulumi.{name}.yaml").write_text(f"config: {config}\n")
    kept = SessionName.parse("kept")
    key = SessionKey(kubeconfig="", context="kind-dev", namespace=kept.namespace, name=kept)
    history_folder(environment, key).mkdir(parents=True)
    assert set(own_places("kind-dev", environment, tmp_path)) == {
        WEB,
        SessionAt("team-api", "api"),
        SessionAt("run-kept", "kept"),
    }


NOW = datetime.now(UTC)
STATE = SessionState(namespace="run-web", name="web", owner="alice")
OTHER = SessionState(namespace="run-api", name="api", owner="bob")


def test_sessions_are_chosen_by_owner_and_state() -> None:
    assert wanted((STATE, OTHER), "bob", None, NOW) == (OTHER,)
    assert wanted((STATE, OTHER), None, Phase.INCOMPLETE, NOW) == (STATE, OTHER)
    assert wanted((STATE, OTHER), "bob", Phase.LIVE, NOW) == ()


REVISION = f"sha256:{'a' * 64}"
AT = "2026-11-26T09:00:00Z"
LISTED_AT = datetime(2026, 11, 26, 10, tzinfo=UTC)
LISTED = SessionState(
    namespace="run-web",
    name="web",
    namespace_created=AT,
    pod_security="restricted",
    owner="alice",
    place=Place(
        root="shop",
        targets=("deploy",),
        created=AT,
        store="in-cluster",
        lifetime=Lifetime(
            limits=Limits(ttl=Duration.parse("8h"), idle=Duration.parse("2h")), expires="2026-11-26T17:00:00Z"
        ),
        isolation="namespace",
    ),
    source=SourceStatus(revision=REVISION),
    targets=(TargetState(target="deploy", applied=REVISION, attempted=REVISION, ready="True"),),
    synced_by=Writer(holder="alice@laptop/1/x", since=AT, is_live=True),
    summary=Summary(
        branch="fix",
        is_dirty=True,
        last=SaveSummary(
            run=1, number=9, at=AT, outcome=Outcome.APPLIED, took_ms=412, files=1, is_healthy=True
        ),
    ),
)
SUSPENDED = TargetState(
    target="deploy",
    applied=REVISION,
    is_suspended=True,
    suspended_by="bob",
    suspended_reason="demo",
    suspended_at=AT,
)


def listed(**more: Any) -> dict[str, str]:
    return dict(zip(HEADS, list_row(replace(LISTED, **more), LISTED_AT), strict=True))


def test_a_row_names_everything_that_a_team_asks_of_a_session() -> None:
    assert listed() == {
        "NAME": "web",
        "STATE": "live",
        "OWNER": "alice",
        "SYNCED BY": "alice@laptop",
        "TARGET": "shop/deploy",
        "BRANCH": "fix*",
        "LAST SAVE": f"applied in 412 ms, {AT}",
        "REVISION": "sha256:aaaaaaaaaaaa",
        "HEALTH": "healthy",
        "TIME LEFT": "7h, idle 1h",
        "BUCKET": "in-cluster",
        "ISOLATION": "namespace, restricted",
    }


def test_a_session_of_an_earlier_version_is_listed_as_without_bounds() -> None:
    assert LISTED.place is not None
    assert listed(place=replace(LISTED.place, isolation=""))["ISOLATION"] == "no bounds, restricted"
    assert listed(place=None, pod_security="")["ISOLATION"] == ""


def test_a_suspended_session_shows_its_last_save_and_why_it_is_suspended() -> None:
    row = listed(targets=(SUSPENDED,))
    assert (row["LAST SAVE"], row["HEALTH"]) == (f"applied in 412 ms, {AT}", "suspended by bob: demo")


def test_a_session_that_was_never_saved_is_not_blamed_for_its_empty_bucket() -> None:
    empty = TargetState(target="deploy", ready="False", reason="ArtifactFailed", message="no such file")
    row = listed(targets=(empty,), summary=None, source=SourceStatus(revision=EMPTY_REVISION))
    assert (row["STATE"], row["HEALTH"]) == ("new", "nothing was saved yet")
    assert listed(source=None)["HEALTH"] == "an up or a down was interrupted"


def test_changes_are_what_is_new_or_different_and_then_what_is_gone() -> None:
    changed = replace(STATE, owner="eve")
    third = SessionState(namespace="run-new", name="new")
    assert list(changes((STATE, OTHER), (changed, third))) == [
        (changed, False),
        (third, False),
        (OTHER, True),
    ]
    assert not list(changes((STATE,), (STATE,)))


def test_each_change_is_a_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    screen = JsonScreen(lambda: NOW)
    screen.show((), (STATE, OTHER))
    screen.show((STATE, OTHER), (STATE,))
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["name"], one["is_gone"]) for one in told] == [("web", False), ("api", False), ("api", True)]


def row(state: SessionState) -> tuple[str, ...]:
    return state.name, state.owner


def test_a_table_that_is_no_terminal_gets_a_row_for_each_change(capsys: pytest.CaptureFixture[str]) -> None:
    screen = RowScreen(("NAME", "OWNER"), row)
    screen.show((), (STATE,))
    screen.show((STATE,), (STATE, OTHER))
    screen.show((STATE, OTHER), (OTHER,))
    assert capsys.readouterr().out.splitlines() == ["NAME  OWNER", "web   alice", "api  bob", "web  gone"]


def test_a_table_on_a_terminal_is_drawn_over_the_one_before(capsys: pytest.CaptureFixture[str]) -> None:
    screen = TableScreen(("NAME", "OWNER"), row)
    screen.show((), (STATE, OTHER))
    first = capsys.readouterr().out
    screen.show((STATE, OTHER), (OTHER,))
    assert "\x1b[A" not in first
    assert first.count("\n") == 3
    assert capsys.readouterr().out == "\x1b[3A\rNAME  OWNER\x1b[K\napi   bob\x1b[K\n\x1b[J"


def test_a_table_that_is_larger_than_its_terminal_is_cut() -> None:
    assert fitted(["NAME", "a", "b", "c"], 80, 4) == ["NAME", "a", "… and 2 more"]
    assert fitted(["abcdef"], 4, 24) == ["abc…"]


def test_rows_of_a_table_may_end_early() -> None:
    assert table_lines([("A", "B"), ("long",), ("", "x")]) == ["A     B", "long", "      x"]


def test_details_show_objects_conditions_and_the_last_events_without_values() -> None:
    condition = {"type": "Ready", "status": "False", "reason": "X", "message": "m", "lastTransitionTime": "t"}
    inventory = {"entries": [{"id": "run-web_web_apps_Deployment", "v": "v1"}, {"id": "odd", "v": "v1"}]}
    applier = {
        "kind": "Kustomization",
        "metadata": {"name": "web"},
        "status": {"conditions": [condition], "inventory": inventory},
    }
    events = [
        {"metadata": {}, "reason": str(number), "lastTimestamp": f"2026-01-01T00:00:{number:02}Z"}
        for number in range(12)
    ]
    found = to_details((applier, {}), events)
    assert [str(ref) for ref in found.inventory] == ["Deployment run-web/web"]
    assert found.conditions[0].object == "Kustomization web"
    assert [event.reason for event in found.events] == [str(number) for number in range(2, 12)]
