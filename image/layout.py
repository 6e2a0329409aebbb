"""An OCI layout as files: blobs by their digests, and layers, the same bytes for the same files.

Source: OCI image specification 1.1, image-layout.md, manifest.md, config.md, layer.md.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

INDEX: Final = "application/vnd.oci.image.index.v1+json"
MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
CONFIG: Final = "application/vnd.oci.image.config.v1+json"
LAYER: Final = "application/vnd.oci.image.layer.v1.tar+gzip"
MADE_AT: Final = "1970-01-01T00:00:00Z"
Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """Hold an image that lies in a layout: its configuration, and the descriptors of its layers."""

    config: Mapping[str, Any]
    layers: Sequence[Mapping[str, Any]]


def blob(layout: Path, content: bytes, media_type: str) -> Json:
    """Write a blob, and return its descriptor."""
    digest = hashlib.sha256(content).hexdigest()
    path = layout / "blobs" / "sha256" / digest
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}


def read(layout: Path, descriptor: Mapping[str, Any]) -> bytes:
    """Read a blob. Raises ValueError where it isn't what its descriptor says."""
    content = (layout / "blobs" / str(descriptor["digest"]).replace(":", "/")).read_bytes()
    if f"sha256:{hashlib.sha256(content).hexdigest()}" != descriptor["digest"]:
        raise ValueError(f"{descriptor['digest']} in {layout} holds something else")
    return content


def read_image(layout: Path, architecture: str) -> Image:
    """Read a layout's image for Linux. Raises ValueError where there is none."""
    descriptors = json.loads((layout / "index.json").read_bytes())["manifests"]
    while descriptors:
        found = descriptors.pop(0)
        document = json.loads(read(layout, found))
        if "manifests" in document:
            descriptors += document["manifests"]
            continue
        config = json.loads(read(layout, document["config"]))
        if (config.get("os"), config.get("architecture")) == ("linux", architecture):
            return Image(config=config, layers=document["layers"])
    raise ValueError(f"{layout} holds no image for linux/{architecture}")


def add_layer(layout: Path, image: Image, folder: Path) -> Image:
    """Add a folder's content as the last layer; everything in it belongs to root."""
    plain = layout / "layer.tar"
    with tarfile.open(plain, "w") as tar:
        for path in sorted(folder.rglob("*")):
            entry = tar.gettarinfo(path, str(path.relative_to(folder)))
            entry.uid = entry.gid = entry.mtime = 0
            entry.uname = entry.gname = ""
            if entry.isreg():
                with path.open("rb") as file:
                    tar.addfile(entry, file)
            else:
                tar.addfile(entry)
    content = plain.read_bytes()
    plain.unlink()
    descriptor = blob(layout, gzip.compress(content, compresslevel=6, mtime=0), LAYER)
    known = image.config.get("rootfs", {}).get("diff_ids", [])
    diff_ids = [*known, f"sha256:{hashlib.sha256(content).hexdigest()}"]
    history = [*image.config.get("history", []), {"created": MADE_AT}]
    config = {**image.config, "rootfs": {"type": "layers", "diff_ids": diff_ids}, "history": history}
    return Image(config=config, layers=[*image.layers, descriptor])


def write_image(layout: Path, image: Image, name: str) -> None:
    """Write what makes the blobs an image. name: with its tag, as a registry would have it."""
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": blob(layout, json.dumps(image.config).encode(), CONFIG),
        "layers": list(image.layers),
    }
    named = {
        **blob(layout, json.dumps(document).encode(), MANIFEST),
        "annotations": {"org.opencontainers.image.ref.name": name},
        "platform": {"os": "linux", "architecture": image.config["architecture"]},
    }
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [named]}
    (layout / "index.json").write_text(json.dumps(index), encoding="utf-8")
    (layout / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}', encoding="utf-8")
