"""What a kill amid Pulumi's writing leaves in its file backend."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitops_run.adapters.pulumi.state import close_to_others, drop_torn_sidecars

WHOLE = '{"user.content_type": "text/plain"}'


@pytest.fixture
def sidecar(tmp_path: Path) -> Path:
    file = tmp_path / ".pulumi/stacks/gitops-run/web.json.attrs"
    file.parent.mkdir(parents=True)
    return file


@pytest.mark.parametrize("query", ["", "?no_tmp_dir=false"])
@pytest.mark.parametrize("text", ["", '{"user.con'])
def test_a_torn_sidecar_is_removed(tmp_path: Path, sidecar: Path, text: str, query: str) -> None:
    sidecar.write_text(text)
    assert drop_torn_sidecars(tmp_path.as_uri() + query)
    assert not sidecar.exists()


def test_a_whole_sidecar_stays(tmp_path: Path, sidecar: Path) -> None:
    sidecar.write_text(WHOLE)
    assert not drop_torn_sidecars(tmp_path.as_uri())
    assert sidecar.read_text() == WHOLE


def test_files_that_are_no_sidecars_stay(tmp_path: Path, sidecar: Path) -> None:
    state = sidecar.with_suffix("")
    state.write_text("")
    assert not drop_torn_sidecars(tmp_path.as_uri())
    assert state.exists()


def test_a_backend_in_the_home_is_found(
    tmp_path: Path, sidecar: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    sidecar.write_text("")
    assert drop_torn_sidecars("file://~")


def test_a_backend_that_is_not_in_files_has_none() -> None:
    assert not drop_torn_sidecars("s3://bucket")


def test_states_that_others_could_read_are_closed_to_them(tmp_path: Path, sidecar: Path) -> None:
    sidecar.write_text(WHOLE)
    for path in (sidecar, *(folder for folder in sidecar.parents if folder.is_relative_to(tmp_path))):
        path.chmod(path.stat().st_mode | 0o044)
    close_to_others(tmp_path.as_uri())
    kept = [tmp_path / ".pulumi/stacks", *(tmp_path / ".pulumi/stacks").rglob("*")]
    assert {path.stat().st_mode & 0o077 for path in kept} == {0}


def test_what_is_no_state_keeps_its_mode(tmp_path: Path, sidecar: Path) -> None:
    plugin = tmp_path / ".pulumi/plugins/program"
    plugin.parent.mkdir()
    plugin.touch(0o755)
    plugin.chmod(0o755)
    close_to_others(tmp_path.as_uri())
    close_to_others("s3://states")
    assert (plugin.stat().st_mode & 0o777, sidecar.exists()) == (0o755, False)


def test_what_a_link_in_a_backend_leads_to_is_left_alone(tmp_path: Path) -> None:
    stacks, other = tmp_path / ".pulumi" / "stacks", tmp_path / "other"
    stacks.mkdir(parents=True, mode=0o755)
    stacks.chmod(0o755)
    other.touch()
    other.chmod(0o644)
    (stacks / "link").symlink_to(other)
    close_to_others(tmp_path.as_uri())
    assert other.stat().st_mode & 0o777 == 0o644
