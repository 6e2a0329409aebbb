"""Serve the page on this machine, to whoever has the link: the entry of `gitops-run ui`."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import anyio
import uvicorn

from gitops_run.api.caller import Caller
from gitops_run.api.viewing import ViewRequest, open_viewing
from gitops_run.errors import BackendError
from gitops_run.web.app import make_app, open_site
from gitops_run.web.site import Site

ADDRESS: Final = "127.0.0.1"
GRACE_S: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeRequest:
    """Say what to serve. port: 0 for a free one."""

    view: ViewRequest
    port: int = 0


async def serve(request: ServeRequest, caller: Caller, ready: Callable[[str], None]) -> None:
    """Serve until cancelled. ready: takes the link that logs one browser in.

    Raises BackendError where the port is taken, or where the cluster doesn't say who this is.
    """
    with _listening(request.port) as listener:
        port = listener.getsockname()[1]
        hosts = frozenset({f"{ADDRESS}:{port}", f"localhost:{port}"})
        async with (
            open_viewing(request.view, caller) as viewing,
            open_site(viewing, caller, hosts, f"gitops-run-{port}") as site,
        ):
            await _run(site, listener, ready)


async def _run(site: Site, listener: socket.socket, ready: Callable[[str], None]) -> None:
    config = uvicorn.Config(
        make_app(site),
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_S,
    )
    server = _Server(config)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve, [listener])
        port = listener.getsockname()[1]
        ready(f"http://{ADDRESS}:{port}/auth?token={site.logins.new_token()}")
        try:
            await anyio.sleep_forever()
        finally:
            site.logins.end_all()
            server.should_exit = True
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.1)
            tasks.cancel_scope.cancel()


class _Server(uvicorn.Server):
    """Serve, and leave signals to whoever runs it: cli/signals.py is the one place that handles them."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


@contextmanager
def _listening(port: int) -> Iterator[socket.socket]:
    """Listen on loopback only. Raises BackendError where the port is taken."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((ADDRESS, port))
        except OSError as error:
            raise BackendError(
                f"port {port} of {ADDRESS} can't be used: {error.strerror}",
                hint="leave the port out for a free one: gitops-run ui",
            ) from error
        listener.listen(128)
        yield listener
