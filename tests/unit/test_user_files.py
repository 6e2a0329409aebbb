"""What the user's files say, and what may not stand in them."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from gitops_run.adapters.machine.user_files import read_stack_file, settings_sources
from gitops_run.errors import UsageError


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_secret_in_the_clear_in_a_stack_s_file_is_refused_unshown(tmp_path: Path) -> None:
    file = write(tmp_path / "stacks/Pulumi.web.yaml", "config: {'gitops-run:secretKey': hunter2}")
    with pytest.raises(UsageError, match="secretKey in plain text") as refused:
        read_stack_file(file)
    assert "hunter2" not in refused.value.message + refused.value.hint


def test_an_encrypted_secret_in_a_stack_s_file_is_left_to_pulumi(tmp_path: Path) -> None:
    text = "config: {'gitops-run:secretKey': {secure: v1:abc}, 'gitops-run:target': deploy}"
    assert read_stack_file(write(tmp_path / "stacks/Pulumi.web.yaml", text)).values == {"target": "deploy"}


def test_a_path_in_a_stack_s_file_is_relative_to_the_project(tmp_path: Path) -> None:
    file = write(tmp_path / "stacks/Pulumi.web.yaml", "config: {'gitops-run:root': ../shop}")
    assert read_stack_file(file).values == {"root": str(tmp_path.parent / "shop")}


def test_a_settings_file_with_secrets_that_others_may_read_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "settings.yaml", "secretKey: hunter2", 0o644)
    with pytest.raises(UsageError) as refused:
        settings_sources({"GITOPS_RUN_SETTINGS": str(file)})
    assert refused.value.hint == f"restrict it: chmod 600 {file}"


def test_a_settings_file_without_secrets_may_be_open(tmp_path: Path) -> None:
    file = write(tmp_path / "settings.yaml", "region: eu-west-1", 0o644)
    (source,) = settings_sources({"GITOPS_RUN_SETTINGS": str(file)})
    assert source.values == {"region": "eu-west-1"}


def test_a_broken_settings_file_is_told_by_its_line_without_what_stands_there(tmp_path: Path) -> None:
    file = write(tmp_path / "settings.yaml", "region: a\nsecretKey: 'hunter2\n")
    with pytest.raises(UsageError, match="line 3") as refused:
        settings_sources({"GITOPS_RUN_SETTINGS": str(file)})
    assert "hunter2" not in refused.value.message


def test_a_settings_file_that_is_named_has_to_exist(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can't be read"):
        settings_sources({"GITOPS_RUN_SETTINGS": str(tmp_path / "none.yaml")})


@pytest.mark.parametrize("value", ["*c4nary", "!c4nary", "&c4nary x", "c4nary: c4nary", "'c4nary", "[c4nary"])
def test_settings_that_are_no_yaml_are_refused_without_a_word_of_them(value: str, tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(f"accessKey: a\nsecretKey: {value}\nx: [")
    with pytest.raises(UsageError, match="is not YAML") as refused:
        settings_sources({"GITOPS_RUN_SETTINGS": str(file)})
    assert "c4nary" not in "".join(traceback.format_exception(refused.value)).replace("match", "")
