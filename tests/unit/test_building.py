"""What a snapshot renders to is built within limits, and away from the event loop where it is large."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import anyio
import anyio.from_thread
import pytest

import gitops_run.flows.building as building_module
from gitops_run.flows.building import Builder, Built, sources_of
from gitops_run.model.objects.identity import RenderedObject
from gitops_run.model.objects.substitution import Variables
from gitops_run.model.text.problem import Problem
from gitops_run.model.tree.snapshot import Snapshot
from tests.fakes import FakeSnapshot

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
    for before, name in zip("abcdef", "bcdefg", strict=True)
)
OBJECT = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n"
OTHER = OBJECT.replace("name: a", "name: other")


@dataclass
class Renderer:
    """Render to a text; count how often."""

    text: str = OBJECT
    rendered: list[str] = field(default_factory=list)

    async def render(self, snapshot: Snapshot, target: str) -> str | Problem:
        self.rendered.append(target)
        return self.text


class Chart(Renderer):
    """Render as helm does."""

    uncertain_kinds: ClassVar[Mapping[str, str]] = {}

    async def complete(self, item: RenderedObject) -> RenderedObject:
        return item

    def doubt(self, digest: str) -> str:
        return ""

    def origin(self, path: str, target: str) -> str:
        return path


def build(builder: Builder, files: dict[str, str]) -> Built:
    snapshot = FakeSnapshot({path: text.encode() for path, text in files.items()})
    return anyio.run(builder.build, snapshot)


@pytest.mark.parametrize("name", ["b.yaml", "b.yml", "app/Kustomization"])
def test_anchors_that_expand_to_too_much_are_refused_before_anything_renders_them(name: str) -> None:
    renderer = Renderer()
    (problem,) = build(Builder(renderer, ".", None), {"a.yaml": "x: 1", name: BOMB}).problems
    assert problem.place == f"{name}:6"
    assert problem.message.startswith("too much YAML: a document holds more than 300000 values")
    assert renderer.rendered == []


def test_an_anchor_that_contains_itself_is_refused_with_its_line() -> None:
    (problem,) = build(Builder(Renderer(), ".", None), {"a.yaml": "x: 1\na: &a\n  b: *a\n"}).problems
    assert str(problem) == "a.yaml:3: too much YAML: the anchor &a contains itself"


def test_a_save_after_one_that_was_refused_is_rendered() -> None:
    builder = Builder(Renderer(), ".", None)
    assert build(builder, {"a.yaml": BOMB}).problems
    assert [item.ref.name for item in build(builder, {"a.yaml": "a: &a 1\nb: *a"}).objects] == ["a"]


@pytest.mark.parametrize("text", ["{{ if .Values.a }}\na: &b *c\n", "a: ["])
def test_what_is_no_yaml_is_left_to_the_renderer(text: str) -> None:
    assert build(Builder(Renderer(), ".", None), {"templates/a.yaml": text}).problems == ()


def test_what_renders_to_a_bomb_is_refused() -> None:
    (problem,) = build(Builder(Renderer(OBJECT + BOMB), ".", None), {}).problems
    assert problem.message.startswith("a rendered object exceeds a limit")


def test_a_large_rendering_is_read_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = []

    def parse(text: str) -> tuple[()]:
        threads.append(threading.current_thread())
        return ()

    monkeypatch.setattr(building_module, "parse_document", parse)
    build(Builder(Renderer(f"{OBJECT}data: {{a: '{'x' * 100_000}'}}"), ".", None), {})
    (thread,) = threads
    assert thread is not threading.main_thread()


def test_sources_are_searched_up_to_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building_module, "SOURCES_BYTES_MAX", 10)
    snapshot = FakeSnapshot({"a.yaml": b"a: 1", "b.yaml": b"b: 1234567", "c.yaml": b"c: 1"})
    assert [path for path, _ in sources_of(snapshot, ".").files] == ["a.yaml", "c.yaml"]


def test_a_cancelled_build_reads_on_to_the_end_of_one_document_at_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parsed: list[str] = []
    is_cancelled = threading.Event()

    def parse(text: str) -> tuple[()]:
        parsed.append(text)
        anyio.from_thread.run_sync(cancel.set)
        is_cancelled.wait(10)
        return ()

    monkeypatch.setattr(building_module, "parse_document", parse)
    large = "---\n".join(f"{OBJECT}data: {{a: '{number}{'x' * 100_000}'}}\n" for number in range(5))
    cancel = anyio.Event()

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(Builder(Renderer(large), ".", None).build, FakeSnapshot({}))
            await cancel.wait()
            tasks.cancel_scope.cancel()
            is_cancelled.set()

    anyio.run(main)
    assert len(parsed) == 1


def template(rest: str) -> str:
    return f"---\n# Source: chart/templates/a.yaml\n{OBJECT}{rest}"


def test_a_key_that_a_template_has_twice_is_refused_at_its_second_line() -> None:
    files = {"app/templates/a.yaml": f"{OBJECT}data:\n  k: {{{{ .Values.a }}}}\n  k: b\n"}
    (problem,) = build(Builder(Renderer(template("data:\n  k: a\n  k: b\n")), "app", None), files).problems
    assert str(problem) == (
        "app/templates/a.yaml:7: the rendered output can't be applied: the key k occurs twice"
    )


def test_a_key_that_a_loop_of_a_template_writes_twice_is_refused_without_a_line() -> None:
    files = {"templates/a.yaml": f"{OBJECT}data:\n{{{{ range .x }}}}\n  k: {{{{ . }}}}\n{{{{ end }}}}\n"}
    (problem,) = build(Builder(Renderer(template("data:\n  k: a\n  k: b\n")), ".", None), files).problems
    assert problem.place == "templates/a.yaml"


def test_a_variable_that_is_yes_becomes_a_boolean_as_flux_reads_it() -> None:
    builder = Builder(Renderer(f"{OBJECT}data:\n  a: ${{A}}\n"), ".", Variables(values={"A": "y"}))
    assert build(builder, {}).objects[0].body["data"] == {"a": True}


def test_a_variable_that_is_no_json_is_refused_with_the_hint_to_quote_it() -> None:
    builder = Builder(Renderer(f"{OBJECT}data:\n  a: ${{A}}\n"), ".", Variables(values={"A": ".inf"}))
    (problem,) = build(builder, {"a.yaml": f"{OBJECT}data:\n  a: ${{A}}\n"}).problems
    assert str(problem) == "a.yaml:6: ConfigMap a: after substitution: a number is not finite"
    assert "put it in quotes" in problem.hint


def test_the_mark_that_disables_substitution_is_read_letter_by_letter() -> None:
    mark = "  annotations: {kustomize.toolkit.fluxcd.io/substitute: Disabled}\n"
    builder = Builder(Renderer(f"{OBJECT}{mark}data: {{a: '${{A}}'}}\n"), ".", Variables(values={"A": "b"}))
    assert build(builder, {}).objects[0].body["data"] == {"a": "b"}


def test_a_configuration_of_kustomize_is_no_object_of_the_session() -> None:
    text = "apiVersion: kustomize.config.k8s.io/v1\nkind: Kustomization\nmetadata: {name: k}\n"
    built = build(Builder(Renderer(f"{OBJECT}---\n{text}"), ".", None), {})
    assert [item.ref.kind for item in built.objects] == ["ConfigMap"]


NOT_TEXT = [
    ("apiVersion: v1", "apiVersion: 1"),
    ("name: a", "name: 0"),
    ("name: a", "name: true"),
    ("name: a", "name: 0o17"),
]


@pytest.mark.parametrize(("old", "new"), NOT_TEXT)
def test_an_object_whose_version_or_name_is_not_text_is_dropped_as_by_flux_and_reported(
    old: str, new: str
) -> None:
    text = OBJECT.replace(old, new)
    built = build(Builder(Renderer(f"{OTHER}---\n{text}"), "app", None), {"app/a.yaml": f"\n{text}"})
    assert [item.ref.name for item in built.objects] == ["other"]
    [line] = built.dropped
    assert (line.startswith("app/a.yaml:2: Flux drops this ConfigMap: its "), built.problems) == (True, ())


@pytest.mark.parametrize("value", ["12", ""])
def test_an_object_that_variables_leave_without_a_name_is_dropped_as_by_flux(value: str) -> None:
    text = OBJECT.replace("name: a", "name: ${N}")
    builder = Builder(Renderer(text), "app", Variables(values={"N": value}))
    built = build(builder, {"app/a.yaml": text})
    assert built.dropped[0].startswith("app/a.yaml:1: Flux drops this ConfigMap: ")
    assert (built.objects, built.problems) == ((), ())


@pytest.mark.parametrize("kind", ["ConfigMap", "Secret"])
def test_a_variable_that_is_not_set_is_found_in_an_object_that_flux_drops(kind: str) -> None:
    text = OBJECT.replace("name: a", "name: 5").replace("ConfigMap", kind) + "data: {a: 'x-${B}'}\n"
    builder = Builder(Renderer(text), "app", Variables(values={"A": "b"}))
    (problem,) = build(builder, {"app/a.yaml": text}).problems
    assert problem.place == "app/a.yaml:1"
    assert ("B" in problem.message) == (kind == "ConfigMap")


@pytest.mark.parametrize(
    ("old", "new"),
    [*NOT_TEXT, ("kind: ConfigMap", "kind: 5"), ("kind: ConfigMap\n", ""), ("apiVersion: v1\n", "")],
)
def test_no_object_of_a_chart_is_dropped(old: str, new: str) -> None:
    text = f"# Source: app/templates/a.yaml\n{OBJECT.replace(old, new)}"
    (problem,) = build(Builder(Chart(text), "app", None), {}).problems
    assert problem.path == "app/templates/a.yaml"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("kind: ConfigMap", "kind: 5"),
        ("kind: ConfigMap", "kind: [ConfigMap]"),
        ("kind: ConfigMap\n", ""),
        ("apiVersion: v1\n", ""),
        ("apiVersion: v1", "apiVersion: [v1]"),
        ("apiVersion: v1", "apiVersion:"),
        ("name: a", "name: {}"),
    ],
)
def test_an_object_that_kustomize_controller_refuses_to_read_is_refused_with_its_file(
    old: str, new: str
) -> None:
    text = OBJECT.replace(old, new)
    files = {"app/a.yaml": OTHER, "app/b.yaml": text}
    (problem,) = build(Builder(Renderer(f"{OTHER}---\n{text}"), "app", None), files).problems
    assert problem.place == "app/b.yaml:1"


def test_a_list_without_items_is_refused_with_its_file() -> None:
    text = "apiVersion: v1\nkind: List\n"
    filled = f"{text}items: [{{apiVersion: v1, kind: ConfigMap, metadata: {{name: a}}}}]\n"
    files = {
        "app/kustomization.yaml": "resources: [a.yaml, b.yaml]",
        "app/a.yaml": filled,
        "app/b.yaml": text,
    }
    (problem,) = build(Builder(Renderer(text), "app", None), files).problems
    assert problem.place == "app/b.yaml:1"
