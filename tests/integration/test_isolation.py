"""What bounds a session, on a real API server: its quota, the platform's rules, and isolation cluster."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gitops_run.sandbox.state import Sandbox
from tests.conftest import DEVELOPER, EXAMPLES
from tests.integration.conftest import SharedSession
from tests.integration.own_clusters import bind, someone, user_of
from tests.people import Person

NAME = "bounded"
NS = f"run-{NAME}"
MAKER = "maker@example.com"
RULES = (
    *("--session-max-quota", "cpu=4", "--session-max-quota", "pods=5"),
    *("--team-quota", "core/cpu=3", "--team-quota", "wide/cpu=10"),
    *("--session-ingress-from", "ingress-nginx"),
)
QUOTA = ("--team", "core", "--quota", "pods=2", "--quota", "cpu=2")
QUOTA_NAME = "gitops-run-quota"
BOUNDS = ("resourcequota", "limitrange", "networkpolicy")
POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: {name}
spec:
  securityContext: {{runAsNonRoot: true, seccompProfile: {{type: RuntimeDefault}}}}
  containers:
    - name: c
      image: registry.example.com/c:v1
      securityContext: {{allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}
"""


@pytest.fixture(scope="module")
def engineer(own_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Person:
    engineer = someone(own_sandbox, tmp_path_factory.mktemp("engineer"))
    engineer.succeeds("platform", "up", *RULES)
    bind(engineer, "gitops-run-session-maker", MAKER)
    return engineer


@pytest.fixture(scope="module")
def maker(own_sandbox: Sandbox, engineer: Person) -> Person:
    return user_of(own_sandbox, engineer, MAKER)


@pytest.fixture(scope="module")
def owner(own_sandbox: Sandbox, engineer: Person) -> Person:
    return user_of(own_sandbox, engineer, DEVELOPER)


@pytest.fixture(scope="module")
def session(
    maker: Person, owner: Person, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SharedSession]:
    """A session that a maker has created, and whose owner has no other rights."""
    root = tmp_path_factory.mktemp("bounded") / "app"
    root.mkdir()
    (root / "one.yaml").write_text(POD.format(name="one"))
    maker.succeeds("up", NAME, str(root), "--root", str(root), "--owner", DEVELOPER, *QUOTA)
    yield SharedSession(NAME, root, owner)
    maker.succeeds("down", NAME)


def in_namespace(person: Person, kind: str, namespace: str = NS) -> dict[str, Any]:
    (found,) = person.get(kind, namespace)
    return found


def test_a_session_has_the_quota_that_was_asked_for_and_the_platforms_for_the_rest(
    session: SharedSession, owner: Person
) -> None:
    quota = in_namespace(owner, "resourcequota")
    assert quota["spec"]["hard"] == {
        "pods": "2",
        "requests.cpu": "2",
        "requests.memory": "16Gi",
        "requests.storage": "50Gi",
    }
    assert quota["status"]["hard"] == quota["spec"]["hard"]


def test_who_may_connect_is_the_namespace_itself_and_what_the_platform_names(
    session: SharedSession, owner: Person
) -> None:
    (rule,) = in_namespace(owner, "networkpolicy")["spec"]["ingress"]
    named = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}}
    assert rule == {"from": [{"podSelector": {}}, named]}


def test_a_save_beyond_the_quota_is_reported_with_its_line_or_by_flux(
    session: SharedSession, owner: Person
) -> None:
    with replace(owner, cwd=session.root).leaves_running("sync", NAME) as sync:
        sync.tells("save_applied")
        (session.root / "two.yaml").write_text(POD.format(name="two"))
        sync.tells("save_applied")
        used = in_namespace(owner, "resourcequota")["status"]["used"]
        assert (used["pods"], used["requests.cpu"]) == ("2", "100m")

        (session.root / "three.yaml").write_text(POD.format(name="three"))
        (problem,) = sync.tells("save_broken")["problems"]
        assert (problem["path"], problem["line"]) == ("three.yaml", 1)
        assert f"exceeded quota: {QUOTA_NAME}, requested: pods=1, used: pods=2" in problem["message"]
        assert "--quota" in problem["hint"]

        (session.root / "three.yaml").unlink()
        (session.root / "two.yaml").unlink()
        sync.tells("save_applied")
        # Each of the two would fit: only Flux, which creates them one after another, sees that both don't.
        for name in ("four", "five"):
            (session.root / f"{name}.yaml").write_text(POD.format(name=name))
        rejected = sync.tells("save_failed")
        assert f"exceeded quota: {QUOTA_NAME}" in rejected["message"]
        assert "--quota" in rejected["hint"]
        (session.root / "four.yaml").unlink()  # five comes first, and is there
        sync.tells("save_applied")


def test_a_quota_beyond_the_platforms_rule_is_refused_by_its_name(
    session: SharedSession, maker: Person, engineer: Person
) -> None:
    refused = maker.types("up", NAME, "--quota", "cpu=5")
    assert refused.code == 3
    assert "its rule sessionMaxQuota allows cpu=4" in refused.err
    new = maker.types("up", "large", str(session.root), "--root", str(session.root), "--quota", "pods=6")
    assert "sessionMaxQuota allows pods=5" in new.err
    assert "run-large" not in engineer.names("namespace")


@pytest.mark.parametrize("hard", [{"requests.cpu": "4001m"}, {"pods": "6"}, {"requests.cpu": None}])
def test_not_even_who_makes_sessions_raises_a_quota_beyond_the_rule(
    session: SharedSession, maker: Person, hard: dict[str, str | None]
) -> None:
    patch = json.dumps({"spec": {"hard": hard}})
    with pytest.raises(AssertionError, match="rule sessionMaxQuota allows"):
        maker.kubectl("patch", "resourcequota", QUOTA_NAME, "-n", NS, "--type=merge", f"-p={patch}")


def test_an_up_changes_the_quota_in_place(session: SharedSession, maker: Person, owner: Person) -> None:
    before = in_namespace(owner, "resourcequota")["metadata"]["uid"]
    maker.succeeds("up", NAME, "--quota", "pods=4")
    quota = in_namespace(owner, "resourcequota")
    maker.succeeds("up", NAME, *QUOTA)
    assert (quota["metadata"]["uid"], quota["spec"]["hard"]["pods"]) == (before, "4")
    assert quota["spec"]["hard"]["requests.cpu"] == "2"


def test_a_team_s_sessions_have_no_more_than_the_platforms_quota_together(
    session: SharedSession, maker: Person, engineer: Person
) -> None:
    root = str(session.root)
    place = ("up", "second", root, "--root", root, "--owner", DEVELOPER)
    refused = maker.types(*place, "--team", "core", "--quota", "cpu=1500m")
    assert refused.code == 3
    assert "rule teamQuota allows team core cpu=3 in all: its other sessions have 2" in refused.err
    assert "expects each session to name its team" in maker.types(*place).err
    assert "run-second" not in engineer.names("namespace")


def test_isolation_cluster_is_refused_by_the_name_of_the_platforms_setting(
    session: SharedSession, engineer: Person
) -> None:
    place = ("up", "wide", str(session.root), "--root", str(session.root), "--team", "wide")
    refused = engineer.types(*place, "--isolation", "cluster")
    assert refused.code == 3
    assert "its setting sessionIsolation allows namespace only" in refused.err
    assert "run-wide" not in engineer.names("namespace")


def test_a_session_of_an_earlier_version_gets_its_bounds_when_somebody_asks_for_them(
    admin: Person, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(EXAMPLES / "plain", tmp_path / "plain"))
    bucket = ("bucket.source.toolkit.fluxcd.io", "old", "-n", "run-old")

    def bounds() -> list[str]:
        return [name for kind in BOUNDS for name in admin.names(kind, "run-old") if "gitops-run" in name]

    admin.succeeds("up", "old", str(root), "--root", str(root))
    try:
        admin.kubectl("annotate", *bucket, "gitops-run.dev/isolation-")
        assert "created by an earlier version" in admin.succeeds("up", "old").err
        assert bounds() == []
        with replace(admin, cwd=root).leaves_running("sync", "old") as sync:
            sync.tells("save_applied")
        admin.succeeds("up", "old", "--isolation", "namespace")
        assert len(bounds()) == 3
        assert "created by an earlier version" not in admin.succeeds("up", "old").err
    finally:
        admin.succeeds("down", "old")


WIDE = {
    "kustomization.yaml": "resources: [namespace.yaml, kind.yaml, role.yaml, map.yaml]\n",
    "namespace.yaml": "apiVersion: v1\nkind: Namespace\nmetadata: {name: theirs}\n",
    "role.yaml": "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\n"
    "metadata: {name: theirs}\nrules: []\n",
    "map.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: theirs, namespace: theirs}\n"
    "data: {a: b}\n",
    "kind.yaml": """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  names: {kind: Widget, plural: widgets}
  scope: Namespaced
  versions:
    - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}
""",
}


@pytest.fixture
def widened(engineer: Person) -> Iterator[Person]:
    """A platform that allows isolation cluster, and its engineer, who is an administrator."""
    engineer.succeeds("platform", "up", "--session-isolation", "cluster")
    yield engineer
    engineer.succeeds("platform", "up", "--session-isolation", "namespace")


def wide_session(engineer: Person, root: Path) -> str:
    """Create a session with isolation cluster, and return what is said of it."""
    asked = ("--owner", DEVELOPER, "--team", "wide", "--isolation", "cluster")
    return engineer.succeeds("up", "wide", str(root), "--root", str(root), *asked).err


def left_in_the_cluster(engineer: Person) -> set[str]:
    kinds = ("namespace", "clusterrole", "clusterrolebinding", "customresourcedefinition")
    names = {name for kind in kinds for name in engineer.names(kind)}
    return names & {"theirs", "widgets.example.com", "gitops-run-run-wide", "run-wide"}


def test_with_isolation_cluster_objects_go_where_they_say_and_leave_with_the_session(
    widened: Person, owner: Person, tmp_path: Path
) -> None:
    root = tmp_path / "wide"
    root.mkdir()
    for name, text in WIDE.items():
        (root / name).write_text(text)
    assert "can do everything in the whole cluster" in wide_session(widened, root)
    try:
        there = replace(owner, cwd=root)
        with there.leaves_running("sync", "wide") as sync:
            assert sync.tells("save_applied")["objects"] == 4
            assert {"theirs", "gitops-run-run-wide"} <= left_in_the_cluster(widened)
            (root / "map.yaml").write_text(WIDE["map.yaml"].replace(", namespace: theirs", ""))
            (problem,) = sync.tells("save_broken")["problems"]
            assert (problem["path"], problem["line"]) == ("map.yaml", 3)
            assert "with namespace: in the kustomization" in problem["hint"]
            (root / "map.yaml").write_text(WIDE["map.yaml"].replace("a: b", "a: c"))
            sync.tells("save_applied")
        assert there.types("diff", "wide").code == 0
        assert widened.types("up", "wide", "--isolation", "namespace").code == 3
    finally:
        receipt = widened.succeeds("down", "wide").err
    assert "the objects that wide applied in the whole cluster" in receipt
    assert left_in_the_cluster(widened) == set()


CHART = {
    "Chart.yaml": "apiVersion: v2\nname: wide\nversion: 0.1.0\n",
    "templates/role.yaml": WIDE["role.yaml"],
    "templates/map.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: own}\ndata: {a: b}\n",
}


def test_with_isolation_cluster_a_chart_has_cluster_wide_objects_too(
    widened: Person, owner: Person, tmp_path: Path
) -> None:
    root = tmp_path / "wide"
    for name, text in CHART.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    wide_session(widened, root)
    try:
        with replace(owner, cwd=root).leaves_running("sync", "wide") as sync:
            sync.tells("save_applied")
            assert "theirs" in left_in_the_cluster(widened)
            assert "own" in widened.names("configmap", "run-wide")
    finally:
        widened.succeeds("down", "wide")
    assert left_in_the_cluster(widened) == set()


def test_a_session_with_isolation_cluster_whose_state_is_lost_leaves_nothing(
    widened: Person, owner: Person, tmp_path: Path
) -> None:
    root = tmp_path / "wide"
    root.mkdir()
    for name, text in WIDE.items():
        (root / name).write_text(text)
    wide_session(widened, root)
    with replace(owner, cwd=root).leaves_running("sync", "wide") as sync:
        sync.tells("save_applied")
    widened.succeeds("down", "wide", "--from-cluster")
    assert left_in_the_cluster(widened) == set()
