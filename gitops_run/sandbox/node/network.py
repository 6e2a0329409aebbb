"""Which addresses a real node uses.

Pods and services live in a network namespace where nobody else is, so their ranges are the same in every
sandbox. Only the link between that namespace and the host must differ from all that the host knows.
"""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Collection, Iterable
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from gitops_run.errors import SandboxError

PODS = "10.244.0.0/16"
SERVICES = "10.0.0.0/24"
DNS_ADDRESS = "10.0.0.10"

_LINKS = IPv4Network("10.213.0.0/16")
_LINK_LENGTH = 30


def pick_node_address(taken: Collection[IPv4Network]) -> IPv4Address:
    """Pick the node's address so that the link to it overlaps with none of these networks."""
    links = list(_LINKS.subnets(new_prefix=_LINK_LENGTH))
    random.SystemRandom().shuffle(links)
    for link in links:
        if not any(link.overlaps(network) for network in taken):
            return link[2]
    raise SandboxError(
        f"the host's routes leave no network of /{_LINK_LENGTH} free in {_LINKS}",
        hint="gitops-run sandbox start --node simulated",
    )


def link_of(node: str) -> IPv4Network:
    """Return the network of the link that a node's address belongs to."""
    return IPv4Network(f"{node}/{_LINK_LENGTH}", strict=False)


def host_address(node: str) -> IPv4Address:
    """Return the host's end of the link to a node."""
    return link_of(node)[1]


def networks_in(routes: Iterable[dict[str, Any]]) -> set[IPv4Network]:
    """Read the networks out of what `ip -json -4 route` prints; the default route counts for nothing."""
    destinations = (str(route["dst"]) for route in routes)
    return {IPv4Network(text, strict=False) for text in destinations if text != "default"}


def host_networks() -> set[IPv4Network]:
    """Return every network that the host has a route to, its own addresses included."""
    command = ["ip", "-json", "-4", "route", "show", "table", "all"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    return networks_in(json.loads(answer.stdout or "[]"))
