"""From a field path of the API server to the line in the source."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml

from gitops_run.model.objects.identity import Document, ObjectRef, compose_documents
from gitops_run.model.tree import places
from gitops_run.model.tree.places import Sources, locate, locate_last, locate_text

DEPLOYMENT = """\
kind: Service
metadata: {name: web}
---
kind: Deployment
metadata:
  name: web
  labels:
    app.kubernetes.io/name: web
spec:
  replicas: 1
  template:
    spec:
      containers:
        - name: proxy
          image: envoy
        - name: web
          image: nginx
          ports:
            - containerPort: 80
            - containerPort: http
"""
REF = ObjectRef(group="apps", kind="Deployment", namespace="ns", name="web")


@pytest.mark.parametrize(
    ("field", "line"),
    [
        ("", 4),
        ("spec", 9),
        ("spec.replicas", 10),
        ("spec.template.spec.containers[0].image", 15),
        ('.spec.template.spec.containers[name="web"].image', 17),
        (
            'spec.template.spec.containers[name="web"].ports[containerPort="http",protocol="TCP"].containerPort',
            20,
        ),
        ("metadata.labels.app.kubernetes.io/name", 8),
        ("metadata.labels[app.kubernetes.io/name]", 8),
        ("spec.template.spec.containers[7].image", 13),
        ("spec.template.metadata.labels", 11),
        ("status", 4),
    ],
)
def test_a_field_is_found_at_its_line_or_at_the_nearest_one_above(field: str, line: int) -> None:
    assert locate(REF, Sources(files=(("app.yaml", DEPLOYMENT),)), field) == ("app.yaml", line)


def test_the_patch_that_has_the_field_is_blamed_rather_than_the_base() -> None:
    base = "kind: Deployment\nmetadata:\n  name: web\nspec:\n  paused: true\n"
    patch = "kind: Deployment\nmetadata:\n  name: web\nspec:\n  replicsa: 2\n"
    sources = Sources(files=(("base/a.yaml", base), ("overlay/patch.yaml", patch)))
    assert locate(REF, sources, ".spec.replicsa") == ("overlay/patch.yaml", 5)


def test_the_target_s_own_files_come_before_others_of_the_root() -> None:
    text = "kind: Deployment\nmetadata:\n  name: web\n"
    sources = Sources(files=(("another/a.yaml", text), ("app/a.yaml", text)), target="app")
    assert locate(REF, sources) == ("app/a.yaml", 1)


def test_an_object_is_found_by_its_name_before_kustomize_added_to_it() -> None:
    ref = ObjectRef(group="", kind="ConfigMap", namespace="x", name="dev-web-5gg")
    sources = Sources(
        files=(
            ("a.yaml", "kind: ConfigMap\nmetadata: {name: we}\n"),
            ("b.yaml", "kind: ConfigMap\nmetadata: {name: web}\n"),
        )
    )
    assert locate(ref, sources) == ("b.yaml", 1)


def test_a_member_of_a_list_is_found() -> None:
    text = "kind: List\nitems:\n  - kind: Deployment\n    metadata:\n      name: web\n"
    assert locate(REF, Sources(files=(("list.yaml", text),))) == ("list.yaml", 3)


def test_an_object_that_no_file_has_is_nowhere() -> None:
    assert locate(REF, Sources(files=(("broken.yaml", "a: [\n"),))) == ("", None)


def test_the_second_of_two_is_shown() -> None:
    text = "kind: Deployment\nmetadata:\n  name: web\n"
    assert locate_last(REF, Sources(files=(("a.yaml", text), ("b.yaml", text)))) == ("b.yaml", 1)


def test_a_text_is_found_within_its_object() -> None:
    text = f"kind: A\nmetadata:\n  name: ${{x}}\n---\n{DEPLOYMENT.replace('nginx', '${x}')}"
    assert locate_text(REF, Sources(files=(("a.yaml", text),)), "${x") == ("a.yaml", 21)


def test_every_file_is_read_once_however_many_objects_are_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def counted(text: str) -> Iterator[tuple[Document, yaml.MappingNode]]:
        read.append(text)
        return compose_documents(text)

    monkeypatch.setattr(places, "compose_documents", counted)
    sources = Sources(files=(("app.yaml", DEPLOYMENT), ("broken.yaml", "a: [\n")))
    assert read == []
    for field in ("spec", "spec.replicas", "metadata"):
        locate(REF, sources, field)
    assert read == [DEPLOYMENT, "a: [\n"]


@pytest.mark.parametrize(("field", "line"), [("spec.replicas", 6), ('spec.ports[name="http"].port', 10)])
def test_a_key_that_is_no_text_is_passed_over(field: str, line: int) -> None:
    text = """\
kind: Deployment
metadata:
  name: web
spec:
  {{ .Values.k }}: v
  replicas: 1
  ports:
    - {{ .Values.k }}: v
      name: http
      port: 80
"""
    assert locate(REF, Sources(files=(("app.yaml", text),)), field) == ("app.yaml", line)


GENERATORS = (
    "namePrefix: p-\nconfigMapGenerator:\n- name: app\n  literals: [a=b]\n- name: app-files\n  files: [f]\n"
    "secretGenerator:\n- name: app\n  literals: [a=b]\n"
)


@pytest.mark.parametrize(
    ("kind", "name", "line"),
    [("ConfigMap", "p-app-5h2k", 3), ("ConfigMap", "p-app-files-5h2k", 5), ("Secret", "p-app-5h2k", 8)],
)
def test_a_generated_object_is_found_at_its_generator(kind: str, name: str, line: int) -> None:
    ref = ObjectRef(group="", kind=kind, namespace="", name=name)
    sources = Sources(files=(("app/kustomization.yaml", GENERATORS),), target="app")
    assert locate(ref, sources, "data") == ("app/kustomization.yaml", line)


def test_a_manifest_of_the_name_is_blamed_rather_than_a_generator() -> None:
    ref = ObjectRef(group="", kind="ConfigMap", namespace="", name="app")
    manifest = "kind: ConfigMap\nmetadata:\n  name: app\n"
    files = (("app/kustomization.yaml", GENERATORS), ("app/a.yaml", manifest))
    assert locate(ref, Sources(files=files, target="app")) == ("app/a.yaml", 1)
