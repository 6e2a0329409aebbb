"""What is wrong with a text that is not YAML is said in words that name the line and what to change."""

from __future__ import annotations

import pytest
import yaml

from gitops_run.model.objects.identity import parse_documents
from gitops_run.model.text.problem import Problem
from gitops_run.model.text.yaml_words import REPLACED, unquoted_hint
from gitops_run.model.tree.kustomize import explain_failure, yaml_problem

TAB = "this line is indented with a tab, and YAML allows only spaces"


def fault_of(text: str) -> Problem:
    with pytest.raises(yaml.YAMLError) as failed:
        parse_documents(text)
    return yaml_problem("a.yaml", failed.value, text)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("metadata:\n\tname: a\n", 2),
        ("spec:\n  a: 1\n  \tb: 2\n", 3),
        ("resources:\n\t- a.yaml\n", 2),
    ],
)
def test_a_tab_is_named_with_its_line(text: str, line: int) -> None:
    found = fault_of(text)
    assert (found.message, found.line, found.hint) == (TAB, line, "replace the tab with spaces")


def test_another_fault_keeps_the_parser_s_words() -> None:
    found = fault_of("a: [\n")
    assert found.message.startswith("not valid YAML: ")
    assert "tab" not in found.message


def test_bytes_that_are_no_text_are_found_by_their_line() -> None:
    texts = {"app/a.yaml": f"kind: ConfigMap\ndata:\n  k: a{REPLACED}\n"}
    message = (
        "error: accumulating resources: accumulation err='accumulating resources from 'a.yaml': "
        "MalformedYAMLError: yaml: invalid leading UTF-8 octet in File: a.yaml'"
    )
    found = explain_failure(message, folder="/f", target="app", read=texts.get, paths=tuple(texts))
    assert (found.path, found.line, found.message) == ("app/a.yaml", 3, "not UTF-8 text, in column 7")
    assert found.hint == "save the file as UTF-8"


@pytest.mark.parametrize("line", ['- {name: PORT, value: "${PORT}"}', "value: ${PORT:=8080}"])
def test_a_variable_that_yaml_reads_as_a_number_is_explained(line: str) -> None:
    hint = unquoted_hint(f"a: b\n{line}\n", 2)
    assert "drops the quotes around ${PORT}" in hint
    assert "PORT='\"8080\"'" in hint


@pytest.mark.parametrize(
    ("line", "text"), [(1, "value: 8080"), (1, "value: $${PORT}"), (None, "${A}"), (9, "a")]
)
def test_what_no_variable_stands_for_gets_no_such_hint(line: int | None, text: str) -> None:
    assert unquoted_hint(text, line) == ""
