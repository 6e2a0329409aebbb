"""Streams of server-sent events: what has changed, in batches, to as many browsers as there are.

The package pages describes the events. Those of rows have an id EPOCH-VERSION, from which a stream that was
cut goes on: Last-Event-ID wins over `since`. `synced` has "all": whether the rows that follow are all there
are, since it isn't known which of them the page has. A slow reader gets the newest rows when it is ready for
them; nothing is queued for it.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

import anyio
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from gitops_run.errors import GitOpsRunError
from gitops_run.web.bells import listening
from gitops_run.web.live import Live
from gitops_run.web.login import Login, Logins
from gitops_run.web.looks import Look
from gitops_run.web.pages.session import Topic, session_parts
from gitops_run.web.viewer import Scene, Viewer

BATCH_S: Final = 0.05
PING_S: Final = 15.0
RETRY: Final = b"retry: 1000\n\n"


def event(kind: str, data: str, id_: str = "") -> bytes:
    """Write one event. data: one line."""
    head = f"id: {id_}\n" if id_ else ""
    return f"{head}event: {kind}\ndata: {data}\n\n".encode()


PING: Final = event("ping", "{}")
LIVE: Final = event("live", "{}")


class Gzip:
    """Compress one stream, each event on its own.

    A block that refers to nothing before it needs no window of 32 KB that is kept for each stream, of which
    there are a hundred. Source: RFC 1951 and 1952; zlib's Z_FULL_FLUSH.
    """

    HEAD: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
    _LAST_BLOCK: Final = b"\x03\x00"

    def __init__(self) -> None:
        self._crc = 0
        self._size = 0

    def block(self, data: bytes) -> bytes:
        """Compress some bytes, so that they can be read at once."""
        self._crc = zlib.crc32(data, self._crc)
        self._size += len(data)
        return _deflated(data)

    def end(self) -> bytes:
        """Write what ends the stream."""
        return self._LAST_BLOCK + struct.pack("<LL", self._crc, self._size % 2**32)


@lru_cache(maxsize=8)
def _deflated(data: bytes) -> bytes:
    """Compress a block, once for all streams that send it."""
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflate.compress(data) + deflate.flush(zlib.Z_FULL_FLUSH)


class EventStream:
    """Answer a request with events until they end, or the browser leaves. An ASGI application."""

    def __init__(self, events: AsyncGenerator[bytes, None]) -> None:
        """events: closed at the end."""
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events, compressed where the browser takes that."""
        gzip = Gzip() if "gzip" in Headers(scope=scope).get("accept-encoding", "") else None
        headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no")]
        headers += [(b"content-encoding", b"gzip")] if gzip else []
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async with anyio.create_task_group() as tasks:

            async def until_gone() -> None:
                while (await receive())["type"] != "http.disconnect":
                    pass
                tasks.cancel_scope.cancel()

            tasks.start_soon(until_gone)
            async with aclosing(self._events) as events:
                if gzip:
                    await send({"type": "http.response.body", "body": gzip.HEAD, "more_body": True})
                async for one in events:
                    body = gzip.block(one) if gzip else one
                    await send({"type": "http.response.body", "body": body, "more_body": True})
            end = gzip.end() if gzip else b""
            await send({"type": "http.response.body", "body": end, "more_body": False})
            tasks.cancel_scope.cancel()


@dataclass(frozen=True, slots=True)
class Since:
    """Say up to where a browser knows what there is. epoch: "" where it knows nothing."""

    epoch: str = ""
    version: int = 0

    @classmethod
    def parse(cls, text: str) -> Since:
        """Parse "EPOCH-VERSION"; anything that isn't that knows nothing."""
        epoch, _, version = text.partition("-")
        is_number = version.isascii() and version.isdigit() and len(version) < 20
        return cls(epoch, int(version)) if is_number else cls()


class Feed:
    """Know what one stream has sent, and make its next batch."""

    def __init__(self, live: Live, viewer: Viewer, since: Since) -> None:
        is_known = since.epoch == live.epoch and live.floor <= since.version <= live.version
        self._live = live
        self._viewer = viewer
        self._sent = since.version if is_known else -1
        self._scene: Scene | None = None

    @property
    def _id(self) -> str:
        return f"{self._live.epoch}-{max(self._sent, 0)}"

    async def first(self) -> tuple[bytes, ...]:
        """Say what there is, and then what the browser doesn't know of it. Raises BackendError."""
        is_all = self._sent < 0
        batch = await self.next()
        number = len(self._scene.rows) if self._scene else 0
        synced = event("synced", json.dumps({"rows": number, "all": is_all}), self._id)
        return (synced, batch) if batch else (synced,)

    async def next(self) -> bytes | None:
        """Write what has changed since the last batch; None for nothing. Raises BackendError."""
        known, before = self._sent, self._scene
        scene = await self._viewer.scene(self._live)
        if scene is before:
            return None
        self._scene, self._sent = scene, scene.version
        # Streams that are equally far get the same bytes, which are made and compressed once.
        way = (known, before)
        if way not in scene.batches:
            scene.batches[way] = self._batch(known, before, scene)
        return scene.batches[way]

    def _batch(self, known: int, before: Scene | None, scene: Scene) -> bytes | None:
        live = self._live
        # A row that went after the scene was composed is reported with the next one.
        shown = scene.rows & live.rows.keys()
        changed = set(live.rows) if known < 0 else set(live.changed_since(known))
        appeared = changed & shown
        gone = changed - live.rows.keys()
        if before is None:
            gone |= changed - scene.rows if known >= 0 else set()
        else:
            appeared |= shown - before.rows
            gone |= before.rows - scene.rows
        if not (appeared or gone or before is None or scene.counts != before.counts):
            return None
        sets = ",".join(live.row_json(key) for key in sorted(appeared))
        ids, counted = json.dumps(sorted(gone)), json.dumps(scene.counts)
        return event("rows", f'{{"set":[{sets}],"gone":{ids},"counts":{counted}}}', self._id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watching:
    """Say who follows what. looks: the sessions that are open in the browser."""

    viewer: Viewer
    login: Login
    since: Since
    has_rows: bool
    looks: Mapping[Topic, Look]


async def browser_events(live: Live, logins: Logins, watching: Watching) -> AsyncGenerator[bytes, None]:
    """Yield one browser's events until its login ends, or until it isn't known what it may see."""
    viewer, login, looks = watching.viewer, watching.login, watching.looks
    viewer.streams += 1
    try:
        with listening(live.bells, login.bells, *(look.bells for look in looks.values())) as bell:
            yield RETRY
            while not live.is_listed and not logins.is_over(login):
                if not await bell.wait(PING_S):
                    yield PING
            feed = Feed(live, viewer, watching.since)
            first = await feed.first()
            for one in first if watching.has_rows else first[:1]:
                yield one
            parts = [Parts(topic, look) for topic, look in looks.items()]
            was_current = True
            while not logins.is_over(login):
                if live.is_current is not was_current:
                    was_current = live.is_current
                    yield LIVE if was_current else event("cut", json.dumps({"at": _cut_at(live)}))
                rows = await feed.next() if watching.has_rows else None
                for batch in (rows, *(one.next() for one in parts)):
                    if batch:
                        yield batch
                await anyio.sleep(BATCH_S)
                if not await bell.wait(PING_S):
                    yield PING
        yield event("login", "{}")
    except GitOpsRunError:
        return  # what may be seen isn't known: the page says that it is cut off, and comes again
    finally:
        viewer.streams -= 1


def _cut_at(live: Live) -> str:
    return live.cut_at.isoformat(timespec="seconds") if live.cut_at else ""


class Parts:
    """Know which parts of one session's page one stream has sent."""

    def __init__(self, topic: Topic, look: Look) -> None:
        self._topic = topic
        self._look = look
        self._sent: dict[str, str] = {}
        self._version = -1

    def next(self) -> bytes | None:
        """Write the parts that differ from what was sent; None for none."""
        look = self._look
        if look.version == self._version:
            return None
        self._version = look.version
        if look.is_gone:
            return event("gone", json.dumps({"topic": str(self._topic)}))
        if (view := look.view()) is None:
            return None
        view = replace(view, has_all_objects=self._topic.has_all_objects)
        made = session_parts(view, self._topic.tab, datetime.now(UTC))
        changed = {id_: html for id_, html in made.items() if self._sent.get(id_) != html}
        self._sent = dict(made)
        return event("parts", json.dumps({"topic": str(self._topic), "parts": changed})) if changed else None
