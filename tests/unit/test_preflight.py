"""What may be pushed: objects that are built from a snapshot, looked at where they changed, and judged."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import anyio
import pytest

from gitops_run.flows.judgement import Live, Preflight
from gitops_run.flows.preflight import Inspector
from gitops_run.model.charts.build import NotRenderableError
from gitops_run.model.objects.dry_run import Finding, Obstacle
from gitops_run.model.objects.identity import ObjectRef, RenderedObject, parse_document
from gitops_run.model.objects.ownership import KUSTOMIZE_LABEL, SessionPlace
from gitops_run.model.objects.pruning import is_kept, is_large_prune, pruned
from gitops_run.model.objects.substitution import Variables
from gitops_run.model.text.problem import Problem
from gitops_run.model.tree.snapshot import Snapshot
from tests.fake_cluster_checks import FakeCluster, inspector
from tests.fakes import FakeSnapshot, contents

NOTHING = Live(digests={}, inventory=())


class AsItIs:
    """A renderer for files that are rendered already."""

    async def render(self, snapshot: Snapshot, target: str) -> str | Problem:
        return "---\n".join(content.decode() for content in contents(snapshot).values())


class Nothing:
    """A renderer for which there is nothing to render."""

    async def render(self, snapshot: Snapshot, target: str) -> str | Problem:
        return ""


def manifest(
    kind: str, name: str, *lines: str, namespace: str = "ns", api: str = "v1", mark: str = ""
) -> str:
    head = f"apiVersion: {api}\nkind: {kind}\nmetadata:\n  name: {name}\n"
    head += f"  namespace: {namespace}\n" if namespace else ""
    head += f"  annotations:\n    {KUSTOMIZE_LABEL}/{mark}\n" if mark else ""
    return head + "".join(f"{line}\n" for line in lines)


def ref(kind: str, name: str) -> ObjectRef:
    return ObjectRef(group="", kind=kind, namespace="ns", name=name)


def inspect(
    *texts: str, cluster: FakeCluster | None = None, live: Live = NOTHING, **settings: Any
) -> Preflight:
    return again(inspector(AsItIs(), cluster, **settings), *texts, live=live)


def again(by: Inspector, *texts: str, live: Live = NOTHING) -> Preflight:
    snapshot = FakeSnapshot({f"app/{number}.yaml": text.encode() for number, text in enumerate(texts)})
    return anyio.run(by.inspect, snapshot, live, lambda _: None)


def refusing(name: str, obstacle: Obstacle, message: str = "no", field: str = "") -> FakeCluster:
    return FakeCluster(refuses={name: (Finding(obstacle=obstacle, message=message, field=field),)})


def messages(found: Preflight) -> list[str]:
    return [str(problem) for problem in found.problems]


def told(found: Preflight) -> list[tuple[str, str]]:
    return [(change.object, change.action) for change in found.changes]


A = manifest("ConfigMap", "a", "data:", "  x: '1'")
B = manifest("ConfigMap", "b", "data:", "  x: '1'")


def test_only_what_differs_from_the_last_push_is_looked_at() -> None:
    cluster = FakeCluster()
    by = inspector(AsItIs(), cluster)
    pushed = again(by, A, B)
    cluster.looked_at.clear()
    found = again(by, A, B.replace("1", "2"), live=Live(digests=pushed.digests, inventory=()))
    assert cluster.looked_at == [("b", True)]
    assert len(found.objects) == 2
    assert found.digests[ref("ConfigMap", "a")] == pushed.digests[ref("ConfigMap", "a")]


def test_a_document_that_stays_is_not_parsed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = []

    def counted(text: str) -> Any:
        parsed.append(text)
        return parse_document(text)

    monkeypatch.setattr("gitops_run.flows.building.parse_document", counted)
    by = inspector(AsItIs())
    again(by, A, B)
    again(by, A, B.replace("1", "2"))
    assert parsed == [A, B, B.replace("1", "2")]


def test_an_object_that_flux_may_not_read_is_not_said_to_be_new() -> None:
    found = inspect(A, cluster=FakeCluster(hides=frozenset({"a"})))
    assert (found.problems, found.changes) == ((), ())
    assert "ConfigMap ns/a: flux-run may not read it" in found.not_checked[0]


def test_the_steps_are_marked_in_order() -> None:
    marks: list[str] = []
    anyio.run(inspector(AsItIs()).inspect, FakeSnapshot({"app/a.yaml": A.encode()}), NOTHING, marks.append)
    assert marks == ["rendered", "checked"]


def test_a_finding_has_the_line_of_its_field() -> None:
    cluster = refusing("b", Obstacle.CONTENT, "unknown field", "data.x")
    assert messages(inspect(A, B, cluster=cluster)) == ["app/1.yaml:7: ConfigMap ns/b: data.x: unknown field"]


def test_a_kind_that_comes_with_the_save_is_not_checked_and_another_is_refused() -> None:
    crd = manifest(
        "CustomResourceDefinition",
        "ws.x.io",
        "spec: {group: x.io, names: {kind: W}}",
        namespace="",
        api="a/v1",
    )
    widget = manifest("W", "w", api="x.io/v1")
    cluster = refusing("w", Obstacle.KIND, "the cluster has no kind W in x.io/v1")
    assert inspect(crd, widget, cluster=cluster).not_checked == ("W ns/w: this save creates its kind",)
    assert messages(inspect(widget, cluster=cluster)) == [
        "app/0.yaml:1: W ns/w: the cluster has no kind W in x.io/v1"
    ]


def test_a_namespace_that_comes_with_the_save_is_not_missed() -> None:
    other = manifest("ConfigMap", "c", namespace="other")
    cluster = refusing("c", Obstacle.NAMESPACE)
    found = inspect(manifest("Namespace", "other", namespace=""), other, cluster=cluster)
    assert (found.problems, found.not_checked) == (
        (),
        ("ConfigMap other/c: this save creates its namespace",),
    )
    assert "there is no namespace other" in messages(inspect(other, cluster=cluster))[0]


def test_a_refused_impersonation_is_told_once_with_its_remedy() -> None:
    refusal = (Finding(obstacle=Obstacle.IMPERSONATION, message="…"),)
    [problem] = inspect(A, B, cluster=FakeCluster(refuses={"a": refusal, "b": refusal})).problems
    assert problem.hint.endswith("gitops-run up NAME")


def test_an_object_of_someone_else_is_refused_with_and_without_dry_run() -> None:
    cluster = FakeCluster()
    cluster.has(ref("ConfigMap", "a"), metadata={"managedFields": [{"manager": "kubectl-edit"}]})
    expected = (
        "app/0.yaml:1: ConfigMap ns/a was created by someone else, with kubectl-edit: "
        "a session never takes over objects that it did not create"
    )
    assert messages(inspect(A, cluster=cluster)) == [expected]
    assert messages(inspect(A, cluster=cluster, has_dry_run=False)) == [expected]


def test_an_object_of_the_inventory_is_ours() -> None:
    cluster = FakeCluster()
    cluster.has(ref("ConfigMap", "a"), data={"x": "0"})
    found = inspect(A, cluster=cluster, live=Live(digests={}, inventory=("ns_a__ConfigMap",)))
    assert found.problems == ()
    assert [change.action for change in found.changes] == ["change"]


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("ServiceAccount", "flux-run"),
        ("Secret", "bucket-reader"),
        ("ResourceQuota", "gitops-run-quota"),
        ("LimitRange", "gitops-run-defaults"),
        ("NetworkPolicy", "gitops-run-ingress"),
    ],
)
def test_what_the_session_is_made_of_is_refused_once_even_if_it_is_in_the_inventory(
    kind: str, name: str
) -> None:
    cluster = FakeCluster()
    cluster.has(ref(kind, name))
    live = Live(digests={}, inventory=(f"ns_{name}__{kind}",))
    [problem] = inspect(manifest(kind, name), cluster=cluster, live=live).problems
    assert "belongs to the session itself" in problem.message


def labelled(kind: str, name: str, label: str) -> str:
    return manifest(kind, name, f"  labels: {{{label}: web}}")


def token_of(account: str) -> str:
    annotations = f"  annotations: {{kubernetes.io/service-account.name: {account}}}"
    return manifest("Secret", "t", annotations, "type: kubernetes.io/service-account-token")


def test_what_claims_to_be_a_part_of_the_session_by_its_label_is_refused() -> None:
    (problem,) = inspect(labelled("ConfigMap", "a", "gitops-run.dev/session")).problems
    assert "gitops-run.dev/session, which marks the session's own objects" in problem.message


def test_a_token_of_the_session_s_account_is_refused_and_one_of_another_account_is_not() -> None:
    (problem,) = inspect(token_of("flux-run")).problems
    assert "is a token of flux-run" in problem.message
    assert inspect(token_of("app")).problems == ()


@pytest.mark.parametrize("kind", ["Secret", "ServiceAccount", "NetworkPolicy", "Service", "StatefulSet"])
def test_an_object_of_a_part_s_kind_and_another_name_is_the_target_s_own(kind: str) -> None:
    assert inspect(labelled(kind, "mine", "app")).problems == ()


def test_without_dry_run_only_ownership_is_looked_at_and_no_change_is_told() -> None:
    cluster = refusing("a", Obstacle.CONTENT)
    found = inspect(A, cluster=cluster, has_dry_run=False)
    assert found == replace(Preflight(), objects=found.objects, digests=found.digests)
    assert cluster.looked_at == [("a", False)]


def test_a_field_that_flux_drops_is_told_with_its_line() -> None:
    files = {"app/kustomization.yaml": b"resources: []\nnamePrefx: x-\n"}
    found = anyio.run(inspector(Nothing()).inspect, FakeSnapshot(files), NOTHING, lambda _: None)
    assert "app/kustomization.yaml:2: Flux drops the field namePrefx" in found.not_checked[0]


MISSPELT = manifest("Deployment", "d", "spec:", "  replicas: 1", "  replicsa: 2", "  pausd: 1", api="apps/v1")


def test_unknown_fields_of_a_native_kind_are_dropped_as_by_flux_and_told_with_their_lines() -> None:
    cluster = FakeCluster(unknown=frozenset({"replicsa", "pausd"}))
    found = inspect(MISSPELT, cluster=cluster)
    assert (told(found), found.problems) == ([("Deployment ns/d", "create")], ())
    assert found.not_checked == (
        "Deployment ns/d: Flux drops the unknown field spec.pausd (app/0.yaml:9)",
        "Deployment ns/d: Flux drops the unknown field spec.replicsa (app/0.yaml:8)",
    )


def test_labels_that_flux_drops_are_told_with_their_line() -> None:
    found = inspect(A.replace("\ndata:", "\n  labels: {a: 5, b: c}\ndata:"))
    assert found.not_checked == (
        "ConfigMap ns/a: Flux drops metadata.labels (app/0.yaml:6): one of them is not a string",
    )
    assert (told(found), found.problems) == ([("ConfigMap ns/a", "create")], ())


def test_a_field_that_flux_drops_is_no_change() -> None:
    cluster = FakeCluster(unknown=frozenset({"replicsa", "pausd"}))
    cluster.has(ObjectRef(group="apps", kind="Deployment", namespace="ns", name="d"), spec={"replicas": 1})
    found = inspect(MISSPELT, cluster=cluster, live=Live(digests={}, inventory=("ns_d_apps_Deployment",)))
    assert [one.path for change in found.changes for one in change.fields if "spec" in one.path] == []


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        (MISSPELT.replace("apps/v1", "x.io/v1"), {}),
        (MISSPELT.replace("apps/v1", "rbac.authorization.k8s.io/v1").replace("Deployment", "Role"), {}),
        (MISSPELT, {"is_chart": True}),
    ],
)
def test_unknown_fields_that_reach_the_api_server_are_refused(text: str, settings: dict[str, Any]) -> None:
    cluster = FakeCluster(unknown=frozenset({"replicsa", "pausd"}))
    assert len(inspect(text, cluster=cluster, **settings).problems) == 2


class OfFluxAlone:
    """A renderer of a chart whose parts Flux fetches."""

    async def render(self, snapshot: Snapshot, target: str) -> str | Problem:
        raise NotRenderableError("Flux fetches its dependency dep")


def test_what_only_flux_can_render_is_not_checked() -> None:
    live = Live(digests={}, inventory=("ns_a__ConfigMap",))
    found = anyio.run(inspector(OfFluxAlone()).inspect, FakeSnapshot({}), live, lambda _: None)
    assert found.not_checked == ("app: Flux fetches its dependency dep",)
    assert (found.problems, found.changes, found.is_rendered) == ((), (), False)


def test_an_object_in_two_api_versions_is_made_once_and_its_change_is_not_checked() -> None:
    texts = [manifest("W", "w", f"spec: {{x: {version}}}", api=f"x.io/v{version}") for version in (1, 2)]
    assert told(inspect(*texts)) == [("W ns/w", "create")]
    cluster = FakeCluster()
    cluster.has(ObjectRef(group="x.io", kind="W", namespace="ns", name="w"), spec={"x": 2})
    found = inspect(*texts, cluster=cluster, live=Live(digests={}, inventory=("ns_w_x.io_W",)))
    assert (found.changes, found.problems) == ((), ())
    assert [line.partition(":")[0] for line in found.not_checked] == ["W ns/w (x.io/v1)", "W ns/w (x.io/v2)"]


COPIED = A.replace("\ndata:", '\n  resourceVersion: "7"\ndata:')


def test_a_version_that_was_copied_from_a_cluster_is_told_with_its_line_when_it_still_passes() -> None:
    found = inspect(COPIED)
    [line] = found.not_checked
    assert line.startswith("ConfigMap ns/a: metadata.resourceVersion (app/0.yaml:6): Flux applies it once")
    assert (told(found), found.problems) == ([("ConfigMap ns/a", "create")], ())


def test_what_was_copied_from_a_cluster_is_looked_at_although_it_stays_as_it_was() -> None:
    cluster = FakeCluster()
    by = inspector(AsItIs(), cluster)
    pushed = again(by, COPIED)
    cluster.looked_at.clear()
    again(by, COPIED, live=Live(digests=pushed.digests, inventory=()))
    assert cluster.looked_at == [("a", True)]


ENCRYPTED = manifest("Secret", "s", "data:", "  k: ENC[x]", "sops:", "  mac: m", "  version: 3.13.3")


def test_an_encrypted_object_is_refused_where_the_session_has_no_key() -> None:
    [problem] = inspect(ENCRYPTED).problems
    assert problem.place == "app/0.yaml:1"
    assert "--decryption-key-file" in problem.hint


def test_an_encrypted_object_is_neither_tried_nor_compared() -> None:
    cluster = FakeCluster()
    found = inspect(ENCRYPTED, cluster=cluster, has_decryption_key=True)
    assert (found.not_checked, found.changes) == (("Secret ns/s: it is encrypted",), ())
    assert cluster.looked_at == [("s", False)]


OURS_A = Live(digests={}, inventory=("ns_a__ConfigMap",))
FORCED = manifest("ConfigMap", "a", mark="force: Enabled")
CHANGE = Finding(obstacle=Obstacle.CONTENT, field="spec", message="updates to it are forbidden")
FAULT = Finding(obstacle=Obstacle.CONTENT, field="spec.x", message="Required value")


def that_is_there(*new: Finding, **metadata: Any) -> FakeCluster:
    """A cluster that refuses to change ConfigMap a, and finds only these faults in a new one."""
    cluster = FakeCluster(refuses={"a": (CHANGE, *new)}, refuses_new={"a": new})
    cluster.has(ref("ConfigMap", "a"), metadata=metadata)
    return cluster


def test_a_change_that_is_refused_has_the_hint_how_flux_would_recreate_the_object() -> None:
    [change, fault] = inspect(A, cluster=that_is_there(FAULT), live=OURS_A).problems
    assert "kustomize.toolkit.fluxcd.io/force: enabled" in change.hint
    assert fault.hint == ""


def test_a_chart_s_object_has_no_hint_to_an_annotation_that_helm_does_not_know() -> None:
    [problem] = inspect(A, cluster=that_is_there(), live=OURS_A, is_chart=True).problems
    assert problem.hint == "delete it first"


def test_an_object_that_flux_may_recreate_is_reported_as_recreated() -> None:
    found = inspect(FORCED, cluster=that_is_there(), live=OURS_A)
    assert (found.problems, told(found)) == ((), [("ConfigMap ns/a", "recreate")])


def test_a_mark_on_the_live_object_lets_flux_recreate_it_too() -> None:
    cluster = that_is_there(annotations={f"{KUSTOMIZE_LABEL}/force": "enabled"})
    assert told(inspect(A, cluster=cluster, live=OURS_A)) == [("ConfigMap ns/a", "recreate")]


def test_an_object_that_recreating_would_not_save_is_refused_for_its_own_faults_alone() -> None:
    found = inspect(FORCED, cluster=that_is_there(FAULT), live=OURS_A)
    assert (found.changes, messages(found)) == ((), ["app/0.yaml:1: ConfigMap ns/a: spec.x: Required value"])


def test_a_finding_brings_its_own_hint() -> None:
    finding = Finding(obstacle=Obstacle.CONTENT, field="metadata.uid", message="no", hint="remove the line")
    [problem] = inspect(A, cluster=FakeCluster(refuses={"a": (finding,)})).problems
    assert problem.hint == "remove the line"


@pytest.mark.parametrize("mark", ["reconcile: disabled", "ssa: Ignore", "ssa: IfNotPresent"])
def test_an_object_that_flux_leaves_alone_is_nobody_s_problem(mark: str) -> None:
    cluster = FakeCluster()
    cluster.has(ref("ConfigMap", "a"))
    found = inspect(manifest("ConfigMap", "a", mark=mark), cluster=cluster)
    assert (found.problems, found.changes, len(found.not_checked)) == ((), (), 1)


@pytest.mark.parametrize(
    "mark", ["reconcile: disabled", "ssa: Ignore", "ssa: IfNotPresent", "force: enabled"]
)
def test_a_mark_for_kustomize_controller_means_nothing_in_a_chart(mark: str) -> None:
    text = manifest("ConfigMap", "a", mark=mark)
    found = inspect(text, cluster=that_is_there(), live=OURS_A, is_chart=True)
    assert (len(found.problems), found.not_checked) == (1, ())


def test_a_live_object_that_a_person_took_from_flux_for_a_while_is_left_alone_too() -> None:
    cluster = refusing("a", Obstacle.CONTENT)
    cluster.has(ref("ConfigMap", "a"), metadata={"annotations": {f"{KUSTOMIZE_LABEL}/reconcile": "Disabled"}})
    found = inspect(A, cluster=cluster)
    assert (found.problems, found.changes, len(found.not_checked)) == ((), (), 1)


def test_two_of_the_same_are_found_in_lists_too() -> None:
    items = "".join(
        f"- {{apiVersion: v1, kind: ConfigMap, metadata: {{name: {n}, namespace: ns}}}}\n" for n in "ca"
    )
    listed = f"apiVersion: v1\nkind: ConfigMapList\nitems:\n{items}"
    assert messages(inspect(A, listed)) == ["app/1.yaml:5: ConfigMap ns/a is defined more than once"]


def test_an_object_in_two_versions_of_its_api_is_no_twin_as_for_kustomize() -> None:
    old, new = (manifest("CronJob", "a").replace("v1", f"batch/{v}", 1) for v in ("v1", "v1beta1"))
    assert messages(inspect(old, new)) == []
    assert messages(inspect(old, old)) != []


def test_what_flux_would_delete_is_a_change() -> None:
    live = Live(digests={}, inventory=("ns_a__ConfigMap", "ns_gone__Secret"))
    assert [(c.object, c.action) for c in inspect(A, live=live).changes if c.action == "delete"] == [
        ("Secret ns/gone", "delete")
    ]


class OfAChart(AsItIs):
    """A renderer of charts; of these kinds it can't tell what Flux renders."""

    def __init__(self, **uncertain_kinds: str) -> None:
        self.uncertain_kinds = uncertain_kinds

    async def complete(self, item: RenderedObject) -> RenderedObject:
        return item

    def origin(self, path: str, target: str) -> str:
        return path

    def doubt(self, digest: str) -> str:
        return ""


@pytest.mark.parametrize(
    ("policy", "deleted"), [("keep", []), ("Keep", ["ConfigMap ns/gone"]), ("", ["ConfigMap ns/gone"])]
)
def test_what_helm_is_told_to_keep_is_no_deletion(policy: str, deleted: list[str]) -> None:
    cluster = FakeCluster()
    annotations = {"helm.sh/resource-policy": policy}
    cluster.has(ref("ConfigMap", "gone"), metadata={"annotations": annotations})
    live = Live(digests={}, inventory=("ns_a__ConfigMap", "ns_gone__ConfigMap"))
    found = again(inspector(OfAChart(), cluster, is_chart=True), A, live=live)
    assert [change.object for change in found.changes if change.action == "delete"] == deleted
    assert found.spared == (frozenset() if deleted else {"ns_gone__ConfigMap"})


def test_a_deletion_that_the_cluster_decides_is_not_checked_and_no_change() -> None:
    live = Live(digests={}, inventory=("ns_a__ConfigMap", "ns_b__Secret", "ns_c__Service"))
    found = again(inspector(OfAChart(Secret="why"), is_chart=True), A, live=live)
    assert [change.object for change in found.changes if change.action == "delete"] == ["Service ns/c"]
    assert found.not_checked == ("Secret ns/b: it may be deleted: why",)
    assert found.spared == {"ns_b__Secret"}


OURS = {f"{KUSTOMIZE_LABEL}/name": "web", f"{KUSTOMIZE_LABEL}/namespace": "ns"}
OLD, NEW = "env-bb2244ccdd", "env-tt2244ccdd"


def left_with(labels: dict[str, str], annotations: dict[str, str], **settings: Any) -> Preflight:
    """Inspect a save without an object that the session applied before."""
    cluster = FakeCluster()
    cluster.has(ref("Secret", "gone"), metadata={"labels": labels, "annotations": annotations})
    return inspect(cluster=cluster, live=Live(digests={}, inventory=("ns_gone__Secret",)), **settings)


@pytest.mark.parametrize("mark", ["prune: disabled", "reconcile: Disabled", "ssa: ignore"])
def test_an_object_that_flux_may_not_prune_is_not_reported_as_deleted(mark: str) -> None:
    name, _, value = mark.partition(": ")
    found = left_with(OURS, {f"{KUSTOMIZE_LABEL}/{name}": value})
    assert (found.changes, found.spared) == ((), {"ns_gone__Secret"})


def test_an_object_without_the_session_s_owner_labels_stays_when_it_leaves_the_target() -> None:
    assert left_with({**OURS, f"{KUSTOMIZE_LABEL}/name": "other"}, {}).changes == ()
    assert told(left_with(OURS, {})) == [("Secret ns/gone", "delete")]


def test_a_chart_s_object_stays_by_helm_s_annotation_and_not_by_flux_s() -> None:
    assert left_with({}, {"helm.sh/resource-policy": "keep"}, is_chart=True).changes == ()
    assert told(left_with({}, {f"{KUSTOMIZE_LABEL}/prune": "disabled"}, is_chart=True)) == [
        ("Secret ns/gone", "delete")
    ]


def test_a_definition_that_is_no_part_of_a_release_stays_when_it_leaves_the_chart() -> None:
    place = SessionPlace(name="web", namespace="ns")
    for marks, expected in (({}, True), ({"meta.helm.sh/release-name": "web"}, False)):
        live = {"kind": "CustomResourceDefinition", "metadata": {"annotations": marks}}
        assert is_kept(live, place, is_chart=True) is expected


def with_old_hash(kind: str) -> tuple[FakeCluster, Live]:
    cluster = FakeCluster()
    cluster.has(ref(kind, OLD), metadata={"labels": OURS}, apiVersion="v1", data={"x": "1"})
    return cluster, Live(digests={}, inventory=(f"ns_{OLD}__{kind}",))


def test_an_object_with_a_new_hash_replaces_the_old_one_and_deletes_nothing() -> None:
    cluster, live = with_old_hash("ConfigMap")
    found = inspect(manifest("ConfigMap", NEW, "data:", "  x: '2'"), cluster=cluster, live=live)
    assert told(found) == [(f"ConfigMap ns/{NEW}", "replace")]
    assert [(one.path, one.before, one.after) for one in found.changes[0].fields] == [
        ("metadata.name", f'"{OLD}"', f'"{NEW}"'),
        ("data.x", '"1"', '"2"'),
    ]
    assert found.spared == {f"ns_{OLD}__ConfigMap"}


def test_a_secret_that_is_replaced_shows_no_value() -> None:
    cluster, live = with_old_hash("Secret")
    [change] = inspect(manifest("Secret", NEW, "data:", "  x: dg=="), cluster=cluster, live=live).changes
    assert "dg==" not in str(change)
    assert change.fields[1].path == "data.x"


def test_a_new_name_that_is_no_hash_replaces_nothing() -> None:
    cluster, live = with_old_hash("ConfigMap")
    found = inspect(manifest("ConfigMap", "other"), cluster=cluster, live=live)
    assert told(found) == [("ConfigMap ns/other", "create"), (f"ConfigMap ns/{OLD}", "delete")]
    assert found.spared == frozenset()


VARIABLE = manifest("ConfigMap", "a", "data:", "  x: ${replicas}")


def test_variables_are_replaced_before_the_cluster_is_asked() -> None:
    cluster = FakeCluster()
    cluster.has(ref("ConfigMap", "a"), data={"x": 1})
    live = Live(digests={}, inventory=("ns_a__ConfigMap",))
    [change] = inspect(
        VARIABLE, cluster=cluster, live=live, variables=Variables(values={"replicas": "3"})
    ).changes
    assert [(field.path, field.after) for field in change.fields if field.path.startswith("data")] == [
        ("data.x", "3")
    ]


def test_an_unset_variable_has_file_and_line() -> None:
    found = inspect(B, VARIABLE, variables=Variables(values={"other": "3"}))
    assert messages(found) == [
        "app/1.yaml:7: ConfigMap ns/a: variable replicas is not set, and has no default"
    ]


def test_no_part_of_a_secret_is_told_around_a_variable() -> None:
    secret = manifest("Secret", "s", "stringData:", "  key: ab${cd-ef}gh")
    found = inspect(secret, variables=Variables(values={"other": "3"}))
    assert [problem.line for problem in found.problems] == [7]
    assert "cd" not in str(found)


@pytest.mark.parametrize("settings", [{}, {"variables": Variables(values={})}])
def test_without_variables_nothing_is_substituted(settings: dict[str, Any]) -> None:
    assert inspect(VARIABLE, **settings).problems == ()


def test_an_object_may_keep_its_variables() -> None:
    text = VARIABLE.replace("\ndata:", f"\n  labels: {{{KUSTOMIZE_LABEL}/substitute: disabled}}\ndata:")
    assert inspect(text, variables=Variables(values={"other": "3"})).problems == ()


def test_a_variable_that_only_flux_knows_leaves_its_object_unchecked_but_not_unowned() -> None:
    cluster = FakeCluster()
    found = inspect(VARIABLE, cluster=cluster, variables=Variables(values={}, has_foreign=True))
    assert (found.problems, cluster.looked_at) == ((), [("a", False)])
    assert found.not_checked == (
        "ConfigMap ns/a: only Flux knows whether ${replicas} is in what it substitutes from",
    )


def test_what_kustomize_gives_a_namespace_to_and_flux_takes_for_the_cluster_s_is_not_pruned() -> None:
    assert pruned([ref("FlowSchema", "a")], ["_a__FlowSchema"]) == ()


def test_only_what_the_inventory_has_and_the_save_lacks_is_pruned() -> None:
    gone = pruned([ref("ConfigMap", "a")], ["ns_a__ConfigMap", "ns_b__ConfigMap"])
    assert gone == (ref("ConfigMap", "b"),)


@pytest.mark.parametrize(("gone", "of", "is_large"), [(3, 3, False), (4, 8, False), (4, 7, True)])
def test_a_large_prune_is_more_than_its_share_and_more_than_a_handful(
    gone: int, of: int, *, is_large: bool
) -> None:
    assert is_large_prune(gone, of, 50) is is_large


@pytest.mark.parametrize("half", ["labels: app", "annotations: [x]"])
def test_a_half_typed_object_is_left_to_the_api_server_and_raises_nothing(half: str) -> None:
    text = f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  namespace: ns\n  {half}\n"
    assert inspect(text).problems == ()
