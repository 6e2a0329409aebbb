"""A collection of the cluster, from a list and then watches, through cuts, restarts and expired versions.

This module knows how a watch goes on. It knows no kind of object, and keeps none: of each it remembers uid
and version.
Source: client-go 0.34, tools/cache/reflector.go; Kubernetes, API concepts. Unlike client-go it notices a
history that was replaced by an older one (kubernetes/kubernetes#107457: a restored etcd) and watches that
end at once without an error (projectcalico/typha#227).
"""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Protocol

import anyio

from gitops_run.adapters.cluster.connection import Connection, ExpiredError, Json
from gitops_run.errors import TransientError

FIRST_S: Final = 0.25
MAX_S: Final = 4.0
"""Between these is the wait after a failure. Jitter halves it at most, so that not all come back together."""
STEADY_S: Final = 1.0
"""A watch without events that was shorter than this has failed, whatever its end was."""
STUCK: Final = 5
"""After as many failures in a row the watch begins with a list: its version may be what fails."""


@dataclass(frozen=True, slots=True)
class Listed:
    """Hold everything that a collection holds. It takes the place of all news before it."""

    items: tuple[Json, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """Hold an object that is new or has changed."""

    live: Json


@dataclass(frozen=True, slots=True)
class Gone:
    """Name an object that was deleted, or that the selector no longer selects."""

    namespace: str
    name: str


News = Listed | Seen | Gone


class Pulse(Protocol):
    """Take whether what is delivered is current."""

    def opened(self) -> None:
        """Note that the API server has accepted a watch: what follows is current."""

    def cut(self) -> None:
        """Note that the watch, or a list for it, has failed."""


class NoPulse:
    """Take nothing. Fulfils Pulse."""

    def opened(self) -> None:
        """Do nothing."""

    def cut(self) -> None:
        """Do nothing."""


async def reflect(
    connection: Connection,
    collection: str,
    selector: Mapping[str, str] | None = None,
    listing: Json | None = None,
    pulse: Pulse | None = None,
) -> AsyncGenerator[News, None]:
    """Yield what a collection holds, Listed, and then each change, without an end.

    selector: fieldSelector and labelSelector, as the API has them. listing: a list of the same that was read
    already, to go on from. pulse: takes each cut. What passes is tried again quietly, the
    first list too. A repeated list is delivered as the changes since; only where it is older
    than what was seen, as after a restored etcd, Listed comes again. No object is followed by a state of
    the same or an older resourceVersion. Raises NotFound where the kind isn't served, BackendError where
    this user may not list or watch it, at any time. Close it with aclosing where it is left early.
    """
    given, pace, pulse = _Given(), _Pace(), pulse or NoPulse()
    selector = selector or {}
    while True:
        try:
            if not given.is_current or pace.is_stuck:
                listed, listing = listing or await connection.get(collection, selector), None
                for news in given.relisted(listed):
                    yield news
            pace.begin()
            query = {**selector, "resourceVersion": given.version}
            async with aclosing(connection.watch(collection, query, pulse.opened)) as events:
                async for kind, live in events:
                    for news in given.told(kind, live):
                        yield news
                    pace.be_steady()
        except ExpiredError:
            given.is_current = False
            pace.fail()
            pulse.cut()
        except TransientError:
            pulse.cut()  # what failed is tried again
        await pace.wait()


async def reflect_one(
    connection: Connection, collection: str, name: str, listing: Json | None = None
) -> AsyncGenerator[Json | None, None]:
    """Yield the object of this name, and again whenever it changes; None while there is none. As reflect."""
    selector = {"fieldSelector": f"metadata.name={name}"}
    async with aclosing(reflect(connection, collection, selector, listing)) as all_news:
        async for news in all_news:
            match news:
                case Listed(items):
                    yield items[0] if items else None
                case Seen(live):
                    yield live
                case Gone():
                    yield None


class _Given:
    """Remember what was given out: up to which version, and of each object its uid and version."""

    def __init__(self) -> None:
        self.version = ""
        self.is_current = False
        self._objects: dict[tuple[str, str], tuple[str, str]] = {}

    def relisted(self, listing: Json) -> Iterator[News]:
        """List the changes of a list since the last delivery."""
        version, items = listing["metadata"]["resourceVersion"], tuple(listing["items"] or ())
        if not self.version or _is_older(version, self.version):
            self._objects = {_key(live): _state(live) for live in items}
            news: Iterator[News] = iter((Listed(items),))
        else:
            news = self._changes(items)
        self.version, self.is_current = version, True
        return news

    def _changes(self, items: tuple[Json, ...]) -> Iterator[News]:
        for key in self._objects.keys() - {_key(live) for live in items}:
            yield from self._gone(key)
        for live in items:
            yield from self._seen(live)

    def told(self, kind: str, live: Json) -> Iterator[News]:
        """Translate an event of a watch. Raises ExpiredError, and TransientError on other errors."""
        if kind == "ERROR":
            is_expired = live.get("code") == HTTPStatus.GONE
            raise (ExpiredError if is_expired else TransientError)(str(live.get("message")))
        version = live["metadata"].get("resourceVersion", "")
        if _is_older(version, self.version):
            raise ExpiredError(f"the watch went back from version {self.version} to {version}")
        self.version = version or self.version
        match kind:
            case "ADDED" | "MODIFIED":
                return self._seen(live)
            case "DELETED":
                return self._gone(_key(live))
        return iter(())

    def _seen(self, live: Json) -> Iterator[News]:
        key, (uid, version) = _key(live), _state(live)
        uid_before, version_before = self._objects.get(key, (uid, ""))
        if uid != uid_before:
            yield from self._gone(key)
        elif not is_newer(version, version_before):
            return
        self._objects[key] = uid, version
        yield Seen(live)

    def _gone(self, key: tuple[str, str]) -> Iterator[News]:
        if self._objects.pop(key, None) is not None:
            yield Gone(*key)


class _Pace:
    """Decide how soon to try again: at once after a watch that worked, otherwise more and more slowly."""

    def __init__(self) -> None:
        self._failures = 0
        self._wait_s = FIRST_S
        self._steady_at = float("inf")

    @property
    def is_stuck(self) -> bool:
        """Report whether so much failed in a row that a list is worth a try."""
        return self._failures >= STUCK

    def begin(self) -> None:
        """Note that a watch begins."""
        self._steady_at = anyio.current_time() + STEADY_S

    def be_steady(self) -> None:
        """Note that the watch works."""
        self._steady_at = 0.0

    def fail(self) -> None:
        """Note that the watch has failed, although it worked before."""
        self._steady_at = float("inf")

    async def wait(self) -> None:
        """Wait until it is time for another try."""
        is_steady = anyio.current_time() >= self._steady_at
        self.fail()
        if is_steady:
            self._failures, self._wait_s = 0, FIRST_S
            return
        self._failures += 1
        wait_s, self._wait_s = self._wait_s, min(self._wait_s * 2, MAX_S)
        await anyio.sleep(wait_s * random.uniform(0.5, 1.0))  # noqa: S311 - keeps no secret


def is_newer(version: str, before: str) -> bool:
    """Compare two resourceVersions of one object; one that is missing is taken for a new one.

    They are numbers where Kubernetes itself keeps the objects (KEP-5504). Others are only equal or not.
    """
    if _is_number(version) and _is_number(before):
        return _order(version) > _order(before)
    return not version or version != before


def _is_older(version: str, before: str) -> bool:
    return _is_number(version) and _is_number(before) and _order(version) < _order(before)


def _is_number(version: str) -> bool:
    return version.isascii() and version.isdecimal()


def _order(version: str) -> tuple[int, str]:
    """Order numbers without reading them: int() refuses those of thousands of digits."""
    return len(version), version


def _key(live: Json) -> tuple[str, str]:
    return live["metadata"].get("namespace", ""), live["metadata"]["name"]


def _state(live: Json) -> tuple[str, str]:
    return live["metadata"].get("uid", ""), live["metadata"].get("resourceVersion", "")
