"""The image: its layout is whole, its base stays below, and its command runs from the unpacked layers.

GITOPS_RUN_TEST_IMAGE=debian builds it over Debian's packages and runs it with nothing else in sight, which
takes minutes and apt-get; otherwise the base holds a file, and this machine's Python runs the command.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from gitops_run.version import VERSION
from image.__main__ import ARCHITECTURES, SITE
from image.layout import Image, add_layer, read, read_image, write_image

ARCHITECTURE = ARCHITECTURES.get(platform.machine(), platform.machine())
IS_DEBIAN = os.environ.get("GITOPS_RUN_TEST_IMAGE") == "debian"
BUILD_S = 600


@dataclass(frozen=True)
class Built:
    """The image that `make image` writes, and its layers one over the other."""

    layout: Path
    image: Image
    root: Path

    def runs(self, *arguments: str) -> str:
        """Run the image's command, without anything of this environment's."""
        entry = self.image.config["config"]["Entrypoint"]
        env = dict(line.split("=", 1) for line in self.image.config["config"]["Env"])
        inside = ["unshare", "--user", "--map-root-user", f"--root={self.root}", f"/usr/bin/{entry[0]}"]
        here = [getattr(sys, "_base_executable", sys.executable), "-S"]
        outside = {**env, "PYTHONPATH": str(self.root / SITE)}
        done = subprocess.run(
            [*(inside if IS_DEBIAN else here), *entry[1:], *arguments],
            env={**(env if IS_DEBIAN else outside), "HOME": "/tmp"},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def base_in(folder: Path) -> Path:
    """Write a base of one file."""
    layout, content = folder / "base", folder / "content"
    (content / "etc").mkdir(parents=True)
    (content / "etc" / "base").write_text("of the base")
    layout.mkdir()
    plain = Image(config={"os": "linux", "architecture": ARCHITECTURE}, layers=())
    write_image(layout, add_layer(layout, plain, content), "base:1")
    return layout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("image")
    base = () if IS_DEBIAN else ("--base", str(base_in(folder)))
    command = [sys.executable, "-m", "image", "--out", str(folder / "layout"), *base]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=BUILD_S)
    assert done.returncode == 0, done.stderr
    image, root = read_image(folder / "layout", ARCHITECTURE), folder / "root"
    for descriptor in image.layers:
        with tarfile.open(folder / "layout" / "blobs" / descriptor["digest"].replace(":", "/")) as tar:
            tar.extractall(root, filter="tar")
    (root / "dev").mkdir(exist_ok=True)
    (root / "dev" / "null").touch()  # a container's runtime makes it
    return Built(folder / "layout", image, root)


@pytest.mark.timeout(BUILD_S)
def test_every_descriptor_names_the_digest_and_the_size_of_its_blob(built: Built) -> None:
    assert json.loads((built.layout / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    (named,) = json.loads((built.layout / "index.json").read_text())["manifests"]
    manifest = json.loads(read(built.layout, named))
    descriptors = [named, manifest["config"], *manifest["layers"]]
    blobs = {path.name: path for path in (built.layout / "blobs" / "sha256").iterdir()}
    assert named["annotations"]["org.opencontainers.image.ref.name"] == f"gitops-run:{VERSION}"
    assert {one["digest"].partition(":")[2] for one in descriptors} <= blobs.keys()
    for one in descriptors:
        content = read(built.layout, one)
        assert (len(content), hashlib.sha256(content).hexdigest()) == (
            one["size"],
            one["digest"].partition(":")[2],
        )


@pytest.mark.timeout(BUILD_S)
def test_the_configuration_names_each_layer_as_it_is_unpacked_the_base_first(built: Built) -> None:
    config = built.image.config
    assert len(config["rootfs"]["diff_ids"]) == len(built.image.layers) == 2
    assert config["config"]["User"] == "65534:65534"
    assert (built.root / "etc" / ("passwd" if IS_DEBIAN else "base")).is_file()


@pytest.mark.timeout(BUILD_S)
def test_its_command_runs_from_the_unpacked_layers(built: Built) -> None:
    assert VERSION in built.runs("version")
    assert "--apply" in built.runs("gc", "--help")


def test_a_blob_that_is_not_what_its_descriptor_says_is_refused(tmp_path: Path) -> None:
    layout = base_in(tmp_path)
    (named,) = json.loads((layout / "index.json").read_text())["manifests"]
    (layout / "blobs" / named["digest"].replace(":", "/")).write_text("{}")
    with pytest.raises(ValueError, match="holds something else"):
        read_image(layout, ARCHITECTURE)


def test_a_base_for_another_machine_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no image for linux/s390x"):
        read_image(base_in(tmp_path), "s390x")


def test_the_same_files_make_the_same_layer(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = (
        read_image(base_in(tmp_path / "a"), ARCHITECTURE),
        read_image(base_in(tmp_path / "b"), ARCHITECTURE),
    )
    assert first == second
