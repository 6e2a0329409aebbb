"""Images made from programs that were built, named as upstream names them so that its manifests run.

An image is one layer: a static program, an account or two, and folders to write in. The archive has the form
of `docker save`, which containerd imports. Archives lie in the toolchain's cache, named by what they hold;
the same programs make the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gitops_run.sandbox.build import Progress, cache_folder
from gitops_run.sandbox.node.configuration import PAUSE_IMAGE
from gitops_run.sandbox.programs import module_version

NOBODY = "65534:65534"
_MADE_AT = "1970-01-01T00:00:00Z"
_FORM = "1"
"""Changes with an archive's other content than the program, so that old ones aren't taken for new."""

_FOLDERS = {"etc": 0o755, "tmp": 0o1777}
_FILES = {
    "etc/passwd": b"root:x:0:0:root:/:/sbin/nologin\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n",
    "etc/group": b"root:x:0:\nnobody:x:65534:\n",
    "etc/nsswitch.conf": b"hosts: files dns\n",
}
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """Describe an image of one program.

    names: with tags, as pods name it. path: where the program is in it, which it runs by default.
    """

    program: str
    names: tuple[str, ...]
    path: str
    user: str = NOBODY
    environment: tuple[str, ...] = ()


TRIAL_IMAGES = ("gitops-run.dev/trial:1", "gitops-run.dev/trial:2")
"""Two names of one image, for trials of rollouts."""


def coredns_image() -> str:
    """Name CoreDNS's image as kubeadm does."""
    return f"registry.k8s.io/coredns/coredns:{module_version('coredns', 'github.com/coredns/coredns')}"


def images() -> tuple[Image, ...]:
    """Describe every image that a node has from the start, those that it needs first before the others."""
    return (
        Image(program="pause", names=(PAUSE_IMAGE,), path="/pause", user="65535:65535"),
        Image(program="coredns", names=(coredns_image(),), path="/coredns"),
        Image(program="trial", names=TRIAL_IMAGES, path="/usr/local/bin/trial"),
        *map(_flux, ("source-controller", "kustomize-controller", "helm-controller")),
        Image(program="versitygw", names=(_versitygw(),), path="/usr/local/bin/versitygw"),
    )


def ensure_archives(binaries: Mapping[str, Path], tell: Progress) -> tuple[Path, ...]:
    """Return the archive of every image, writing those that the cache doesn't hold yet."""
    folder = cache_folder() / "images"
    folder.mkdir(parents=True, exist_ok=True)
    archives = []
    for image in images():
        binary = binaries[image.program]
        archive = folder / f"{image.program}-{_digest(image, binary)}.tar"
        if not archive.exists():
            tell(f"making the image {image.names[0]}")
            write_archive(image, binary, archive)
        archives.append(archive)
    return tuple(archives)


def write_archive(image: Image, binary: Path, archive: Path) -> None:
    """Write an image's archive, complete or not at all."""
    with tempfile.TemporaryDirectory(dir=archive.parent, prefix=f".{archive.name}-") as temporary:
        layer, made = Path(temporary, "layer.tar"), Path(temporary, "made.tar")
        _write_layer(image, binary, layer)
        with layer.open("rb") as file:
            layer_digest = hashlib.file_digest(file, "sha256").hexdigest()
        configuration = json.dumps(_configuration(image, layer_digest)).encode()
        configuration_name = f"{hashlib.sha256(configuration).hexdigest()}.json"
        layer_name = f"{layer_digest}/layer.tar"
        manifest = [{"Config": configuration_name, "RepoTags": image.names, "Layers": [layer_name]}]
        with tarfile.open(made, "w") as tar, layer.open("rb") as file:
            _add(tar, configuration_name, configuration)
            tar.addfile(_entry(layer_name, size=layer.stat().st_size), file)
            _add(tar, "manifest.json", json.dumps(manifest).encode())
        made.rename(archive)


def _flux(name: str) -> Image:
    version = module_version(name, f"github.com/fluxcd/{name}")
    return Image(
        program=name,
        names=(f"ghcr.io/fluxcd/{name}:{version}",),
        path=f"/usr/local/bin/{name}",
        environment=("GNUPGHOME=/tmp",) if name == "kustomize-controller" else (),
    )


def _versitygw() -> str:
    return f"ghcr.io/versity/versitygw:{module_version('versitygw', 'github.com/versity/versitygw')}"


def _digest(image: Image, binary: Path) -> str:
    """Compute what an archive depends on; a built program's folder is named by all that it was built from."""
    return hashlib.sha256("\0".join((_FORM, repr(image), str(binary))).encode()).hexdigest()[:16]


def _write_layer(image: Image, binary: Path, layer: Path) -> None:
    program = image.path.lstrip("/")
    parents = [str(parent) for parent in reversed(Path(program).parents) if parent != Path()]
    with tarfile.open(layer, "w") as tar:
        for folder in sorted({*_FOLDERS, *parents}):
            tar.addfile(_entry(folder, mode=_FOLDERS.get(folder, 0o755), type_=tarfile.DIRTYPE))
        for name, content in _FILES.items():
            _add(tar, name, content)
        with binary.open("rb") as file:
            tar.addfile(_entry(program, mode=0o755, size=os.fstat(file.fileno()).st_size), file)


def _configuration(image: Image, layer_digest: str) -> dict[str, object]:
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    machine = platform.machine()
    return {
        "architecture": _ARCHITECTURES.get(machine, machine),
        "os": "linux",
        "created": _MADE_AT,
        "config": {
            "Entrypoint": [image.path],
            "User": image.user,
            "WorkingDir": "/",
            "Env": [path, *image.environment],
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_digest}"]},
        "history": [{"created": _MADE_AT}],
    }


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    tar.addfile(_entry(name, size=len(content)), io.BytesIO(content))


def _entry(name: str, *, mode: int = 0o644, size: int = 0, type_: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.mode, entry.size, entry.type = mode, size, type_
    return entry
