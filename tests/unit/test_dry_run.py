"""The API server's answers, as Kubernetes 1.36 gave them, become short findings with a field each."""

from __future__ import annotations

from typing import Any

import pytest

from gitops_run.model.objects.dry_run import Finding, Obstacle, to_findings

TYPED = "failed to create typed patch object (exp/d; apps/v1, Kind=Deployment): "


def refused(
    code: int, message: str, *causes: dict[str, str], is_secret: bool = False
) -> list[tuple[str, str]]:
    answer: dict[str, Any] = {"message": message, "details": {"causes": list(causes)}}
    findings = to_findings(code, answer, is_secret=is_secret)
    assert findings is not None
    return [(finding.field, finding.message) for finding in findings]


def obstacle(code: int, message: str) -> Obstacle:
    findings = to_findings(code, {"message": message})
    assert findings is not None
    return findings[0].obstacle


def test_an_unknown_field_that_comes_as_an_internal_error_is_a_finding() -> None:
    message = TYPED + '.spec.template.spec.containers[name="c"].imagee: field not declared in schema'
    assert refused(500, message) == [('spec.template.spec.containers[name="c"].imagee', "unknown field")]


def test_several_findings_of_one_answer_are_told_apart() -> None:
    message = (
        TYPED + "errors:\n  .spec.a: field not declared in schema\n  .spec.b: field not declared in schema"
    )
    assert refused(500, message) == [("spec.a", "unknown field"), ("spec.b", "unknown field")]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            ".spec.replicas: expected numeric (int or float), got string",
            ("spec.replicas", "expected numeric (int or float), got string"),
        ),
        (
            ".data.x: expected string, got &value.valueUnstructured{Value:1}",
            ("data.x", "expected string, got 1"),
        ),
        (
            '.spec.containers: duplicate entries for key [name="c"]',
            ("spec.containers", 'duplicate entries for key [name="c"]'),
        ),
    ],
)
def test_a_wrong_type_is_told_with_its_field(said: str, expected: tuple[str, str]) -> None:
    assert refused(500, TYPED + said) == [expected]


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("quantities must match the regular expression", "quantities must match the regular expression"),
        (
            "error decoding from json: illegal base64 data at input byte 3",
            "illegal base64 data at input byte 3",
        ),
    ],
)
def test_a_value_that_does_not_convert_is_a_finding(reason: str, expected: str) -> None:
    message = (
        "failed to convert new object (/q; apps/v1, Kind=Secret) to proper version: "
        f"unable to convert unstructured object to apps/v1, Kind=Secret: {reason}"
    )
    assert refused(500, message) == [("", expected)]


def test_what_the_server_could_not_check_further_is_left_out() -> None:
    size = {"field": "spec.size", "message": "Required value"}
    rest = {
        "field": "<nil>",
        "message": "Invalid value: null: some validation rules were not checked because the object was "
        "invalid; correct the existing errors to complete validation",
    }
    assert refused(422, "…", size, rest) == [("spec.size", "Required value")]


def test_an_unknown_field_of_strict_decoding_is_a_finding() -> None:
    assert refused(400, 'strict decoding error: unknown field "spec.foo"') == [("spec.foo", "unknown field")]


def test_an_immutable_field_is_told_without_its_whole_value() -> None:
    cause = {
        "field": "spec.selector",
        "message": 'Invalid value: {"matchLabels":{"a":"z"}}: field is immutable',
    }
    assert refused(422, "…", cause) == [("spec.selector", "field is immutable")]


def test_a_short_value_stays_with_its_reason() -> None:
    text = "Invalid value: 99999: must be between 1 and 65535, inclusive"
    assert refused(422, "…", {"field": "spec.ports[0].port", "message": text}) == [
        ("spec.ports[0].port", text)
    ]


def test_rights_are_told_from_admission_and_from_impersonation() -> None:
    cannot = 'User "{}" cannot {} resource "roles"'
    account, person = "system:serviceaccount:exp:flux-run", "dev@example.com"
    assert obstacle(403, f'roles "x" is forbidden: {cannot.format(account, "patch")}') is Obstacle.RIGHT
    assert obstacle(403, f"x is forbidden: {cannot.format(person, 'impersonate')}") is Obstacle.IMPERSONATION
    assert obstacle(403, 'pods "x" is forbidden: exceeded quota: small') is Obstacle.CONTENT


def test_a_missing_namespace_is_told_from_a_missing_kind() -> None:
    assert obstacle(404, 'namespaces "nope" not found') is Obstacle.NAMESPACE
    assert obstacle(404, "the server could not find the requested resource") is Obstacle.KIND


@pytest.mark.parametrize("code", [429, 500, 503, 504, 409])
def test_a_failure_of_the_server_is_no_finding(code: int) -> None:
    assert to_findings(code, {"message": "etcd is gone"}) is None


@pytest.mark.parametrize(
    ("code", "message", "causes"),
    [
        (500, TYPED + ".stringData.key: expected string, got &value.valueUnstructured{Value:4711}", ()),
        (422, "…", ({"field": "data", "message": 'Invalid value: {"key":"4711"}: too much'},)),
        (400, "Secret in version v1 cannot be handled: error found near |4711|", ()),
    ],
)
def test_no_value_of_a_secret_is_in_a_finding(
    code: int, message: str, causes: tuple[dict[str, str], ...]
) -> None:
    found = refused(code, message, *causes, is_secret=True)
    assert found
    assert "4711" not in str(found)


def test_a_secret_s_immutable_field_is_still_told() -> None:
    cause = {"field": "data", "message": "Forbidden: field is immutable when `immutable` is set"}
    findings = to_findings(422, {"details": {"causes": [cause]}}, is_secret=True)
    assert findings == (
        Finding(
            obstacle=Obstacle.CONTENT, field="data", message="field is immutable when `immutable` is set"
        ),
    )


def test_a_config_map_that_is_too_large_is_told_by_its_data() -> None:
    cause = {"field": "[]", "message": "Too long: may not be more than 1048576 bytes"}
    assert refused(422, 'ConfigMap "a" is invalid: []: Too long', cause) == [
        ("data", "Too long: may not be more than 1048576 bytes")
    ]


def test_a_secret_that_is_too_large_is_told_so() -> None:
    cause = {"field": "data", "message": "Too long: may not be more than 1048576 bytes"}
    found = refused(422, 'Secret "a" is invalid: data: Too long', cause, is_secret=True)
    assert found == [("data", "Too long: may not be more than 1048576 bytes")]
