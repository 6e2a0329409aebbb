"""The Pulumi program: settings and the cluster's facts become one session.

`pulumi up` typed by hand runs `main`, the tool runs `declare_session` with what it has read already: the same
resources, names and state either way. The stack's name is the session's name.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pulumi

from gitops_run.adapters import user_files
from gitops_run.adapters.cluster.facts import read_facts
from gitops_run.adapters.scratch import own_temporary_files
from gitops_run.adapters.session_keys import keys_elsewhere, with_keys_file
from gitops_run.declare.session import Session
from gitops_run.errors import GitOpsRunError
from gitops_run.model import contexts
from gitops_run.model.bounds import refuse_unlocked, warnings
from gitops_run.model.pod_security import refuse_pod_security
from gitops_run.model.project import stack_file
from gitops_run.model.session import SessionName
from gitops_run.model.session_spec import (
    SessionSpec,
    parse_spec,
    refuse_foreign,
    refuse_other_target,
    with_decryption_key,
    with_given_keys,
    with_secret_variables,
)
from gitops_run.model.settings import PROJECT, SETTINGS, Source, resolve


def main() -> None:
    """Declare the stack's session, for `pulumi up` typed by hand."""
    try:
        with own_temporary_files(os.environ):
            spec = _read_spec()
        declare_session(spec)
    except GitOpsRunError as error:
        hint = f"\n{error.hint}" if error.hint else ""
        raise pulumi.RunError(f"{error.message}{hint}") from error


def declare_session(spec: SessionSpec) -> None:
    """Declare a session, and export where everything of it is."""
    session = Session(spec)
    for key, value in asdict(session.facts).items():
        pulumi.export(key, value)


def _read_spec() -> SessionSpec:
    name = SessionName.parse(pulumi.get_stack())
    sources = user_files.sources(os.environ, stack=_stack_config(name))
    settings = with_keys_file(resolve(sources), sources)
    contexts.guard(settings.require("context"), settings.allow_contexts)
    with ThreadPoolExecutor(max_workers=1) as pool:  # this thread's event loop is Pulumi's, and is running
        facts = pool.submit(
            anyio.run,
            read_facts,
            settings.require("kubeconfig"),
            settings.require("context"),
            name,
            settings.namespace or name.namespace,
        ).result()
    spec = parse_spec(name, settings, facts, ca=user_files.read_ca(settings.ca_file), created=_now())
    refuse_foreign(spec, facts)
    refuse_other_target(spec, facts)
    refuse_pod_security(spec.pod_security, facts.pod_security)
    refuse_unlocked(spec, facts, is_allowed=settings.allow_unlocked_flux)
    elsewhere = keys_elsewhere(os.environ, Path.cwd() / stack_file(name.text), settings)
    spec = with_given_keys(spec, settings, elsewhere)
    spec = with_secret_variables(spec, user_files.read_variables(settings.substitute_file))
    spec = with_decryption_key(spec, user_files.read_decryption_key(settings.decryption_key_file))
    for text in warnings(spec, facts):
        pulumi.log.warn(text)
    return spec


def _stack_config(name: SessionName) -> Source:
    file = Path.cwd() / stack_file(name.text)
    user_files.read_stack_file(file)  # refuses secrets in the clear; Pulumi hands out both kinds alike
    config = pulumi.Config(PROJECT)
    values = {setting.key: config.get(setting.key) for setting in SETTINGS}
    return user_files.stack_source(values, file)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
