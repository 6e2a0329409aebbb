"""`python -m image`: write the image of gitops-run as an OCI layout, without a daemon.

The base is an OCI layout with Python, by `--base`, or this Debian's own python3 with what it needs, which
apt-get downloads. Over it lies one layer: the wheel and the dependencies that uv.lock names.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from gitops_run.version import VERSION
from image.layout import Image, add_layer, read_image, write_image

PROJECT: Final = Path(__file__).parents[1]
SITE: Final = "opt/gitops-run"
PYTHON: Final = "3.11"
PACKAGES: Final = ("python3", "libstdc++6")
LEFT_OUT: Final = ("perl", "libperl", "dpkg", "tar", "install-info", "mailcap", "mime-support")
"""What Debian's packages need to be installed, or to open files with programs, and Python doesn't need."""
ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}


def main() -> int:
    """Write the layout; an existing one is replaced once the new one is whole."""
    parser = argparse.ArgumentParser(prog="python -m image", description=__doc__.partition("\n")[0])
    parser.add_argument("--base", type=Path, help="An OCI layout with Python; else Debian's packages.")
    parser.add_argument("--python", default="python3", help="The name of Python in the base.")
    parser.add_argument("--python-version", help=f"Its version, else Debian's, or {PYTHON}.")
    parser.add_argument("--out", type=Path, default=PROJECT / "dist" / "image", help="Where to write it.")
    options = parser.parse_args()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.out.parent, prefix=".image-") as temporary:
        work = Path(temporary)
        layout = work / "layout"
        image = _base(options.base, layout, work)
        version = options.python_version or _debians(work / "debian") or PYTHON
        _install(work / "layer" / SITE, version, work)
        image = _with_entry(add_layer(layout, image, work / "layer"), options.python)
        write_image(layout, image, f"gitops-run:{VERSION}")
        shutil.rmtree(options.out, ignore_errors=True)
        layout.rename(options.out)
    print(f"gitops-run:{VERSION} in {options.out}")
    return 0


def _base(base: Path | None, layout: Path, work: Path) -> Image:
    """Copy the base, or make one of Debian's packages."""
    architecture = ARCHITECTURES.get(platform.machine(), platform.machine())
    if base is not None:
        image = read_image(base, architecture)
        shutil.copytree(base / "blobs", layout / "blobs")
        return image
    root = work / "debian"
    for name, mode in {"etc": 0o755, "tmp": 0o1777}.items():
        (root / name).mkdir(parents=True)
        (root / name).chmod(mode)
    (root / "etc" / "passwd").write_text("root:x:0:0:root:/:\nnobody:x:65534:65534:nobody:/:\n")
    for package in _downloaded(work / "packages"):
        _run("dpkg-deb", "-x", str(package), str(root))
    shutil.rmtree(root / "usr" / "share" / "doc", ignore_errors=True)
    layout.mkdir()
    return add_layer(layout, Image(config={"architecture": architecture, "os": "linux"}, layers=()), root)


def _debians(root: Path) -> str:
    """Read the version of Python in Debian's packages; "" where the base is another."""
    program = root / "usr" / "bin" / "python3"
    return program.readlink().name.removeprefix("python") if program.is_symlink() else ""


def _downloaded(folder: Path) -> list[Path]:
    """Download Debian's packages, and those that they need."""
    folder.mkdir()
    unwanted = ("--important", "--no-conflicts", "--no-breaks", "--no-replaces")
    told = _run("apt-cache", "depends", "--recurse", *unwanted, *PACKAGES)
    names = {line for line in told.splitlines() if line[:1].isalnum()}
    _run("apt-get", "download", *sorted(name for name in names if not name.startswith(LEFT_OUT)), cwd=folder)
    return sorted(folder.glob("*.deb"))


def _install(site: Path, version: str, work: Path) -> None:
    """Install the wheel, and what it needs in the versions of uv.lock, for the base's Python."""
    uv = str(Path(sys.executable).with_name("uv"))
    needed = work / "requirements.txt"
    exported = ("--frozen", "--no-dev", "--no-emit-project", "--no-hashes", "--output-file", str(needed))
    _run(uv, "export", "--quiet", *exported, cwd=PROJECT)
    _run(uv, "build", "--quiet", "--wheel", "--out-dir", str(work / "wheel"), cwd=PROJECT)
    (wheel,) = (work / "wheel").glob("*.whl")
    chosen = ("--python-version", version, "--only-binary", ":all:", "--no-deps", "--target", str(site))
    _run(uv, "pip", "install", "--quiet", *chosen, "--requirement", str(needed), str(wheel))


def _with_entry(image: Image, python: str) -> Image:
    said = {
        "Entrypoint": [python, "-m", "gitops_run"],
        "Env": [
            *(image.config.get("config") or {}).get("Env", ["PATH=/usr/local/bin:/usr/bin:/bin"]),
            f"PYTHONPATH=/{SITE}",
            "PYTHONDONTWRITEBYTECODE=1",
        ],
        "User": "65534:65534",
        "WorkingDir": "/tmp",  # noqa: S108 - the container's own
    }
    return Image(config={**image.config, "config": said}, layers=image.layers)


def _run(*command: str, cwd: Path | None = None) -> str:
    """Run a program, and return what it prints; what it says of an error is shown."""
    done = subprocess.run(command, cwd=cwd, env=os.environ, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
