"""What kubectl says of broken targets never holds a value of a Secret: the real program, canaries everywhere.

Most of these break the rendering; one that doesn't proves as much, since what renders is no message.
"""

from __future__ import annotations

import base64
import string
from pathlib import Path

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitops_run.adapters.files import WorkTree
from gitops_run.adapters.render.kubectl import Kustomize
from gitops_run.model.text.problem import Problem

CANARY = "c4nary-7f3a9d-pa55"
ENCODED = base64.b64encode(CANARY.encode()).decode()
GENERATOR = "secretGenerator:\n- name: s\n"
SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: t}\n"

Files = dict[str, bytes]


def kustomization(text: str, **files: str | bytes) -> Files:
    named = {name.replace("__", "."): content for name, content in files.items()}
    return {
        "kustomization.yaml": text.encode(),
        **{
            name: content if isinstance(content, bytes) else content.encode()
            for name, content in named.items()
        },
    }


BROKEN: dict[str, Files] = {
    "an env file with a byte that is not UTF-8": kustomization(
        f"{GENERATOR}  envs: [x.env]\n", x__env=f"A=1\nPASS={CANARY}".encode() + b"\xff\n"
    ),
    "an env file with a key that is none": kustomization(
        f"{GENERATOR}  envs: [x.env]\n", x__env=f"{CANARY} & more=1\n"
    ),
    "an env file with the same key twice": kustomization(
        f"{GENERATOR}  envs: [x.env]\n", x__env=f"A={CANARY}\nA={CANARY}2\n"
    ),
    "a literal without =": kustomization(f"{GENERATOR}  literals: ['{CANARY}']\n"),
    "a literal without a key": kustomization(f"{GENERATOR}  literals: ['={CANARY}']\n"),
    "a literal that is a mapping": kustomization(f"{GENERATOR}  literals:\n  - pass: {CANARY}\n"),
    "literals that are a text": kustomization(f"{GENERATOR}  literals: {CANARY}\n"),
    "the same literal twice": kustomization(f"{GENERATOR}  literals: ['a={CANARY}', 'a={CANARY}']\n"),
    "an unknown field beside the generator": kustomization(f"{GENERATOR}  value: {CANARY}\n"),
    "two Secrets that a namespace makes one": kustomization(
        "namespace: x\nresources: [a.yaml]\n",
        a__yaml=f"{SECRET}stringData: {{p: {CANARY}}}\n---\n".replace("t}", "t, namespace: a}")
        + f"{SECRET}data: {{p: {ENCODED}}}\n".replace("t}", "t, namespace: b}"),
    ),
    "the same Secret twice": kustomization(
        "resources: [a.yaml]\n", a__yaml=f"{SECRET}stringData: {{p: {CANARY}}}\n---\n" * 2
    ),
    "a Secret whose data is a text": kustomization(
        "resources: [a.yaml]\ncommonAnnotations: {a: b}\n", a__yaml=f"{SECRET}data: {CANARY}\n"
    ),
    "a Secret whose metadata is its value": kustomization(
        "resources: [a.yaml]\n", a__yaml=f"apiVersion: v1\nkind: Secret\nmetadata: {CANARY}\n"
    ),
    "a Secret that is half typed": kustomization(
        "resources: [a.yaml]\n", a__yaml=f"{SECRET}stringData:\n  p: {CANARY}\n q: {CANARY}\n"
    ),
    "a Secret with a tab": kustomization(
        "resources: [a.yaml]\n", a__yaml=f"{SECRET}stringData:\n\tp: {CANARY}\n"
    ),
    "a Secret with an anchor that is none": kustomization(
        "resources: [a.yaml]\n", a__yaml=f"{SECRET}stringData:\n  p: *{CANARY}\n"
    ),
    "a patch of a Secret that finds none": kustomization(
        f"patches:\n- patch: |-\n    apiVersion: v1\n    kind: Secret\n    metadata: {{name: n}}\n"
        f"    stringData: {{p: {CANARY}}}\n"
    ),
    "a patch of a Secret that does not fit": kustomization(
        f"resources: [a.yaml]\npatches:\n- target: {{kind: Secret}}\n"
        f'  patch: \'[{{"op": "test", "path": "/data/p", "value": "{CANARY}"}}]\'\n',
        a__yaml=f"{SECRET}data: {{p: {ENCODED}}}\n",
    ),
    "a patch of a Secret that is no patch": kustomization(
        f"resources: [a.yaml]\npatches:\n- target: {{kind: Secret}}\n  patch: 'p: {CANARY}'\n",
        a__yaml=f"{SECRET}data: {{p: {ENCODED}}}\n",
    ),
    "a patch file of a Secret that is half typed": kustomization(
        "resources: [a.yaml]\npatches:\n- path: p.yaml\n  target: {kind: Secret}\n",
        a__yaml=f"{SECRET}data: {{p: {ENCODED}}}\n",
        p__yaml=f'[{{"op": "replace", "path": "/data/p", "value": "{CANARY}"]',
    ),
    "a replacement from a Secret to nowhere": kustomization(
        "resources: [a.yaml]\nreplacements:\n- source: {kind: Secret, fieldPath: stringData.p, "
        "options: {delimiter: '-', index: 9}}\n  targets: [{select: {kind: Secret}, fieldPaths: [x.y.z]}]\n",
        a__yaml=f"{SECRET}stringData: {{p: {CANARY}}}\n",
    ),
    "a plugin that makes a Secret": kustomization(
        f"generators:\n- |-\n  apiVersion: builtin\n  kind: SecretGenerator\n  metadata: {{name: s}}\n"
        f"  literals: ['{CANARY}']\n"
    ),
    "a generator that meets a Secret": kustomization(
        f"resources: [a.yaml]\ngeneratorOptions: {{disableNameSuffixHash: true}}\n"
        f"secretGenerator:\n- name: t\n  literals: ['p={CANARY}']\n",
        a__yaml=f"{SECRET}stringData: {{p: {CANARY}}}\n",
    ),
    "a List with a Secret that has no name": kustomization(
        "resources: [a.yaml]\n",
        a__yaml="apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Secret\n"
        f"  stringData: {{p: {CANARY}}}\n",
    ),
}


def rendered(folder: Path, files: Files) -> str | Problem:
    root = folder / "root"
    for path, content in files.items():
        (root / "app" / path).parent.mkdir(parents=True, exist_ok=True)
        (root / "app" / path).write_bytes(content)
    snapshot = anyio.run(WorkTree(root, folder / "stage", "app").snapshot)
    return anyio.run(Kustomize("ns", folder / "work").render, snapshot, "app")


def pieces(value: str, size: int = 7) -> set[str]:
    """All pieces of a value and its encoding that a message may be cut to; YAML's cuts have seven letters."""
    both = (value, base64.b64encode(value.encode()).decode().rstrip("=")[:-1])
    return {text[at : at + size] for text in both for at in range(max(len(text) - size, 0) + 1)}


@pytest.mark.parametrize("place", BROKEN)
def test_no_message_about_a_broken_target_holds_a_value(place: str, tmp_path: Path) -> None:
    found = rendered(tmp_path, BROKEN[place])
    if isinstance(found, Problem):
        assert found.message
        assert [piece for piece in pieces(CANARY) if piece in repr(found)] == []


def test_most_of_these_places_break_the_rendering(tmp_path: Path) -> None:
    broken = [
        place
        for number, (place, files) in enumerate(BROKEN.items())
        if isinstance(rendered(tmp_path / str(number), files), Problem)
    ]
    assert len(broken) >= len(BROKEN) * 2 // 3, sorted(set(BROKEN) - set(broken))


@given(
    value=st.text(alphabet=string.ascii_letters + string.digits + " \"'\\{}[]:#&*!|>%@`/=+é€", min_size=8),
    place=st.sampled_from(["literals: [%s]", "literals: ['a', %s]", "envs: [%s]", "files: [%s]", "name: %s"]),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_generator_is_given_no_message_repeats_it(
    value: str, place: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    files = kustomization(f"secretGenerator:\n- {place % value}\n")
    found = rendered(tmp_path_factory.mktemp("any"), files)
    if isinstance(found, Problem) and len(value.strip()) >= 8:
        assert value.strip() not in found.message


def test_a_message_without_secrets_stays_as_it_is(tmp_path: Path) -> None:
    files = kustomization("resources: [a.yaml]\n", a__yaml="apiVersion: v1\nkind: ConfigMap\n")
    found = rendered(tmp_path, files)
    assert isinstance(found, Problem)
    assert "missing metadata.name" in found.message
