"""Watches on the cluster, as its administrator and past the proxies, through any outage of the API server.

What vanished while a watch was interrupted is reported as deleted by the list that follows.
"""

from __future__ import annotations

import http.client
import json
import ssl
import threading
from collections.abc import Callable
from typing import Any

from gitops_run.sandbox.state import LOOPBACK, Sandbox

SILENCE_S = 5.0
"""The longest time without a line after which the watch is made again; it also bounds the end."""
RETRY_S = 0.3

See = Callable[[dict[str, Any] | None, str], None]
"""Takes an object, or None and the name of one that was deleted."""


class Watch:
    """Follow one collection in a thread of its own."""

    def __init__(self, sandbox: Sandbox, collection: str, see: See) -> None:
        pki = sandbox.folder / "pki"
        self._tls = ssl.create_default_context(cafile=str(sandbox.ca))
        self._tls.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        self._port = sandbox.ports["kube-apiserver"]
        self._collection = collection
        self._see = see
        self._names: set[str] = set()
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ends.set()
        self._thread.join(2 * SILENCE_S)

    def _run(self) -> None:
        while not self._ends.is_set():
            try:
                self._follow(self._list())
            except (OSError, http.client.HTTPException, ValueError):
                self._ends.wait(RETRY_S)

    def _connect(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(LOOPBACK, self._port, timeout=SILENCE_S, context=self._tls)

    def _list(self) -> str:
        connection = self._connect()
        try:
            connection.request("GET", self._collection)
            response = connection.getresponse()
            answer = json.loads(response.read())
            if response.status != http.client.OK:
                raise ValueError(answer.get("message"))
        finally:
            connection.close()
        found = {item["metadata"]["name"] for item in answer["items"]}
        for name in self._names - found:
            self._see(None, name)
        for item in answer["items"]:
            self._see(item, item["metadata"]["name"])
        self._names = found
        version: str = answer["metadata"]["resourceVersion"]
        return version

    def _follow(self, version: str) -> None:
        connection = self._connect()
        try:
            connection.request("GET", f"{self._collection}?watch=true&resourceVersion={version}")
            response = connection.getresponse()
            while not self._ends.is_set() and (line := response.readline()):
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return
                name = event["object"]["metadata"]["name"]
                if event["type"] == "DELETED":
                    self._names.discard(name)
                    self._see(None, name)
                else:
                    self._names.add(name)
                    self._see(event["object"], name)
        finally:
            connection.close()
