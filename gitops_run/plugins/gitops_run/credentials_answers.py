"""Pulumi's protocol for ServerCredentials: made once, never changed, replaced when they are due.

This module knows the protocol's messages. There is nothing outside to ask: what is made lives in the stack
alone.
"""

from __future__ import annotations

from datetime import UTC, datetime

from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import provider_pb2

from gitops_run.errors import UsageError
from gitops_run.plugins.gitops_run.credentials import (
    NAMES,
    OUTPUTS,
    SECRETS,
    UNTIL,
    canonical,
    identity,
    is_due,
    problems,
)
from gitops_run.plugins.gitops_run.values import UNKNOWN, plain, with_secrets, with_value


def check(request: provider_pb2.CheckRequest) -> provider_pb2.CheckResponse:
    """Check what the program declared."""
    failures = [
        provider_pb2.CheckFailure(property=name, reason=reason)
        for name, reason in sorted(problems(plain(request.news)).items())
    ]
    return provider_pb2.CheckResponse(inputs=request.news, failures=failures)


def diff(request: provider_pb2.DiffRequest) -> provider_pb2.DiffResponse:
    """Report whether new ones are needed: for other names, or since the certificate nears its end."""
    state, new = plain(request.olds), plain(request.news)
    replacing = []
    if canonical(state[NAMES]) != canonical(new[NAMES]):
        replacing.append(NAMES)
    if is_due(state, datetime.now(UTC)):
        replacing.append(UNTIL)
    kinds = provider_pb2.PropertyDiff
    answer = provider_pb2.DiffResponse
    return answer(
        changes=answer.DIFF_SOME if replacing else answer.DIFF_NONE,
        diffs=replacing,
        replaces=replacing,
        detailedDiff={name: kinds(kind=kinds.UPDATE_REPLACE, inputDiff=name == NAMES) for name in replacing},
        hasDetailedDiff=True,
    )


def create(request: provider_pb2.CreateRequest) -> provider_pb2.CreateResponse:
    """Make them, and hand the secret ones over as secrets."""
    if request.preview:
        return provider_pb2.CreateResponse(
            properties=_with(request.properties, dict.fromkeys(OUTPUTS, UNKNOWN))
        )
    from gitops_run.plugins.gitops_run.certificates import make  # noqa: PLC0415 - cryptography: 90 ms of any `up`

    made = make(plain(request.properties)[NAMES], datetime.now(UTC))
    properties = with_secrets(_with(request.properties, made), SECRETS)
    return provider_pb2.CreateResponse(id=identity(made), properties=properties)


def read(request: provider_pb2.ReadRequest) -> provider_pb2.ReadResponse:
    """Answer what the stack knows: nothing else does. Raises UsageError on an import."""
    if UNTIL not in plain(request.properties):
        raise UsageError(
            f"server credentials {request.id} can't be imported: they are in one stack alone",
            hint="declare them in the program and run `pulumi up`, which creates new ones",
        )
    return provider_pb2.ReadResponse(id=request.id, inputs=request.inputs, properties=request.properties)


def _with(properties: Struct, values: dict[str, str]) -> Struct:
    for name, value in values.items():
        properties = with_value(properties, name, value)
    return properties
