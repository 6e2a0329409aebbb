"""A chart renders as source-controller packages it and helm-controller renders it: with the real helm."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest

from gitops_run.adapters.files import WorkTree
from gitops_run.adapters.render.helm import Helm
from gitops_run.flows.building import Builder, Built
from gitops_run.model.charts.build import revision_of
from gitops_run.model.flux.helm_release import HelmValues, ReleaseFacts
from gitops_run.model.text.problem import Problem
from tests.charts import KnownDiscovery, KnownRelease
from tests.programs import helm_folder

CHART = "apiVersion: v2\nname: shop\n# the version\nversion: 1.2.3 # of the chart\n"
DEPENDENCY = "apiVersion: v2\nname: dep\nversion: 0.3.0\n"

Render = Callable[..., Built]


def config_map(name: str, value: str) -> str:
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n  value: {value}\n"


@pytest.fixture
def render(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Render:
    """Build the chart in folder chart of a root with these files."""
    monkeypatch.setenv("PATH", str(helm_folder()), prepend=os.pathsep)

    def rendered(
        files: Mapping[str, str], *, release: KnownRelease | None = None, values_files: tuple[str, ...] = ()
    ) -> Built:
        root = tmp_path / "root"
        for path, text in {"chart/Chart.yaml": CHART, **files}.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
        values = HelmValues(release_name="r", values_files=values_files)
        helm = Helm("ns", values, tmp_path / "work", KnownDiscovery(), release=release or KnownRelease())
        tree = WorkTree(root, tmp_path / "stage", "chart", values_files)

        async def build() -> Built:
            return await Builder(helm, "chart", None).build(await tree.snapshot())

        return anyio.run(build)

    return rendered


def value(built: Built, name: str = "a") -> Any:
    assert built.problems == ()
    return next(item.body["data"]["value"] for item in built.objects if item.ref.name == name)


def names(built: Built) -> set[str]:
    assert built.problems == ()
    return {item.ref.name for item in built.objects}


VERSION = config_map("a", '"{{ .Chart.Version }}"')


def test_the_version_ends_with_the_digits_of_the_revision_that_the_save_will_have(
    render: Render, tmp_path: Path
) -> None:
    found = value(render({"chart/templates/a.yaml": VERSION}))
    tree = anyio.run(WorkTree(tmp_path / "root", tmp_path / "stage2", "chart").snapshot).tree
    assert found == f"1.2.3+{revision_of(tree)[7:19]}"


def test_with_values_files_the_version_ends_with_the_generation_of_the_chart_too(render: Render) -> None:
    files = {"chart/templates/a.yaml": VERSION, "chart/values.yaml": "", "dev.yaml": "{}"}
    release = KnownRelease(ReleaseFacts(generation=7))
    assert value(render(files, release=release, values_files=("dev.yaml",))).endswith(".7")


def test_values_files_replace_the_chart_s_own_values(render: Render) -> None:
    files = {
        "chart/templates/a.yaml": config_map("a", '"{{ .Values.one }}-{{ .Values.two }}"'),
        "chart/values.yaml": "one: 1\ntwo: 1\n",
        "dev.yaml": "two: 2\n",
        "more.yaml": "two: 3\n",
    }
    assert value(render(files)) == "1-1"
    assert value(render(files, values_files=("dev.yaml", "more.yaml"))) == "-3"


def test_values_files_for_a_chart_without_values_are_refused_as_by_flux(render: Render) -> None:
    (problem,) = render(
        {"chart/templates/a.yaml": VERSION, "dev.yaml": ""}, values_files=("dev.yaml",)
    ).problems
    assert (
        problem.message == "the chart has no values.yaml, and Flux needs one if a session names values files"
    )


KINDS = '{{ if .Capabilities.APIVersions.Has "x.io/v1/Widget" }}' + config_map("a", "b") + "{{ end }}"


@pytest.mark.parametrize(
    ("versions", "expected"),
    [(("v1",), set()), (("x.io/v1", "x.io/v1/Widget"), {"a"})],
    ids=["absent", "there"],
)
def test_what_depends_on_the_cluster_s_kinds_is_rendered_where_it_has_them(
    render: Render, versions: tuple[str, ...], expected: set[str]
) -> None:
    found = render({"chart/templates/a.yaml": KINDS}, release=KnownRelease(api_versions=versions))
    assert names(found) == expected


@pytest.mark.parametrize(
    "condition",
    [
        '.Capabilities.APIVersions.Has "{}"',
        '(.Capabilities.APIVersions.Has "{}")',
        '"{}" | .Capabilities.APIVersions.Has',
        'has "{}" .Capabilities.APIVersions',
        "has .Values.kind $.Capabilities.APIVersions",
        'and (has "v1" .Capabilities.APIVersions) (has "{}" .Capabilities.APIVersions)',
        "$.Capabilities.APIVersions.Has .Values.kind",
        'and (.Capabilities.APIVersions.Has "v1") (.Capabilities.APIVersions.Has "{}")',
    ],
)
def test_a_version_that_only_helm_knows_is_no_version_of_the_cluster(render: Render, condition: str) -> None:
    for kind, expected in (("policy/v1beta1", set()), ("v1/ConfigMap", {"a"})):
        text = f"{{{{ if {condition.format(kind)} }}}}{config_map('a', 'b')}{{{{ end }}}}"
        files = {"chart/templates/a.yaml": text, "chart/values.yaml": f"kind: {kind}\n"}
        assert names(render(files)) == expected


def test_the_version_of_the_cluster_is_its_own(render: Render) -> None:
    text = config_map("a", "'{{ .Capabilities.KubeVersion.Version }}'")
    assert (
        value(render({"chart/templates/a.yaml": text}, release=KnownRelease(kube_version="v1.33.7")))
        == "v1.33.7"
    )


BOTH = (
    "{{ if .Release.IsInstall }}" + config_map("installs", "x") + "{{ end }}\n---\n"
    "{{ if .Release.IsUpgrade }}" + config_map("upgrades", "x") + "{{ end }}"
)


@pytest.mark.parametrize(("number", "expected"), [(0, {"installs"}), (1, {"upgrades"}), (9, {"upgrades"})])
def test_a_release_that_is_there_is_upgraded(render: Render, number: int, expected: set[str]) -> None:
    release = KnownRelease(ReleaseFacts(number=number, live_version="1.2.3+other"))
    assert names(render({"chart/templates/a.yaml": BOTH}, release=release)) == expected


def test_what_is_live_is_rendered_as_it_was_released(render: Render) -> None:
    files = {"chart/templates/a.yaml": BOTH, "chart/templates/v.yaml": VERSION}
    live = value(render(files))
    first, second = (KnownRelease(ReleaseFacts(number=n, live_version=live)) for n in (1, 2))
    assert names(render(files, release=first)) == {"a", "installs"}
    assert names(render(files, release=second)) == {"a", "upgrades"}


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ('{{ (lookup "v1" "Secret" "ns" "x").data }}', "lookup"),
        ("{{ .Release.Revision }}", "the release number"),
        ("'{{ now }}'", "the time"),
        ("{{ randAlphaNum 9 }}", "randAlphaNum"),
        ("{{ uuidv4 }}", "uuidv4"),
        ('{{ (genCA "x" 9).Cert | b64enc }}', "genCA"),
        ('{{ include "helper" . }}', "uuidv4"),
        ("{{ tpl .Values.text . }}", "randNumeric"),
        ('{{ include (print $.Template.BasePath "/other.yaml") . | sha256sum }}', "randAlpha"),
    ],
)
def test_what_flux_alone_can_know_is_not_checked_by_name(render: Render, template: str, told: str) -> None:
    files = {
        "chart/templates/a.yaml": f"{config_map('a', template)}---\n{config_map('d', 'lookup')}",
        "chart/templates/b.yaml": config_map("b", "{{ .Values.lookup }} # randAlphaNum, now, lookup"),
        "chart/templates/c.yaml": config_map("c", '{{ include "harmless" . }}'),
        "chart/templates/_helpers.tpl": (
            '{{ define "harmless" }}x{{ end }}\n{{ define "helper" }}{{ uuidv4 }}{{ end }}\n'
        ),
        "chart/templates/other.yaml": "{{/* randAlpha */}}" + config_map("other", "{{ randAlpha 5 }}"),
        "chart/values.yaml": "lookup: now\ntext: '{{ randNumeric 9 }}'\n",
    }
    found = {ref.name: reason for ref, reason in render(files).unevaluated.items()}
    assert told in found.pop("a")
    assert "randAlpha" in found.pop("other")
    assert found.keys() <= {"d"}


def test_a_kind_that_lookup_decides_about_may_be_there_without_being_rendered(render: Render) -> None:
    there = '{{ if lookup "v1" "Secret" "ns" "x" }}\nkind: Secret\n{{ end }}'
    text = config_map("a", "b")
    found = render({"chart/templates/a.yaml": text, "chart/templates/b.yaml": there})
    assert set(found.uncertain_kinds) == {"Secret"}
    assert "lookup" in found.uncertain_kinds["Secret"]


def test_a_password_that_is_given_is_not_left_to_chance(render: Render) -> None:
    text = config_map("a", "{{ .Values.password | default (randAlphaNum 9) }}")
    files = {"chart/templates/a.yaml": text, "chart/values.yaml": "password: given\n"}
    assert render(files).unevaluated == {}


def dependent(entry: str) -> dict[str, str]:
    return {
        "chart/Chart.yaml": f"{CHART}dependencies:\n  - {{{entry}}}\n",
        "dep/Chart.yaml": DEPENDENCY,
        "dep/templates/a.yaml": config_map("{{ .Chart.Name }}", "{{ .Values.x }}"),
        "dep/values.yaml": "x: of the dependency\n",
    }


@pytest.mark.parametrize(
    ("entry", "name"),
    [
        ('name: dep, version: 0.3.0, repository: "file://../dep"', "dep"),
        ('name: dep, version: ">=0.1.0", repository: "file://../dep", alias: other', "other"),
    ],
    ids=["named", "with an alias"],
)
def test_a_dependency_elsewhere_in_the_root_is_put_into_the_chart(
    render: Render, entry: str, name: str
) -> None:
    assert value(render(dependent(entry)), name) == "of the dependency"


def switched_off(api_version: str, declared_in: str) -> dict[str, str]:
    """A chart whose one dependency, which has such a one too, is switched off by its condition."""
    files: dict[str, str] = {}
    for folder, dependency in (("chart", "dep"), ("chart/charts/dep", "inner")):
        chart = f"apiVersion: {api_version}\nname: {folder.rpartition('/')[2]}\nversion: 0.3.0\n"
        declared = f"dependencies:\n  - {{name: {dependency}, version: 0.3.0, condition: {dependency}.is}}\n"
        files |= {f"{folder}/Chart.yaml": chart, f"{folder}/templates/a.yaml": config_map(folder[-3:], "x")}
        files[f"{folder}/{declared_in}"] = files.get(f"{folder}/{declared_in}", "") + declared
        files[f"{folder}/values.yaml"] = f"{dependency}: {{is: false}}\n"
    inner = "chart/charts/dep/charts/inner"
    files[f"{inner}/Chart.yaml"] = f"apiVersion: {api_version}\nname: inner\nversion: 0.3.0\n"
    return files | {f"{inner}/templates/a.yaml": config_map("inner", "x")}


@pytest.mark.parametrize(
    ("api_version", "declared_in", "expected"),
    [
        ("v2", "Chart.yaml", {"art"}),
        ("v1", "requirements.yaml", {"art"}),
        ("v1", "Chart.yaml", {"art", "dep", "inner"}),
    ],
)
def test_the_packaging_of_a_chart_of_v1_loses_the_dependencies_that_its_chart_yaml_declares(
    render: Render, api_version: str, declared_in: str, expected: set[str]
) -> None:
    assert names(render(switched_off(api_version, declared_in))) == expected


def test_a_dependency_of_a_chart_of_v1_that_flux_fetches_is_left_to_flux(render: Render) -> None:
    entry = "{name: dep, version: 0.3.0, repository: 'https://charts.example'}"
    chart = f"{CHART.replace('v2', 'v1')}dependencies:\n  - {entry}\n"
    assert "from https://charts.example" in render({"chart/Chart.yaml": chart}).unrendered


CRD = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.x.io}
spec: {group: x.io}
"""


def test_what_crds_holds_is_created_by_an_install_without_marks_of_the_release(render: Render) -> None:
    files = {
        "chart/crds/a.yaml": f"\n---\n{CRD}---\n{config_map('stray', 'x')}",
        "chart/templates/a.yaml": config_map("a", "x"),
        "chart/templates/b.yaml": CRD.replace("widgets", "others"),
    }
    found = {item.ref.name: item.body["metadata"] for item in render(files).objects}
    assert found["widgets.x.io"] == {"name": "widgets.x.io"}
    assert "annotations" in found["others.x.io"]
    assert found.keys() == {"widgets.x.io", "others.x.io", "a"}
    upgraded = render(files, release=KnownRelease(ReleaseFacts(number=2)))
    assert names(upgraded) == {"others.x.io", "a"}


KEEPING = "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata:\n  value: |+\n    text\n"


def test_a_text_that_keeps_its_last_lines_ends_as_the_template_has_it(render: Render) -> None:
    one, two = KEEPING.format(name="a"), KEEPING.format(name="b") + "\n"
    built = render({"chart/templates/a.yaml": f"{one}---\n{two}---\n{config_map('last', 'x')}"})
    assert [value(built, name) for name in ("a", "b")] == ["text\n", "text\n\n"]


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ('name: dep, version: 9.0.0, repository: "file://../dep"', "another version"),
        ('name: dep, version: 0.3.0, repository: "file://../gone"', "there is no chart"),
        ('name: dep, version: 0.3.0, repository: "@mine"', "Flux fetches none from @mine"),
    ],
)
def test_a_dependency_that_flux_can_not_build_is_refused(render: Render, entry: str, told: str) -> None:
    (problem,) = render(dependent(entry)).problems
    assert isinstance(problem, Problem)
    assert problem.path == "chart/Chart.yaml"
    assert told in problem.message


@pytest.mark.parametrize(
    ("repository", "told"),
    [
        ("https://u:p@example.org/x", "from https://***@example.org/x"),
        ("oci://example.org/x", "from oci://example.org/x"),
    ],
)
def test_a_chart_with_a_dependency_that_flux_fetches_is_left_to_flux(
    render: Render, repository: str, told: str
) -> None:
    built = render(dependent(f'name: dep, version: 0.3.0, repository: "{repository}"'))
    assert (built.problems, built.objects) == ((), ())
    assert told in built.unrendered
    assert "helm dependency update chart" in built.unrendered


@pytest.mark.parametrize(("kind", "expected"), [("policy/v1beta1", set()), ("v1/ConfigMap", {"a"})])
def test_a_packed_dependency_asks_for_the_cluster_s_kinds_too(
    render: Render, tmp_path: Path, kind: str, expected: set[str]
) -> None:
    text = f'{{{{ if .Capabilities.APIVersions.Has "{kind}" }}}}{config_map("a", "b")}{{{{ end }}}}'
    pack(tmp_path / "root/chart/charts", {"dep/Chart.yaml": DEPENDENCY, "dep/templates/a.yaml": text})
    assert names(render({})) == expected
    assert [path.name for path in (tmp_path / "stage/chart/charts").iterdir()] == ["dep-0.3.0.tgz"]


def pack(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(parents=True)
    with tarfile.open(folder / "dep-0.3.0.tgz", "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content.encode()))


def test_the_rules_of_what_helm_ignores_do_not_count_within_a_packed_dependency(
    render: Render, tmp_path: Path
) -> None:
    asking = f'{{{{ if .Capabilities.APIVersions.Has "v1/ConfigMap" }}}}{config_map("a", "b")}{{{{ end }}}}'
    files = {"templates/a.yaml": asking, "templates/sub/b.yaml": config_map("b", "x")}
    pack(
        tmp_path / "root/chart/charts",
        {"dep/Chart.yaml": DEPENDENCY} | {f"dep/{k}": v for k, v in files.items()},
    )
    assert names(render({"chart/.helmignore": "sub/\n"})) == {"a", "b"}


def test_a_dependency_has_its_own_rules_of_what_helm_ignores(render: Render) -> None:
    files = dependent('name: dep, version: 0.3.0, repository: "file://../dep"')
    hidden = {"dep/templates/sub/b.yaml": config_map("b", "x"), "dep/.helmignore": "sub/\n"}
    of_the_chart = {"chart/.helmignore": "a.yaml\n", "chart/templates/a.yaml": config_map("c", "x")}
    assert names(render({**files, **hidden, **of_the_chart})) == {"dep"}


@pytest.mark.parametrize("values", ["a: .inf\n", "a: b: c\n", "- a\n"])
def test_values_that_flux_can_not_read_are_refused_where_values_files_replace_them(
    values: str, render: Render
) -> None:
    files = {"chart/templates/a.yaml": VERSION, "chart/values.yaml": values, "dev.yaml": ""}
    (problem,) = render(files, values_files=("dev.yaml",)).problems
    assert problem.path == "chart/values.yaml"


def test_the_chart_that_is_uploaded_stays_as_it_is(render: Render, tmp_path: Path) -> None:
    files = dependent('name: dep, version: 0.3.0, repository: "file://../dep"')
    render(files)
    stage = tmp_path / "stage"
    found = {path.relative_to(stage).as_posix() for path in stage.rglob("*") if path.is_file()}
    assert not any("charts" in path for path in found)
    assert [path.read_text() for path in stage.rglob("chart/Chart.yaml")] == [files["chart/Chart.yaml"]]


def test_an_error_names_the_file_in_the_root(render: Render) -> None:
    (problem,) = render({"chart/templates/a.yaml": "a: {{ fail `no` }}"}).problems
    assert problem.place == "chart/templates/a.yaml:1"
    (problem,) = render({"chart/values.yaml": "a: b: c"}).problems
    assert problem.place.startswith("chart/values.yaml")


BROKEN = {"what it renders to": "a: .inf\n", "its template": "a: {{ fail `no` }}\n"}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("alias", ["", ", alias: other"])
def test_a_fault_in_a_dependency_of_the_source_is_reported_in_its_own_folder(
    render: Render, alias: str, text: str
) -> None:
    files = dependent(f'name: dep, version: 0.3.0, repository: "file://../dep"{alias}')
    (problem,) = render({**files, "dep/templates/b.yaml": text}).problems
    assert problem.path == "dep/templates/b.yaml"


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_a_fault_in_a_dependency_within_the_chart_is_reported_where_it_lies(
    render: Render, text: str
) -> None:
    files = dependent("name: dep, version: 0.3.0, alias: other")
    inner = {"chart/charts/folder/Chart.yaml": DEPENDENCY, "chart/charts/folder/templates/b.yaml": text}
    (problem,) = render({**files, **inner}).problems
    assert problem.path == "chart/charts/folder/templates/b.yaml"


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_a_fault_in_a_packed_dependency_is_reported_at_its_package(
    render: Render, tmp_path: Path, text: str
) -> None:
    pack(tmp_path / "root/chart/charts", {"dep/Chart.yaml": DEPENDENCY, "dep/templates/b.yaml": text})
    (problem,) = render({}).problems
    assert problem.place == "chart/charts/dep-0.3.0.tgz"
