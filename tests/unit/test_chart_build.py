"""What source-controller makes of a chart, and what the cluster tells one."""

from __future__ import annotations

from typing import Any

import pytest

from gitops_run.adapters.cluster.charts import to_api_versions
from gitops_run.model.charts.build import (
    LocalDependency,
    as_packaged,
    built_version,
    missing_dependencies,
    version_suffix,
    with_version,
)
from gitops_run.model.charts.unknowns import ChartTexts, of_source, unknown_templates
from gitops_run.model.flux.helm_release import to_release_facts


@pytest.mark.parametrize(
    ("written", "version"),
    [
        ("1.2.3", "1.2.3+abc"),
        ("v1.2.3", "1.2.3+abc"),
        ("1.2", "1.2.0+abc"),
        ("1.10", "1.1.0+abc"),
        ('"1.10"', "1.10.0+abc"),
        ("1.0", "1.0.0+abc"),
        ("10", "10.0.0+abc"),
        ("1.2.3-rc.1", "1.2.3-rc.1+abc"),
        ("1.2.3+old", "1.2.3+abc"),
        ('"01.2.3"', "1.2.3+abc"),
        ("V1.2.3", ""),
        ("1.2.3.4", ""),
        ("", ""),
        ("[1]", ""),
        ("&a [*a]", ""),
    ],
)
def test_a_version_becomes_what_source_controller_makes_of_it(written: str, version: str) -> None:
    """Seen with Masterminds/semver 3.5 and sigs.k8s.io/yaml 1.6."""
    assert built_version(f"name: a\nversion: {written}\n", "abc") == version


def test_all_but_the_version_stays_as_it_was_written() -> None:
    text = "# é\r\nname: a\r\nversion:   '1.2.3' # why\r\ndependencies: []\r\n"
    assert with_version(text, "1.2.3+abc") == text.replace("'1.2.3'", '"1.2.3+abc"')


@pytest.mark.parametrize("text", ["", "a: [", "version: 1.2.3\n a", "- version: 1.2.3"])
def test_what_has_no_version_stays_for_helm_to_refuse(text: str) -> None:
    assert with_version(text, built_version(text, "abc")) == text


def test_the_generation_counts_only_where_values_files_are_named() -> None:
    revision = f"sha256:{'ab' * 32}"
    assert version_suffix(revision, None) == "abababababab"
    assert version_suffix(revision, 3) == "abababababab.3"


def missing(chart: str, present: tuple[str, ...] = (), **others: str) -> list[str]:
    files = {"Chart.yaml": f"dependencies: {chart}", **{k.replace("_", "."): v for k, v in others.items()}}
    return [one.path for one in missing_dependencies(files, present, "apps/web")]


def test_a_dependency_within_the_source_that_is_not_packaged_is_missing() -> None:
    local = '{name: a, version: 1, repository: "file://../a"}'
    remote = '{name: b, version: 1, repository: "https://example.org"}'
    assert missing(f"[{local}, {remote}]") == ["apps/a"]
    assert missing(f"[{local}, {remote}]", ("a",)) == []
    assert missing(f"[{local}]", ("another",)) == []
    assert missing("[{name: c, version: 1}]") == ["apps/web/charts/c"]
    assert missing("[]", requirements_yaml=f"dependencies: [{local}]") == ["apps/a"]
    assert missing("5") == missing("[5, null]", ("x", "y")) == []


@pytest.mark.parametrize("name", ["../a", "..", "''", "5", "a/b", '"a\\0"'])
def test_a_name_that_is_no_folder_s_is_left_for_helm_to_refuse(name: str) -> None:
    assert missing(f'[{{name: {name}, version: 1, repository: "file://../a"}}]') == []


def test_a_repository_that_is_no_url_is_nowhere() -> None:
    assert missing('[{name: a, version: 1, repository: "file://[x"}]') == ["../file://[x"]
    assert missing('[{name: a, version: 1, repository: "file://../a%20b"}]') == ["apps/a b"]


def test_a_lock_says_what_is_asked_for() -> None:
    lock = 'dependencies: [{name: a, version: 1, repository: "file://../locked"}]'
    declared = '[{name: a, version: 1, repository: "file://../a"}]'
    assert missing(declared, Chart_lock=lock) == ["apps/locked"]


def test_a_dependency_that_is_asked_for_under_two_names_is_put_there_once() -> None:
    one = '{{name: a, alias: {}, version: 1, repository: "file://../a"}}'
    files = {"Chart.yaml": f"dependencies: [{one.format('x')}, {one.format('y')}]"}
    assert missing_dependencies(files, (), ".") == (LocalDependency(name="a", path="../a"),)


def release(*history: dict[str, Any]) -> dict[str, Any]:
    return {"status": {"history": list(history)}}


@pytest.mark.parametrize(
    ("status", "is_upgrade"),
    [("deployed", True), ("failed", True), ("superseded", True), ("uninstalled", False)],
)
def test_what_helm_does_next_follows_from_the_last_release(status: str, *, is_upgrade: bool) -> None:
    last = {"status": status, "version": 1, "chartVersion": "1.0.0+old.1"}
    assert to_release_facts(release(last), {}).is_upgrade("1.0.0+new.1") is is_upgrade


def test_before_the_first_release_nothing_is_there() -> None:
    facts = to_release_facts({}, {})
    assert (facts.is_upgrade("1.0.0"), facts.generation, facts.live_version) == (False, 1, "")


def test_the_generation_is_the_helm_chart_s() -> None:
    assert to_release_facts({}, {"metadata": {"generation": 4}}).generation == 4


def test_kinds_are_read_from_discovery_as_helm_reads_them() -> None:
    listing = {
        "items": [
            {"versions": [{"version": "v1", "resources": [{"responseKind": {"kind": "Pod"}}]}]},
            {
                "metadata": {"name": "apps"},
                "versions": [
                    {
                        "version": "v1",
                        "resources": [
                            {
                                "responseKind": {"kind": "Deployment"},
                                "subresources": [{"responseKind": {"kind": "Scale"}}, {}],
                            }
                        ],
                    },
                    {"version": "v2"},
                ],
            },
        ]
    }
    expected = {"v1", "v1/Pod", "apps/v1", "apps/v1/Deployment", "apps/v1/Scale", "apps/v2"}
    assert to_api_versions(listing) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("apiVersion: v1\ndependencies: [{name: a}]\n", "apiVersion: v1\npackaged-without: [{name: a}]\n"),
        ("name: x\nDependencies:\n- name: a\n", "name: x\npackaged-without:\n- name: a\n"),
        ('{"apiVersion": "", "dependencies": []}', '{"apiVersion": "", packaged-without: []}'),
        ("apiVersion: v2\ndependencies: []\n", "apiVersion: v2\ndependencies: []\n"),
        ("keywords: [dependencies]\n", "keywords: [dependencies]\n"),
        ("dependencies: [", "dependencies: ["),
    ],
)
def test_packaging_takes_the_dependencies_of_a_v1_chart_out_of_its_chart_yaml(
    text: str, expected: str
) -> None:
    assert as_packaged(text) == expected


def test_a_template_of_a_packed_dependency_is_known_by_its_place_in_it() -> None:
    packed = {"charts/dep-1.0.0.tgz/dep/templates/sub/a.yaml": "{{ uuidv4 }}"}
    unknown = unknown_templates(ChartTexts(templates=packed))
    assert of_source(unknown, "web/charts/other/templates/sub/a.yaml") == "uuidv4"
    assert of_source(unknown, "web/charts/other/templates/a.yaml") == ""


@pytest.mark.parametrize("text", ["{{" * 5_000, "{{ `" * 5_000, '{{ "a' * 5_000, "{{/*" * 5_000])
def test_no_template_takes_long_to_read(text: str) -> None:
    assert unknown_templates(ChartTexts(templates={"a": text}, values=text)) == {}
