"""YAML is read here as the Go libraries read it that read the same text on its way into a cluster."""

from __future__ import annotations

import json
import math
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from gitops_run.model.objects.identity import parse_document, split_documents
from gitops_run.model.text import go_yaml
from tests.contract.go_programs import build_program

PROGRAM = Path(__file__).parent / "go_yaml" / "main.go"
OBJECT = "apiVersion: v1\nkind: A\nmetadata: {name: a}\n"

SCALARS = (PROGRAM.parent / "scalars.txt").read_text().splitlines()
"""Plain texts, one of them empty."""
TAGGED = (PROGRAM.parent / "tagged.txt").read_text().splitlines()
"""Texts with a tag or in quotes."""

DOCUMENTS = {
    "a key that occurs twice": "x: {a: 1, a: 2}\n",
    "a key of the object that occurs twice": "x: 1\nx: 2\n",
    "a key that occurs twice within a list": "x: [{a: 1, a: 1}]\n",
    "two keys that are the same number": "x: {1: a, 0x1: b}\n",
    "what is merged in": "b: &b {a: 1, c: 2}\nx: {<<: *b, a: 3}\n",
    "what is merged in after": "b: &b {a: 1, c: 2}\nx: {a: 3, <<: *b}\n",
    "a list that is merged in": "b: &b {a: 1}\nc: &c {a: 2}\nx: {<<: [*b, *c]}\n",
    "nothing that is merged in": "x: {<<: , a: 3}\n",
    "a number that is merged in": "x: {<<: 5, a: 3}\n",
    "merging in quotes": "b: &b {a: 1}\nx: {'<<': *b, a: 3}\n",
    "merging twice": "b: &b {a: 1}\nc: &c {d: 2}\nx:\n  <<: *b\n  <<: *c\n",
    "a list as a key": "x: {[a]: 1}\n",
    "keys that are numbers": "x: {1e3: 1, 100000000.0: 1, 0.1: 1}\n",
    "a port as a key": "x:\n  8080: http\n",
    "an end": "...\n",
    "a tab": "x:\t5\n",
    "lines that end with CR": "x: 5\r\nz: a\r\n",
    "a block whose lines end with CR": "x: |\r\n  a\r\n  b\r\n",
    "a byte order mark": "x: \ufeff5\n",
    "an alias of a number": "x: &a 5\nz: *a\n",
    "an alias of nothing": "x: *nope\n",
    "a NUL": 'x: "\\x00"\n',
    "an emoji": "x: 😀\n",
    "a control character": 'x: "\\x7f"\n',
    "a control character of another block": 'x: "\\x80"\n',
    "a character that stands for none": 'x: "\\uffff"\n',
    "an explicit key": "? x\n: 5\n",
    "values that are left out": "x:\n  a:\n  b: ~\n  c: [~, null]\n",
    "values that are left out between braces": "x: {a, b: , c: ~}\nz: [?d]\n",
    "a percent sign": "x: %a\n",
    "plain text with signs": "x: [a b, c:d, http://x, -, -a]\nz: a#b\n",
    "numbers with many digits": "x: 0.1\nz: 123456789.123456789\n",
}


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Go libraries, from the modules that the sandbox's helm-controller is built from."""
    return build_program(PROGRAM, "helm-controller", tmp_path_factory.mktemp("go") / "yaml")


def asked(program: Path, reader: str, texts: list[str]) -> list[Any]:
    """Read texts with the libraries; None for each that they refuse."""
    lines = "".join(json.dumps({"reader": reader, "text": text}) + "\n" for text in texts)
    answers = subprocess.run([program], input=lines, stdout=-1, text=True, check=True).stdout
    return [json.loads(line).get("documents") for line in answers.splitlines()]


def read(text: str, *, is_template: bool) -> Any:
    try:
        return [go_yaml.read(text, is_template=is_template)]
    except (ValueError, yaml.YAMLError):
        return None


def exact(value: Any) -> Any:
    """Tell true from 1, and 1.0 not from 1: JSON doesn't."""
    if isinstance(value, dict):
        return {key: exact(one) for key, one in value.items()}
    if isinstance(value, list):
        return [exact(one) for one in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return ("number", float(value) if math.fabs(value) >= 2**63 else value)
    return (type(value).__name__, value)


def differences(program: Path, reader: str, texts: list[str]) -> list[tuple[str, Any, Any]]:
    theirs = asked(program, reader, texts)
    ours = [read(text, is_template=reader == "chart") for text in texts]
    return [
        (text, one, other)
        for text, one, other in zip(texts, ours, theirs, strict=True)
        if exact(one) != exact(other)
    ]


@pytest.mark.parametrize("reader", ["flux", "chart"])
def test_scalars_are_read_as_go_reads_them(reader: str, libraries: Path) -> None:
    texts = [f"{OBJECT}x: {scalar}\n" for scalar in (*SCALARS, *TAGGED)]
    assert differences(libraries, reader, texts) == []


@pytest.mark.parametrize("reader", ["flux", "chart"])
def test_keys_are_read_as_go_reads_them(reader: str, libraries: Path) -> None:
    texts = [f"{OBJECT}x:\n  {scalar}: 1\n" for scalar in SCALARS if scalar and scalar != "?"]
    assert differences(libraries, reader, texts) == []


@pytest.mark.parametrize("reader", ["flux", "chart"])
def test_documents_are_read_as_go_reads_them(reader: str, libraries: Path) -> None:
    assert differences(libraries, reader, [OBJECT + rest for rest in DOCUMENTS.values()]) == []


def test_a_key_that_is_text_and_a_number_is_refused_in_a_template(libraries: Path) -> None:
    """Without a template, which of the two counts differs from one reading by Go to the next."""
    assert differences(libraries, "chart", [f"{OBJECT}x: {{1: a, '1': b}}\n"]) == []


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("between", ["---", "--- ", "---\t", "---\n---"])
def test_a_file_of_crds_is_split_where_helm_splits_it(ends: str, between: str, libraries: Path) -> None:
    text = f"{OBJECT}{between}\n{OBJECT.replace('name: a', 'name: b')}".replace("\n", ends)
    [theirs] = asked(libraries, "crds", [text])
    ours = [dict(item.body) for one in split_documents(text) for item in parse_document(one)]
    assert ours == theirs
    assert len(ours) == 2
