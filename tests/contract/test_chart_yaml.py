"""What helm renders is read here as helm-controller reads it: it comes from the sandbox's own helm."""

from __future__ import annotations

import os
from pathlib import Path

import anyio
import pytest

from gitops_run.adapters.render.helm import Helm
from gitops_run.flows.building import Builder, Built
from gitops_run.model.flux.helm_release import HelmValues
from tests.charts import KnownDiscovery, KnownRelease
from tests.contract.test_closure_rendering import Files, taken, write
from tests.programs import helm_folder

CHART = "apiVersion: v2\nname: shop\nversion: 0.1.0\n"
HEAD = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  labels: {{ dict | toJson }}\n"
CRD = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n  name: %s\n"


@pytest.fixture(autouse=True)
def helm_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(helm_folder()), prepend=os.pathsep)


def built(files: Files, tmp_path: Path) -> Built:
    write(tmp_path / "root", {"app/Chart.yaml": CHART, **files})
    snapshot = taken(tmp_path / "root", tmp_path / "stage")
    values = HelmValues(release_name="r")
    helm = Helm("run-x", values, tmp_path / "work", KnownDiscovery(), release=KnownRelease())
    return anyio.run(Builder(helm, "app", None).build, snapshot)


def problem_of(template: str, tmp_path: Path) -> str:
    (problem,) = built({"app/templates/a.yaml": HEAD + template}, tmp_path).problems
    return str(problem)


def test_a_key_that_a_template_has_twice_is_refused_at_its_line(tmp_path: Path) -> None:
    assert problem_of("data:\n  k: {{ .Release.Name }}\n  k: b\n", tmp_path) == (
        "app/templates/a.yaml:8: the rendered output can't be applied: the key k occurs twice"
    )


def test_a_port_as_a_key_is_refused_in_a_template(tmp_path: Path) -> None:
    assert problem_of("data:\n  8080: http\n", tmp_path) == (
        "app/templates/a.yaml: the rendered output can't be applied: a key is not a string"
    )


def test_words_of_yaml_1_1_stay_text_in_a_template(tmp_path: Path) -> None:
    template = f"{HEAD}data: {{a: y, b: off, c: 2001-01-01, d: '0o444'}}\nx: 0o444\n"
    (item,) = built({"app/templates/a.yaml": template}, tmp_path).objects
    assert item.body["data"] == {"a": "y", "b": "off", "c": "2001-01-01T00:00:00Z", "d": "0o444"}
    assert item.body["x"] == 0o444


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_all_crds_of_one_file_are_found_whatever_ends_its_lines(ends: str, tmp_path: Path) -> None:
    text = f"{CRD % 'a'}---\n{CRD % 'b'}".replace("\n", ends)
    (tmp_path / "root/app/crds").mkdir(parents=True)
    (tmp_path / "root/app/crds/two.yaml").write_bytes(text.encode())
    found = built({}, tmp_path)
    assert found.problems == ()
    assert [item.ref.name for item in found.objects] == ["a", "b"]
