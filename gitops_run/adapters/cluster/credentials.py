"""The credentials of one context, kept fresh in a client's configuration.

A plugin runs once however many requests wait for it, and goes on where a request can't wait any longer: the
next one finds what it brought. Certificates and tokens in files are read again where the API server refuses
them.
"""

from __future__ import annotations

import asyncio
import base64
import time
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from gitops_run.adapters.cluster.client import ConfigException, Configuration, KubeConfigLoader
from gitops_run.adapters.cluster.exec_plugin import Credential, ExecPlugin, find_plugin, run_plugin
from gitops_run.adapters.cluster.failures import proxy_problem
from gitops_run.adapters.machine.kubeconfig import Kubeconfig, read_kubeconfig
from gitops_run.errors import BackendError, UsageError

EARLY: Final = timedelta(seconds=60)
"""How long before credentials expire others are asked for, while these are still used."""
EARLY_SHARE: Final = 5
"""Of credentials that live shorter, only a fifth of their life."""
AGAIN_S: Final = 5.0
"""How long a plugin that failed is left alone."""


class Credentials:
    """Keep a configuration's credentials. generation: how many it has had."""

    def __init__(self, kubeconfig: str, context: str, configuration: Configuration) -> None:
        self._kubeconfig = kubeconfig
        self._context = context
        self._configuration = configuration
        self._first = self._found()
        self._plugin = find_plugin(self._first, context)
        self._running: asyncio.Task[None] | None = None
        self._is_needed = False
        self._failure: tuple[float, BackendError] | None = None
        self._renew_at: datetime | None = None
        self._expires: datetime | None = None
        self.generation = 0

    @property
    def plugin(self) -> str:
        """Name the program that gets them; "" for none."""
        return self._plugin.name if self._plugin else ""

    @property
    def is_awaited(self) -> bool:
        """Report whether a plugin runs that nothing can go on without."""
        return self._is_needed and self._running is not None and not self._running.done()

    def has_failed(self, error: BackendError) -> bool:
        """Report whether this is how a plugin failed."""
        return self._failure is not None and self._failure[1] is error

    async def load(self) -> None:
        """Get the first ones. Raises UsageError on the kubeconfig, BackendError where a plugin fails."""
        await self._replace()

    async def ready(self) -> None:
        """Replace what has expired; begin to replace what soon will."""
        now = datetime.now(UTC)
        if self._renew_at is None or now < self._renew_at:
            return
        if self._expires is not None and now >= self._expires:
            await self._replace()
        elif self._plugin is not None and not self._is_left_alone:
            self._start(self._plugin)

    async def renew(self, refused: int) -> None:
        """Get others than those of a generation, which the API server refuses. Raises as load."""
        if self.generation == refused:
            await self._replace()

    async def close(self) -> None:
        """End a plugin that still runs."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])

    @property
    def _is_left_alone(self) -> bool:
        return self._failure is not None and time.monotonic() - self._failure[0] < AGAIN_S

    async def _replace(self) -> None:
        if self._plugin is None:
            await self._read(None, None)
            return
        if self._failure is not None and self._is_left_alone:
            raise self._failure[1]
        self._is_needed = True
        await asyncio.shield(self._start(self._plugin))

    def _start(self, plugin: ExecPlugin) -> asyncio.Task[None]:
        if self._running is None or self._running.done():
            self._running = asyncio.ensure_future(self._run(plugin))
            # A failure that nobody waits for is raised to the next request.
            self._running.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._running

    async def _run(self, plugin: ExecPlugin) -> None:
        try:
            credential = await run_plugin(plugin)
        except BackendError as error:
            self._failure = time.monotonic(), error
            raise
        self._failure, self._is_needed = None, False
        await self._read(plugin, credential)
        self._note_expiry(credential.expires)

    def _note_expiry(self, expires: datetime | None) -> None:
        now = datetime.now(UTC)
        self._expires = self._renew_at = None
        if expires is not None and expires > now:  # what is over already is used until it is refused
            self._expires = expires
            self._renew_at = expires - min(EARLY, (expires - now) / EARLY_SHARE)

    def _found(self) -> Kubeconfig:
        """Read the kubeconfig, which others write too. Raises UsageError where it can't be used."""
        found = read_kubeconfig(self._kubeconfig)
        found.require(self._context)
        return found

    async def _read(self, plugin: ExecPlugin | None, credential: Credential | None) -> None:
        """Read the kubeconfig into the configuration, with credentials in the place of their plugin."""
        found = self._found() if self.generation else self._first
        document = dict(found.document)
        if plugin is not None and credential is not None:
            document["users"] = _users_with(credential, plugin.user, document["users"])
        try:
            loader = KubeConfigLoader(document, self._context, config_base_path=str(found.folder))
            await loader.load_and_set(self._configuration)
        except (ConfigException, OSError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise found.unusable(self._context) from error
        if problem := proxy_problem(self._configuration.proxy or ""):
            raise UsageError(
                f"context {self._context!r} of {self._kubeconfig} can't be used: {problem}",
                hint="name another: --kubeconfig FILE --context NAME",
            )
        self.generation += 1


def _users_with(credential: Credential, name: str, users: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give a user a plugin's credentials instead of the plugin."""
    user = {"token": credential.token} if credential.token else {}
    if credential.certificate:
        user |= {
            "client-certificate-data": base64.b64encode(credential.certificate.encode()).decode(),
            "client-key-data": base64.b64encode(credential.key.encode()).decode(),
        }
    return [*(entry for entry in users if entry["name"] != name), {"name": name, "user": user}]
