"""Follow one pushed revision until Flux has decided on it."""

from __future__ import annotations

from dataclasses import dataclass

import anyio

from gitops_run.flows.ports import Flux
from gitops_run.model.flux.conditions import (
    PENDING,
    SourceStatus,
    Standing,
    Verdict,
    applier_verdict,
    source_verdict,
)

NUDGE_S = 3.0
"""How long the Kustomization may rest without a word about a fetched revision before it is asked by token.

One that is at work is left to it: asking would have it apply everything once more. A failure that repeats
the last one word for word changes nothing in its status, so no watch tells it.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """Name a pushed revision. token: asked for its fetch. was_live: it was published before."""

    text: str
    token: str
    was_live: bool


class Expected:
    """Know which revision Flux has, once it has fetched it, until the next push."""

    def __init__(self, revision: Revision | None = None) -> None:
        self._revision = revision
        self._was_fetched = False

    def is_betrayed_by(self, source: SourceStatus) -> bool:
        """Say whether Flux has fetched something else than what was pushed, after it had fetched that."""
        if self._revision is None:
            return False
        if source.revision == self._revision.text and source.handled == self._revision.token:
            self._was_fetched = True
        return self._was_fetched and source.revision != self._revision.text


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
