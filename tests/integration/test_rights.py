"""Who may do what to a session: real requests to a real API server, with the platform's policies in force.

As the owner, as the account that Flux applies with, which the owner may impersonate, and as who made the
session. What is refused is asked for in earnest; what is allowed is a dry run.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
import yaml

from gitops_run.adapters.cluster.connection import JSON_PATCH, MERGE_PATCH, connect
from gitops_run.adapters.cluster.request import Request
from gitops_run.sandbox.state import Sandbox
from tests.conftest import DEVELOPER, EXAMPLES
from tests.integration.conftest import SharedSession
from tests.integration.own_clusters import bind, someone, user_of
from tests.integration.session_requests import (
    ALLOWED,
    ALLOWED_ROWS,
    BUCKETS,
    CONTAINER,
    CORE,
    DENIED,
    DENIED_ROWS,
    FLUX_RUN,
    LABEL,
    LEASES,
    NAME,
    OUTSIDE_ROWS,
    PARTS,
    PROBE,
    RBAC,
    READS,
    SAID,
    TOKEN,
    Cluster,
    create,
    delete,
    patch,
    request_of,
)
from tests.people import Person

MAKER, VIEWER = "maker@example.com", "viewer@example.com"
INSIDE = {"GITOPS_RUN_STORE": "in-cluster"}
KEY_FILE = Path(__file__).parent / "fixtures" / "sops" / "test-key.agekey"


@pytest.fixture(scope="module")
def cluster(own_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    engineer = someone(own_sandbox, tmp_path_factory.mktemp("engineer"))
    engineer.succeeds("platform", "up")
    bind(engineer, "gitops-run-session-maker", MAKER)
    bind(engineer, "gitops-run-viewer", VIEWER)
    people = {"maker": MAKER, "owner": DEVELOPER, "viewer": VIEWER}
    users = {role: user_of(own_sandbox, engineer, user) for role, user in people.items()}
    return Cluster(context=own_sandbox.context, engineer=engineer, **users)


@pytest.fixture(scope="module")
def inside(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A session with all that one can have: a bucket in the cluster, an age key, and the owner's Lease."""
    root = tmp_path_factory.mktemp("root") / "plain"
    shutil.copytree(EXAMPLES / "plain", root)
    key = root.parent / "age.key"
    shutil.copyfile(KEY_FILE, key)
    key.chmod(0o600)
    told = cluster.maker.succeeds(
        *("up", NAME, str(root), "--root", str(root), "--owner", DEVELOPER),
        *("--decryption-key-file", str(key)),
        **INSIDE,
    ).err
    assert told.count(f"{DEVELOPER} can read the age key") == 1
    lease = create(LEASES, "Lease", NAME, labels={LABEL: NAME}, spec={"holderIdentity": "dev"})
    assert cluster.ask("owner", lease)[0] == 201
    yield cluster
    cluster.maker.succeeds("down", NAME, **INSIDE)
    assert f"run-{NAME}" not in cluster.engineer.names("namespace")


@pytest.fixture(scope="module")
def token(inside: Cluster) -> Cluster:
    """Somebody who holds a token of the session's account, as a pod of the session may."""
    kubeconfig = yaml.safe_load(Path(inside.owner.env["KUBECONFIG"]).read_text())
    made = inside.engineer.kubectl("create", "token", "flux-run", "-n", f"run-{NAME}")
    for user in kubeconfig["users"]:
        user["user"] = {"token": made.strip()}
    file = inside.owner.cwd / "token.yaml"
    file.write_text(yaml.safe_dump(kubeconfig))
    file.chmod(0o600)
    holder = replace(inside.owner, env={**inside.owner.env, "KUBECONFIG": str(file)})
    return replace(inside, owner=holder)


@pytest.mark.parametrize("who", ["owner", "account"])
@pytest.mark.parametrize("part", PARTS)
def test_neither_the_owner_nor_the_account_changes_or_deletes_a_part(
    inside: Cluster, who: str, part: str
) -> None:
    for request in (patch(PARTS[part]), delete(PARTS[part])):
        status, message = inside.ask(who, request)
        assert status in DENIED, f"{request.method}: {status} {message}"


@pytest.mark.parametrize("part", [part for part in PARTS if "the Namespace" not in part])
def test_who_made_the_session_may_change_and_delete_each_part(inside: Cluster, part: str) -> None:
    for request in (patch(PARTS[part]), delete(PARTS[part])):
        status, message = inside.tries("maker", request)
        assert status in ALLOWED, f"{request.method}: {status} {message}"


@pytest.mark.parametrize("who", ["owner", "account"])
@pytest.mark.parametrize("row", DENIED_ROWS)
def test_neither_the_owner_nor_the_account_may(inside: Cluster, who: str, row: str) -> None:
    status, message = inside.ask(who, DENIED_ROWS[row])
    assert status in DENIED, f"{status} {message}"


@pytest.mark.parametrize("who", ["owner", "account", "token"])
def test_nothing_outside_of_the_namespace_is_read_written_applied_or_pruned(
    inside: Cluster, token: Cluster, who: str
) -> None:
    statuses = (token if who == "token" else inside).ask_all("owner" if who == "token" else who, OUTSIDE_ROWS)
    assert len(statuses) == len(OUTSIDE_ROWS)
    assert {row: status for row, status in statuses.items() if status not in DENIED} == {}


@pytest.mark.parametrize("row", DENIED_ROWS)
def test_a_token_of_the_account_allows_no_more_than_impersonating_it(token: Cluster, row: str) -> None:
    status, message = token.ask("owner", DENIED_ROWS[row])
    assert status in DENIED, f"{status} {message}"


@pytest.mark.parametrize("row", ALLOWED_ROWS)
def test_what_saving_needs_is_allowed(inside: Cluster, row: str) -> None:
    who, request = ALLOWED_ROWS[row]
    status, message = inside.tries(who, request)
    assert status in ALLOWED, f"{status} {message}"


@pytest.mark.parametrize("row", READS)
def test_who_reads_which_key_is_what_docs_security_says(inside: Cluster, row: str) -> None:
    who, request, expected = READS[row]
    assert inside.ask(who, request)[0] == expected


def test_nobody_asks_for_something_in_somebody_else_s_name(inside: Cluster) -> None:
    for who in ("maker", "engineer"):
        status, message = inside.ask(who, request_of(DEVELOPER))
        assert status == 422
        assert "in the name of who makes it" in message


@pytest.mark.parametrize("what", ["the state", "the record"])
def test_the_account_can_not_say_what_the_owner_does(inside: Cluster, what: str) -> None:
    status, message = inside.ask("account", patch(PARTS[what], SAID))
    assert status == 422
    assert "is a part of the session" in message


def test_the_owner_renews_the_lease_and_does_not_relabel_it(inside: Cluster) -> None:
    (lease,) = inside.engineer.get("lease", f"run-{NAME}")
    renewed = {**lease, "spec": {**lease["spec"], "holderIdentity": "dev/2"}}
    relabelled = {**lease, "metadata": {**lease["metadata"], "labels": {}}}
    put = Request(method="PUT", path=f"{LEASES}/{NAME}", body=renewed)
    assert inside.tries("owner", put)[0] == 200
    assert inside.ask("owner", replace(put, body=relabelled))[0] == 422


def test_a_part_can_not_be_made_a_dependent_of_something_that_the_owner_deletes(inside: Cluster) -> None:
    owned = {"apiVersion": "v1", "kind": "ConfigMap", "name": "bait", "uid": "1" * 36}
    request = patch(PARTS["the account"], {"metadata": {"ownerReferences": [owned]}})
    assert inside.ask("account", request)[0] == 422


def test_a_token_of_another_account_can_not_become_one_of_the_session_s(inside: Cluster) -> None:
    other = {"kubernetes.io/service-account.name": "default"}
    path = f"{CORE}/secrets"
    assert inside.ask("account", create(path, "Secret", "turned", type=TOKEN, annotations=other))[0] == 201
    status, message = inside.ask("account", patch(f"{path}/turned", {"metadata": {"annotations": FLUX_RUN}}))
    assert inside.ask("account", delete(f"{path}/turned"))[0] == 200
    assert status == 422
    assert "a token of the session's account" in message


def test_an_object_that_an_administrator_labels_as_a_part_is_protected(inside: Cluster) -> None:
    path = f"{CORE}/configmaps"
    made = create(path, "ConfigMap", "ours", labels={LABEL: NAME})
    assert inside.ask("engineer", made)[0] == 201
    assert inside.ask("account", delete(f"{path}/ours"))[0] == 422


def test_the_owner_is_told_why_a_part_may_not_be_changed(inside: Cluster) -> None:
    _, message = inside.ask("account", delete(PARTS["the account"]))
    assert "ServiceAccount flux-run is a part of the session" in message


def test_list_and_status_name_who_is_bound_and_not_what_an_annotation_says(inside: Cluster) -> None:
    path, mark = f"{BUCKETS}/{NAME}", "gitops-run.dev/owner"
    assert inside.ask("engineer", patch(path, {"metadata": {"annotations": {mark: "mallory"}}}))[0] == 200
    (listed,) = inside.viewer.succeeds("list", "-o", "json").json
    shown = inside.owner.succeeds("status", NAME, "-o", "json").json
    inside.maker.succeeds("up", NAME, "--owner", DEVELOPER, **INSIDE)  # it is still the same owner's
    inside.ask("engineer", patch(path, {"metadata": {"annotations": {mark: DEVELOPER}}}))
    assert {one["owner"] for one in (listed, shown)} == {DEVELOPER}
    assert not listed["is_owner_claimed"]


def test_an_owner_who_can_not_be_checked_is_marked_as_a_claim(inside: Cluster) -> None:
    path = f"{RBAC}/roles/session-owner"
    (role,) = [
        one
        for one in inside.engineer.get("roles.rbac.authorization.k8s.io", f"run-{NAME}")
        if one["metadata"]["name"] == "session-owner"
    ]
    kept = [rule for rule in role["rules"] if "rolebindings" not in rule["resources"]]
    replaced = [{"op": "replace", "path": "/rules", "value": kept}]
    assert inside.ask("engineer", patch(path, replaced, JSON_PATCH))[0] == 200
    try:
        assert f"{DEVELOPER} (claimed)" in inside.owner.succeeds("status", NAME).out
    finally:
        back = [{"op": "replace", "path": "/rules", "value": role["rules"]}]
        inside.ask("engineer", patch(path, back, JSON_PATCH))


TARGET = {
    "secret.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: mine}\nstringData: {a: b}\n",
    "account.yaml": "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: mine}\n",
    "policy.yaml": "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: mine}\n"
    "spec: {podSelector: {}, policyTypes: [Ingress]}\n",
    "settings.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {a: b}\n",
}


def test_a_target_with_kinds_of_the_session_s_own_is_applied_pruned_and_taken_down(
    cluster: Cluster, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for name, text in TARGET.items():
        (root / name).write_text(text)
    cluster.maker.succeeds("up", "kinds", str(root), "--root", str(root), "--owner", DEVELOPER)
    with replace(cluster.owner, cwd=root).leaves_running("sync", "kinds") as sync:
        assert sync.tells("save_applied")["objects"] == 4
        (root / "secret.yaml").unlink()
        sync.tells("save_applied")
        assert "mine" not in cluster.engineer.names("secret", "run-kinds")
        (root / "settings.yaml").write_text(
            TARGET["settings.yaml"].replace("{name", f"{{labels: {{{LABEL}: a}}, name")
        )
        (problem,) = sync.tells("save_broken")["problems"]
        assert "marks the session's own objects" in problem["message"]
    cluster.maker.succeeds("down", "kinds")


ELSEWHERE_FLUX = {
    "flux": """\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: second}
spec:
  interval: 1m
  path: ./
  prune: true
  targetNamespace: kube-system
  serviceAccountName: default
  sourceRef: {kind: Bucket, name: aims}
""",
    "release": """\
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: second}
spec:
  interval: 1m
  targetNamespace: kube-system
  storageNamespace: kube-system
  chart: {spec: {chart: ./, sourceRef: {kind: Bucket, name: aims}}}
""",
    "binding": """\
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: second}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: admin}
subjects: [{kind: ServiceAccount, name: flux-run, namespace: run-aims}]
""",
    "quota": "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: second}\nspec: {hard: {pods: 9}}\n",
}


def test_a_save_with_what_would_widen_the_session_is_refused_with_its_file(
    cluster: Cluster, plain: Path
) -> None:
    cluster.maker.succeeds("up", "aims", str(plain), "--root", str(plain), "--owner", DEVELOPER)
    with replace(cluster.owner, cwd=plain).leaves_running("sync", "aims") as sync:
        sync.tells("save_applied")
        for name, text in ELSEWHERE_FLUX.items():
            (plain / f"{name}.yaml").write_text(text)
        broken = sync.tells_until(lambda one: len(one["problems"]) == len(ELSEWHERE_FLUX), "save_broken")
    assert {one["path"] for one in broken["problems"]} == {f"{name}.yaml" for name in ELSEWHERE_FLUX}
    assert all("has no right to apply" in one["message"] for one in broken["problems"])
    cluster.maker.succeeds("down", "aims")


RELEASES = "/apis/helm.toolkit.fluxcd.io/v2/namespaces/run-chart/helmreleases/chart"


def test_a_chart_is_installed_upgraded_and_taken_down_under_the_policies(
    cluster: Cluster, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(EXAMPLES / "chart", tmp_path / "chart"))
    cluster.maker.succeeds("up", "chart", str(root), "--root", str(root), "--owner", DEVELOPER)
    with replace(cluster.owner, cwd=root).leaves_running("sync", "chart") as sync:
        sync.tells("save_applied")
        values = root / "values.yaml"
        values.write_text(values.read_text() + "# again\nextra: value\n")
        sync.tells("save_applied")
        for name in ("targetNamespace", "storageNamespace", "serviceAccountName"):
            status, message = cluster.ask("owner", patch(RELEASES, {"spec": {name: "kube-system"}}))
            assert (status, f"not spec.{name};" in message) == (422, True), message
    cluster.maker.succeeds("down", "chart")


UNLOCKED = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "kustomize-controller", "namespace": "flux-system"},
    "spec": {
        "replicas": 0,
        "selector": {"matchLabels": {"app": "a"}},
        "template": {
            "metadata": {"labels": {"app": "a"}},
            "spec": {"containers": [{**CONTAINER, "name": "manager", "args": ["--log-level=info"]}]},
        },
    },
}


def test_a_flux_without_lockdown_is_refused_unless_that_is_accepted(
    cluster: Cluster, plain: Path, tmp_path: Path
) -> None:
    file = tmp_path / "unlocked.json"
    file.write_text(json.dumps(UNLOCKED))
    place = ("up", "unlocked", str(plain), "--root", str(plain))
    cluster.engineer.kubectl("apply", "-f", str(file))
    try:
        refused = cluster.maker.types(*place)
        assert refused.code == 3
        assert "kustomize-controller lacks --no-cross-namespace-refs" in refused.err
        assert "--allow-unlocked-flux" in refused.err
        assert "run-unlocked" not in cluster.engineer.names("namespace")
        assert "not locked down" in cluster.maker.succeeds(*place, "--allow-unlocked-flux").err
        assert "not locked down" in cluster.maker.succeeds("up", "unlocked").err
    finally:
        cluster.engineer.kubectl("delete", "-f", str(file))
        cluster.maker.types("down", "unlocked")


OPEN_ROWS = {
    "change the reading key": ("account", "PATCH", "api/v1", "secrets/bucket-reader", PROBE),
    "delete the account": ("account", "DELETE", "api/v1", "serviceaccounts/flux-run", None),
    "name no account": (
        "owner",
        "PATCH",
        "apis/kustomize.toolkit.fluxcd.io/v1",
        "kustomizations/{name}",
        {"spec": {"serviceAccountName": None}},
    ),
    "make a token of the account": (
        "account",
        "POST",
        "api/v1",
        "secrets",
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "token", "annotations": FLUX_RUN},
            "type": TOKEN,
        },
    ),
    "have Flux fetch from elsewhere": (
        "owner",
        "PATCH",
        "apis/source.toolkit.fluxcd.io/v1",
        "buckets/{name}",
        {"spec": {"endpoint": "elsewhere.example.com"}},
    ),
    "claim another owner": (
        "owner",
        "PATCH",
        "apis/source.toolkit.fluxcd.io/v1",
        "buckets/{name}",
        {"metadata": {"annotations": {"gitops-run.dev/owner": "mallory"}}},
    ),
}


@pytest.mark.parametrize("row", OPEN_ROWS)
def test_without_the_policies_an_owner_may(
    session: SharedSession, developer: Person, sandbox: Sandbox, row: str
) -> None:
    """docs/security.md says so: what this shows is what the policies are for."""
    who, method, api, place, body = OPEN_ROWS[row]
    account = f"system:serviceaccount:{session.namespace}:flux-run"
    request = Request(
        method=method,
        path=f"/{api}/namespaces/{session.namespace}/{place.format(name=session.name)}",
        query={"dryRun": "All"},
        body=body,
        content_type="application/json" if method == "POST" else MERGE_PATCH,
        headers={"Impersonate-User": account} if who == "account" else {},
    )

    async def send() -> int:
        async with connect(developer.env["KUBECONFIG"], sandbox.context) as connection:
            return (await connection.ask(request))[0]

    assert anyio.run(send) in ALLOWED
