"""An object in the form in which Flux sends it."""

from __future__ import annotations

from typing import Any

import pytest

from gitops_run.model.objects.flux_apply import as_flux_applies
from gitops_run.model.objects.identity import parse_document

OWNER = {"k/name": "web"}


def sent(text: str) -> Any:
    [item] = parse_document(text)
    return as_flux_applies(item.body, OWNER)


def test_owner_labels_come_beside_an_object_s_own() -> None:
    head = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n"
    assert sent(head)["metadata"] == {"name": "a", "labels": OWNER}
    assert sent(f"{head}  labels: {{k/name: old, x: z}}\n")["metadata"]["labels"] == {**OWNER, "x": "z"}


@pytest.mark.parametrize("wrong", ["app", "[x]", "12", "{a: 5, b: c}", "{a: true}", "{a: {b: c}}"])
def test_labels_of_which_one_is_not_text_are_dropped_altogether(wrong: str) -> None:
    text = f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  labels: {wrong}\n"
    assert sent(text)["metadata"]["labels"] == OWNER


@pytest.mark.parametrize("own", ["", "metadata: , "])
def test_a_job_s_template_has_metadata_where_the_file_has_none(own: str) -> None:
    job = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: j}\nspec: {template: {%sspec: {a: 1}}}\n"
    assert sent(job % own)["spec"]["template"] == {"metadata": {}, "spec": {"a": 1}}
    labelled = sent(job % "metadata: {labels: {x: z}}, ")
    assert labelled["spec"]["template"]["metadata"] == {"labels": {"x": "z"}}


def test_a_cron_job_has_metadata_in_both_of_its_templates() -> None:
    cron = (
        "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: c}\n"
        "spec: {jobTemplate: {spec: {template: {spec: {}}}}}\n"
    )
    inner: dict[str, object] = {"metadata": {}, "spec": {"template": {"metadata": {}, "spec": {}}}}
    assert sent(cron)["spec"]["jobTemplate"] == inner


@pytest.mark.parametrize(
    ("kind", "path"), [("v1, kind: Pod", ()), ("apps/v1, kind: DaemonSet", ("template",))]
)
def test_containers_have_resources_where_the_file_has_none(kind: str, path: tuple[str, ...]) -> None:
    containers = "{initContainers: [{name: i}], containers: [{name: c, resources: {limits: {cpu: 1}}}, x]}"
    spec = containers if not path else f"{{template: {{spec: {containers}}}}}"
    pod = sent(f"{{apiVersion: {kind}, metadata: {{name: p}}, spec: {spec}}}")["spec"]
    for step in path:
        pod = pod[step]["spec"]
    assert pod["initContainers"] == [{"name": "i", "resources": {}}]
    assert pod["containers"] == [{"name": "c", "resources": {"limits": {"cpu": 1}}}, "x"]


@pytest.mark.parametrize("spec", ["", "spec: text\n", "spec: {template: }\n", "spec: {template: [a]}\n"])
def test_a_half_typed_job_is_sent_as_it_is(spec: str) -> None:
    text = f"apiVersion: batch/v1\nkind: Job\nmetadata: {{name: j}}\n{spec}"
    assert sent(text).get("spec") == parse_document(text)[0].body.get("spec")


def test_what_a_cluster_wrote_into_a_copied_object_is_not_sent() -> None:
    text = (
        "apiVersion: x.io/v1\nkind: W\nmetadata: {name: w, creationTimestamp: '2026-01-01'}\nstatus: {a: 1}\n"
    )
    assert sent(text) == {"apiVersion": "x.io/v1", "kind": "W", "metadata": {"name": "w", "labels": OWNER}}


def test_the_rendered_object_itself_stays_as_it_is() -> None:
    [item] = parse_document("apiVersion: batch/v1\nkind: Job\nmetadata: {name: j}\nspec: {template: {}}\n")
    as_flux_applies(item.body, OWNER)
    assert item.body["metadata"] == {"name": "j"}
    assert item.body["spec"] == {"template": {}}


@pytest.mark.parametrize("line", ["apiVersion: v1\n", "kind: ConfigMap\n", "  name: a\n"])
def test_what_does_not_say_what_it_is_is_no_object_as_to_flux(line: str) -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  namespace: ns\n  name: a\n"
    assert parse_document(text)
    with pytest.raises(ValueError, match="it has no "):
        parse_document(text.replace(line, ""))
