"""Manifests that name another namespace than the session's: Flux overrides it, and a person is told so."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest
import yaml

from gitops_run.cli.render import PLAIN_MARKS, lines
from gitops_run.flows import namespaces
from gitops_run.flows.judgement import InspectionSettings, Live, Preflight
from gitops_run.flows.preflight import Inspector
from gitops_run.model.objects.dry_run import Finding, Obstacle
from gitops_run.model.state.events import Event, NamedNamespace, NamespaceOverridden
from gitops_run.model.text.problem import Problem
from gitops_run.model.tree.snapshot import Snapshot
from tests.fake_cluster_checks import PLACE, FakeCluster
from tests.fakes import FakeSnapshot, contents

NOTHING = Live(digests={}, inventory=())
KUSTOMIZATION = "app/kustomization.yaml"


class AsFluxRenders:
    """A renderer for plain manifests that sets the session's namespace, as Flux's targetNamespace does."""

    async def render(self, snapshot: Snapshot, target: str) -> str | Problem:
        return "---\n".join(
            yaml.safe_dump({**item, "metadata": {**item["metadata"], "namespace": "ns"}})
            for path, text in sorted(contents(snapshot).items())
            if path.startswith(f"{target}/") and not path.endswith("kustomization.yaml")
            for document in yaml.safe_load_all(text)
            for item in document.get("items", [document])
        )


class AsHelmRenders(AsFluxRenders):
    """A renderer that leaves namespaces as they are."""

    async def render(self, snapshot: Snapshot, target: str) -> str | Problem:
        return snapshot.read_bytes("app/a.yaml").decode()


@dataclass
class Inspection:
    """An inspector of one session, and what it has told."""

    renderer: AsFluxRenders = field(default_factory=AsFluxRenders)
    cluster: FakeCluster = field(default_factory=FakeCluster)
    told: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        is_chart = isinstance(self.renderer, AsHelmRenders)
        settings = InspectionSettings(target="app", session=PLACE, is_chart=is_chart)
        self._inspector = Inspector(self.renderer, self.cluster, settings, emit=self.told.append)

    def of(self, files: dict[str, str], whole_root_reason: str = "") -> Preflight:
        snapshot = FakeSnapshot(
            {path: text.encode() for path, text in files.items()}, whole_root_reason=whole_root_reason
        )
        return anyio.run(self._inspector.inspect, snapshot, NOTHING, lambda _: None)

    @property
    def named(self) -> list[str]:
        return [
            str(place)
            for event in self.told
            if isinstance(event, NamespaceOverridden)
            for place in event.places
        ]


def manifest(namespace: str, name: str = "a", kind: str = "ConfigMap") -> str:
    head = f"apiVersion: v1\nkind: {kind}\nmetadata:\n  name: {name}\n"
    return head + (f"  namespace: {namespace}\n" if namespace else "")


def test_a_manifest_that_names_another_namespace_is_told_with_file_and_line() -> None:
    inspection = Inspection()
    found = inspection.of({"app/a.yaml": manifest("production"), "app/b.yaml": manifest("ns", "b")})
    expected = NamedNamespace(path="app/a.yaml", line=5, kind="ConfigMap", name="a", named="production")
    assert found.overridden == (expected,)
    assert found.problems == ()
    assert inspection.told == [NamespaceOverridden(namespace="ns", places=(expected,))]
    assert lines(inspection.told[0], PLAIN_MARKS) == [
        "- everything is applied in ns, whatever namespace a manifest names:",
        "  app/a.yaml:5: ConfigMap a names production",
    ]


def test_it_is_told_once_and_not_at_each_save() -> None:
    inspection = Inspection()
    for value in ("1", "2", "3"):
        text = f"# line {value}\n" * int(value) + manifest("production") + f"data: {{x: '{value}'}}\n"
        assert inspection.of({"app/a.yaml": text}).overridden
    assert inspection.named == ["app/a.yaml:6: ConfigMap a names production"]


@pytest.mark.parametrize("between", [manifest("staging"), manifest("")])
def test_it_is_told_again_once_it_was_changed(between: str) -> None:
    inspection = Inspection()
    for text in (manifest("production"), between, manifest("production")):
        inspection.of({"app/a.yaml": text})
    assert inspection.named.count("app/a.yaml:5: ConfigMap a names production") == 2


def test_large_files_are_read_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = []

    def compose(text: str) -> Iterator[Any]:
        threads.append(threading.current_thread())
        return iter(())

    monkeypatch.setattr(namespaces, "compose_documents", compose)
    Inspection().of({"app/a.yaml": f"{manifest('production')}data: {{x: {'y' * 100_000}}}\n"})
    assert threads
    assert threading.main_thread() not in threads


def test_files_that_are_too_large_to_be_searched_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(namespaces, "SOURCES_BYTES_MAX", 100)
    large = f"{manifest('production')}data: {{x: {'y' * 100}}}\n"
    found = Inspection().of({"app/a.yaml": large, "app/b.yaml": manifest("production", "b")})
    assert [place.path for place in found.overridden] == ["app/b.yaml"]


def test_a_save_that_is_refused_tells_it_too() -> None:
    refuses: dict[str, tuple[Finding, ...]] = {"a": (Finding(obstacle=Obstacle.CONTENT, message="no"),)}
    inspection = Inspection(cluster=FakeCluster(refuses=refuses))
    assert inspection.of({"app/a.yaml": manifest("production")}).problems
    assert len(inspection.named) == 1


def test_the_namespace_of_a_kustomization_is_told() -> None:
    inspection = Inspection()
    inspection.of({KUSTOMIZATION: "resources: [a.yaml]\nnamespace: production\n", "app/a.yaml": manifest("")})
    assert inspection.named == [f"{KUSTOMIZATION}:2: this names production"]


@pytest.mark.parametrize(
    "quiet",
    [
        manifest(""),
        manifest("ns"),
        manifest("''"),
        "# namespace: production\n" + manifest(""),
        manifest("") + "data:\n  namespace: ns\n",
        manifest("", kind="RoleBinding") + "subjects:\n- {kind: User, name: x, namespace: ns}\n",
    ],
)
def test_what_names_no_other_namespace_is_not_told(quiet: str) -> None:
    inspection = Inspection()
    inspection.of({"app/a.yaml": quiet})
    assert inspection.named == []


def test_members_of_a_list_are_told_and_so_is_json() -> None:
    members = "".join(
        f"- apiVersion: v1\n  kind: ConfigMap\n  metadata: {{name: {name}, namespace: {place}}}\n"
        for name, place in (("a", "production"), ("b", "ns"))
    )
    inspection = Inspection()
    inspection.of(
        {
            "app/a.yaml": f"apiVersion: v1\nkind: List\nitems:\n{members}",
            "app/b.yaml": '{"apiVersion": "v1", "kind": "ConfigMap",\n'
            ' "metadata": {"name": "c", "namespace": "production"}}\n',
        }
    )
    assert inspection.named == [
        "app/a.yaml:6: ConfigMap a names production",
        "app/b.yaml:2: ConfigMap c names production",
    ]


def test_a_prefixed_name_is_found() -> None:
    class Prefixed(AsFluxRenders):
        async def render(self, snapshot: Snapshot, target: str) -> str | Problem:
            return str(await super().render(snapshot, target)).replace("name: a", "name: dev-a")

    inspection = Inspection(renderer=Prefixed())
    inspection.of({"app/a.yaml": manifest("production")})
    assert inspection.named == ["app/a.yaml:5: ConfigMap a names production"]


def test_what_is_not_applied_is_not_told() -> None:
    inspection = Inspection()
    base = manifest("production", "other")
    inspection.of({"app/a.yaml": manifest(""), "other/b.yaml": base})
    assert inspection.named == []


def test_other_overlays_are_not_told_where_the_whole_root_is_part_of_a_save() -> None:
    inspection = Inspection()
    files = {
        "app/a.yaml": manifest("production"),
        "prod/a.yaml": manifest("production"),
        "prod/kustomization.yaml": "namespace: production\n",
    }
    inspection.of(files, whole_root_reason="a link leads out of the target")
    assert inspection.named == ["app/a.yaml:5: ConfigMap a names production"]


@pytest.mark.parametrize("namespace", ["production", "ns"])
def test_a_template_of_a_chart_keeps_its_namespace_and_is_not_told(namespace: str) -> None:
    inspection = Inspection(renderer=AsHelmRenders())
    inspection.of({"app/a.yaml": manifest(namespace), KUSTOMIZATION: "namespace: production\n"})
    assert inspection.named == []


@pytest.mark.parametrize("odd", ["items: [*unknown]", "{{ namespace: x", "[" * 9999])
def test_a_file_that_is_no_manifest_stops_nothing(odd: str) -> None:
    inspection = Inspection()
    inspection.of({"app/a.yaml": manifest("production"), "base/odd.yaml": f"{odd} # namespace: x"})
    assert inspection.named == ["app/a.yaml:5: ConfigMap a names production"]


def test_many_places_are_told_in_a_few_lines() -> None:
    inspection = Inspection()
    inspection.of({f"app/{n:02}.yaml": manifest("production", f"m{n}") for n in range(20)})
    told = lines(inspection.told[0], PLAIN_MARKS)
    assert len(told) == 7
    assert told[-1] == "  … and 15 more places"


def test_a_file_that_stays_is_not_parsed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    inspection, read = Inspection(), []
    plain = FakeSnapshot.read_text

    def counted(self: FakeSnapshot, path: str) -> str | None:
        read.append(path)
        return plain(self, path)

    monkeypatch.setattr(FakeSnapshot, "read_text", counted)
    inspection.of({"app/a.yaml": manifest("production"), "app/b.yaml": manifest("production", "b")})
    inspection.of({"app/a.yaml": manifest("production"), "app/b.yaml": manifest("staging", "b")})
    assert read == ["app/a.yaml", "app/b.yaml", "app/b.yaml"]
