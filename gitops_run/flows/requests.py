"""What others ask of a session while it is synced, and the answers."""

from __future__ import annotations

from collections.abc import AsyncIterator

from gitops_run.flows.ports import Emit, Flux
from gitops_run.model.flux.requests import Request, Verb
from gitops_run.model.state.events import RequestAnswered


class Requests:
    """Take requests from the session's Bucket, each once."""

    def __init__(self, flux: Flux, emit: Emit) -> None:
        self._flux = flux
        self._emit = emit

    async def come(self) -> AsyncIterator[Request]:
        """Yield what is asked for from now on. Earlier requests were made to another sync.

        What this version doesn't know is refused.
        """
        last = self._flux.source.request
        while True:
            request = self._flux.source.request
            if request is not None and request != last:
                last = request
                if request.verb in tuple(Verb):
                    yield request
                else:
                    self.answer(request, refusal=f"this sync can't {request.verb}: it is of an older version")
            await self._flux.changed()

    def answer(self, request: Request | None, refusal: str = "") -> None:
        """Report whether a request is carried out. refusal: why it isn't. None was asked for by nobody."""
        if request is not None:
            self._emit(
                RequestAnswered(
                    request=request.id,
                    verb=request.verb,
                    who=request.who,
                    is_accepted=not refusal,
                    message=refusal,
                )
            )
