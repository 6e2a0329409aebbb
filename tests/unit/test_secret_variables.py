"""Variables that are secret come from a file, become a Secret, and stand nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitops_run.adapters.machine.user_files import read_variables
from gitops_run.errors import UsageError
from gitops_run.model.manifests import session as manifests
from gitops_run.model.names import SessionName
from gitops_run.model.objects.identity import ObjectRef
from gitops_run.model.objects.ownership import SessionPlace
from gitops_run.model.session.key import SessionKey
from gitops_run.model.session.request import SessionRequest
from gitops_run.model.session.settings import Origin, Source, resolve, to_stack_config
from gitops_run.model.session.spec import (
    ClusterPin,
    InClusterStore,
    KustomizeApplier,
    SessionSpec,
    with_secret_variables,
)

SPEC = SessionSpec(
    name=SessionName.parse("web"),
    namespace="run-web",
    owner="alice",
    target=".",
    root="web",
    created="2026-01-01T00:00:00Z",
    cluster=ClusterPin(kubeconfig="/k", context="c", uid="u"),
    store=InClusterStore(namespace="run-web", region="r", image="i"),
    applier=KustomizeApplier(substitute=("A=1",), substitute_from=("ConfigMap/more",)),
)


def written(tmp_path: Path, text: str, mode: int = 0o600) -> str:
    file = tmp_path / "variables"
    file.write_text(text)
    file.chmod(mode)
    return str(file)


def test_each_line_is_a_variable_and_all_after_the_first_equals_sign_its_value(tmp_path: Path) -> None:
    file = written(tmp_path, "# mine\n\nURL=x://a?b=c\nPIN= 7 \nEMPTY=\n")
    assert read_variables(file) == {"URL": "x://a?b=c", "PIN": " 7 ", "EMPTY": ""}


@pytest.mark.parametrize("text", ["c4nary", "1c4nary=x", "A=1\nA=c4nary", "c4nary =1", "", "# c4nary\n"])
def test_a_file_that_is_wrong_is_refused_without_showing_it(text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        read_variables(written(tmp_path, text))
    assert "substituteFile" in refused.value.message
    assert "c4nary" not in refused.value.message + refused.value.hint


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="others may read it"):
        read_variables(written(tmp_path, "A=1", 0o640))


def test_without_the_setting_nothing_is_read() -> None:
    assert read_variables(None) == {}
    assert with_secret_variables(SPEC, {}) is SPEC


def test_the_variables_stand_in_a_secret_and_the_kustomization_names_it_last() -> None:
    spec = with_secret_variables(SPEC, {"PIN": "c4nary"})
    assert manifests.variables_secret(spec)["stringData"] == {"PIN": "c4nary"}
    build = manifests.applier(spec)["spec"]["postBuild"]
    assert [source["name"] for source in build["substituteFrom"]] == ["more", "gitops-run-variables"]
    assert "c4nary" not in repr(manifests.applier(spec)) + repr(spec)


def test_a_session_without_such_a_file_has_the_manifest_that_it_had() -> None:
    build = manifests.applier(SPEC)["spec"]["postBuild"]
    assert build == {"substitute": {"A": "1"}, "substituteFrom": [{"kind": "ConfigMap", "name": "more"}]}


def test_nothing_may_apply_over_the_secret() -> None:
    ref = ObjectRef(group="", kind="Secret", namespace="run-web", name="gitops-run-variables")
    assert SessionPlace(name="web", namespace="run-web").is_own_part(ref)


def test_the_stack_keeps_the_file_s_path_alone() -> None:
    settings = resolve([Source(origin=Origin.FLAG, values={"substituteFile": "/home/me/variables"})])
    assert to_stack_config(settings)["substituteFile"] == "/home/me/variables"


def test_no_representation_shows_a_secret() -> None:
    values = {
        "secretKey": "c4nary-1",
        "readerSecretKey": "c4nary-2",
        "writerSecretKey": "c4nary-3",
        "substitute": ["A=c4nary-4"],
    }
    source = Source(origin=Origin.FILE, values=values)
    settings = resolve([source])
    request = SessionRequest(
        key=SessionKey(kubeconfig="", context="kind-dev", namespace="run-web", name=SessionName.parse("web")),
        settings=settings,
        ca="",
        now="",
        decryption_key="c4nary-5",
        variables={"A": "c4nary-6"},
    )
    assert "c4nary" not in repr((source, settings, request))
    assert sorted(request.secrets()) == ["c4nary-1", "c4nary-2", "c4nary-3", "c4nary-5", "c4nary-6"]


@pytest.mark.parametrize(
    "contents", ["apiVersion: v1\nkind: Config\nusers: [c4nary]", '/x/{"apiVersion":"v1","c4nary":1}']
)
def test_a_kubeconfig_s_contents_are_no_path_and_are_not_shown(contents: str) -> None:
    with pytest.raises(UsageError, match="can't be that value: allowed is a file's path") as refused:
        resolve([Source(origin=Origin.ENVIRONMENT, values={"kubeconfig": contents})])
    assert "c4nary" not in refused.value.message + refused.value.hint


def test_a_bad_substitution_is_refused_without_its_value() -> None:
    with pytest.raises(UsageError, match="can't be that value") as refused:
        resolve([Source(origin=Origin.FLAG, values={"substitute": ["PIN c4nary"]})])
    assert "c4nary" not in refused.value.message
