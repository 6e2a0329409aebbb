import pytest

from gitops_run.model.kustomize import explain_failure, generated_resources
from gitops_run.model.problem import Problem

WRAP = (
    "error: accumulating resources: accumulation err='accumulating resources from '../tree/app': "
    "read /x/tree/app: is a directory': "
)
NESTED = WRAP + "recursed accumulation of path '/x/tree/app': accumulating resources: "


def explain(message: str, files: dict[str, str]) -> Problem:
    return explain_failure(message, folder="/x/tree", target="app", read=files.get)


def test_a_target_with_a_kustomization_is_rendered_as_it_is() -> None:
    assert generated_resources(["app/kustomization.yaml", "app/a.yaml"], "app") == ("",)


def test_a_folder_of_manifests_is_rendered_file_by_file() -> None:
    paths = ["app/b.yml", "app/sub/a.yaml", "app/README.md", "other/c.yaml"]
    assert generated_resources(paths, "app") == ("b.yml", "sub/a.yaml")


def test_a_kustomization_below_stands_for_its_manifests() -> None:
    paths = ["a.yaml", "k/kustomization.yaml", "k/b.yaml", "k/deep/c.yaml"]
    assert generated_resources(paths, ".") == ("a.yaml", "k")


def test_broken_yaml_is_shown_with_file_and_line() -> None:
    message = NESTED + (
        "accumulating resources from 'cm.yaml': MalformedYAMLError: yaml: line 4: "
        "did not find expected key in File: cm.yaml"
    )
    problem = explain(message, {"app/cm.yaml": "kind: A\nmetadata:\n  name: a\n bad: x\n"})
    assert (problem.path, problem.line) == ("app/cm.yaml", 4)


def test_a_bare_manifest_that_is_broken_is_shown_with_file_and_line() -> None:
    message = (
        "error: accumulating resources: accumulating resources from '../tree/cm.yaml': MalformedYAMLError: "
        "yaml: line 2: did not find expected ',' or ']' in File: ../tree/cm.yaml"
    )
    problem = explain(message, {"cm.yaml": "kind: A\nmetadata:\n  name: [\n"})
    assert (problem.path, problem.line) == ("cm.yaml", 4)


def test_two_files_for_one_object_are_shown_at_the_second_one() -> None:
    message = (
        "error: accumulating resources: accumulation err='merging resources from '../tree/b.yaml': may not "
        "add resource with an already registered id: ConfigMap.v1.[noGrp]/a.[noNs]': must build at "
        "directory: '/x/tree/b.yaml': file is not directory"
    )
    document = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n"
    problem = explain(message, {"a.yaml": document, "b.yaml": document})
    assert (problem.path, problem.line) == ("b.yaml", 1)
    assert problem.message.startswith("may not add resource with an already registered id")


def test_a_missing_file_is_named() -> None:
    message = NESTED + (
        "accumulation err='accumulating resources from 'gone.yaml': open /x/tree/app/gone.yaml: "
        "no such file or directory': must build at directory: '/x/tree/app/gone.yaml': "
    )
    assert str(explain(message, {"app/kustomization.yaml": "resources: [gone.yaml]"})).startswith(
        "app/gone.yaml: this file is named by a kustomization"
    )


def test_two_documents_for_one_object_are_shown_at_the_second_one() -> None:
    message = NESTED + (
        "accumulation err='accumulating resources from 'cm.yaml': may not add resource with an already "
        "registered id: ConfigMap.v1.[noGrp]/a.[noNs]': must build at directory: "
        "'/x/tree/app/cm.yaml': file is not directory"
    )
    document = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n"
    problem = explain(message, {"app/cm.yaml": f"{document}---\n{document}"})
    assert (problem.path, problem.line) == ("app/cm.yaml", 6)
    assert problem.message.startswith("may not add resource with an already registered id")


def test_an_unknown_field_of_the_kustomization_is_shown_there() -> None:
    message = WRAP + (
        "couldn't make target for path '/x/tree/app': invalid Kustomization: json: unknown field \"resorces\""
    )
    problem = explain(message, {"app/kustomization.yaml": "resorces: []\n"})
    assert problem.path == "app/kustomization.yaml"
    assert problem.message == 'invalid Kustomization: json: unknown field "resorces"'


@pytest.mark.parametrize("text", ["from '" * 5_000, "accumulating resources: " * 1_500, "read : " * 4_000])
def test_no_message_takes_long_to_explain(text: str) -> None:
    assert explain_failure(f"error: {text}", folder="/stage", target=".", read=lambda _: None).message
