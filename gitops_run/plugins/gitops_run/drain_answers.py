"""Pulumi's protocol for Drain: it lives in the stack alone until it is deleted, and is never replaced.

Knows the protocol's messages. A replacement would end the session, so every change is one of the state.
"""

from __future__ import annotations

from pulumi.runtime.proto import provider_pb2

from gitops_run.plugins.gitops_run import drain
from gitops_run.plugins.gitops_run.values import plain


def check(request: provider_pb2.CheckRequest) -> provider_pb2.CheckResponse:
    """Check what the program declared."""
    failures = [
        provider_pb2.CheckFailure(property=name, reason=reason)
        for name, reason in sorted(drain.problems(plain(request.news)).items())
    ]
    return provider_pb2.CheckResponse(inputs=request.news, failures=failures)


def diff(request: provider_pb2.DiffRequest) -> provider_pb2.DiffResponse:
    """Report which inputs changed."""
    changed = drain.changes(plain(request.old_inputs) or plain(request.olds), plain(request.news))
    kinds, answer = provider_pb2.PropertyDiff, provider_pb2.DiffResponse
    return answer(
        changes=answer.DIFF_SOME if changed else answer.DIFF_NONE,
        diffs=sorted(changed),
        detailedDiff={name: kinds(kind=kinds.UPDATE, inputDiff=True) for name in changed},
        hasDetailedDiff=True,
    )


def create(request: provider_pb2.CreateRequest) -> provider_pb2.CreateResponse:
    """Note it in the stack."""
    identity = "" if request.preview else drain.identity(plain(request.properties))
    return provider_pb2.CreateResponse(id=identity, properties=request.properties)


def read(request: provider_pb2.ReadRequest) -> provider_pb2.ReadResponse:
    """Answer what the stack knows: nothing else does."""
    return provider_pb2.ReadResponse(id=request.id, inputs=request.inputs, properties=request.properties)


def update(request: provider_pb2.UpdateRequest) -> provider_pb2.UpdateResponse:
    """Note the change in the stack."""
    return provider_pb2.UpdateResponse(properties=request.news)


def delete(request: provider_pb2.DeleteRequest) -> None:
    """Drain the session, with the inputs of the last `up`."""
    drain.delete(plain(request.old_inputs) or plain(request.properties), request.timeout)
