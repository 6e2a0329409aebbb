"""Which keys open one session's bucket alone, which are refused, and where they may stand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from gitops_run.adapters.machine.session_keys import keys_elsewhere, with_keys_file
from gitops_run.errors import GuardError, UsageError
from gitops_run.model.names import SessionName
from gitops_run.model.session.key import SessionKey
from gitops_run.model.session.settings import Origin, Settings, Source, resolve
from gitops_run.model.session.spec import ClusterFacts, S3Store, SessionSpec, parse_spec, with_given_keys
from gitops_run.model.store.keys import GivenKeys, KeyPair, MadeKeys

NAME = SessionName.parse("web")
BASE: dict[str, object] = {
    "target": "deploy",
    "context": "kind-a",
    "kubeconfig": "/k",
    "endpoint": "https://s3:9000",
    "accessKey": "ADMIN",
    "secretKey": "hunter1",
}
PAIRS: dict[str, object] = {
    "readerAccessKey": "R",
    "readerSecretKey": "hunter2",
    "writerAccessKey": "W",
    "writerSecretKey": "hunter3",
}
GIVEN = GivenKeys(
    reader=KeyPair(access_key="R", secret_key="hunter2"), writer=KeyPair(access_key="W", secret_key="hunter3")
)


def settings_of(**stack: object) -> Settings:
    return resolve([Source(origin=Origin.STACK, values={**BASE, **stack})])


def spec_of(settings: Settings) -> SessionSpec:
    return parse_spec(
        SessionKey.of(NAME, settings), settings, ClusterFacts(uid="uid", user="jane"), ca="", created="now"
    )


def keys_of(settings: Settings, elsewhere: dict[str, str]) -> GivenKeys | None:
    store = with_given_keys(spec_of(settings), settings, elsewhere).store
    assert isinstance(store, S3Store)
    return store.keys


def write(path: Path, document: object, mode: int = 0o600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(document))
    path.chmod(mode)
    return path


def stack_file(folder: Path, name: str, **values: object) -> Path:
    config = {f"gitops-run:{key}": value for key, value in values.items()}
    return write(folder / "stacks" / f"Pulumi.{name}.yaml", {"config": config})


def test_without_given_keys_the_store_makes_them() -> None:
    assert keys_of(settings_of(), {}) is None


def test_keys_that_only_this_session_s_stack_names_are_its_own() -> None:
    assert keys_of(settings_of(**PAIRS), {"other": "the settings file"}) == GIVEN


@pytest.mark.parametrize("missing", sorted(PAIRS))
def test_a_part_of_the_keys_is_not_enough(missing: str) -> None:
    settings = settings_of(**{key: value for key, value in PAIRS.items() if key != missing})
    with pytest.raises(UsageError, match=f"{missing} is not set"):
        keys_of(settings, {})


@pytest.mark.parametrize("shared", ["R", "W"])
def test_one_shared_key_is_enough_for_a_refusal_that_names_the_risk_and_the_ways_out(shared: str) -> None:
    with pytest.raises(GuardError) as refused:
        keys_of(settings_of(**PAIRS), {shared: "readerAccessKey in settings.yaml"})
    assert f"the key {shared} (readerAccessKey in settings.yaml)" in refused.value.message
    assert "can write every other session's bucket" in refused.value.message
    assert "--keys-file" in refused.value.hint
    assert "--shared-keys" in refused.value.hint


def test_shared_keys_are_taken_where_somebody_accepts_the_risk() -> None:
    assert keys_of(settings_of(**PAIRS, sharedKeys=True), {"R": "x", "W": "x"}) == GIVEN


def test_a_refusal_shows_no_secret() -> None:
    with pytest.raises(GuardError) as refused:
        keys_of(settings_of(**PAIRS), {"R": "x", "W": "x"})
    assert "hunter" not in refused.value.message + refused.value.hint + repr(GIVEN)


def test_keys_of_another_kind_of_store_are_ignored() -> None:
    settings = replace(settings_of(**PAIRS), store="in-cluster")
    spec = spec_of(settings)
    assert with_given_keys(spec, settings, {"R": "x"}) == spec


def test_the_names_of_made_keys_follow_from_the_bucket_and_from_nothing_else() -> None:
    assert MadeKeys.of("b-1") == MadeKeys.of("b-1")
    assert not set(MadeKeys.of("b-1").both) & set(MadeKeys.of("b-2").both)


def test_what_the_settings_file_and_the_environment_name_serves_all_sessions(tmp_path: Path) -> None:
    file = write(tmp_path / "settings.yaml", PAIRS)
    environment = {"GITOPS_RUN_SETTINGS": str(file), "GITOPS_RUN_WRITER_ACCESS_KEY": "W2"}
    found = keys_elsewhere(environment, tmp_path / "stacks/Pulumi.web.yaml", settings_of())
    assert found.keys() == {"ADMIN", "R", "W", "W2"}
    assert str(file) in found["R"]
    assert "environment" in found["W2"]


def test_the_administering_key_is_nobody_s_own(tmp_path: Path) -> None:
    settings = settings_of(**{**PAIRS, "writerAccessKey": "ADMIN"})
    elsewhere = keys_elsewhere({"HOME": str(tmp_path)}, tmp_path / "stacks/Pulumi.web.yaml", settings)
    with pytest.raises(GuardError, match="opens every bucket"):
        keys_of(settings, elsewhere)


def test_keys_that_two_stack_files_name_are_shared(tmp_path: Path) -> None:
    stack_file(tmp_path, "other", readerAccessKey="R", writerAccessKey={"secure": "v1:abc"})
    own = stack_file(tmp_path, "web", readerAccessKey="R", writerAccessKey="W")
    found = keys_elsewhere({"HOME": str(tmp_path)}, own, settings_of(**PAIRS))
    assert found["R"].endswith("Pulumi.other.yaml")
    assert "W" not in found


def test_a_keys_file_that_two_stack_files_name_is_shared(tmp_path: Path) -> None:
    keys = write(tmp_path / "keys.yaml", PAIRS)
    stack_file(tmp_path, "other", keysFile=str(keys))
    own = stack_file(tmp_path, "web", keysFile=str(keys))
    assert {"R", "W"} <= keys_elsewhere({"HOME": str(tmp_path)}, own, settings_of()).keys()


def test_a_broken_stack_file_of_another_session_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "stacks").mkdir()
    (tmp_path / "stacks/Pulumi.broken.yaml").write_text("{")
    stack_file(tmp_path, "gone", keysFile="/nowhere/keys.yaml")
    own = stack_file(tmp_path, "web")
    assert keys_elsewhere({"HOME": str(tmp_path)}, own, settings_of()).keys() == {"ADMIN"}


def test_a_keys_file_wins_over_what_serves_all_sessions(tmp_path: Path) -> None:
    file = write(tmp_path / "keys.yaml", PAIRS)
    sources = (
        Source(origin=Origin.FLAG, values={"keysFile": str(file)}),
        Source(origin=Origin.FILE, values={**BASE, "readerAccessKey": "shared", "readerSecretKey": "x"}),
    )
    assert keys_of(with_keys_file(resolve(sources), sources), {"shared": "x"}) == GIVEN


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({key: value for key, value in PAIRS.items() if key != "writerSecretKey"}, "lacks writerSecretKey"),
        ({**PAIRS, "secretKey": "hunter4"}, "has secretKey"),
    ],
)
def test_a_keys_file_holds_the_four_keys_and_nothing_else(
    tmp_path: Path, document: dict[str, object], problem: str
) -> None:
    file = write(tmp_path / "keys.yaml", document)
    with pytest.raises(UsageError, match=problem) as refused:
        with_keys_file(settings_of(keysFile=str(file)), ())
    assert "hunter" not in refused.value.message + refused.value.hint


def test_a_keys_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "keys.yaml", PAIRS, 0o644)
    with pytest.raises(UsageError, match="others may read it"):
        with_keys_file(settings_of(keysFile=str(file)), ())
