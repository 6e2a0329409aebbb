"""Start the plugin: print the port, serve until the engine is done.

The engine starts it with its own address as the last argument, and interrupts it at the end; where the
engine dies first, the plugin ends too.
"""

from __future__ import annotations

import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc
from pulumi.runtime.proto import provider_pb2_grpc

from gitops_run.plugins.kubernetes.host import Host
from gitops_run.plugins.kubernetes.server import Provider

# More than the engine's own parallelism, since each call may wait for minutes.
_THREADS = 128
_MESSAGE_BYTES = 400 * 1024 * 1024
_ENDING = frozenset({signal.SIGINT, signal.SIGTERM})


def main(arguments: list[str]) -> None:
    """Serve the provider protocol on a free port of the loopback interface."""
    # The engine gives each plugin a process group of its own, so Ctrl-C in a terminal doesn't come here:
    # an interrupt is the engine's way to end the plugin, and it waits five seconds before it kills.
    # Blocked in every thread and waited for, so that none is lost between two instructions.
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    addresses = [argument for argument in arguments if not argument.startswith("-")]
    host = Host(addresses[-1] if addresses else None)
    options = [
        ("grpc.max_receive_message_length", _MESSAGE_BYTES),
        ("grpc.max_send_message_length", _MESSAGE_BYTES),
    ]
    server = grpc.server(ThreadPoolExecutor(_THREADS), options=options)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Provider(host), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)  # noqa: T201  the engine reads it here
    host.when_gone(lambda: os.kill(os.getpid(), signal.SIGTERM))
    signal.sigwait(_ENDING)
    server.stop(grace=None)
    os._exit(0)  # without waiting for threads that wait for the cluster: nobody is left to hear of it


if __name__ == "__main__":
    main(sys.argv[1:])
