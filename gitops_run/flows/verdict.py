"""Follow one pushed revision until Flux has decided on it."""

from __future__ import annotations

import anyio

from gitops_run.flows.ports import Flux
from gitops_run.model.flux.conditions import (
    PENDING,
    Standing,
    Verdict,
    applier_verdict,
    source_verdict,
)
from gitops_run.model.state.belief import Revision

NUDGE_S = 3.0
"""How long the Kustomization may rest without a word about a fetched revision before it is asked by token.

One that is at work is left to it: asking would have it apply everything once more. A failure that repeats
the last one word for word changes nothing in its status, so no watch reports it.
"""


async def wait_for_fetch(flux: Flux, revision: Revision) -> Verdict:
    """Wait until Flux has fetched the revision, something else, or has failed to.

    An applier that already speaks of a revision which never was live before has fetched it.
    """
    while True:
        if not revision.was_live and applier_verdict(flux.applier, revision=revision.text) != PENDING:
            return Verdict(standing=Standing.FETCHED)
        verdict = source_verdict(flux.source, revision=revision.text, token=revision.token)
        if verdict != PENDING:
            return verdict
        await flux.news()


async def wait_for_apply(flux: Flux, revision: Revision) -> Verdict:
    """Wait until Flux has applied the fetched revision, or has failed to."""
    token = f"{revision.token}/apply"
    if not revision.was_live:
        is_resting = False
        while not is_resting:
            with anyio.move_on_after(NUDGE_S):
                return await _applier_speaks(flux, revision.text)
            is_resting = not flux.applier.is_at_work
    await flux.request_apply(token)
    return await _applier_speaks(flux, revision.text, token)


async def _applier_speaks(flux: Flux, revision: str, token: str = "") -> Verdict:
    while (verdict := applier_verdict(flux.applier, revision=revision, token=token)) == PENDING:
        await flux.news()
    return verdict
