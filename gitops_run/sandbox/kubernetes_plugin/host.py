"""The engine that started the plugin: its log."""

from __future__ import annotations

from typing import Any

import grpc
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc

_LOG_TIMEOUT_S = 5.0


class Host:
    """Speak to the engine at an address; without one, say nothing."""

    def __init__(self, address: str | None) -> None:
        """address: host:port, as the engine gives it on the command line."""
        self._channel = grpc.insecure_channel(address) if address else None

    def info(self, message: str, urn: str = "") -> None:
        """Write a line that stays."""
        self._log(engine_pb2.INFO, message, urn)

    def warning(self, message: str, urn: str = "") -> None:
        """Write a warning that stays."""
        self._log(engine_pb2.WARNING, message, urn)

    def status(self, message: str, urn: str) -> None:
        """Show what a resource is waiting for, until the next such line."""
        self._log(engine_pb2.INFO, message, urn, ephemeral=True)

    def trouble(self, message: str, urn: str) -> None:
        """Show what keeps a resource from being ready, until the next such line."""
        self._log(engine_pb2.WARNING, message, urn, ephemeral=True)

    def _log(self, severity: Any, message: str, urn: str, *, ephemeral: bool = False) -> None:
        if self._channel is None:
            return
        request = engine_pb2.LogRequest(severity=severity, message=message, urn=urn, ephemeral=ephemeral)
        try:
            engine_pb2_grpc.EngineStub(self._channel).Log(request, timeout=_LOG_TIMEOUT_S)
        except grpc.RpcError:
            return  # an engine that ends no longer listens, and its requests must still finish
