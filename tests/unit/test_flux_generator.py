"""What Flux writes into a target's kustomization before it builds the target."""

from __future__ import annotations

import pytest
import yaml

from gitops_run.model.text.yaml_limits import ExcessError
from gitops_run.model.tree.flux_generator import (
    UnappliableError,
    dropped_fields,
    generated_kustomization,
    kustomization_file,
    with_namespace,
)


def written(text: str) -> object:
    return yaml.safe_load(with_namespace(text.encode(), "run-x"))


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        ({"app/Kustomization", "app/kustomization.yml"}, "app/kustomization.yml"),
        ({"app/Kustomization", "kustomization.yaml"}, "app/Kustomization"),
        ({"app/a.yaml"}, "app/kustomization.yaml"),
    ],
)
def test_flux_takes_the_first_kustomization_or_adds_one(paths: set[str], expected: str) -> None:
    assert kustomization_file(paths, "app") == expected


def test_the_session_namespace_takes_the_place_of_any_other() -> None:
    assert written("namespace: own\nNameSpace: too\nresources: [a]") == {
        "resources": ["a"],
        "namespace": "run-x",
    }


@pytest.mark.parametrize("text", ["", "# nothing", "~", "{}", "resources: []", "resources:", "bases: [a]"])
def test_without_resources_origin_annotations_are_asked_for(text: str) -> None:
    expected = {"namespace": "run-x", "buildMetadata": ["originAnnotations"]}
    assert {**(yaml.safe_load(text) or {}), **expected} == written(text)


def test_a_kustomization_that_is_added_names_its_resources_below_the_target() -> None:
    added = with_namespace(generated_kustomization(["a.yaml", "k"]), "run-x")
    assert yaml.safe_load(added) == {"resources": ["./a.yaml", "./k"], "namespace": "run-x"}


def test_a_label_with_the_version_of_kustomize_is_refused_with_its_line() -> None:
    text = b"resources: [a]\nbuildMetadata:\n- originAnnotations\n- managedByLabel\n"
    with pytest.raises(UnappliableError, match="kustomize-\\(devel\\)") as raised:
        with_namespace(text, "run-x")
    assert raised.value.line == 4


def test_texts_keep_their_form_and_numbers_and_booleans_become_texts_where_text_belongs() -> None:
    text = (
        "resources: [a]\ncommonLabels: {a: 1.10, b: '1.10', c: yes, d: 2001-01-01}\nreplicas: [{count: 1}]\n"
    )
    found = with_namespace(text.encode(), "run-x").decode()
    assert '{a: "1.1", b: \'1.10\', c: "true", d: 2001-01-01}' in found
    assert "{count: 1}" in found


def test_what_is_no_mapping_is_left_for_kustomize_to_refuse() -> None:
    assert with_namespace(b"- a\n", "run-x") == b"- a\n"


def test_only_the_first_document_counts() -> None:
    assert written("resources: [a]\n---\nx: [") == {"resources": ["a"], "namespace": "run-x"}


def test_broken_yaml_is_reported() -> None:
    with pytest.raises(yaml.YAMLError):
        with_namespace(b"resources: [", "run-x")


@pytest.mark.parametrize("text", ["resources: " + "[" * 100_000, "- " * 100_000 + "a"])
def test_a_kustomization_that_nests_without_end_is_refused_and_not_built(text: str) -> None:
    with pytest.raises(ExcessError, match="nests deeper"):
        with_namespace(text.encode(), "run-x")


def test_mappings_that_merge_in_themselves_or_one_another_often_are_refused() -> None:
    levels = "".join(f"l{n}: &l{n} {{<<: [{', '.join([f'*l{n - 1}'] * 9)}]}}\n" for n in range(1, 12))
    for text in ("&a\n<<: *a\nresources: [b]\n", f"l0: &l0 {{resources: [a]}}\n{levels}<<: *l11\n"):
        with pytest.raises(ExcessError):
            with_namespace(text.encode(), "run-x")


@pytest.mark.parametrize(
    ("text", "dropped"),
    [
        ("resources: [a]\nnamePrefx: x\nfoo:\n  a: b\n", [("namePrefx", 2), ("foo", 3)]),
        ("Resources: [a]\nNAMEPREFIX: x\n", []),
        ("patches:\n- path: p\n  target:\n    kind: K\n    api: v1\n", [("api", 5)]),
        ("commonLabels: {anything: x}\nopenapi: {path: x}\n", []),
        ("<<: {resources: [a], own: x}\n", [("own", 1)]),
        ("- a\n", []),
        ("patches: text\nimages: {name: x}\n", []),
    ],
)
def test_flux_drops_the_fields_that_a_kustomization_has_not(
    text: str, dropped: list[tuple[str, int]]
) -> None:
    assert [(one.name, one.line) for one in dropped_fields(text.encode())] == dropped
    left = dropped_fields(with_namespace(text.encode(), "run-x"))
    assert left == ()
