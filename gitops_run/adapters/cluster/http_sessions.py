"""The HTTP sessions of one connection to a cluster: one for each certificate that its credentials had.

What is waited for on an older one stays open for a while. Uses the kubernetes client's own TLS and limits.
"""

from __future__ import annotations

import sys
from typing import Final

import aiohttp

from gitops_run.adapters.cluster.client import ApiClient

IDLE_S: Final = 55.0
"""How long a connection is kept for the next request: API servers end it after 90 s, proxies after 60."""
SESSIONS_MAX: Final = 3
"""How many certificates back a watch may go on that was opened with one."""
READ_BUFFER_BYTES: Final = 2 * 1024 * 1024
"""As the client has it: events of a watch exceed aiohttp's own buffer."""

HAS_PATIENT_TLS: Final = sys.version_info < (3, 12, 8)
"""Python before 3.12.8 leaves a connection that was cut open until its other end answers, for 30 s at most;
aiohttp then aborts it."""


class HttpSessions:
    """Give a client the session that it sends with."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api
        self._generation = 0
        self._sessions: list[aiohttp.ClientSession] = []

    async def prepare(self, generation: int) -> None:
        """Open a session with the present certificate. generation: of the credentials."""
        rest, configuration = self._api.rest_client, self._api.configuration
        if rest.pool_manager is not None and self._generation == generation:
            return
        if rest.pool_manager is not None and configuration.cert_file:
            rest.ssl_context.load_cert_chain(configuration.cert_file, configuration.key_file)
        if rest.pool_manager is None or configuration.cert_file:
            connector = aiohttp.TCPConnector(
                limit=rest.maxsize,
                ssl=rest.ssl_context,
                keepalive_timeout=IDLE_S,
                enable_cleanup_closed=HAS_PATIENT_TLS,
            )
            rest.pool_manager = aiohttp.ClientSession(
                connector=connector, trust_env=True, read_bufsize=READ_BUFFER_BYTES
            )
            self._sessions.append(rest.pool_manager)
        self._generation = generation
        for outdated in self._sessions[:-SESSIONS_MAX]:
            await outdated.close()
        self._sessions = self._sessions[-SESSIONS_MAX:]

    async def close(self) -> None:
        """Close every session."""
        for session in self._sessions:
            await session.close()
