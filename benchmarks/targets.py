"""The targets that are measured: kustomizations of ConfigMaps, and repositories around them."""

from __future__ import annotations

from pathlib import Path

EDITED = "settings-0"
"""The file that every measurement edits."""
FILES_A_FOLDER = 100


def make_target(folder: Path, objects: int) -> Path:
    """Write a kustomization of so many ConfigMaps, each in a file of its own."""
    folder.mkdir(parents=True)
    names = [f"settings-{number}" for number in range(objects)]
    for name in names:
        write_settings(folder, name, "0")
    resources = "".join(f"  - {name}.yaml\n" for name in names)
    (folder / "kustomization.yaml").write_text(f"resources:\n{resources}", encoding="utf-8")
    return folder


def write_settings(folder: Path, name: str, value: str) -> None:
    """Write a ConfigMap."""
    (folder / f"{name}.yaml").write_text(settings(name, value), encoding="utf-8")


def settings(name: str, value: str) -> str:
    """Word a ConfigMap as YAML."""
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n  value: {value!r}\n"


def grow_repository(root: Path, files: int) -> None:
    """Bring the files around a target to this number: a kilobyte each, a hundred in a folder."""
    for number in range(files):
        path = root / "services" / f"team-{number // FILES_A_FOLDER}" / f"source-{number}.txt"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{number}\n" * 200, encoding="utf-8")
