"""A platform on a real node: upstream's manifests in real pods, and what Flux may do there alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from gitops_run.model.names import ACCOUNT
from tests.people import Person

pytestmark = [pytest.mark.real_node, pytest.mark.timeout(300)]

NAME = "locked"
NAMESPACE = f"run-{NAME}"
WHICH = ("-n", NAMESPACE, f"kustomization/{NAME}")
CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {value: one}\n"


@pytest.fixture(scope="module")
def session(real_admin: Person, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    """A session that has applied something once."""
    root = tmp_path_factory.mktemp(NAME)
    (root / "settings.yaml").write_text(CONFIG)
    real_admin.succeeds("up", NAME, str(root), "--root", str(root))
    with Person(env=real_admin.env, cwd=root).leaves_running("sync", NAME) as sync:
        sync.tells("save_applied")
    yield real_admin
    real_admin.succeeds("down", NAME)


def status(person: Person) -> dict[str, Any]:
    told: dict[str, Any] = person.succeeds("platform", "status", "-o", "json").json
    return told


def test_upstream_s_controllers_are_ready_in_pods_and_locked_down(real_admin: Person) -> None:
    components = status(real_admin)["components"]
    assert len(components) == 3
    assert all(one["is_ready"] and all(one["lockdown"].values()) for one in components)


def test_a_second_platform_up_on_real_pods_changes_nothing(real_admin: Person) -> None:
    told = real_admin.succeeds("platform", "up").err
    assert not [line for line in told.splitlines() if line.split()[1] in {"create", "update", "delete"}]


def test_a_kustomization_without_an_account_has_no_rights(session: Person) -> None:
    account = "/spec/serviceAccountName"
    patch(session, {"op": "remove", "path": account})
    try:
        session.kubectl("wait", *WHICH, "--for=condition=Ready=False", "--timeout=60s")
        (found,) = session.get("kustomization", NAMESPACE)
        ready = next(one for one in found["status"]["conditions"] if one["type"] == "Ready")
        assert f"system:serviceaccount:{NAMESPACE}:default" in ready["message"]
        assert "forbidden" in ready["message"]
    finally:
        patch(session, {"op": "add", "path": account, "value": ACCOUNT})


def patch(person: Person, operation: dict[str, str]) -> None:
    """Change the Kustomization, and have Flux look at it."""
    asked = {"op": "add", "path": "/metadata/annotations/reconcile.fluxcd.io~1requestedAt", "value": "now"}
    person.kubectl("patch", *WHICH, "--type=json", "-p", json.dumps([operation, asked]))
