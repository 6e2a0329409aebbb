"""Whole charts: values, templates, hooks, CRDs, dependencies in each form, and faults that people make."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from tests.generated.drafts import Draft, Fault, GeneratedTree
from tests.generated.objects import Body
from tests.generated.texts import Draw, scalars, to_yaml

TARGET = "chart"


def _map(name: str, rest: str, head: str = "") -> str:
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n{head}data:\n{rest}"


_DEPLOYMENT = (
    'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: "{N}"}\nspec:\n  replicas: {{ .Values.count }}\n'
    '  template: {spec: {containers: [{name: c, image: "i:{{ .Values.tag }}"}]}}\n'
)
TEMPLATES = (
    _map("{N}", '  a: {{ .Values.a | quote }}\n  b: {{ .Values.deep.b | default "d" | quote }}\n'),
    _map("{N}", "  a: {{ .Values.a }}\n"),
    _map("{{ .Release.Name }}-{N}", '  a: "{{ .Release.Namespace }}/{{ .Release.Service }}"\n'),
    _map("{N}", "  {{- toYaml .Values.deep | nindent 2 }}\n"),
    _map(
        "{N}",
        '  v: "{{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}"\n'
        "  w: {{ .Chart.AppVersion | quote }}\n",
    ),
    _map(
        "{N}",
        "  v: {{ .Chart.Version | trunc 63 | quote }}\n",
        '  labels: {{ include "own.labels" . | nindent 4 }}\n',
    ),
    _map(
        "{N}",
        '  k: "{{ .Capabilities.KubeVersion.Version }}"\n'
        "  m: {{ .Capabilities.KubeVersion.Minor | quote }}\n",
    ),
    '{{ if .Capabilities.APIVersions.Has "x.io/v1/Widget" }}\n' + _map("{N}", "  a: b\n") + "{{ end }}\n",
    '{{ if .Capabilities.APIVersions.Has "policy/v1beta1" }}\n' + _map("{N}", "  a: b\n") + "{{ end }}\n",
    "{{ if .Release.IsInstall }}\n"
    + _map("{N}-installs", "  a: b\n")
    + "{{ else }}\n"
    + _map("{N}", "  a: b\n")
    + "{{ end }}\n",
    "{{ range $i, $one := .Values.list }}\n---\n"
    + _map("{N}-{{ $i }}", "  a: {{ $one | quote }}\n")
    + "{{ end }}\n",
    _map("{N}", "  a: b\n", '  annotations: {"helm.sh/hook": pre-install}\n'),
    _map("{N}", "  a: b\n", '  annotations: {"helm.sh/resource-policy": keep}\n'),
    _map("{N}", "  a: b\n", "  namespace: {{ .Release.Namespace }}\n"),
    _map("{N}", "  a: b\n", '  namespace: elsewhere\n  labels: {y: no, n: "1"}\n'),
    _map("{N}", '  f: {{ .Files.Get "files/a.txt" | quote }}\n'),
    _map("{N}", '  {{- (.Files.Glob "files/*").AsConfig | nindent 2 }}\n'),
    _map("{N}", "  t: {{ tpl .Values.template . | quote }}\n"),
    _map("{N}", '  l: {{ (lookup "v1" "Secret" "ns" "x") | toJson | quote }}\n'),
    _map("{N}", "  r: {{ randAlphaNum 8 | quote }}\n"),
    _map("{N}", '  d: {{ now | date "2006" | quote }}\n'),
    _map("{N}", '  s: {{ include (print $.Template.BasePath "/_own.tpl") . | sha256sum | quote }}\n'),
    _map(
        "{N}",
        '  g: {{ .Values.global.g | quote }}\n  e: {{ .Values.enabled | ternary "on" "off" | quote }}\n',
    ),
    _map("{N}", "  y: yes\n  n: 0o17\n  o: 017\n  x: 0x1F\n  d: 2001-01-01\n  e:\n  f: {g: , h: ~}\n"),
    "# a comment\n---\n# another\n---\n" + _map("{N}", "  a: b\n") + "---\n",
    "apiVersion: v1\nkind: List\nitems:\n- " + _map("{N}", "  a: b\n").replace("\n", "\n  ").rstrip() + "\n",
    _map("{N}", "  a: &x b\n  c: *x\n"),
    "{{- if .Values.enabled }}\n" + _map("{N}", "  a: |\n    two\n    lines\n") + "{{- end }}\n",
    "{{- /* nothing */ -}}\n",
    '{{- $found := dict "a" 1 "b" (list 1 2) }}\n' + _map("{N}", "  j: {{ $found | toJson | quote }}\n"),
    'apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: "{N}"}\nrules: []\n',
    _DEPLOYMENT,
)

FAULTS: Mapping[str, str] = {
    "an open action": _map("x", "  a: {{ .Values.a\n"),
    "an unknown function": _map("x", "  a: {{ nope .Values.a }}\n"),
    "an unknown template": _map("x", '  a: {{ include "nope" . }}\n'),
    "a field of nothing": _map("x", "  a: {{ .Values.nope.deep }}\n"),
    "a value that is required": _map("x", '  a: {{ required "needed" .Values.nope }}\n'),
    "a failure": _map("x", '  a: {{ fail "no" }}\n'),
    "a key twice": _map("x", "  a: b\n  a: c\n"),
    "broken YAML": _map("x", "  a: b: c\n"),
    "no object": "a: b\n",
    "no name": "apiVersion: v1\nkind: ConfigMap\n",
    "no version": "kind: ConfigMap\nmetadata: {name: x}\n",
    "text": "text\n",
    "a list": "- a\n",
    "a tab": _map("x", "\ta: b\n"),
    "an end that is too many": _map("x", "  a: b\n") + "{{ end }}\n",
    "a key that is a number": _map("x", "  5: b\n"),
}

HELPERS = (
    '{{- define "own.labels" -}}\napp: {{ .Chart.Name }}\nhelm.sh/chart: {{ printf "%s-%s" .Chart.Name '
    '.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}\n{{- end -}}\n'
)


@st.composite
def chart_trees(draw: Draw) -> GeneratedTree:
    """Make a root with a chart in folder chart."""
    draft = Draft(draw)
    is_declared = not draft.happens(4)
    dependencies = [
        _dependency(draft, f"dep{number}", is_declared=is_declared)
        for number in range(draft.one_of((0, 0, 0, 1, 1, 2)))
    ]
    version = draft.one_of(("1.2.3", "1.2.3+build.5", "0.1.0-rc.1", '"1.0"', "v1.2.3", "1.10"))
    draft.texts |= _chart(draft, TARGET, f"name: shop\nversion: {version}\n{draft.one_of(_MORE)}")
    declared = [one for one in dependencies if one is not None]
    if declared:
        draft.texts[f"{TARGET}/Chart.yaml"] = (
            f"{draft.texts[f'{TARGET}/Chart.yaml']!s}{to_yaml({'dependencies': declared})}"
        )
    values_files: list[str] = []
    if draft.happens(3):
        for number in range(draft.one_of((1, 2))):
            values_files.append(f"values-{number}.yaml")
            draft.texts[values_files[-1]] = to_yaml(_values(draft))
    sound = _encoded(draft.texts)
    if draft.happens(3):
        _plant(draft)
    return GeneratedTree(
        target=TARGET,
        files=_encoded(draft.texts),
        sound=sound,
        values_files=tuple(values_files),
        fault=draft.fault,
    )


def _encoded(texts: Mapping[str, str | bytes]) -> dict[str, bytes]:
    return {path: text.encode() if isinstance(text, str) else text for path, text in texts.items()}


_MORE = ("", "appVersion: 1.10\n", 'appVersion: "2"\n', "kubeVersion: '>=1.20.0-0'\n", "type: application\n")


def _plant(draft: Draft) -> None:
    name = draft.one_of(sorted(FAULTS))
    path = f"{TARGET}/templates/{draft.one_of(('broken.yaml', 'sub/broken.yaml'))}"
    draft.texts[path] = FAULTS[name]
    draft.fault = Fault(name=name, places=frozenset({path}))


def _chart(draft: Draft, folder: str, declaration: str) -> dict[str, str | bytes]:
    """Make the files of a chart."""
    files: dict[str, str | bytes] = {f"{folder}/Chart.yaml": f"apiVersion: v2\n{declaration}"}
    files[f"{folder}/templates/_own.tpl"] = HELPERS
    files[f"{folder}/values.yaml"] = to_yaml(_values(draft))
    files[f"{folder}/files/a.txt"] = draft.one_of(("text\n", "a: b", ""))
    for text in draft.draw(st.lists(st.sampled_from(TEMPLATES), min_size=1, max_size=4, unique=True)):
        number = draft.number()
        ends = draft.one_of(("\n", "\n", "\n", "\r\n"))
        name = draft.one_of(("{}.yaml", "{}.yaml", "sub/{}.yml", "tests/{}.yaml", "{}.tpl.yaml")).format(
            number
        )
        files[f"{folder}/templates/{name}"] = text.replace("{N}", f"n{number}").replace("\n", ends)
    if draft.happens(4):
        files[f"{folder}/templates/NOTES.txt"] = "Thank you for {{ .Chart.Name }}\n"
    if draft.happens(4):
        files[f"{folder}/crds/crd.yaml"] = _crds(draft)
    if draft.happens(6):
        files[f"{folder}/.helmignore"] = draft.one_of(("sub/\n", "*.txt\n", "# nothing\n", "tests\n"))
    if draft.happens(8):
        files[f"{folder}/kustomization.yaml"] = "resources: [nope.yaml]\n"
    return files


def _crds(draft: Draft) -> str:
    numbers = [draft.number() for _ in range(draft.one_of((1, 2)))]
    documents = [
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n"
        f"metadata: {{name: w{number}.x.io}}\nspec: {{group: x.io, a: yes, b: 0o7}}\n"
        for number in numbers
    ]
    return "---\n".join(documents).replace("\n", draft.one_of(("\n", "\r\n")))


def _values(draft: Draft) -> Body:
    return {
        "a": draft.draw(scalars()),
        "deep": {"b": draft.draw(scalars()), "c": "d"},
        "list": draft.one_of(([], ["x", "y"], [1, 2, 3])),
        "template": draft.one_of(("plain", "{{ .Values.count }}", "{{ .Release.Name }}")),
        "global": {"g": draft.one_of(("g", "h"))},
        "enabled": draft.happens(2),
        "count": draft.one_of((0, 1, 3)),
        "tag": draft.one_of(("1.0", 1.10, "latest", 20010101)),
        **draft.one_of(
            ({}, {"dep0": {"a": "from the parent", "enabled": False}}, {"tags": {"front": False}})
        ),
    }


def _dependency(draft: Draft, name: str, *, is_declared: bool) -> Body | None:
    """Make a chart that the chart depends on. Returns how it is declared; None where it isn't."""
    version = draft.one_of(("0.3.0", "1.0.0"))
    declaration = f"name: {name}\nversion: {version}\n"
    if not is_declared:
        draft.texts |= _chart(draft, f"{TARGET}/charts/{name}", declaration)
        return None
    entry: Body = {"name": name, "version": draft.one_of((version, ">=0.1.0", "*", "^0.3.0"))}
    if draft.happens(4):
        entry["alias"] = f"also-{name}"
    if draft.happens(3):
        entry["condition"] = draft.one_of((f"{name}.enabled", "enabled", "nope.nope"))
    if draft.happens(4):
        entry["tags"] = ["front"]
    if draft.happens(6):
        entry["import-values"] = draft.one_of(([{"child": "deep", "parent": "imported"}], ["exported"]))
    match draft.one_of(("beside", "beside", "inside", "packed")):
        case "beside":
            draft.texts |= _chart(draft, name, declaration)
            return {**entry, "repository": f"file://../{name}"}
        case "packed":
            files = _chart(draft, name, declaration)
            draft.texts[f"{TARGET}/charts/{name}-{version}.tgz"] = _archive(files)
        case _:
            draft.texts |= _chart(draft, f"{TARGET}/charts/{name}", declaration)
    entry.pop("alias", None)  # Flux takes it for missing where it counts others than are declared
    return {**entry, "repository": draft.one_of(("", "https://charts.example.invalid"))}


def _archive(files: Mapping[str, Any]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for path, text in files.items():
            content = text.encode() if isinstance(text, str) else text
            member = tarfile.TarInfo(path)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()
