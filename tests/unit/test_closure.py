"""What a target needs, on roots that are dictionaries. tests/contract holds it to real renderings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops_run.model.tree.closure import Closure, ClosureFinder, Found


class Root:
    """Files in memory; counts what was read."""

    def __init__(self, files: dict[str, str]) -> None:
        self.files = files
        self.looked: list[str] = []

    def look(self, path: str) -> Found | None:
        self.looked.append(path)
        if path in self.files:
            return Found()
        is_folder = not path or any(file.startswith(f"{path}/") for file in self.files)
        return Found(is_folder=True) if is_folder else None

    def names(self, folder: str) -> list[str]:
        prefix = f"{folder}/" if folder else ""
        return sorted({f[len(prefix) :].split("/")[0] for f in self.files if f.startswith(prefix)})

    def text(self, path: str) -> str | None:
        return self.files.get(path)

    def led_to(self, path: str) -> str:
        return path

    def stand_in(self, path: str, source: str) -> None:
        raise AssertionError(f"no link leads from {path} to {source}")


def closure(files: dict[str, str], target: str = "app", also: tuple[str, ...] = ()) -> Closure:
    return ClosureFinder().find(target, Root(files), also)


def of(kustomization: str, *others: str) -> Closure:
    return closure({"app/kustomization.yaml": kustomization} | dict.fromkeys(others, ""))


def test_a_root_of_many_files_is_not_walked_for_a_target_of_one() -> None:
    root = Root(
        {"app/kustomization.yaml": "resources: [a.yaml]", "app/a.yaml": ""}
        | {f"other/{number}.yaml": "" for number in range(100)}
    )
    ClosureFinder().find("app", root)
    assert not [path for path in root.looked if path.startswith("other")]


def test_a_file_that_is_named_and_missing_is_remembered() -> None:
    assert "shared/a.yaml" in of("resources: [../shared/a.yaml]").missing


def test_a_second_kustomization_file_would_be_noticed() -> None:
    assert "app/Kustomization" in of("resources: []").missing


def test_a_folder_without_a_kustomization_is_no_reason_to_take_what_is_in_it() -> None:
    found = of("resources: [../base]", "base/a.yaml")
    assert found.files == {"app/kustomization.yaml"}
    assert "base/kustomization.yaml" in found.missing


def test_a_broken_kustomization_is_taken_alone() -> None:
    found = of("resources: [a.yaml\nb: {", "app/a.yaml")
    assert (found.files, found.whole_root_reason) == ({"app/kustomization.yaml"}, "")


@pytest.mark.parametrize("first", ["resources: []", "# nothing"])
def test_only_the_first_document_of_a_kustomization_counts(first: str) -> None:
    found = of(f"---\n{first}\n---\nresources: [a.yaml]\nhelmCharts: [{{name: x}}]\n", "app/a.yaml")
    assert (found.files, found.problems) == ({"app/kustomization.yaml"}, ())


def test_kustomizations_that_name_each_other_are_followed_once() -> None:
    files = {"app/kustomization.yaml": "resources: [../b]", "b/kustomization.yaml": "resources: [../app]"}
    assert closure(files).files == set(files)


@pytest.mark.parametrize(
    "kustomization",
    [
        "resources: []\nreadsAnything: [b]",
        "generators: [g.yaml]",
        "transformers:\n- |-\n  apiVersion: x/v1\n  kind: Mine\n  path: ../b",
    ],
)
def test_a_key_or_plugin_that_kustomize_refuses_needs_no_files(kustomization: str) -> None:
    files = {
        "app/kustomization.yaml": kustomization,
        "app/g.yaml": "apiVersion: x/v1\nkind: Mine\npath: ../b",
    }
    found = closure(files | {"b": "", "app/b": ""})
    assert (found.whole_root_reason, found.files - set(files)) == ("", frozenset())


PATCHER = "apiVersion: builtin\nkind: PatchTransformer\n"


@pytest.mark.parametrize(
    ("folder", "reason"),
    [
        (
            {"kustomization.yaml": "resources: [t]", "t": f"{PATCHER}path: p.yaml"},
            "t/t:3 has PatchTransformer",
        ),
        (
            {"kustomization.yaml": "resources: [t]\npatches: [{patch: x}]", "t": PATCHER},
            "t/kustomization.yaml:2 has patches",
        ),
        ({"kustomization.yaml": "resources: [t]", "t": PATCHER}, ""),
        ({"kustomization.yaml": "resources: [t]", "t": "apiVersion: x/v1\nkind: Mine"}, ""),
    ],
)
def test_a_folder_of_plugins_takes_the_whole_root_where_one_may_read_and_says_why(
    folder: dict[str, str], reason: str
) -> None:
    files = {"app/kustomization.yaml": "transformers: [../t]", "other/a": ""}
    files |= {f"t/{name}": text for name, text in folder.items()}
    found = closure(files)
    assert found.whole_root_reason == (f"{reason}, which may read any file" if reason else "")
    assert ("other/a" in found.files) is bool(reason)


@pytest.mark.parametrize("key", ["helmCharts", "helmChartInflationGenerator"])
def test_helm_in_a_kustomization_is_refused_with_file_and_line(key: str) -> None:
    (problem,) = of(f"resources: []\n{key}: [{{name: x}}]").problems
    assert (problem.place, key in problem.message) == ("app/kustomization.yaml:2", True)


def test_helm_as_a_generator_is_refused_too() -> None:
    files = {
        "app/kustomization.yaml": "generators: [h.yaml]",
        "app/h.yaml": "apiVersion: builtin\nkind: HelmChartInflationGenerator",
    }
    assert [problem.place for problem in closure(files).problems] == ["app/h.yaml:2"]


@pytest.mark.parametrize("path", ["../../x.yaml", "/etc/x.yaml", "../../../x"])
def test_a_path_out_of_the_root_is_refused_with_file_and_line(path: str) -> None:
    (problem,) = of(f"resources:\n- {path}").problems
    assert str(problem) == f"app/kustomization.yaml:2: {path} is outside the root"


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/a.yaml",
        "github.com/org/repo//base?ref=v1",
        "git@github.com:org/repo.git//base",
        "ssh://git@host/repo//x",
        "https://host/a.git",
    ],
)
def test_a_remote_resource_needs_no_files(url: str) -> None:
    found = of(f"resources: ['{url}']")
    assert (found.files, found.problems) == ({"app/kustomization.yaml"}, ())
    assert all(path.startswith("app/") for path in found.missing)


def test_a_folder_of_manifests_needs_those_and_nothing_else() -> None:
    files = dict.fromkeys(["app/a.yaml", "app/deep/b.yml", "app/README.md", "other/c.yaml"], "")
    found = closure(files)
    assert found.files == {"app/a.yaml", "app/deep/b.yml"}
    assert found.listed == {"app", "app/deep"}


@pytest.mark.parametrize("others", [[], ["app/a.yaml"], ["app/kustomization.yaml/b/c.yaml"]])
def test_a_folder_where_flux_writes_a_kustomization_is_refused(others: list[str]) -> None:
    (problem,) = closure(dict.fromkeys(["app/kustomization.yaml/x.yaml", *others], "")).problems
    assert str(problem) == "app/kustomization.yaml: this is a folder, and Flux needs a file of this name"


def test_folders_of_kustomize_s_other_names_are_folders_of_manifests_as_in_flux() -> None:
    files = ["app/Kustomization/a.yaml", "app/kustomization.yml/b.yaml", "app/c/kustomization.yaml/d.yaml"]
    found = closure(dict.fromkeys(files, ""))
    assert (found.files, found.problems) == (set(files), ())


def test_a_folder_next_to_a_kustomization_of_another_name_is_no_problem() -> None:
    found = closure({"app/kustomization.yml": "resources: []", "app/kustomization.yaml/x.yaml": ""})
    assert found.problems == ()


def test_a_target_that_is_the_root_is_followed() -> None:
    found = closure({"kustomization.yaml": "resources: [a.yaml]", "a.yaml": "", "b.yaml": ""}, ".")
    assert found.files == {"kustomization.yaml", "a.yaml"}


def test_a_target_that_is_not_there_is_awaited() -> None:
    assert closure({"b.yaml": ""}).missing == {"app"}


def test_a_chart_is_needed_whole_with_the_charts_beside_it() -> None:
    chart = "dependencies: [{name: c, repository: 'file://../%s'}, {name: r, repository: https://x}]"
    files = {
        "app/Chart.yaml": chart % "common",
        "app/values.yaml": "",
        "app/templates/a.tpl": "",
        "common/Chart.yaml": chart % "deep",
        "deep/Chart.yaml": "",
        "deep/files/x": "",
    }
    found = closure(files | {"values/dev.yaml": "", "other/x": ""}, also=("values/dev.yaml",))
    assert found.files == {*files, "values/dev.yaml"}


def test_values_that_are_missing_are_awaited() -> None:
    assert "values.yaml" in closure({"app/Chart.yaml": ""}, also=("values.yaml",)).missing


def test_an_unchanged_file_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    finder, files = ClosureFinder(), {"app/kustomization.yaml": "resources: [a.yaml]", "app/a.yaml": ""}
    first = finder.find("app", Root(files))
    monkeypatch.setattr("yaml.compose_all", None)
    assert finder.find("app", Root(files)) == first


WORDS = [
    "resources",
    "patches",
    "path",
    "transformers",
    "helmCharts",
    "a.yaml",
    "..",
    "../b",
    "null",
    "[",
    "{}",
    "<<",
]


def test_kustomizations_that_name_one_another_in_a_long_row_are_refused() -> None:
    row = {f"{number}/kustomization.yaml": f"resources: [../{number + 1}]" for number in range(1_000)}
    found = ClosureFinder().find("0", Root(row))
    messages = [problem.message for problem in found.problems]
    assert "its references lead through too many kustomizations" in messages


@given(
    st.recursive(
        st.sampled_from(WORDS),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=3)
        ),
        max_leaves=8,
    )
)
def test_no_shape_of_yaml_makes_it_fail(content: object) -> None:
    assert "app/kustomization.yaml" in of(str(content)).files


@pytest.mark.parametrize(
    "kustomization",
    [
        "helmCharts: [{name: x}]",
        "resources: [../../x.yaml]",
        "transformers: [../t]",
        "resources: [gone.yaml]",
    ],
)
def test_a_kustomization_in_the_folder_of_a_chart_that_helm_renders_is_a_file_like_any_other(
    kustomization: str,
) -> None:
    files = {
        "app/Chart.yaml": "name: app",
        "app/kustomization.yaml": kustomization,
        "app/templates/a.yaml": "",
    }
    others = {"t/kustomization.yaml": "resources: [t]\npatches: []", "t/t": PATCHER}
    found = ClosureFinder().find("app", Root(files | others), is_chart=True)
    assert (found.files, found.problems, found.whole_root_reason) == (set(files), (), "")
    assert "app/gone.yaml" not in found.missing
