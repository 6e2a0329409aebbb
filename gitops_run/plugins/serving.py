"""Serve a Pulumi plugin to the engine that started it, until it is told to stop or the engine is gone.

Knows how the engine finds a plugin: by the port that it prints first. Refuses to know any resource.
Source: pulumi 3.259, sdk/go/common/resource/plugin.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
from pulumi.runtime.proto.provider_pb2_grpc import (
    ResourceProviderServicer,
    add_ResourceProviderServicer_to_server,
)

PARALLEL_REQUESTS = 16
MAX_MESSAGE_BYTES = 400 * 1024 * 1024
"""As the engine's own limit."""
PARENT_CHECK_S = 2.0
GRACE_S = 5.0


def serve(servicer: ResourceProviderServicer) -> None:
    """Print the port and answer until SIGINT or SIGTERM, or until the parent process has ended.

    An engine that is killed leaves its plugins behind without a word: only a new parent tells.
    """
    stopped = threading.Event()
    # The engine gives each plugin a process group of its own, so Ctrl-C in a terminal doesn't come here:
    # an interrupt is the engine's way to end the plugin, and it waits five seconds before it kills.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    parent = os.getppid()
    server = grpc.server(
        ThreadPoolExecutor(max_workers=PARALLEL_REQUESTS),
        options=(
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ),
    )
    add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    while not stopped.wait(PARENT_CHECK_S) and os.getppid() == parent:
        pass
    server.stop(GRACE_S).wait()
