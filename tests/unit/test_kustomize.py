import pytest

from gitops_run.model.text.problem import Problem
from gitops_run.model.tree.kustomize import explain_failure, generated_resources

TOP = "error: accumulating resources: "
IN_BASE = (
    f"{TOP}accumulation err='accumulating resources from '../base': read /x/tree/base: is a directory': "
)


def explain(message: str, files: dict[str, str]) -> Problem:
    return explain_failure(message, folder="/x/tree", target="app", read=files.get)


def test_a_folder_of_manifests_is_rendered_file_by_file() -> None:
    paths = ["app/b.yml", "app/sub/a.yaml", "app/README.md", "other/c.yaml"]
    assert generated_resources(paths, "app") == ("b.yml", "sub/a.yaml")


def test_the_files_of_a_folder_come_before_what_follows_it_by_name() -> None:
    paths = ["app/a-b.yaml", "app/a/c.yaml"]
    assert generated_resources(paths, "app") == ("a/c.yaml", "a-b.yaml")


def test_a_kustomization_below_stands_for_its_manifests() -> None:
    paths = ["a.yaml", "k/kustomization.yaml", "k/b.yaml", "k/deep/c.yaml"]
    assert generated_resources(paths, ".") == ("a.yaml", "k")


def test_broken_yaml_is_shown_with_file_and_line() -> None:
    message = TOP + (
        "accumulating resources from 'cm.yaml': MalformedYAMLError: yaml: line 4: "
        "did not find expected key in File: cm.yaml"
    )
    problem = explain(message, {"app/cm.yaml": "kind: A\nmetadata:\n  name: a\n bad: x\n"})
    assert (problem.path, problem.line) == ("app/cm.yaml", 4)


def test_a_bare_manifest_that_is_broken_is_shown_with_file_and_line() -> None:
    message = (
        "error: accumulating resources: accumulating resources from './sub/cm.yaml': MalformedYAMLError: "
        "yaml: line 2: did not find expected ',' or ']' in File: ./sub/cm.yaml"
    )
    problem = explain(message, {"app/sub/cm.yaml": "kind: A\nmetadata:\n  name: [\n"})
    assert (problem.path, problem.line) == ("app/sub/cm.yaml", 4)


def test_two_files_for_one_object_are_shown_at_the_second_one() -> None:
    message = (
        "error: accumulating resources: accumulation err='merging resources from './b.yaml': may not "
        "add resource with an already registered id: ConfigMap.v1.[noGrp]/a.[noNs]': must build at "
        "directory: '/x/tree/app/b.yaml': file is not directory"
    )
    document = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n"
    problem = explain(message, {"app/a.yaml": document, "app/b.yaml": document})
    assert (problem.path, problem.line) == ("app/b.yaml", 1)
    assert problem.message.startswith("may not add resource with an already registered id")


def test_a_missing_file_is_named() -> None:
    message = TOP + (
        "accumulation err='accumulating resources from 'gone.yaml': open /x/tree/app/gone.yaml: "
        "no such file or directory': must build at directory: '/x/tree/app/gone.yaml': "
    )
    assert str(explain(message, {"app/kustomization.yaml": "resources: [gone.yaml]"})).startswith(
        "app/gone.yaml: this file is named by a kustomization"
    )


def test_two_documents_for_one_object_are_shown_at_the_second_one() -> None:
    message = TOP + (
        "accumulation err='accumulating resources from 'cm.yaml': may not add resource with an already "
        "registered id: ConfigMap.v1.[noGrp]/a.[noNs]': must build at directory: "
        "'/x/tree/app/cm.yaml': file is not directory"
    )
    document = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n"
    problem = explain(message, {"app/cm.yaml": f"{document}---\n{document}"})
    assert (problem.path, problem.line) == ("app/cm.yaml", 6)
    assert problem.message.startswith("may not add resource with an already registered id")


@pytest.mark.parametrize(
    ("message", "folder"),
    [("error: ", "app"), (f"{IN_BASE}couldn't make target for path '/x/tree/base': ", "base")],
)
def test_an_unknown_field_of_a_kustomization_is_shown_there(message: str, folder: str) -> None:
    files = {"app/kustomization.yaml": "resources: [../base]\n", "base/kustomization.yaml": "resorces: []\n"}
    problem = explain(f'{message}invalid Kustomization: json: unknown field "resorces"', files)
    assert problem.path == f"{folder}/kustomization.yaml"
    assert problem.message == 'invalid Kustomization: json: unknown field "resorces"'


def test_a_file_that_a_generator_names_and_nobody_wrote_is_named() -> None:
    message = (
        "error: loading KV pairs: file sources: [f.txt]: open /x/tree/app/f.txt: no such file or directory"
    )
    problem = explain(message, {"app/kustomization.yaml": "configMapGenerator: []"})
    assert str(problem).startswith("app/f.txt: this file is named by a kustomization")


def test_kustomizations_that_lead_in_a_circle_are_no_missing_file() -> None:
    message = IN_BASE + (
        "recursed accumulation of path '/x/tree/base': accumulating resources: accumulation "
        "err='accumulating resources from '../app': read /x/tree/app: is a directory': cycle detected: "
        "candidate root '/x/tree/app' contains visited root '/x/tree/app'"
    )
    files = {
        "app/kustomization.yaml": "resources: [../base]",
        "base/kustomization.yaml": "resources: [../app]",
    }
    problem = explain(message, files)
    assert problem.message == "cycle detected: candidate root 'app' contains visited root 'app'"


UNMATCHED = (
    'error: no resource matches strategic merge patch "ClusterRole.v1.[noGrp]/web.[noNs]": no matches for Id'
)


@pytest.mark.parametrize(
    ("kustomization", "place"),
    [
        (
            "resources: [a.yaml]\npatches:\n- patch: 'kind: ClusterRole\n    name: web'\n",
            "kustomization.yaml:4",
        ),
        ("patches: [{path: p.yaml}]\n", "p.yaml:1"),
        ("patchesStrategicMerge: [p.yaml]\n", "p.yaml:1"),
    ],
)
def test_a_patch_that_matches_nothing_is_not_taken_for_the_resource_of_its_name(
    kustomization: str, place: str
) -> None:
    role = config_map("web").replace("ConfigMap", "ClusterRole")
    files = {"app/kustomization.yaml": kustomization, "app/a.yaml": role, "app/p.yaml": role}
    assert explain_conflict(UNMATCHED, files).place == f"app/{place}"


def test_a_key_that_is_there_twice_is_what_keeps_patches_from_matching() -> None:
    files = {
        "app/kustomization.yaml": "patches: [{path: p.yaml}]\n",
        "app/a.yaml": f"{config_map('a')}data:\n  a: b\n  a: c\n",
        "app/p.yaml": config_map("web").replace("ConfigMap", "ClusterRole"),
    }
    assert explain_conflict(UNMATCHED, files).place == "app/a.yaml:7"


@pytest.mark.parametrize(
    ("old", "new", "missing"),
    [
        ("kind: ConfigMap\n", "", "kind"),
        ("kind: ConfigMap", "kind: [ConfigMap]", "kind"),
        ("kind: ConfigMap", "kind:", "kind"),
        ("name: web", "name: null", "metadata.name"),
        ("name: web", "name: {}", "metadata.name"),
    ],
)
def test_an_object_without_a_kind_or_a_name_has_its_line(old: str, new: str, missing: str) -> None:
    files = {"app/a.yaml": f"{config_map('a')}---\n{config_map('web').replace(old, new)}"}
    told = f"error: accumulating resources from 'a.yaml': missing {missing} in object {{{{v1 }} map[]}}"
    assert explain_conflict(told, files).place == "app/a.yaml:6"


def test_a_binary_value_that_is_not_base64_is_found() -> None:
    files = {
        "app/kustomization.yaml": "resources: [a.yaml, b.yaml]",
        "app/a.yaml": "data: {a: !!binary aGk=}",
        "app/b.yaml": "data:\n- a: !!binary |\n    not base64 %\n",
    }
    told = "map[string]interface {}(nil): yaml: !!binary value contains invalid base64 data"
    assert explain_conflict(f"error: {told}", files).place == "app/b.yaml:2"


def conflict(before: str, *names: str) -> str:
    """What kustomize writes where a namespace makes objects one. before: what was prefixed to their names."""
    previous = "internal.config.kubernetes.io/previous"
    written = " ".join(
        f'{{"kind":"ConfigMap","metadata":{{"annotations":{{"{previous}Kinds":"ConfigMap,ConfigMap",'
        f'"{previous}Names":"{name},{before}{name}"}},"name":"{before}{name}","namespace":"run-x"}}}}'
        for name in names
    )
    return f"error: namespace transformation produces ID conflict: [{written}]"


def explain_conflict(message: str, files: dict[str, str]) -> Problem:
    return explain_failure(message, folder="/x", target="app", read=files.get, paths=files)


def test_two_objects_that_a_namespace_makes_one_are_found_in_their_files() -> None:
    files = {
        "app/kustomization.yaml": "resources: [../a, ../b]",
        "a/a.yaml": config_map("web"),
        "b/b.yaml": f"{config_map('other')}---\n{config_map('web')}",
        "c/c.yaml": config_map("we"),
    }
    problem = explain_conflict(conflict("x-", "web", "web"), files)
    assert (problem.place, "a/a.yaml:1" in problem.message) == ("b/b.yaml:6", True)


def test_two_objects_of_two_bases_are_found_in_their_files() -> None:
    files = {
        "app/kustomization.yaml": "resources: [../a, ../b]",
        "a/kustomization.yaml": "resources: [a.yaml]",
        "a/a.yaml": config_map("web"),
        "b/kustomization.yaml": "resources: [b.yaml]",
        "b/b.yaml": config_map("web"),
    }
    told = "may not add resource with an already registered id: ConfigMap.v1.[noGrp]/web.[noNs]"
    problem = explain_conflict(
        f"{TOP}accumulation err='accumulating resources from '../b': read /x/b: is a directory': "
        f"recursed merging from path '/x/b': {told}",
        files,
    )
    assert problem.place == "a/a.yaml:1"


def test_two_objects_that_had_two_names_are_reported_at_the_kustomization_that_changes_them() -> None:
    files = {"app/kustomization.yaml": "", "a/a.yaml": config_map("web"), "b/b.yaml": config_map("other")}
    assert explain_conflict(conflict("", "web", "other"), files).path == "app/kustomization.yaml"


@pytest.mark.parametrize("named", [conflict("", "web", "web"), conflict("")[:-1] + "{", conflict("")])
def test_two_objects_from_one_place_are_reported_at_the_kustomization_that_names_it_twice(named: str) -> None:
    files = {"app/kustomization.yaml": "resources: [../a, ../b]", "a/a.yaml": config_map("web")}
    assert explain_conflict(named, files).path == "app/kustomization.yaml"


def config_map(name: str) -> str:
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n"


def test_what_is_wrong_with_manifests_as_a_whole_is_no_missing_file() -> None:
    problem = explain("error: namespace transformation produces ID conflict", {"app/a.yaml": "kind: A"})
    assert str(problem) == "app: namespace transformation produces ID conflict"


@pytest.mark.parametrize(
    "text",
    [
        "from '" * 5_000,
        "accumulating resources: " * 1_500,
        "read : " * 4_000,
        "open " * 7_000,
        "resid.ResId{{Kind:" * 2_000,
        'Get "' * 7_000,
    ],
)
def test_no_message_takes_long_to_explain(text: str) -> None:
    assert explain_failure(f"error: {text}", folder="/stage", target=".", read=lambda _: None).message


def test_only_a_file_that_nobody_names_can_be_left_out() -> None:
    message = f"{TOP}accumulating resources from './a.yaml': missing Resource metadata"
    files = {"app/a.yaml": "a: b\n"}
    assert ".sourceignore" in explain(message, files).hint
    assert explain(message, files | {"app/kustomization.yaml": "resources: [./a.yaml]"}).hint == ""


def test_what_is_broken_in_a_remote_base_is_no_missing_file_of_the_root() -> None:
    message = (
        f"{TOP}accumulation err='accumulating resources from 'https://x.test/a?ref=v1': read /tmp/k-1/a: "
        "is a directory': recursed accumulation of path '/tmp/k-1/a': accumulating resources: accumulation "
        "err='accumulating resources from 'b.yaml': open /tmp/k-1/a/b.yaml: no such file or directory'"
    )
    problem = explain(message, {"app/kustomization.yaml": "\nresources: ['https://x.test/a?ref=v1']\n"})
    assert problem.place == "app/kustomization.yaml:2"
    assert problem.message.startswith("https://x.test/a?ref=v1 can't be built: open")
