"""Follow the logs of a namespace's pods, also of those that come later, merged.

Each container's log is one request, which the API server ends with the container. Nothing is kept here, and a
reader that is slow holds the containers' streams up instead of filling memory.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import Final

import anyio
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectSendStream

from gitops_run.adapters.cluster.close_up import list_pods
from gitops_run.adapters.cluster.connection import Connection
from gitops_run.adapters.cluster.paths import pod_path
from gitops_run.errors import GitOpsRunError, TransientError, ungrouped
from gitops_run.model.state.close_up import LogLine, LogRequest, SeenPod
from gitops_run.model.text.problem import printable

TAIL: Final = 1000
LINE_MAX: Final = 8_000
LOOK_AGAIN_S: Final = 2.0
CONTAINERS_MAX: Final = 40
"""Each is followed by a request of its own."""


async def follow_logs(
    connection: Connection, request: LogRequest, lines: MemoryObjectSendStream[LogLine]
) -> None:
    """Send the last lines of each container and then every new one, until cancelled.

    Logs of a life before have an end. One that can't be read is a remark among the lines. Raises BackendError
    where this user may not list the pods.
    """
    await _Follower(connection, request, lines).run()


class _Follower:
    """Know which containers are followed, and up to when each was read."""

    def __init__(
        self, connection: Connection, request: LogRequest, lines: MemoryObjectSendStream[LogLine]
    ) -> None:
        self._connection = connection
        self._request = request
        self._lines = lines
        self._open: set[tuple[str, str]] = set()
        self._read_until: dict[tuple[str, str], str] = {}
        self._remarks: dict[tuple[str, str], str] = {}

    async def run(self) -> None:
        """Look for pods, again and again."""
        with ungrouped():
            async with anyio.create_task_group() as tasks:
                await self._look(tasks)
                while not self._request.is_previous:
                    await anyio.sleep(LOOK_AGAIN_S)
                    try:
                        await self._look(tasks)
                    except TransientError:
                        continue  # it is looked at again

    async def _look(self, tasks: TaskGroup) -> None:
        for pod in await list_pods(self._connection, self._request.namespace):
            if self._request.pod in ("", pod.name):
                await self._look_at(pod, tasks)

    async def _look_at(self, pod: SeenPod, tasks: TaskGroup) -> None:
        if self._request.is_previous and not pod.has_previous:
            await self._remark((pod.name, ""), "no container of this pod was started again")
            return
        for container in pod.containers:
            key = (pod.name, container)
            if key not in self._open and len(self._open) >= CONTAINERS_MAX:
                await self._remark(key, f"not followed: {CONTAINERS_MAX} containers are followed already")
            elif key not in self._open:
                self._open.add(key)
                tasks.start_soon(self._follow, key)

    async def _follow(self, key: tuple[str, str]) -> None:
        pod, container = key
        since = self._read_until.get(key)
        query = {
            "container": container,
            "timestamps": "true",
            **({"sinceTime": since} if since else {"tailLines": str(TAIL)}),
            **({"previous": "true"} if self._request.is_previous else {"follow": "true"}),
        }
        path = f"{pod_path(self._request.namespace, pod)}/log"
        try:
            async with aclosing(self._connection.follow_text(path, query)) as lines:
                async for line in lines:
                    at, _, text = line.partition(" ")
                    if at != self._read_until.get(key):
                        await self._send(key, at, text)
        except GitOpsRunError as error:
            await self._remark(key, error.message)
        finally:
            self._open.discard(key)

    async def _send(self, key: tuple[str, str], at: str, text: str) -> None:
        self._read_until[key] = at
        shown = printable(text if len(text) <= LINE_MAX else f"{text[:LINE_MAX]}…")
        await self._lines.send(LogLine(pod=key[0], container=key[1], at=at, text=shown))

    async def _remark(self, key: tuple[str, str], text: str) -> None:
        """Send a remark, once as long as it stays the same."""
        if self._remarks.get(key) != text:
            self._remarks[key] = text
            await self._lines.send(LogLine(pod=key[0], container=key[1], at="", text=printable(text)))
