"""Pulumi's protocol for BucketKeys: made with a bucket, kept as secrets in the stack, removed with it.

This module knows the protocol's messages. What happens at the store is bucket_keys.py.
"""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import provider_pb2

from gitops_run.errors import UsageError
from gitops_run.plugins.gitops_run import bucket_keys
from gitops_run.plugins.gitops_run.bucket_keys import OUTPUTS, REPLACING, SECRETS, changes, problems
from gitops_run.plugins.gitops_run.values import UNKNOWN, plain, with_secrets, with_value


def check(request: provider_pb2.CheckRequest) -> provider_pb2.CheckResponse:
    """Check what the program declared, and mark as secret what is."""
    failures = [
        provider_pb2.CheckFailure(property=name, reason=reason)
        for name, reason in sorted(problems(plain(request.news)).items())
    ]
    return provider_pb2.CheckResponse(inputs=with_secrets(request.news, SECRETS), failures=failures)


def diff(request: provider_pb2.DiffRequest) -> provider_pb2.DiffResponse:
    """Report which inputs changed. Another bucket or another store needs other keys.

    The old keys go first: an endpoint may be another name of the same store, where the new ones bear the
    same names.
    """
    changed = changes(plain(request.old_inputs) or plain(request.olds), plain(request.news))
    replacing = changed & REPLACING
    kinds = provider_pb2.PropertyDiff
    answer = provider_pb2.DiffResponse
    return answer(
        changes=answer.DIFF_SOME if changed else answer.DIFF_NONE,
        diffs=sorted(changed),
        replaces=sorted(replacing),
        deleteBeforeReplace=True,
        detailedDiff={
            name: kinds(kind=kinds.UPDATE_REPLACE if name in replacing else kinds.UPDATE, inputDiff=True)
            for name in changed
        },
        hasDetailedDiff=True,
    )


def create(request: provider_pb2.CreateRequest) -> provider_pb2.CreateResponse:
    """Make them, and return the secret ones as secrets. The ID is the bucket's name.

    A preview makes nothing and asks the store whether it could.
    """
    declared = plain(request.properties)
    if request.preview:
        if UNKNOWN not in declared.values():
            bucket_keys.require_offered(declared)
        return provider_pb2.CreateResponse(
            properties=_with(request.properties, dict.fromkeys(OUTPUTS, UNKNOWN))
        )
    properties = _with(request.properties, bucket_keys.create(declared))
    return provider_pb2.CreateResponse(id=declared["bucket"], properties=properties)


def read(request: provider_pb2.ReadRequest) -> provider_pb2.ReadResponse:
    """Answer what the stack knows while the store has both accounts; an empty answer says they are gone.

    Raises UsageError on an import: a store gives no secret back.
    """
    known = plain(request.properties)
    if not set(OUTPUTS) <= known.keys():
        raise UsageError(
            f"the keys of bucket {request.id} can't be imported: their secrets exist only in one stack",
            hint="declare them in the program and run `pulumi up`, which creates new ones",
        )
    if not bucket_keys.exist(plain(request.inputs) or known):
        return provider_pb2.ReadResponse()
    return provider_pb2.ReadResponse(id=request.id, inputs=request.inputs, properties=request.properties)


def update(request: provider_pb2.UpdateRequest) -> provider_pb2.UpdateResponse:
    """Keep the keys; the administering key and the CA change in the state alone."""
    known = plain(request.olds)
    return provider_pb2.UpdateResponse(
        properties=_with(request.news, {name: known[name] for name in OUTPUTS})
    )


def delete(request: provider_pb2.DeleteRequest) -> None:
    """Remove them with the administering key that the state holds."""
    bucket_keys.delete(plain(request.old_inputs) or plain(request.properties))


def _with(properties: Struct, values: Mapping[str, str]) -> Struct:
    for name, value in values.items():
        properties = with_value(properties, name, value)
    return with_secrets(properties, SECRETS)
