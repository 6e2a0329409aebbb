"""What a test compares of the machine before and after: all that a real node could leave behind."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from gitops_run.sandbox.node.machine import cgroup_of, interface_of

_SETTINGS = (
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
    "vm/overcommit_memory",
    "net/ipv4/ip_forward",
    "net/ipv4/conf/all/rp_filter",
    "net/ipv4/conf/default/rp_filter",
    "net/netfilter/nf_conntrack_max",
    "net/bridge/bridge-nf-call-iptables",
)


_OF_A_SANDBOX = re.compile(r"gitops-(?:run-)?[0-9a-f]{8}|/node/namespaces")


def machine_facts(own: Path) -> dict[str, list[str]]:
    """Gather the facts.

    own: the folder of a sandbox. Others, which may come and go meanwhile, are left out.
    """
    names = (str(own), cgroup_of(own), interface_of(own))
    facts = {
        "settings": _settings(),
        "mounts": sorted(_mounts()),
        "interfaces": sorted(path.name for path in Path("/sys/class/net").iterdir()),
        "routes": sorted(_output("ip", "route", "show", "table", "all")),
        "rules": _output("nft", "list", "ruleset"),
        "namespaces": sorted(path.name for path in Path("/run/netns").glob("*")),
        "cgroups": sorted(_cgroups()),
    }
    return {
        name: [f for f in found if not _OF_A_SANDBOX.search(f) or any(text in f for text in names)]
        for name, found in facts.items()
    }


def _settings() -> list[str]:
    files = [Path("/proc/sys", name) for name in _SETTINGS]
    return [f"{file} = {file.read_text().strip()}" for file in files if file.exists()]


def _mounts() -> list[str]:
    lines = (line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines())
    return [f"{fields[4]} {fields[3]}" for fields in lines]


def _cgroups() -> list[str]:
    found = Path("/sys/fs/cgroup").rglob("*")
    return [str(path) for path in found if path.is_dir() and "gitops-run" in str(path)]


def _output(*command: str) -> list[str]:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
