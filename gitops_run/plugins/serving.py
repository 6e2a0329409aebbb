"""Serve a Pulumi plugin to the engine that started it, until it is asked to stop or the engine is gone.

This module knows how the engine finds a plugin: by the port that it prints first. It doesn't know any
resource.
Source: pulumi 3.259, sdk/go/common/resource/plugin.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import grpc
from pulumi.runtime.proto.provider_pb2_grpc import (
    ResourceProviderServicer,
    add_ResourceProviderServicer_to_server,
)

from gitops_run.adapters.machine.scratch import own_temporary_files

PARALLEL_REQUESTS: Final = 128
"""More than the engine's own parallelism, since each request may wait for minutes."""
MAX_MESSAGE_BYTES: Final = 400 * 1024 * 1024
"""As the engine's own limit."""
PARENT_CHECK_S: Final = 0.5
_ENDING: Final = frozenset({signal.SIGINT, signal.SIGTERM})


def serve(make: Callable[[], ResourceProviderServicer]) -> None:
    """Make a plugin, print its port and answer until SIGINT or SIGTERM, or until the parent has ended.

    The engine gives each plugin a process group of its own, so Ctrl-C in a terminal doesn't come here: an
    interrupt is the engine's way to end the plugin, and it waits five seconds before it kills. An engine
    that is killed leaves its plugins behind without a signal: only a new parent process shows it.
    """
    # Blocked before there is a second thread, so in every one, and waited for: none is lost that way.
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    server = grpc.server(
        ThreadPoolExecutor(max_workers=PARALLEL_REQUESTS),
        options=(
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ),
    )
    add_ResourceProviderServicer_to_server(make(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    # A client library writes its keys to files, and removes them at an end that isn't this one.
    with own_temporary_files(os.environ):
        server.start()
        threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
        sys.stdout.write(f"{port}\n")
        sys.stdout.flush()
        signal.sigwait(_ENDING)
        server.stop(grace=None)
    os._exit(0)  # without waiting for threads that wait for a service: nobody is left to hear of it


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_S)
    os.kill(os.getpid(), signal.SIGTERM)
