"""Which documents are encrypted, and which files hold a key."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitops_run.adapters.machine.user_files import read_decryption_key
from gitops_run.errors import UsageError
from gitops_run.model.flux.conditions import ApplierStatus, applier_verdict
from gitops_run.model.objects.sops import encrypted_without_key, is_encrypted
from gitops_run.model.session.settings import Origin, Source, resolve

ENCRYPTED = {"kind": "Secret", "sops": {"mac": "ENC[…]", "version": "3.13.3"}}


def test_a_document_is_encrypted_where_sops_says_so() -> None:
    assert is_encrypted(ENCRYPTED)
    assert not is_encrypted({"kind": "Secret", "sops": "a field of one's own"})


def test_an_encrypted_document_without_a_key_says_how_to_give_one() -> None:
    problem = encrypted_without_key("secret.yaml", 1)
    assert problem.place == "secret.yaml:1"
    assert "--decryption-key-file" in problem.hint


def test_a_file_without_a_key_is_refused_by_name_and_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "key.txt"
    file.write_text("hunter2")
    with pytest.raises(UsageError) as refused:
        read_decryption_key(str(file))
    assert str(file) in refused.value.message
    assert "hunter2" not in refused.value.message + refused.value.hint


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "key.txt"
    file.write_text("AGE-SECRET-KEY-1\n")
    file.chmod(0o644)
    with pytest.raises(UsageError, match="others may read it") as refused:
        read_decryption_key(str(file))
    assert "AGE-SECRET-KEY" not in refused.value.message + refused.value.hint
    file.chmod(0o600)
    assert read_decryption_key(str(file)) == "AGE-SECRET-KEY-1\n"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("substitute", "no equals sign"),
        ("substitute", "1A=x"),
        ("substituteFrom", "Deployment/web"),
        ("valuesFiles", "../outside.yaml"),
        ("releaseName", "Not_Legal"),
    ],
)
def test_a_bad_value_is_refused_with_the_flag_that_said_it(key: str, value: str) -> None:
    said = Source(origin=Origin.FLAG, values={key: value if key == "releaseName" else [value]})
    with pytest.raises(UsageError, match=r"--[a-z-]+ can't be"):
        resolve([said])


def test_a_key_that_does_not_fit_is_told_with_the_way_to_another() -> None:
    message = "decryption failed for 'Secret/token': cannot get sops data key: no identity matched"
    status = ApplierStatus(attempted="r", ready="False", reason="BuildFailed", message=message)
    assert "--decryption-key-file" in applier_verdict(status, revision="r").hint
