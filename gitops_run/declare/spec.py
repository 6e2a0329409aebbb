"""What makes a session, from settings and from what the session's cluster tells: for Pulumi programs.

Knows where settings stand and which cluster to ask. Refuses what `gitops-run up` refuses.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pulumi

from gitops_run.adapters import user_files
from gitops_run.adapters.cluster.facts import read_facts
from gitops_run.adapters.session_keys import keys_elsewhere, with_keys_file
from gitops_run.errors import GitOpsRunError
from gitops_run.model import contexts
from gitops_run.model.bounds import refuse_unlocked, warnings
from gitops_run.model.pod_security import refuse_pod_security
from gitops_run.model.project import stack_file
from gitops_run.model.session import SessionName
from gitops_run.model.session_spec import (
    ClusterFacts,
    SessionSpec,
    parse_spec,
    refuse_foreign,
    refuse_other_target,
    with_decryption_key,
    with_given_keys,
    with_secret_variables,
)
from gitops_run.model.settings import Origin, Settings, Source, resolve


def read_spec(name: str, **settings: object) -> SessionSpec:
    """Describe a session by settings, and fill in what its cluster tells.

    settings: as the settings file has them, in Python's spelling (target, context, allow_contexts); the
    environment and the settings file say what is left out. The cluster tells its UID, where Flux is, and who
    asks, who becomes the owner where none is named. Changes nothing. Raises GitOpsRunError where
    `gitops-run up` would refuse the session.
    """
    said = user_files.argument_source(settings)
    nothing = Source(origin=Origin.STACK, values={})
    try:
        return spec_of(SessionName.parse(name), (said, *user_files.sources(os.environ, stack=nothing)))
    except GitOpsRunError as error:
        error.add_note(error.hint)  # a program's traceback shows it
        raise


def spec_of(name: SessionName, sources: Sequence[Source]) -> SessionSpec:
    """Describe a session by the settings of these sources. Raises as read_spec."""
    settings = with_keys_file(resolve(sources), sources)
    contexts.guard(settings.require("context"), settings.allow_contexts)
    facts = _ask_cluster(name, settings)
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


def _ask_cluster(name: SessionName, settings: Settings) -> ClusterFacts:
    """Ask in a thread: the event loop of this one may be Pulumi's, and running."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(
            anyio.run,
            read_facts,
            settings.require("kubeconfig"),
            settings.require("context"),
            name,
            settings.namespace or name.namespace,
        ).result()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
