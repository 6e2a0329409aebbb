"""What preflight refuses and shows, by the word of a real API server, for a user with a session alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import SharedSession
from tests.people import Finished, Person, Running

SECRET = "c3VwZXItc2VjcmV0LXZhbHVl"


@pytest.fixture
def developer_there(session: SharedSession, developer: Person) -> Person:
    """The session's owner in its root, with no right but the session's."""
    return Person(env=developer.env, cwd=session.root)


@contextmanager
def syncing(session: SharedSession, person: Person, *flags: str) -> Iterator[Running]:
    with person.leaves_running("sync", session.name, "--allow-prune", *flags) as sync:
        sync.tells("save_applied")
        yield sync


def edit(root: Path, name: str, old: str, new: str) -> None:
    text = (root / name).read_text()
    assert old in text
    (root / name).write_text(text.replace(old, new))


def broken(sync: Running) -> list[dict[str, Any]]:
    problems: list[dict[str, Any]] = sync.tells("save_broken")["problems"]
    return problems


def config(name: str, value: str = "mine") -> str:
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n  whose: {value}\n"


def diff(session: SharedSession, person: Person, *flags: str) -> Finished:
    return person.types("diff", session.name, *flags)


def place(problem: dict[str, Any]) -> tuple[str, int]:
    return problem["path"], problem["line"]


def test_what_the_api_server_refuses_stays_home_with_file_and_line(
    session: SharedSession, developer_there: Person
) -> None:
    with syncing(session, developer_there) as sync:
        edit(session.root, "worker.yaml", "image: busybox:1.37", "image: [busybox]")
        [problem] = broken(sync)
        assert place(problem) == ("worker.yaml", 16)
        assert problem["message"].startswith(f"Deployment {session.namespace}/worker: ")
        assert "image: expected string" in problem["message"]

        edit(session.root, "worker.yaml", "image: [busybox]", "image: busybox:1.37")
        edit(session.root, "worker.yaml", "app: worker", "app: other")
        [problem] = broken(sync)
        assert place(problem) == ("worker.yaml", 6)
        assert problem["message"].endswith("spec.selector: field is immutable")

        edit(session.root, "worker.yaml", "app: other", "app: worker")
        edit(session.root, "nightly.yaml", '"0 3 * * *"', "never")
        [problem] = broken(sync)
        assert place(problem) == ("nightly.yaml", 6)
        assert "spec.schedule" in problem["message"]

        edit(session.root, "nightly.yaml", "never", '"0 4 * * *"')
        change = {"path": "spec.schedule", "before": '"0 3 * * *"', "after": '"0 4 * * *"'}
        (pushed,) = sync.tells("save_pushed")["changes"]
        assert (pushed["object"], pushed["action"]) == (f"CronJob {session.namespace}/nightly", "change")
        assert pushed["fields"] == [change]
        sync.tells("save_applied")
    assert session.applier()["status"]["conditions"][0]["status"] == "True"


def test_a_field_that_flux_drops_is_reported_and_the_rest_is_applied(
    session: SharedSession, developer_there: Person
) -> None:
    with syncing(session, developer_there) as sync:
        edit(session.root, "worker.yaml", "image: busybox:1.37", "image: busybox:1.36\n          imagee: x")
        pushed = sync.tells("save_pushed")
        [field] = pushed["changes"][0]["fields"]
        assert field["path"].endswith("image")
        [line] = pushed["not_checked"]
        assert line.startswith(f"Deployment {session.namespace}/worker: Flux drops the unknown field ")
        assert line.endswith("imagee (worker.yaml:17)")
        sync.tells("save_applied")
        after = diff(session, developer_there)
        assert (after.code, "imagee (worker.yaml:17)" in after.out) == (0, True)


WIDGET = "apiVersion: example.com/v1\nkind: Widget\nmetadata:\n  name: w\nspec: {}\n"
WIDGETS = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: widgets.example.com
spec:
  group: example.com
  names: {kind: Widget, plural: widgets}
  scope: Namespaced
  versions:
    - name: v1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object}}
"""


def test_kinds_and_rights_that_flux_lacks_are_told_by_name(
    session: SharedSession, developer_there: Person
) -> None:
    extra = session.root / "extra.yaml"
    with syncing(session, developer_there) as sync:
        extra.write_text(WIDGET)
        [problem] = broken(sync)
        assert place(problem) == ("extra.yaml", 1)
        assert problem["message"].endswith("the cluster has no kind Widget in example.com/v1")

        extra.write_text(f"{WIDGETS}---\n{WIDGET}")
        [problem] = broken(sync)
        assert place(problem) == ("extra.yaml", 1)
        assert (
            "CustomResourceDefinition widgets.example.com: it belongs to the whole cluster"
            in problem["message"]
        )

        extra.write_text(
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata:\n  name: r\nrules: []\n"
        )
        [problem] = broken(sync)
        assert problem["message"].endswith(
            "the session's ServiceAccount flux-run has no right to apply roles"
        )


FOREIGN = {
    "theirs": (
        {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux"},
        {},
    ),
    "released": ({"helm.toolkit.fluxcd.io/name": "r", "helm.toolkit.fluxcd.io/namespace": "flux"}, {}),
    "charted": ({}, {"meta.helm.sh/release-name": "chart", "meta.helm.sh/release-namespace": "apps"}),
    "handmade": ({}, {}),
}
OWNERS = {
    "theirs": "belongs to Kustomization flux/apps",
    "released": "belongs to HelmRelease flux/r",
    "charted": "belongs to Helm release apps/chart",
    "handmade": "was created by someone else, with kubectl",
    "kube-root-ca.crt": "was created by Kubernetes itself",
}


@pytest.fixture
def foreign(session: SharedSession, tmp_path: Path) -> Iterator[None]:
    """ConfigMaps of four others in the session's namespace."""
    items = [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": name,
                "namespace": session.namespace,
                "labels": labels,
                "annotations": notes,
            },
            "data": {"whose": "theirs"},
        }
        for name, (labels, notes) in FOREIGN.items()
    ]
    listed = tmp_path / "foreign.json"
    listed.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    session.owner.kubectl("create", "-f", str(listed))
    yield
    session.owner.kubectl("delete", "-f", str(listed))


@pytest.mark.usefixtures("foreign")
@pytest.mark.parametrize("flags", [(), ("--no-preflight",)])
def test_what_someone_else_owns_is_refused_by_name_and_untouched(
    session: SharedSession, developer_there: Person, flags: tuple[str, ...]
) -> None:
    with syncing(session, developer_there, *flags) as sync:
        (session.root / "grab.yaml").write_text("---\n".join(config(name) for name in OWNERS))
        problems = broken(sync)
    said = {problem["message"].split()[1].split("/")[1]: problem for problem in problems}
    assert said.keys() == OWNERS.keys()
    for number, (name, owner) in enumerate(OWNERS.items()):
        assert owner in said[name]["message"]
        assert place(said[name]) == ("grab.yaml", 1 + 7 * number)
    live = {
        item["metadata"]["name"]: item.get("data", {})
        for item in session.owner.get("configmaps", session.namespace)
    }
    assert {name: live[name]["whose"] for name in FOREIGN} == dict.fromkeys(FOREIGN, "theirs")
    assert "whose" not in live["kube-root-ca.crt"]


def test_what_the_session_is_made_of_is_refused(session: SharedSession, developer_there: Person) -> None:
    account = "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: flux-run\n"
    (session.root / "account.yaml").write_text(account)
    finished = diff(session, developer_there, "-o", "json")
    assert finished.code == 4
    [problem] = finished.json["problems"]
    assert "belongs to the session itself" in problem["message"]


def test_no_value_of_a_secret_is_shown(session: SharedSession, developer_there: Person) -> None:
    head = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: token\n"
    secret = session.root / "secret.yaml"
    with syncing(session, developer_there) as sync:
        secret.write_text(f"{head}stringData:\n  key: first-{SECRET}\n")
        assert sync.tells("save_pushed")["changes"][0]["action"] == "create"
        sync.tells("save_applied")
        secret.write_text(f"{head}stringData:\n  key: second-{SECRET}\n")
        [change] = sync.tells("save_pushed")["changes"]
        assert change["fields"] == [{"path": "data.key", "before": "***", "after": "***"}]
        sync.tells("save_applied")
        secret.write_text(f"{head}stringData:\n  key: {{inner: {SECRET}}}\n")
        [problem] = broken(sync)
        assert place(problem) == ("secret.yaml", 6)
        secret.write_text(f"{head}stringData:\n  key: third-{SECRET}\n")
        sync.tells("save_applied")
        secret.write_text(f"{head}stringData:\n  key: fourth-{SECRET}\n")
        shown = diff(session, developer_there)
        told = json.dumps(sync.told) + sync.errors + shown.out + shown.err
    assert "data.key: *** → ***" in shown.out or shown.code == 0
    assert SECRET not in told


def test_without_preflight_flux_is_the_one_that_says_no(
    session: SharedSession, developer_there: Person
) -> None:
    with syncing(session, developer_there, "--no-preflight") as sync:
        edit(session.root, "worker.yaml", "image: busybox:1.37", "imagee: busybox:1.37")
        pushed = sync.tells("save_pushed")
        assert pushed["changes"] == []
        assert "containers[0].image: Required value" in sync.tells("save_failed")["message"]
        edit(session.root, "worker.yaml", "imagee: busybox:1.37", "image: busybox:1.37")
        sync.tells("save_applied")


def test_diff_says_by_its_exit_code_whether_a_save_would_change_something(
    session: SharedSession, developer_there: Person
) -> None:
    with syncing(session, developer_there):
        pass
    assert diff(session, developer_there).code == 0
    before = (session.source(), session.owner.get("leases", session.namespace))

    edit(session.root, "settings.yaml", "30s", "45s")
    (session.root / "nightly.yaml").unlink()
    (session.root / "new.yaml").write_text(config("new"))
    finished = diff(session, developer_there, "-o", "json")
    assert finished.code == 1
    shown = finished.json
    assert shown["problems"] == []
    assert {(change["object"].split("/")[1], change["action"]) for change in shown["changes"]} == {
        ("settings", "change"),
        ("new", "create"),
        ("nightly", "delete"),
    }
    text = diff(session, developer_there)
    assert (text.code, 'data.interval: "30s" → "45s"' in text.out) == (1, True)

    (session.root / "new.yaml").write_text(config("new") + "  - broken\n")
    finished = diff(session, developer_there)
    assert finished.code == 4
    assert "new.yaml:7: not valid YAML" in finished.out

    assert developer_there.types("diff", "nowhere").code in (6, 7)
    assert (session.source(), session.owner.get("leases", session.namespace)) == before


def test_a_session_of_an_older_version_is_told_to_be_brought_up_to_date(
    session: SharedSession, developer_there: Person
) -> None:
    rules = session.owner.get("roles.rbac.authorization.k8s.io", session.namespace)
    role = next(item for item in rules if item["metadata"]["name"] == "session-owner")
    index = next(i for i, rule in enumerate(role["rules"]) if "impersonate" in rule["verbs"])
    where = ("role", "session-owner", "-n", session.namespace, "--type=json", "-p")
    session.owner.kubectl("patch", *where, json.dumps([{"op": "remove", "path": f"/rules/{index}"}]))
    try:
        finished = diff(session, developer_there)
    finally:
        back = [{"op": "replace", "path": "/rules", "value": role["rules"]}]
        session.owner.kubectl("patch", *where, json.dumps(back))
    assert finished.code == 4
    assert f"gitops-run up {session.name}" in finished.out
    assert finished.out.count("older gitops-run") == 1


def test_a_manifest_that_names_another_namespace_is_applied_in_the_session_s_and_that_is_reported_once(
    session: SharedSession, developer_there: Person
) -> None:
    copied = config("copied").replace("  name: copied\n", "  name: copied\n  namespace: production\n")
    expected = {
        "path": "copied.yaml",
        "line": 5,
        "kind": "ConfigMap",
        "name": "copied",
        "named": "production",
    }
    with syncing(session, developer_there) as sync:
        (session.root / "copied.yaml").write_text(copied)
        assert sync.tells("namespace_overridden")["places"] == [expected]
        sync.tells("save_applied")
        assert "copied" in session.owner.names("configmaps", session.namespace)
        edit(session.root, "copied.yaml", "mine", "still mine")
        sync.tells("save_applied")
        assert [one["type"] for one in sync.told].count("namespace_overridden") == 1
    shown = diff(session, developer_there, "-o", "json")
    assert (shown.code, shown.json["overridden"]) == (0, [expected])
    assert "copied.yaml:5: ConfigMap copied names production" in diff(session, developer_there).out


def test_a_config_map_that_is_too_large_is_refused_at_the_file_that_makes_it(
    session: SharedSession, developer_there: Person
) -> None:
    large = "x" * (1024 * 1024 + 1)
    (session.root / "large.yaml").write_text(f"{config('large')}  much: {large}\n")
    (session.root / "made").mkdir()
    (session.root / "made" / "much.txt").write_text(large)
    generator = "configMapGenerator:\n- name: made\n  files: [much.txt]\n"
    (session.root / "made" / "kustomization.yaml").write_text(generator)
    problems = diff(session, developer_there, "-o", "json").json["problems"]
    assert sorted(map(place, problems)) == [("large.yaml", 5), ("made/kustomization.yaml", 2)]
    assert all("data: Too long: may not be more than 1048576 bytes" in one["message"] for one in problems)


JOB = """\
apiVersion: batch/v1
kind: Job
metadata:
  name: once
  annotations: {}
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: main
          image: busybox:1.37
"""
MARK = "kustomize.toolkit.fluxcd.io/"


def forced(text: str) -> str:
    return text.replace("annotations: {}", f"annotations: {{{MARK}force: enabled}}")


def test_a_job_without_labels_of_its_own_differs_in_nothing_once_it_is_applied(
    session: SharedSession, developer_there: Person
) -> None:
    (session.root / "once.yaml").write_text(JOB)
    with syncing(session, developer_there) as sync:
        done = diff(session, developer_there)
        assert (done.code, done.out.strip()) == (0, "no differences")
        (session.root / "a.yaml").write_text(config("a"))
        assert [change["object"] for change in sync.tells("save_pushed")["changes"]] == [
            f"ConfigMap {session.namespace}/a"
        ]
        sync.tells("save_applied")
        (session.root / "once.yaml").write_text(JOB.replace("busybox:1.37", "busybox:1.36"))
        [problem] = broken(sync)
        assert f"{MARK}force: enabled" in problem["hint"]
        (session.root / "once.yaml").write_text(forced(JOB.replace("busybox:1.37", "busybox:1.36")))
        assert [(one["object"], one["action"]) for one in sync.tells("save_pushed")["changes"]] == [
            (f"Job {session.namespace}/once", "recreate")
        ]
        sync.tells("save_applied")
        assert diff(session, developer_there).code == 0


SERVICE = """\
apiVersion: v1
kind: Service
metadata:
  name: s
  annotations: {}
spec:
  ports: [{port: 80}]
"""
STATEFUL = """\
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: db
  annotations: {}
spec:
  replicas: 0
  serviceName: s
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: main, image: "busybox:1.37"}]}
  volumeClaimTemplates:
    - metadata: {name: data}
      spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
"""


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [(STATEFUL, "1Gi", "2Gi"), (SERVICE, "ports:", "clusterIP: None\n  ports:")],
)
def test_what_can_t_be_changed_has_the_hint_and_is_recreated_with_the_annotation(
    session: SharedSession, developer_there: Person, text: str, old: str, new: str
) -> None:
    manifest = session.root / "forced.yaml"
    manifest.write_text(text)
    with syncing(session, developer_there) as sync:
        manifest.write_text(text.replace(old, new))
        assert {f"{MARK}force: enabled" in problem["hint"] for problem in broken(sync)} == {True}
        manifest.write_text(forced(text.replace(old, new)))
        assert [one["action"] for one in sync.tells("save_pushed")["changes"]] == ["recreate"]
        sync.tells("save_applied")
        assert diff(session, developer_there).code == 0


def test_a_resource_version_that_was_copied_from_a_cluster_is_refused_with_its_line(
    session: SharedSession, developer_there: Person
) -> None:
    manifest = session.root / "copied.yaml"
    manifest.write_text(config("copied"))
    with syncing(session, developer_there) as sync:
        manifest.write_text(config("copied").replace("\ndata:", '\n  resourceVersion: "7"\ndata:'))
        [problem] = broken(sync)
        assert place(problem) == ("copied.yaml", 5)


def test_a_first_save_with_a_copied_resource_version_passes_and_what_flux_refuses_afterwards_does_not(
    session: SharedSession, developer_there: Person
) -> None:
    manifest, text = (
        session.root / "new.yaml",
        config("new").replace("\ndata:", '\n  resourceVersion: "7"\n  annotations: {}\ndata:'),
    )
    with syncing(session, developer_there) as sync:
        manifest.write_text(text)
        [line] = sync.tells("save_pushed")["not_checked"]
        assert "metadata.resourceVersion (new.yaml:5)" in line
        sync.tells("save_applied")
        assert "new.yaml:5" in diff(session, developer_there).out

        edit(session.root, "worker.yaml", "image: busybox:1.37", "image: busybox:1.36")
        [problem] = broken(sync)
        assert place(problem) == ("new.yaml", 5)

        manifest.write_text(forced(text))
        changes = sync.tells("save_pushed")["changes"]
        assert [one["action"] for one in changes if "new" in one["object"]] == ["recreate"]
        sync.tells("save_applied")


GENERATED = "".join(f"  - name: g{n}\n    envs: [shared.env]\n" for n in range(5))


def test_a_line_that_five_generators_share_replaces_their_objects_and_deletes_none(
    session: SharedSession, developer_there: Person
) -> None:
    (session.root / "kustomization.yaml").write_text(f"configMapGenerator:\n{GENERATED}")
    (session.root / "shared.env").write_text("A=1\n")
    for name in ("worker.yaml", "nightly.yaml"):
        (session.root / name).unlink()
    with syncing(session, developer_there) as sync:
        (session.root / "shared.env").write_text("A=2\n")
        assert [one["action"] for one in sync.tells("save_pushed")["changes"]] == 5 * ["replace"]
        sync.tells("save_applied")


def test_an_object_that_may_not_be_pruned_is_not_reported_as_deleted(
    session: SharedSession, developer_there: Person
) -> None:
    kept = session.root / "kept.yaml"
    kept.write_text(config("kept").replace("\ndata:", f"\n  annotations: {{{MARK}prune: disabled}}\ndata:"))
    with syncing(session, developer_there) as sync:
        kept.unlink()
        assert sync.tells("save_pushed")["changes"] == []
        sync.tells("save_applied")
    session.owner.kubectl("get", "configmap", "kept", "-n", session.namespace)


TURNED = {
    "odd.yaml": "apiVersion: v1\nkind: PersistentVolume\nmetadata:\n  name: odd\ndata: {}\n",
    "kustomization.yaml": "resources: [settings.yaml, odd.yaml]\npatchesJson6902:\n"
    "- target: {version: v1, kind: PersistentVolume, name: odd}\n"
    "  patch: '- {op: replace, path: /kind, value: ConfigMap}'\n",
}


def test_an_object_whose_kind_a_late_patch_changes_has_no_namespace_and_is_refused_as_by_flux(
    session: SharedSession,
) -> None:
    for name, text in TURNED.items():
        (session.root / name).write_text(text)
    with session.in_root().leaves_running("sync", session.name, "--allow-prune") as sync:
        [problem] = broken(sync)
        assert "odd: metadata.namespace: it is missing" in problem["message"]
    with session.in_root().leaves_running("sync", session.name, "--allow-prune", "--no-preflight") as sync:
        assert "ConfigMap odd" in sync.tells("save_failed")["message"].replace("ConfigMap/", "ConfigMap ")


def test_characters_beyond_the_basic_plane_are_applied_and_then_no_difference(
    session: SharedSession, developer_there: Person
) -> None:
    (session.root / "rocket.yaml").write_text(config("rocket", '"\\U0001F680 \\u2028 \\xE9"'))
    with syncing(session, developer_there):
        pass
    finished = diff(session, developer_there)
    assert (finished.code, finished.out.strip()) == (0, "no differences")


def test_an_object_without_an_api_version_is_refused(session: SharedSession) -> None:
    (session.root / "kustomization.yaml").write_text("resources: [settings.yaml, odd.yaml]\n")
    (session.root / "odd.yaml").write_text("kind: ConfigMap\nmetadata:\n  name: odd\n")
    with session.in_root().leaves_running("sync", session.name, "--allow-prune") as sync:
        [problem] = broken(sync)
        assert "has no apiVersion" in problem["message"]


def test_an_object_that_flux_drops_is_reported_and_the_others_are_applied(session: SharedSession) -> None:
    (session.root / "odd.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: 12\n")
    with session.in_root().leaves_running("sync", session.name, "--allow-prune") as sync:
        [line] = sync.tells("save_pushed")["not_checked"]
        assert line == "odd.yaml:1: Flux drops this ConfigMap: its metadata.name is not a string"
        sync.tells("save_applied")
