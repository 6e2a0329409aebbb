"""A chart as a target: real helm-controller, real helm, the real command line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import DEVELOPER, EXAMPLES
from tests.integration.conftest import SharedSession
from tests.people import Person


@pytest.fixture(scope="module")
def _chart_session(admin: Person, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedSession]:
    root = tmp_path_factory.mktemp("helm") / "chart"
    shutil.copytree(EXAMPLES / "chart", root)
    flags = ("--values-files", "values-dev.yaml", "--release-name", "shop")
    admin.succeeds("up", "chart", str(root), "--root", str(root), "--owner", DEVELOPER, *flags)
    yield SharedSession("chart", root, admin)
    admin.succeeds("down", "chart")


@pytest.fixture
def chart(_chart_session: SharedSession) -> SharedSession:
    shutil.rmtree(_chart_session.root)
    shutil.copytree(EXAMPLES / "chart", _chart_session.root)
    return _chart_session


def greeting(session: SharedSession) -> str:
    found = session.owner.get("configmaps", session.namespace)
    return str(next(i["data"]["greeting"] for i in found if i["metadata"]["name"] == "shop-settings"))


def write_values(session: SharedSession, text: str) -> None:
    (session.root / "values-dev.yaml").write_text(text)


def test_applied_means_that_the_release_was_built_from_this_revision(chart: SharedSession) -> None:
    with chart.syncing() as sync:
        write_values(chart, "greeting: exact\n")
        applied = sync.tells("save_applied")
        assert greeting(chart) == "exact"
        assert applied["revision"] == chart.source()["status"]["artifact"]["revision"]
        assert applied["objects"] == 5
        status = chart.owner.succeeds("status", "chart", "-o", "json").json
        assert status["applier"]["applied"] == applied["revision"]
        assert status["helm"] == {"release_name": "shop", "values_files": ["values-dev.yaml"]}


def test_one_value_s_change_passes_without_leave_to_prune_and_diff_shows_it_alone(
    chart: SharedSession,
) -> None:
    with chart.in_root().leaves_running("sync", "chart") as sync:
        sync.tells("save_applied")
        write_values(chart, "greeting: second\n")
        sync.tells("save_applied")
    assert differences(chart) == []
    write_values(chart, "greeting: third\n")
    fields = [{"path": "data.greeting", "before": '"second"', "after": '"third"'}]
    (change,) = differences(chart)
    assert (change["object"], change["action"]) == ("ConfigMap run-chart/shop-settings", "change")
    assert change["fields"] == fields


def test_a_field_that_a_template_no_longer_has_shows_in_diff(chart: SharedSession) -> None:
    template = chart.root / "templates" / "settings.yaml"
    good = template.read_text()
    with chart.syncing() as sync:
        template.write_text(good + "  farewell: bye\n")
        sync.tells("save_applied")
    template.write_text(good)
    fields = [{"path": "data.farewell", "before": '"bye"', "after": ""}]
    assert [change["fields"] for change in differences(chart)] == [fields]


def differences(session: SharedSession) -> list[dict[str, Any]]:
    found = session.in_root().types("diff", session.name, "-o", "json").json
    assert (found["problems"], found["not_checked"]) == ([], [])
    return list(found["changes"])


def test_the_owner_needs_no_right_beyond_the_session_s(chart: SharedSession, developer: Person) -> None:
    person = Person(env=developer.env, cwd=chart.root)
    with person.leaves_running("sync", "chart", "--root", str(chart.root)) as sync:
        sync.tells("save_applied")
        write_values(chart, "greeting: from the owner\n")
        sync.tells("save_applied")
    assert greeting(chart) == "from the owner"
    assert person.succeeds("status", "chart", "-o", "json").json["helm"]["release_name"] == "shop"


def test_a_release_that_somebody_suspended_keeps_a_save_for_later(chart: SharedSession) -> None:
    release = ("patch", "helmrelease", "chart", "-n", chart.namespace, "--type=merge", "-p")
    with chart.syncing() as sync:
        chart.owner.kubectl(*release, '{"spec":{"suspend":true}}')
        write_values(chart, "greeting: later\n")
        sync.tells("save_suspended")
        chart.owner.kubectl(*release, '{"spec":{"suspend":false}}')
        write_values(chart, "greeting: resumed\n")
        resumed = sync.tells("save_pushed")["save"]
        sync.tells("save_applied", save=resumed)  # the suspended one may be applied before it
        assert greeting(chart) == "resumed"


def test_a_chart_that_flux_can_not_build_is_the_save_s_failure(chart: SharedSession) -> None:
    file = chart.root / "Chart.yaml"
    own = file.read_text()
    fetched = "  - {name: gone, version: 1.0.0, repository: 'http://127.0.0.1:9/charts'}\n"
    with chart.syncing() as sync:
        file.write_text(own.replace("dependencies:\n", f"dependencies:\n{fetched}"))
        [told] = sync.tells("save_pushed")["not_checked"]
        assert "Flux fetches its dependency gone from http://127.0.0.1:9/charts" in told
        assert "gone" in sync.tells("save_failed")["message"]
        file.write_text(own)
        sync.tells("save_applied")


def test_a_live_sync_refuses_the_next_save_of_a_chart_that_lost_its_values_file(chart: SharedSession) -> None:
    with chart.syncing() as sync:
        with with_values_files(chart, "./src/gone.yaml"):
            write_values(chart, "greeting: unbuilt\n")
            [problem] = sync.tells("save_broken")["problems"]
            assert "gone.yaml" in f"{problem['path']} {problem['message']}"
        write_values(chart, "greeting: built\n")
        sync.tells("save_applied")
        assert greeting(chart) == "built"


@contextmanager
def with_values_files(chart: SharedSession, path: str) -> Iterator[None]:
    """Let the release name another values file while inside."""
    release = ("patch", "helmrelease", "chart", "-n", chart.namespace, "--type=merge", "-p")
    chart.owner.kubectl(*release, values_files_patch(path))
    try:
        yield
    finally:
        chart.owner.kubectl(*release, values_files_patch("./src/values-dev.yaml"))


def values_files_patch(path: str) -> str:
    return json.dumps({"spec": {"chart": {"spec": {"valuesFiles": [path]}}}})


def test_a_state_that_was_live_before_is_applied_again(chart: SharedSession) -> None:
    with chart.syncing() as sync:
        for value in ("a", "b", "a"):
            write_values(chart, f"greeting: {value}\n")
            sync.tells("save_applied")
            assert greeting(chart) == value


def test_a_refused_upgrade_is_told_and_rolled_back_and_the_next_save_mends_it(chart: SharedSession) -> None:
    template = chart.root / "templates" / "settings.yaml"
    good = template.read_text()
    with chart.in_root().leaves_running("sync", "chart", "--no-preflight", "--allow-prune") as sync:
        sync.tells("save_applied")
        before = greeting(chart)
        template.write_text(good.replace("| quote }}", "| quote }}\n  'not a key!': refused"))
        for _ in range(2):
            failed = sync.tells("save_failed")
            assert failed["reason"] == "UpgradeFailed"
            assert "not a key!" in failed["message"]
            assert greeting(chart) == before
            template.write_text(template.read_text() + "# the same once more\n")
        sync.tells("save_failed")
        template.write_text(good.replace(".Values.greeting", '"mended"'))
        sync.tells("save_applied")
        assert greeting(chart) == "mended"


def test_a_template_that_does_not_render_stays_home_with_file_and_line(chart: SharedSession) -> None:
    with chart.syncing() as sync:
        template = chart.root / "templates" / "settings.yaml"
        template.write_text(template.read_text() + '  more: {{ required "say more" .Values.more }}\n')
        (problem,) = sync.tells("save_broken")["problems"]
        assert (problem["path"], problem["line"]) == ("templates/settings.yaml", 9)
        assert problem["message"] == "say more"


def test_the_object_of_a_deleted_template_goes(chart: SharedSession) -> None:
    with chart.syncing() as sync:
        (chart.root / "templates" / "worker.yaml").unlink()
        sync.tells("save_applied")
        assert "shop-worker" not in chart.owner.names("deployments", chart.namespace)


def test_a_first_install_that_fails_is_mended_by_the_next_save(admin: Person, tmp_path: Path) -> None:
    root = Path(shutil.copytree(EXAMPLES / "chart", tmp_path / "first"))
    template = root / "templates" / "settings.yaml"
    good = template.read_text()
    template.write_text(good.replace("| quote }}", "| quote }}\n  'not a key!': refused"))
    admin.succeeds("up", "first", str(root), "--root", str(root))
    with Person(env=admin.env, cwd=root).leaves_running("sync", "first", "--no-preflight") as sync:
        assert sync.tells("save_failed")["reason"] == "InstallFailed"
        template.write_text(good)
        sync.tells("save_applied")
        assert "first-settings" in admin.names("configmaps", "run-first")
    receipt = admin.succeeds("down", "first", "-o", "json").json
    assert {line["what"] for line in receipt} >= {"HelmRelease first", "Namespace run-first"}
    assert "run-first" not in admin.names("namespaces")


def test_a_kustomization_s_target_that_becomes_a_chart_is_told(admin: Person, plain: Path) -> None:
    admin.succeeds("up", "turned", str(plain), "--root", str(plain))
    person = Person(env=admin.env, cwd=plain)
    with person.leaves_running("sync", "turned") as sync:
        sync.tells("save_applied")
        shutil.copy(EXAMPLES / "chart" / "Chart.yaml", plain)
        (problem,) = sync.tells("save_broken")["problems"]
        assert problem["path"] == "Chart.yaml"
        assert "gitops-run down" in problem["hint"]
    finished = person.types("up", "turned", str(plain), "--root", str(plain))
    assert finished.code == 3
    assert "applier" in finished.err
    admin.succeeds("down", "turned")


KNOWING_CHART = {
    "Chart.yaml": """
apiVersion: v2
name: knowing
version: 0.1.0
dependencies:
  - {name: part, version: 0.1.0, repository: "file://parts/part"}
""",
    "parts/part/Chart.yaml": "apiVersion: v2\nname: part\nversion: 0.1.0\n",
    "parts/part/templates/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: part}\n",
    "values.yaml": "",
    "values-dev.yaml": "greeting: hello\n",
    "templates/worker.yaml": """
apiVersion: apps/v1
kind: Deployment
metadata: {name: worker}
spec:
  selector: {matchLabels: {app: worker}}
  template:
    metadata:
      labels:
        app: worker
        helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
    spec: {containers: [{name: worker, image: "busybox:1.37"}]}
""",
    "templates/cluster.yaml": """
{{- range list "source.toolkit.fluxcd.io/v1/Bucket" "policy/v1beta1" "x.io/v1" }}
{{- if $.Capabilities.APIVersions.Has . }}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ . | replace "/" "-" | lower }}}
data: {kube: {{ $.Capabilities.KubeVersion.Version | quote }}}
{{- end }}
{{- end }}
""",
    "templates/chance.yaml": """
apiVersion: v1
kind: Secret
metadata: {name: chance}
stringData: {password: {{ randAlphaNum 20 | quote }}}
""",
    "templates/first.yaml": """
{{- if .Release.IsInstall }}
apiVersion: v1
kind: ConfigMap
metadata: {name: first}
{{- end }}
""",
    "templates/kept.yaml": """
apiVersion: v1
kind: ConfigMap
metadata: {name: kept, annotations: {helm.sh/resource-policy: keep}}
""",
}


@pytest.fixture(scope="module")
def knowing(admin: Person, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedSession]:
    """A session whose chart asks for its version, the cluster, the release and chance."""
    root = tmp_path_factory.mktemp("helm") / "knowing"
    for path, text in KNOWING_CHART.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    flags = ("--values-files", "values-dev.yaml", "--owner", DEVELOPER)
    admin.succeeds("up", "knowing", str(root), "--root", str(root), *flags)
    yield SharedSession("knowing", root, admin)
    admin.succeeds("down", "knowing")


def found_by_diff(session: SharedSession) -> tuple[dict[str, str], list[str]]:
    found = session.in_root().types("diff", session.name, "-o", "json").json
    assert found["problems"] == []
    return {one["object"]: one["action"] for one in found["changes"]}, found["not_checked"]


def test_diff_of_a_chart_tells_what_its_next_release_changes_and_nothing_else(knowing: SharedSession) -> None:
    chance = (
        "Secret run-knowing/chance: it depends on randAlphaNum, which returns a different value each time"
    )
    for _ in range(2):
        with knowing.in_root().leaves_running("sync", "knowing", "--allow-prune") as sync:
            sync.tells("save_applied")
        assert found_by_diff(knowing) == ({}, [chance])
    assert "source.toolkit.fluxcd.io-v1-bucket" in knowing.owner.names("configmaps", knowing.namespace)

    (knowing.root / "values-dev.yaml").write_text("greeting: other\n")
    changed = {"Deployment run-knowing/worker": "change", "ConfigMap run-knowing/first": "delete"}
    assert found_by_diff(knowing) == (changed, [chance])
    with knowing.in_root().leaves_running("sync", "knowing", "--allow-prune") as sync:
        sync.tells("save_applied")
    assert found_by_diff(knowing) == ({}, [chance])

    (knowing.root / "templates" / "kept.yaml").unlink()
    assert found_by_diff(knowing) == ({"Deployment run-knowing/worker": "change"}, [chance])
    with knowing.in_root().leaves_running("sync", "knowing") as sync:
        sync.tells("save_applied")
    assert "kept" in knowing.owner.names("configmaps", knowing.namespace)
