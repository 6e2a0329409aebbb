from __future__ import annotations

from typing import Any

import pytest

from gitops_run.model.objects.identity import parse_document, split_documents
from gitops_run.model.text import go_yaml

OBJECT = "apiVersion: v1\nkind: A\nmetadata: {name: a}\n"
TEMPLATE = f"# Source: c/templates/a.yaml\n{OBJECT}"


def read(text: str, *, is_template: bool = False) -> Any:
    return go_yaml.read(f"x: {text}\n", is_template=is_template)["x"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0o444", 292),
        ("0444", 292),
        ("1_000", 1000),
        ("y", True),
        ("off", False),
        ("1.10", 1.1),
        ("12:30", "12:30"),
    ],
)
def test_flux_reads_scalars_of_both_versions_of_yaml(text: str, value: object) -> None:
    assert read(text) == value
    assert type(read(text)) is type(value)


@pytest.mark.parametrize(
    ("text", "value"), [("y", "y"), ("no", "no"), ("true", True), ("2001-1-2", "2001-01-02T00:00:00Z")]
)
def test_what_a_template_renders_to_is_read_as_yaml_1_2(text: str, value: object) -> None:
    assert read(text, is_template=True) == value


@pytest.mark.parametrize("text", [".inf", "-.INF", ".nan", "!!int x", "{~: 1}", "{<<: 5}"])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(go_yaml.UnreadableError):
        read(text)


def test_of_equal_keys_the_last_counts_for_flux() -> None:
    assert read("{a: 1, a: 2}") == {"a": 2}


def test_equal_keys_of_a_template_are_refused_with_the_line() -> None:
    with pytest.raises(go_yaml.UnreadableError) as caught:
        parse_document(f"{TEMPLATE}x:\n  a: 1\n  a: 2\n")
    assert (caught.value.key, caught.value.line) == ("a", 7)


def test_a_number_as_a_key_is_refused_in_a_template_alone() -> None:
    assert parse_document(f"{OBJECT}x: {{8080: a}}\n")[0].body["x"] == {"8080": "a"}
    with pytest.raises(go_yaml.UnreadableError):
        parse_document(f"{TEMPLATE}x: {{8080: a}}\n")


def test_a_crd_of_a_chart_is_not_read_as_a_template() -> None:
    crd = f"# Source: c/crds/a.yaml\n{OBJECT}x: {{a: 1, a: 2}}\n"
    assert parse_document(crd)[0].body["x"] == {"a": 2}


def test_documents_end_at_separators_whose_line_ends_with_cr() -> None:
    assert len(split_documents(f"{OBJECT}---\n{OBJECT}".replace("\n", "\r\n"))) == 2


def test_no_message_repeats_a_value() -> None:
    with pytest.raises(go_yaml.UnreadableError) as caught:
        read("!!int canary")
    assert "canary" not in str(caught.value)
