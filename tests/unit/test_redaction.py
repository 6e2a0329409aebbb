"""What leaves a sandbox has its secrets masked: logs, objects, and values that were refused."""

from __future__ import annotations

import json

import pytest

from gitops_run.model.text.masking import MASK, Masker
from gitops_run.sandbox.environment import inherited
from gitops_run.sandbox.redaction import learned, redacted_log, redacted_object
from gitops_run.sandbox.store import Account

REFUSED = (
    (
        'E1125 17:00:00.1 1 x.go:155] "[SHOULD NOT HAPPEN] failed" err="failed to convert (run-a/p; '
        '/v1, Kind=Secret): .stringData.pin: expected string, got &value.valueUnstructured{Value:735182}"'
    ),
    'W1125 1 x.go:1] Secret "p" is invalid: data[735182]: Invalid value: "735182": not a key',
    'E1125 1 x.go:2] "Unhandled" err="Secret in version v1 cannot be handled: 735182" secret="p"',
    json.dumps({"level": "error", "error": "Secret/run-a/p dry-run failed: got 735182", "output": ["x"]}),
    json.dumps({"part": "a", "log": 'ok\nSecret "p" is invalid: data[735182]: Invalid value'}),
    "I1125 1 x.go:3] rejected got 735182",
)


@pytest.mark.parametrize("line", REFUSED)
def test_a_refused_value_is_in_no_line_of_a_log(line: str) -> None:
    cleaned = redacted_log(f"before\n{line}\nafter", Masker())
    assert "735182" not in cleaned
    assert cleaned.startswith("before\n")
    assert cleaned.endswith("\nafter")


def test_a_line_that_holds_no_secret_stays() -> None:
    lines = 'I1125 1 httplog.go:1] "HTTP" verb="GET" URI="/api/v1/pods"\n{"level": "info", "msg": "ok"}'
    assert redacted_log(lines, Masker()) == lines


def test_what_the_cluster_s_secrets_and_flux_s_objects_hold_is_masked_in_logs() -> None:
    secrets = [{"data": {"p": "YzRuYXJ5LTE="}}]
    kustomization = {"spec": {"postBuild": {"substitute": {"PIN": "c4nary-2"}}}}
    release = {"spec": {"values": {"db": {"password": "c4nary-3"}}}}
    masker = learned(secrets, {"x": {"items": [kustomization, release]}}, ["c4nary-4"])
    log = "a c4nary-1 b c4nary-2 c c4nary-3 d c4nary-4 e YzRuYXJ5LTE= f"
    assert redacted_log(log, masker) == f"a {MASK} b {MASK} c {MASK} d {MASK} e {MASK} f"


def test_an_object_s_given_values_and_copies_of_manifests_are_masked() -> None:
    body = {
        "metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "c4nary"}},
        "spec": {"postBuild": {"substitute": {"PIN": "c4nary"}}, "values": {"a": "c4nary"}, "path": "./src"},
        "status": {"conditions": [{"message": "Secret/a/b dry-run failed: got c4nary"}]},
    }
    cleaned = redacted_object([body], Masker())
    assert "c4nary" not in repr(cleaned)
    assert cleaned[0]["spec"]["postBuild"] == {"substitute": {"PIN": MASK}}
    assert cleaned[0]["spec"]["path"] == "./src"


def test_the_parts_of_a_sandbox_inherit_places_and_proxies_and_no_credentials() -> None:
    environment = {
        "PATH": "/bin",
        "HOME": "/root",
        "XDG_CACHE_HOME": "/c",
        "https_proxy": "http://proxy",
        "AWS_SECRET_ACCESS_KEY": "c4nary",
        "GITOPS_RUN_SECRET_KEY": "c4nary",
        "PULUMI_CONFIG_PASSPHRASE": "c4nary",
        "GITHUB_TOKEN": "c4nary",
    }
    assert inherited(environment).keys() == {"PATH", "HOME", "XDG_CACHE_HOME", "https_proxy"}


def test_an_account_of_the_store_does_not_show_its_secret() -> None:
    assert "c4nary" not in repr(Account(access="a", secret="c4nary"))
