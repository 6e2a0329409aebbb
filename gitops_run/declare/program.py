"""The Pulumi program: settings and the cluster's facts become one session.

`pulumi up` typed by hand runs `main`, the tool runs `declare_session` with what it has read already: the same
resources, names and state either way. The stack's name is the session's name.
"""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

import pulumi

from gitops_run.adapters.machine import user_files
from gitops_run.adapters.machine.scratch import own_temporary_files
from gitops_run.declare.session import Session
from gitops_run.declare.spec import spec_of
from gitops_run.errors import GitOpsRunError
from gitops_run.model.names import SessionName
from gitops_run.model.session.settings import PROJECT, SETTINGS, Source
from gitops_run.model.session.spec import SessionSpec
from gitops_run.model.stack.project import stack_file


def main() -> None:
    """Declare the stack's session, for `pulumi up` typed by hand."""
    try:
        name = SessionName.parse(pulumi.get_stack())
        with own_temporary_files(os.environ):
            spec = spec_of(name, user_files.sources(os.environ, stack=_stack_config(name)))
        declare_session(spec)
    except GitOpsRunError as error:
        hint = f"\n{error.hint}" if error.hint else ""
        raise pulumi.RunError(f"{error.message}{hint}") from error


def declare_session(spec: SessionSpec) -> None:
    """Declare a session, and export where everything of it is."""
    session = Session(spec)
    for key, value in asdict(session.facts).items():
        pulumi.export(key, value)


def _stack_config(name: SessionName) -> Source:
    file = Path.cwd() / stack_file(name.text)
    user_files.read_stack_file(file)  # refuses secrets in the clear; Pulumi hands out both kinds alike
    config = pulumi.Config(PROJECT)
    values = {setting.key: config.get(setting.key) for setting in SETTINGS}
    return user_files.stack_source(values, file)
