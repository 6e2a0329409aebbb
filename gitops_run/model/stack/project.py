"""The Pulumi projects, as the Pulumi.yaml files that describe them.

This module knows Pulumi's config schema: a key without a default is required there, so what may be left out
has the default "", and one that is marked secret can't have a default, so the program refuses secrets in the
clear. There are two projects: the stacks of one are sessions, those of the other are platforms.
Source: Pulumi 3.259, sdk/go/common/workspace.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gitops_run.model.platform.platform import PLATFORM_PROJECT
from gitops_run.model.platform.setting_table import PLATFORM_SETTINGS
from gitops_run.model.session.settings import PROJECT, SETTINGS, Setting

STACK_DIRECTORY = "stacks"
PROJECT_FILE = "Pulumi.yaml"


def stack_file(stack: str) -> str:
    """Name a stack's file within its project."""
    return f"{STACK_DIRECTORY}/Pulumi.{stack}.yaml"


def project(*, plugin: str, virtualenv: str) -> dict[str, Any]:
    """Write sessions' Pulumi.yaml. plugin: the folder of this project's plugin. virtualenv: its Python's."""
    description = "Every save on your disk, applied by Flux: one stack is one session."
    head = _project(PROJECT, description, virtualenv, SETTINGS)
    return head | {"plugins": {"providers": [{"name": PROJECT, "path": plugin}]}}


def platform_project(*, virtualenv: str) -> dict[str, Any]:
    """Write platforms' Pulumi.yaml."""
    description = "Prepares clusters for sessions, including Flux: one stack is one cluster's platform."
    return _project(PLATFORM_PROJECT, description, virtualenv, PLATFORM_SETTINGS)


def _project(name: str, description: str, virtualenv: str, table: Sequence[Setting]) -> dict[str, Any]:
    return {
        "name": name,
        "description": description,
        "runtime": {"name": "python", "options": {"toolchain": "pip", "virtualenv": virtualenv}},
        "stackConfigDir": STACK_DIRECTORY,
        "requiredPulumiVersion": ">=3.206.0",
        "config": {
            **{setting.key: _schema(setting) for setting in table},
            "pulumi:disable-default-providers": {"value": ["kubernetes", "aws"]},
        },
    }


def _schema(setting: Setting) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": setting.kind, "description": setting.description}
    if setting.kind == "array":
        return schema | {"items": {"type": "string"}, "default": []}
    return schema | {"default": "" if setting.default is None else setting.default}
