"""What others ask of a session while it is synced, and the answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Protocol

from gitops_run.errors import BackendError, GitOpsRunError, NotFound
from gitops_run.flows.ports import Emit, Flux, History
from gitops_run.model.flux.requests import OF_FILES, Request, Verb, verb_of
from gitops_run.model.state.events import RequestAnswered, UndoFailed
from gitops_run.model.state.history import UndoRequest
from gitops_run.model.tree.snapshot import Snapshot


class Carrier(Protocol):
    """Carries out what is asked of the session's objects, and knows what was answered before."""

    @property
    def answered(self) -> frozenset[str]:
        """The ids of the requests that earlier syncs or the collector have answered."""
        ...

    async def carry_out(self, request: Request) -> bool:
        """Carry a request out; False leaves it to the collector. Raises GitOpsRunError as a refusal."""
        ...


class Requests:
    """Take requests from the session's Bucket, each once, by its id."""

    def __init__(self, flux: Flux, emit: Emit, carrier: Carrier) -> None:
        self._flux = flux
        self._emit = emit
        self._carrier = carrier

    async def come(self) -> AsyncIterator[Request]:
        """Carry out what is asked for, and yield what concerns the files.

        A request that was made before this sync began, and that nobody has answered, is carried out too, but
        for an undo: whoever asked for it has stopped waiting, and the files have changed since.
        """
        done = set(self._carrier.answered)
        earlier = self._flux.source.request
        while True:
            request = self._flux.source.request
            if request is None or request.id in done:
                await self._flux.changed()
                continue
            done.add(request.id)
            if request.verb not in OF_FILES:
                await self._carry_out(request)
            elif request == earlier and request.verb == Verb.UNDO:
                self.answer(request, refusal="nobody synced the session when it was asked for")
            else:
                yield request

    async def _carry_out(self, request: Request) -> None:
        try:
            verb_of(request)
            is_done = await self._carrier.carry_out(request)
        except GitOpsRunError as error:
            self.answer(request, refusal=error.message)
        else:
            if is_done:
                self.answer(request)

    def answer(self, request: Request | None, refusal: str = "") -> None:
        """Report whether a request is carried out. refusal: why it isn't. None was asked for by nobody."""
        if request is not None:
            self._emit(answer_to(request, refusal))


class PendingUndo:
    """Hold the undo that the next save is, and answer whoever asked for it, once."""

    def __init__(self, requests: Requests, history: History, emit: Emit, undo: UndoRequest | None) -> None:
        self._requests = requests
        self._history = history
        self._emit = emit
        self._undo = undo

    def ask(self, request: Request) -> None:
        """Take a request; it replaces an earlier one."""
        self.drop("a later request to undo replaced it")
        self._undo = UndoRequest(revision=request.argument, request=request)

    def drop(self, why: str) -> None:
        """Forget the undo, and refuse it where it was not taken yet."""
        if self._undo is not None:
            self._requests.answer(self._undo.request, refusal=why)
        self._undo = None

    async def snapshot(self) -> Snapshot | None:
        """Take the snapshot to go back to; None without an undo, and where its snapshot isn't kept.

        While it is read, the undo may be dropped or replaced.
        """
        while (undo := self._undo) is not None:
            try:
                earlier = await self._history.snapshot(undo.revision)
            except (NotFound, BackendError) as error:
                if self._undo is undo:
                    self._emit(UndoFailed(message=error.message, hint=error.hint))
                    self.drop(error.message)
            else:
                if self._undo is undo:
                    self._requests.answer(undo.request)
                    self._undo = replace(undo, request=None)
                    return earlier
        return None


def answer_to(request: Request, refusal: str = "") -> RequestAnswered:
    """Write the answer to a request. refusal: why it isn't carried out, "" where it is."""
    return RequestAnswered(
        request=request.id,
        verb=request.verb,
        who=request.who,
        is_accepted=not refusal,
        message=refusal,
    )
