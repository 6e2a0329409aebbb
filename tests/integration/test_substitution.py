"""Variables: what preflight makes of them is what Flux makes of them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import yaml

from gitops_run.model.objects.substitution import Variables, substitute
from tests.integration.conftest import SharedSession

GIVEN = {"name": "web", "empty": ""}
FORMS = (
    "${name}",
    "$${name}",
    "$$ $name $(name)",
    "$$${name}",
    "${none:-default}",
    "${none:=default}",
    "${none=default}",
    "${none:-}x",
    "${empty:-default}",
    "${empty}x",
    "${none:-a-${name}-b}",
    "ends with $",
)


@pytest.fixture
def substituting(session: SharedSession) -> Iterator[SharedSession]:
    """The session, with variables."""
    where = ("patch", "kustomization", session.name, "-n", session.namespace, "--type=merge", "-p")
    session.owner.kubectl(*where, json.dumps({"spec": {"postBuild": {"substitute": GIVEN}}}))
    yield session
    session.owner.kubectl(*where, json.dumps({"spec": {"postBuild": None}}))


def test_each_form_comes_out_as_flux_applies_it(substituting: SharedSession) -> None:
    data = {f"form-{number}": form for number, form in enumerate(FORMS)}
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "forms"}, "data": data}
    (substituting.root / "forms.yaml").write_text(yaml.safe_dump(manifest))
    shown = substituting.in_root().types("diff", substituting.name)
    with substituting.syncing():
        pass
    live = substituting.owner.get("configmaps", substituting.namespace)
    applied = next(item["data"] for item in live if item["metadata"]["name"] == "forms")
    assert applied == {key: substitute(form, Variables(values=GIVEN)) for key, form in data.items()}
    assert shown.code == 1
    assert substituting.in_root().succeeds("diff", substituting.name).out == "no differences\n"


def test_a_variable_that_is_not_set_is_told_with_file_and_line(substituting: SharedSession) -> None:
    settings = substituting.root / "settings.yaml"
    settings.write_text(settings.read_text().replace("30s", "${intervall}"))
    finished = substituting.in_root().types("diff", substituting.name)
    assert finished.code == 4
    assert "settings.yaml:6: ConfigMap" in finished.out
    assert "variable intervall is not set" in finished.out
