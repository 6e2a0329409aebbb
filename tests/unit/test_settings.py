"""The law of the settings: order, types, pins, and what an error says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gitops_run.errors import GuardError, UsageError
from gitops_run.model.session.settings import SETTINGS, Origin, Settings, Source, resolve, to_stack_config
from gitops_run.model.stack.project import project
from gitops_run.sandbox.programs import module_version

REPOSITORY = Path(__file__).parents[2]
ORIGINS = (Origin.FLAG, Origin.ENVIRONMENT, Origin.FILE, Origin.STACK)


def source(origin: Origin, **values: object) -> Source:
    return Source(origin=origin, values=values, place="here.yaml")


@given(said=st.lists(st.sampled_from(ORIGINS), unique=True, min_size=1))
def test_the_first_source_that_says_something_wins(said: list[Origin]) -> None:
    ordered = [origin for origin in ORIGINS if origin in said]
    sources = [source(origin, settleMs=index) for index, origin in enumerate(ordered)]
    assert resolve(sources).settle_ms == 0


def test_the_default_holds_where_nobody_says_anything() -> None:
    assert resolve(()).region == "us-east-1"
    assert resolve(()).endpoint is None


def test_the_bucket_is_in_the_cluster_where_no_endpoint_is_given() -> None:
    assert resolve(()).store == "in-cluster"
    assert resolve([source(Origin.FILE, endpoint="https://s3:9000")]).store == "s3"


def test_a_session_in_the_cluster_stays_there_when_an_endpoint_is_set_later() -> None:
    kept = source(Origin.STACK, **to_stack_config(resolve(())))
    assert resolve([source(Origin.ENVIRONMENT, endpoint="https://s3:9000"), kept]).store == "in-cluster"


def test_the_server_s_image_has_the_version_that_is_built_and_tested_here() -> None:
    built = module_version("versitygw", "github.com/versity/versitygw")
    assert resolve(()).store_image == f"ghcr.io/versity/versitygw:{built}"


@pytest.mark.parametrize("image", ["versitygw", "ghcr.io/versity/versitygw", "a b:v1"])
def test_an_image_without_a_version_is_refused(image: str) -> None:
    with pytest.raises(UsageError, match="storeImage"):
        resolve([source(Origin.FILE, storeImage=image)])


def test_an_empty_text_says_nothing() -> None:
    settings = resolve([source(Origin.ENVIRONMENT, region=""), source(Origin.STACK, region="eu-west-1")])
    assert settings.region == "eu-west-1"


@given(value=st.integers(0, 100))
def test_a_number_means_the_same_as_a_number_and_as_text(value: int) -> None:
    as_number = resolve([source(Origin.FILE, pruneLimitPercent=value)])
    as_text = resolve([source(Origin.ENVIRONMENT, pruneLimitPercent=str(value))])
    assert as_number == as_text


@given(names=st.lists(st.from_regex(r"[a-z][a-z0-9-]{0,9}", fullmatch=True), min_size=1))
def test_a_list_means_the_same_in_yaml_in_json_and_between_commas(names: list[str]) -> None:
    forms: tuple[object, ...] = (names, json.dumps(names), ",".join(names))
    assert {resolve([source(Origin.FILE, allowContexts=form)]).allow_contexts for form in forms} == {
        tuple(names)
    }


@given(value=st.one_of(st.integers(max_value=-1), st.integers(min_value=101), st.text(), st.booleans()))
def test_a_number_out_of_range_is_refused_with_key_value_origin_and_range(value: object) -> None:
    if value == "" or (
        isinstance(value, str) and value.isascii() and value.isdecimal() and int(value) <= 100
    ):
        return
    with pytest.raises(UsageError) as refused:
        resolve([source(Origin.FILE, pruneLimitPercent=value)])
    assert "pruneLimitPercent in here.yaml" in refused.value.message
    assert repr(value) in refused.value.message
    assert "allowed is" in refused.value.message


def test_an_environment_variable_is_named_as_a_person_sets_it() -> None:
    with pytest.raises(
        UsageError, match="GITOPS_RUN_STORE can't be 'minio': allowed is in-cluster or s3 or aws"
    ):
        resolve([source(Origin.ENVIRONMENT, store="minio")])


def test_a_secret_of_the_wrong_kind_is_refused_without_being_shown() -> None:
    with pytest.raises(UsageError) as refused:
        resolve([source(Origin.FILE, secretKey=["hunter2"])])
    assert "hunter2" not in refused.value.message + refused.value.hint


def test_settings_show_no_key() -> None:
    assert "hunter2" not in repr(resolve([source(Origin.FILE, secretKey="hunter2")]))


def test_an_unknown_key_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(UsageError) as refused:
        resolve([source(Origin.FILE, endpont="https://s3:9000")])
    assert refused.value.hint == "did you mean endpoint?"


@pytest.mark.parametrize("endpoint", ["http://s3:9000", "s3:9000", "https://s3/bucket", "https://"])
def test_an_endpoint_is_https_and_has_no_path(endpoint: str) -> None:
    with pytest.raises(UsageError, match="allowed is a value like https://"):
        resolve([source(Origin.FILE, endpoint=endpoint)])


@pytest.mark.parametrize("target", ["/etc", "../other", "a/../../b"])
def test_a_target_lies_within_its_root(target: str) -> None:
    with pytest.raises(UsageError, match="a path within root"):
        resolve([source(Origin.FLAG, target=target)])


@pytest.mark.parametrize("key", [setting.key for setting in SETTINGS if setting.is_pinned])
def test_what_is_pinned_can_not_be_said_otherwise(key: str) -> None:
    values = {
        "store": ("s3", "aws"),
        "endpoint": ("https://a:1", "https://b:1"),
        "applier": ("kustomize", "helm"),
        "isolation": ("namespace", "cluster"),
    }
    pinned, other = values.get(key, ("one", "two"))
    with pytest.raises(GuardError, match="fixed when a session is created"):
        resolve([source(Origin.ENVIRONMENT, **{key: other}), source(Origin.STACK, **{key: pinned})])


def test_what_is_pinned_may_be_said_again() -> None:
    settings = resolve([source(Origin.FLAG, target="./deploy/"), source(Origin.STACK, target="deploy")])
    assert settings.target == "deploy"


def test_what_is_missing_says_where_it_can_be_set() -> None:
    with pytest.raises(UsageError) as refused:
        resolve(()).require("endpoint")
    assert "GITOPS_RUN_ENDPOINT" in refused.value.hint


def test_no_key_of_the_store_is_kept_in_the_stack() -> None:
    keys = {setting.key: "x" for setting in SETTINGS if setting.key.endswith("Key")}
    assert not set(to_stack_config(resolve([source(Origin.FLAG, **keys)]))) & set(keys)


def test_what_the_stack_says_of_the_session_s_keys_wins_over_what_serves_all_sessions() -> None:
    shared = source(Origin.FILE, readerAccessKey="shared", readerSecretKey="s1")
    own = source(Origin.STACK, readerAccessKey="own", readerSecretKey="s2")
    settings = resolve([source(Origin.ENVIRONMENT, readerAccessKey="env"), shared, own])
    assert (settings.reader_access_key, settings.reader_secret_key) == ("own", "s2")


@pytest.mark.parametrize("value", [True, "true"])
def test_a_choice_means_the_same_in_yaml_and_as_text(value: object) -> None:
    assert resolve([source(Origin.ENVIRONMENT, sharedKeys=value)]).shared_keys is True


@pytest.mark.parametrize("value", ["yes", "1", 1, "True"])
def test_a_choice_is_true_or_false_and_nothing_like_it(value: object) -> None:
    with pytest.raises(UsageError, match="allowed is true or false"):
        resolve([source(Origin.FILE, sharedKeys=value)])


def test_what_the_stack_keeps_resolves_to_the_same_settings() -> None:
    values: dict[str, object] = {
        "target": "deploy",
        "context": "kind-a",
        "allowContexts": ["a", "b"],
        "store": "s3",
    }
    values |= {"store": "s3", "sharedKeys": True, "keysFile": "/keys.yaml"}
    settings = resolve([source(Origin.FLAG, **values)])
    assert resolve([source(Origin.STACK, **to_stack_config(settings))]) == settings


@pytest.mark.parametrize("said", [True, "true"])
def test_a_switch_is_on_by_its_word_alone(said: object) -> None:
    assert resolve([source(Origin.ENVIRONMENT, allowUnlockedFlux=said)]).allow_unlocked_flux
    assert not resolve(()).allow_unlocked_flux


@pytest.mark.parametrize("said", ["yes", "1", 1, "True", ["true"]])
def test_a_switch_takes_nothing_but_true_and_false(said: object) -> None:
    with pytest.raises(UsageError, match="allowed is true or false"):
        resolve([source(Origin.ENVIRONMENT, allowUnlockedFlux=said)])


def test_a_switch_is_kept_in_the_stack_where_it_is_on() -> None:
    settings = resolve([source(Origin.FLAG, allowUnlockedFlux=True, context="kind-a")])
    assert to_stack_config(settings)["allowUnlockedFlux"] == "true"
    assert resolve([source(Origin.STACK, **to_stack_config(settings))]) == settings
    assert "allowUnlockedFlux" not in to_stack_config(resolve(()))


def test_each_setting_is_a_field() -> None:
    assert tuple(setting.attribute for setting in SETTINGS) == Settings.__slots__


def test_the_project_file_has_the_schema_of_the_settings() -> None:
    written = yaml.safe_load((REPOSITORY / "Pulumi.yaml").read_text(encoding="utf-8"))
    assert written == project(plugin="gitops_run/plugins/gitops_run/bin", virtualenv=".venv")


@pytest.mark.parametrize("example", sorted((REPOSITORY / "stacks").glob("Pulumi.example-*.yaml")), ids=str)
def test_an_example_of_a_stack_is_valid(example: Path) -> None:
    config = yaml.safe_load(example.read_text(encoding="utf-8"))["config"]
    values = {key.removeprefix("gitops-run:"): value for key, value in config.items()}
    assert resolve([source(Origin.STACK, **values)]).require("context")
