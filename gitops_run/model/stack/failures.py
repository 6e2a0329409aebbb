"""What Pulumi's messages mean.

Pulumi's command line gives only text: the patterns stand in one table, each with our error and what to do.
Source: pulumi 3.259, its own messages; each row has a test.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from gitops_run.errors import (
    BackendError,
    GitOpsRunError,
    GuardError,
    NotFound,
    TransientError,
    UsageError,
    WaitTimeout,
)
from gitops_run.model.stack.events import StackLock

Make = Callable[[str, str], GitOpsRunError]


def _usage(message: str, hint: str) -> GitOpsRunError:
    return UsageError(message, hint=hint)


def _guard(message: str, hint: str) -> GitOpsRunError:
    return GuardError(message, hint=hint)


def _not_found(message: str, hint: str) -> GitOpsRunError:
    return NotFound(message, hint=hint)


def _backend(message: str, hint: str) -> GitOpsRunError:
    return BackendError(message, hint=hint)


def _transient(message: str, hint: str) -> GitOpsRunError:
    return TransientError(message, hint=hint)


def _timeout(message: str, hint: str) -> GitOpsRunError:
    return WaitTimeout(message, hint=hint)


_LOST: Final = "; if it is lost, end the session by its labels: gitops-run down NAME --from-cluster"

FAILURES: tuple[tuple[str, Make, str, str], ...] = (
    (
        r"incorrect passphrase",
        _usage,
        "this is not the passphrase of this stack",
        "set PULUMI_CONFIG_PASSPHRASE_FILE or PULUMI_CONFIG_PASSPHRASE to the one that it was created with"
        + _LOST,
    ),
    (
        r"passphrase must be set",
        _usage,
        "this stack needs its passphrase",
        "set PULUMI_CONFIG_PASSPHRASE_FILE or PULUMI_CONFIG_PASSPHRASE" + _LOST,
    ),
    (
        r"no stack named '(?P<what>[^']*)' found",
        _not_found,
        "there is no stack {what!r} in this backend",
        "to list the sessions: gitops-run list; PULUMI_BACKEND_URL says where stacks are kept",
    ),
    (
        r"unable to open state directory|unable to check if bucket|could not list bucket",
        _backend,
        "Pulumi can't open the folder or bucket where stacks are kept",
        "check PULUMI_BACKEND_URL",
    ),
    (
        r"performing HTTP request",
        _transient,
        "the service where stacks are kept can't be reached",
        "check the network, and PULUMI_BACKEND_URL",
    ),
    (
        r"PULUMI_ACCESS_TOKEN must be set",
        _usage,
        "nobody is logged in to Pulumi's service",
        "pulumi login, or set PULUMI_BACKEND_URL to a folder: file:///path",
    ),
    (
        r"no resource plugin 'pulumi-resource-gitops-run'|latest version for provider gitops-run",
        _backend,
        "Pulumi can't find the plugin of sessions, which comes with this Python package",
        "install it with the Python that has the package: python -c 'from gitops_run import Session'",
    ),
    (
        r"resource plugin 'pulumi-resource-(?P<what>[^']*)'(?: found[\w ]+)? at version (?P<other>v\S*\w)",
        _backend,
        "Pulumi's plugin {what} {other} is not installed and could not be downloaded",
        'pulumi plugin install resource {what} {other}; in a sandbox: eval "$(gitops-run sandbox env)"',
    ),
    (
        r"no resource plugin 'pulumi-resource-(?P<what>[^']*)'|latest version for provider (?P<other>[\w-]+)",
        _backend,
        "Pulumi's plugin {what} is not installed and could not be downloaded",
        'pulumi plugin install resource {what}; in a sandbox: eval "$(gitops-run sandbox env)"',
    ),
    (
        r"(?:write|create|open|mkdir) (?P<what>[^\s:]+): (?:no space left on device|disk quota exceeded)",
        _backend,
        "the disk is full: {what} can't be written",
        "make room on it, then run the same command again: it continues from the last complete state",
    ),
    (
        r"snapshot integrity",
        _backend,
        "the stack's state is damaged",
        "pulumi state repair, in the project's folder" + _LOST,
    ),
    (
        r"configured Kubernetes cluster is unreachable|connect: connection refused|i/o timeout",
        _transient,
        "the cluster can't be reached",
        "check that it runs and that this machine reaches it",
    ),
    (
        r"finalizers might be preventing deletion(?: \((?P<what>[^)]*)\))?",
        _timeout,
        "an object can't be deleted because of its finalizers ({what})",
        "for Flux's finalizers, check its controllers: gitops-run platform status; then try again",
    ),
    (
        r'(?P<what>\S+ "[^"]+") already exists|resource (?P<other>"?[^"\s]+"?) already exists',
        _guard,
        "{what} already exists, and this stack did not create it",
        "use the backend and passphrase that it was created with; a session may also have another name",
    ),
    (
        r"(?m)^\s*code: -(?P<what>\d+)$",
        _backend,
        "Pulumi was ended by signal {what}",
        "run the same command again: it continues where this one ended. Signal 9 may mean too little memory",
    ),
)

_LOCKED = "the stack is currently locked by"
_LOCK = re.compile(
    r"^\s*(?P<url>\S+?)(\?\S*)?: created by (?P<user>.*)@(?P<host>[^@\s]*)"
    r" \(pid (?P<pid>\d+)\) at (?P<since>\S+)",
    re.MULTILINE,
)

_REASON = re.compile(r"^\s*\* (?!resource \")(.+?)\s*$", re.MULTILINE)
"""One of several reasons why an object isn't ready; the line before them names it by its URN."""
_HINT = re.compile(r"(?m)^\s*hint: (.+?)\s*$")
"""What our own plugin says to do."""
_OF_A_POD = re.compile(r"^\s*\* (?:pod |\[Pod ).*$", re.MULTILINE)
"""What a pod fails of, such as a registry that can't be reached, is no failure of the cluster."""


def parse_locks(text: str) -> tuple[StackLock, ...]:
    """Read who holds a stack from Pulumi's refusal; nothing where it isn't one."""
    if _LOCKED not in text:
        return ()
    return tuple(
        StackLock(
            user=found["user"],
            host=found["host"],
            pid=int(found["pid"]),
            since=found["since"],
            path=found["url"].removeprefix("file://") if found["url"].startswith("file://") else "",
        )
        for found in _LOCK.finditer(text)
    )


def failure(text: str, by_hand: str = "") -> GitOpsRunError:
    """Turn what Pulumi printed into our error. by_hand: the command that shows Pulumi's own messages.

    Where no row of the table fits: why objects didn't become ready, or else the first error line, with what
    our plugin says to do.
    """
    of_the_cluster = _OF_A_POD.sub("", text)
    for pattern, make, message, hint in FAILURES:
        found = re.search(pattern, of_the_cluster)
        if found:
            named = found.groupdict()
            values = {"what": named.get("what") or named.get("other"), "other": named.get("other")}
            return make(message.format(**values), hint.format(**values))
    reasons = dict.fromkeys(_REASON.findall(text))
    lines = [line.partition("error:")[2].strip() for line in text.splitlines() if "error:" in line]
    told = "; ".join(reasons) or next(iter(lines), "")
    if ours := _HINT.search(text):
        return BackendError(f"Pulumi failed: {told}", hint=ours[1])
    hint = "run the same command again: it continues where this one ended"
    return BackendError(
        f"Pulumi failed: {told}" if told else "Pulumi failed and gave no reason",
        hint=f"{hint}. For Pulumi's own messages: {by_hand}" if by_hand else hint,
    )
