"""The description of a session, from settings and facts about its cluster: for Pulumi programs.

This module knows where settings stand and which cluster to ask. It refuses what `gitops-run up` refuses.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anyio
import pulumi

from gitops_run.adapters.cluster.facts import read_facts
from gitops_run.adapters.machine import user_files
from gitops_run.adapters.machine.session_files import request_to_make
from gitops_run.errors import GitOpsRunError
from gitops_run.model.names import SessionName
from gitops_run.model.session.bounds import warnings
from gitops_run.model.session.key import SessionKey
from gitops_run.model.session.request import admitted, described, refuse_context
from gitops_run.model.session.settings import Origin, Source
from gitops_run.model.session.spec import ClusterFacts, SessionSpec
from gitops_run.model.stack.project import stack_file


def read_spec(name: str, **settings: object) -> SessionSpec:
    """Describe a session by settings, and fill in facts from its cluster.

    settings: as the settings file has them, in Python's spelling (target, context, allow_contexts); the
    environment and the settings file say what is left out. The cluster provides its UID, where Flux is, and
    who asks, who becomes the owner where none is named. Changes nothing. Raises GitOpsRunError where
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
    request = request_to_make(name, sources, Path.cwd() / stack_file(name.text), os.environ)
    refuse_context(request)
    facts = _ask_cluster(request.key)
    spec = admitted(described(request, facts), request, facts)
    if facts.is_ended:
        pulumi.log.warn(f"{facts.ended}; the state of its stack is older: pulumi refresh")
    for text in warnings(spec, facts):
        pulumi.log.warn(text)
    return spec


def _ask_cluster(key: SessionKey) -> ClusterFacts:
    """Ask in a thread: the event loop of this one may be Pulumi's, and running."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(anyio.run, read_facts, key).result()
