"""The Pulumi project that sessions are stacks of, as the Pulumi.yaml that describes it.

Knows Pulumi's config schema: a key without a default is required there, so what may be left out has the
default "", and one that is marked secret can't have a default, so the program refuses secrets in the clear.
Source: Pulumi 3.259, sdk/go/common/workspace.
"""

from __future__ import annotations

from typing import Any

from gitops_run.model.settings import PROJECT, SETTINGS, Setting

STACK_DIRECTORY = "stacks"
PROJECT_FILE = "Pulumi.yaml"


def stack_file(stack: str) -> str:
    """Name a stack's file within its project."""
    return f"{STACK_DIRECTORY}/Pulumi.{stack}.yaml"


def project(*, plugin: str, virtualenv: str) -> dict[str, Any]:
    """Write Pulumi.yaml. plugin: the folder of this project's plugin. virtualenv: where the program runs."""
    return {
        "name": PROJECT,
        "description": "Every save on your disk, applied by Flux: one stack is one session.",
        "runtime": {"name": "python", "options": {"toolchain": "pip", "virtualenv": virtualenv}},
        "stackConfigDir": STACK_DIRECTORY,
        "requiredPulumiVersion": ">=3.206.0",
        "config": {
            **{setting.key: _schema(setting) for setting in SETTINGS},
            "pulumi:disable-default-providers": {"value": ["kubernetes", "aws"]},
        },
        "plugins": {"providers": [{"name": PROJECT, "path": plugin}]},
    }


def _schema(setting: Setting) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": setting.kind, "description": setting.description}
    if setting.kind == "array":
        return schema | {"items": {"type": "string"}, "default": []}
    return schema | {"default": "" if setting.default is None else setting.default}
