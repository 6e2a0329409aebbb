"""YAML that would take all memory is refused before anything is built of it."""

from __future__ import annotations

import pytest
import yaml

from gitops_run.model.objects.identity import ObjectRef, parse_document, parse_documents
from gitops_run.model.text import yaml_limits
from gitops_run.model.text.yaml_limits import DEPTH_MAX, ExcessError, refuse_excess
from gitops_run.model.tree.kustomize import explain_failure
from gitops_run.model.tree.naming import named_by_kustomization
from gitops_run.model.tree.places import Sources, locate

FEW_NODES = 1_000


@pytest.fixture(autouse=True)
def _few_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lower the limit, so that texts that exceed it are small."""
    monkeypatch.setattr(yaml_limits, "NODES_MAX", FEW_NODES)


def bomb(levels: int = 10) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, levels)]
    return "\n".join(lines)


MERGES = "\n".join(
    ["a0: &a0 {x: 1}", *(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 10))]
)
EXCESSES = {
    "anchors of anchors": bomb(),
    "merges of merges": MERGES,
    "an anchor that contains itself": "a: &a\n  b: *a",
    "a list that contains itself": "&a [*a]",
    "brackets": "a: " + "[" * 10_000 + "]" * 10_000,
    "braces": "{a: " * 10_000 + "b" + "}" * 10_000,
    "dashes": "- " * 10_000 + "a",
    "question marks": "? " * 10_000 + "a",
    "indentation": "".join(" " * depth + "a:\n" for depth in range(DEPTH_MAX + 1)),
    "lists at their keys' columns": "".join(
        f"{' ' * depth * 2}{'- ' if depth else ''}a:\n" for depth in range(DEPTH_MAX)
    ),
    "many values": "[" + "a," * (FEW_NODES + 1) + "]",
    "many empty values": "- \n" * (FEW_NODES + 1),
}


@pytest.mark.parametrize("text", EXCESSES.values(), ids=EXCESSES)
def test_an_excess_is_refused(text: str) -> None:
    with pytest.raises(ExcessError):
        refuse_excess(text)


def test_the_line_of_an_excess_is_told() -> None:
    with pytest.raises(ExcessError, match="the anchor &a contains itself") as refusal:
        refuse_excess("x: 1\na: &a\n  b: *a")
    assert refusal.value.line == 3


@pytest.mark.parametrize(
    "text",
    [
        "a: &a {b: c}\nd: *a\ne: [*a, *a]",
        "a: &a [1]\n---\nb: &a [2]",
        "a: *unknown",
        "script: |\n  cat * & ls *.yaml",
        "{" * 50 + "}" * 50,
    ],
)
def test_what_people_write_passes(text: str) -> None:
    try:
        refuse_excess(text)
    except ExcessError:
        pytest.fail("refused")
    except yaml.YAMLError:
        pass


@pytest.mark.parametrize("text", EXCESSES.values(), ids=EXCESSES)
def test_whoever_reads_yaml_survives_an_excess(text: str) -> None:
    ref = ObjectRef(group="", kind="ConfigMap", namespace="", name="a")
    with pytest.raises(ValueError, match="rendered object"):
        parse_document(text)
    with pytest.raises(ExcessError):
        parse_documents(text)
    assert named_by_kustomization(text).references == ()
    assert locate(ref, Sources(files=(("a.yaml", text),))) == ("", None)
    problem = explain_failure("panic: oops", folder="/x", target="a.yaml", read={"a.yaml": text}.get)
    assert problem.path == "a.yaml"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-9223372036854775808", -(2**63)),
        ("18446744073709551615", 2**64 - 1),
        ("18446744073709551616", float(2**64)),
        ("0x" + "f" * 10_000, "0x" + "f" * 10_000),
        ("9" * 10_000, "9" * 10_000),
    ],
    ids=lambda value: str(value)[:24],
)
def test_a_number_of_any_size_is_read_as_kubernetes_reads_it(text: str, value: object) -> None:
    body = f"apiVersion: v1\nkind: A\nmetadata: {{name: a}}\nspec: {text}\n"
    assert parse_document(body)[0].body["spec"] == value


def test_a_text_without_anchors_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(yaml, "parse")
    refuse_excess("kind: Deployment\nmetadata: {name: a}\nspec:\n  replicas: 1\n" * 15)
