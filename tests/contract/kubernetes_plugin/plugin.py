"""A running plugin, called over its protocol as the engine calls it; either ours or the real one."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2, json_format
from pulumi.runtime.proto import engine_pb2_grpc, provider_pb2, provider_pb2_grpc, status_pb2

from gitops_run.sandbox.pulumi_plugin import has_kubernetes_plugin, kubernetes_plugin

STAND_IN = Path(__file__).parents[3] / "gitops_run" / "sandbox" / "kubernetes_plugin" / "bin"
PROGRAM = "pulumi-resource-kubernetes"
CALL_TIMEOUT_S = 90.0

_REQUESTS = {
    "GetPluginInfo": empty_pb2.Empty,
    "CheckConfig": provider_pb2.CheckRequest,
    "DiffConfig": provider_pb2.DiffRequest,
    "Configure": provider_pb2.ConfigureRequest,
    "Check": provider_pb2.CheckRequest,
    "Diff": provider_pb2.DiffRequest,
    "Create": provider_pb2.CreateRequest,
    "Read": provider_pb2.ReadRequest,
    "Update": provider_pb2.UpdateRequest,
    "Delete": provider_pb2.DeleteRequest,
    "Invoke": provider_pb2.InvokeRequest,
    "Cancel": empty_pb2.Empty,
}


def is_real() -> bool:
    """Whether this suite runs against the real plugin."""
    return os.environ.get("PLUGINS") == "real"


def environment(base: Mapping[str, str]) -> dict[str, str]:
    """Make the engine take the plugin that is under test: ours from PATH, or the one that is installed.

    Of what is on PATH nothing else is left out: the engine finds its language host there.
    """
    others = [folder for folder in base["PATH"].split(os.pathsep) if folder != str(STAND_IN)]
    if is_real():
        return {**base, "PATH": os.pathsep.join(others)}
    path = os.pathsep.join((str(STAND_IN), *others))
    return {**base, "PATH": path, "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true"}


def program() -> Path:
    """Find the plugin that is under test."""
    if not is_real():
        return STAND_IN / PROGRAM
    installed = kubernetes_plugin(os.environ)
    assert has_kubernetes_plugin(os.environ), f"PLUGINS=real, but Pulumi has no {installed}"
    return installed


class Engine(engine_pb2_grpc.EngineServicer):
    """The part of the engine that plugins call: the log."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self._server = grpc.server(ThreadPoolExecutor(4))
        engine_pb2_grpc.add_EngineServicer_to_server(self, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def leave(self) -> None:
        """Stop listening, as an engine that was killed does."""
        self._server.stop(grace=None).wait()

    def Log(self, request: Any, context: grpc.ServicerContext) -> empty_pb2.Empty:  # noqa: N802
        if not request.ephemeral:
            self.messages.append(request.message)
        return empty_pb2.Empty()


class Plugin:
    """A plugin that runs; calls go in and come out as the JSON of the protocol."""

    def __init__(self, process: subprocess.Popen[str], channel: grpc.Channel, engine: Engine) -> None:
        self.process = process
        self.engine = engine
        self._stub = provider_pb2_grpc.ResourceProviderStub(channel)

    def call(self, method: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return {"response": ...}, or {"errors": [...], "left": ...} with what a half-done resource left."""
        message = json_format.ParseDict(dict(request), _REQUESTS[method]())
        try:
            response = getattr(self._stub, method)(message, timeout=CALL_TIMEOUT_S)
        except grpc.RpcError as error:
            code = error.code().name.title()
            return {"errors": [f"rpc error: code = {code} desc = {error.details()}"], "left": _left(error)}
        return {"response": json_format.MessageToDict(response)}


def _left(error: Any) -> dict[str, Any]:
    """Read the state of a resource that exists, but isn't ready, from an error's details."""
    details = dict(error.trailing_metadata()).get("grpc-status-details-bin")
    if details is None:
        return {}
    left = provider_pb2.ErrorResourceInitFailed()
    status_pb2.Status.FromString(details).details[0].Unpack(left)
    return dict(json_format.MessageToDict(left))


@contextmanager
def running(env: Mapping[str, str] | None = None) -> Iterator[Plugin]:
    """Start the plugin with an engine of its own, and end both."""
    engine = Engine()
    process = subprocess.Popen(
        [program(), engine.address], env={**os.environ, **(env or {})}, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.enable_retries", 0)]) as channel:
            yield Plugin(process, channel, engine)
    finally:
        process.terminate()
        process.communicate()
        engine.leave()


def kubectl() -> str:
    """Find the kubectl that is installed with the project."""
    return str(Path(sys.executable).with_name("kubectl"))


def encoded(text: str) -> str:
    """Write a Secret's value."""
    return base64.b64encode(text.encode()).decode()
