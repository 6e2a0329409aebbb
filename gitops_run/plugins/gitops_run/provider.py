"""Pulumi's ResourceProvider protocol for this plugin's four resources.

Answers for S3Bucket itself; credentials_answers.py answers for ServerCredentials, bucket_keys_answers.py for
BucketKeys, drain_answers.py for Drain. This module knows the protocol's messages. It doesn't know S3: that is
s3_bucket.py. The raw protocol and not `pulumi.provider.experimental`, because only the raw Diff has the old
inputs. Source: pulumi 3.259, proto/pulumi/provider.proto.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from types import ModuleType
from typing import Protocol

import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import plugin_pb2, provider_pb2
from pulumi.runtime.proto.provider_pb2_grpc import ResourceProviderServicer

from gitops_run.errors import GitOpsRunError, UsageError
from gitops_run.model.store.policy import canonical
from gitops_run.plugins.gitops_run import (
    bucket_keys,
    bucket_keys_answers,
    credentials,
    credentials_answers,
    drain,
    drain_answers,
)
from gitops_run.plugins.gitops_run.declaration import (
    POLICY,
    REPLACING,
    SECRETS,
    TOKEN,
    BucketDeclaration,
    changes,
    has_drifted,
    problems,
)
from gitops_run.plugins.gitops_run.values import UNKNOWN, plain, with_secrets, with_value


class _Typed(Protocol):
    """A request about one resource."""

    @property
    def type(self) -> str: ...


class GitOpsRunProvider(ResourceProviderServicer):
    """Answer the engine."""

    def GetPluginInfo(self, request: Empty, context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:
        """Report the version."""
        return plugin_pb2.PluginInfo(version=version("gitops-run"))

    def CheckConfig(
        self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext
    ) -> provider_pb2.CheckResponse:
        """Accept the provider's own options: there are none that matter."""
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(
        self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext
    ) -> provider_pb2.DiffResponse:
        """Report that a provider never needs replacement."""
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(
        self, request: provider_pb2.ConfigureRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ConfigureResponse:
        """Ask for secrets as secrets, so that they come back encrypted in the state."""
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    def Check(
        self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext
    ) -> provider_pb2.CheckResponse:
        """Check what the program declared, and mark as secret what is."""
        with _answering_errors(context):
            _require_known(request.type)
            if _is_credentials(request):
                return credentials_answers.check(request)
            if _is_keys(request):
                return bucket_keys_answers.check(request)
            if _is_drain(request):
                return drain_answers.check(request)
            failures = [
                provider_pb2.CheckFailure(property=name, reason=reason)
                for name, reason in sorted(problems(plain(request.news)).items())
            ]
        return provider_pb2.CheckResponse(inputs=with_secrets(request.news, SECRETS), failures=failures)

    def Diff(
        self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext
    ) -> provider_pb2.DiffResponse:
        """Report which inputs changed, whether the policy drifted, and what can't be changed in place."""
        if _is_credentials(request):
            return credentials_answers.diff(request)
        if _is_keys(request):
            return bucket_keys_answers.diff(request)
        if _is_drain(request):
            return drain_answers.diff(request)
        state, new = plain(request.olds), plain(request.news)
        changed = changes(plain(request.old_inputs) or state, new)
        replacing = changed & REPLACING
        kinds = provider_pb2.PropertyDiff
        detail = {
            name: kinds(kind=kinds.UPDATE_REPLACE if name in replacing else kinds.UPDATE, inputDiff=True)
            for name in changed
        }
        if has_drifted(state, new):
            detail[POLICY] = kinds(kind=kinds.UPDATE)
        answer = provider_pb2.DiffResponse
        return answer(
            changes=answer.DIFF_SOME if detail else answer.DIFF_NONE,
            diffs=sorted(detail),
            replaces=sorted(replacing),
            detailedDiff=detail,
            hasDetailedDiff=True,
        )

    def Create(
        self, request: provider_pb2.CreateRequest, context: grpc.ServicerContext
    ) -> provider_pb2.CreateResponse:
        """Make the bucket. Its ID is its name."""
        if _is_drain(request):
            return drain_answers.create(request)
        if _is_credentials(request):
            return credentials_answers.create(request)
        if _is_keys(request):
            with _answering_errors(context):
                return bucket_keys_answers.create(request)
        if request.preview:
            return provider_pb2.CreateResponse(properties=_previewed(request.properties))
        with _answering_errors(context):
            declared = BucketDeclaration.of(plain(request.properties))
            _bucket().create(declared)
        return provider_pb2.CreateResponse(
            id=declared.bucket, properties=with_value(request.properties, POLICY, canonical(declared.policy))
        )

    def Read(
        self, request: provider_pb2.ReadRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ReadResponse:
        """Look at the bucket with the keys of the state; an empty answer says that it is gone."""
        with _answering_errors(context):
            if _is_credentials(request):
                return credentials_answers.read(request)
            if _is_keys(request):
                return bucket_keys_answers.read(request)
            if _is_drain(request):
                return drain_answers.read(request)
            known = plain(request.inputs) or plain(request.properties)
            if "secretKey" not in known:
                raise UsageError(
                    f"bucket {request.id} can't be imported: its keys aren't known",
                    hint="declare it in the program and run `pulumi up`; an empty bucket is taken over",
                )
            policy = _bucket().read(BucketDeclaration.of(known))
        if policy is None:
            return provider_pb2.ReadResponse()
        return provider_pb2.ReadResponse(
            id=request.id,
            inputs=request.inputs,
            properties=with_value(request.properties, POLICY, policy),
        )

    def Update(
        self, request: provider_pb2.UpdateRequest, context: grpc.ServicerContext
    ) -> provider_pb2.UpdateResponse:
        """Write the policy; keys and CA change in the state alone."""
        if _is_drain(request):
            return drain_answers.update(request)
        if _is_keys(request):
            return bucket_keys_answers.update(request)
        if request.preview:
            return provider_pb2.UpdateResponse(properties=_previewed(request.news))
        with _answering_errors(context):
            declared = BucketDeclaration.of(plain(request.news))
            _bucket().update(declared)
        return provider_pb2.UpdateResponse(
            properties=with_value(request.news, POLICY, canonical(declared.policy))
        )

    def Delete(self, request: provider_pb2.DeleteRequest, context: grpc.ServicerContext) -> Empty:
        """Remove the bucket with the keys that the state holds."""
        if _is_credentials(request):
            return Empty()
        with _answering_errors(context):
            if _is_keys(request):
                bucket_keys_answers.delete(request)
                return Empty()
            if _is_drain(request):
                drain_answers.delete(request)
                return Empty()
            known = plain(request.old_inputs) or plain(request.properties)
            operations = _bucket()
            operations.delete(BucketDeclaration.of(known), timeout_s=request.timeout or operations.EMPTYING_S)
        return Empty()

    def Cancel(self, request: Empty, context: grpc.ServicerContext) -> Empty:
        """Let what is under way end: each request to a store has its own time limit."""
        return Empty()


def _bucket() -> ModuleType:
    from gitops_run.plugins.gitops_run import s3_bucket  # noqa: PLC0415 - boto3: 250 ms of an `up` that changes nothing

    return s3_bucket


def _require_known(token: str) -> None:
    known = (TOKEN, bucket_keys.TOKEN, credentials.TOKEN, drain.TOKEN)
    if token and token not in known:
        raise UsageError(f"this plugin has no resource {token}", hint=f"it has {', '.join(known)}")


def _is_credentials(request: _Typed) -> bool:
    return request.type == credentials.TOKEN


def _is_keys(request: _Typed) -> bool:
    return request.type == bucket_keys.TOKEN


def _is_drain(request: _Typed) -> bool:
    return request.type == drain.TOKEN


def _previewed(properties: Struct) -> Struct:
    values = plain(properties)
    if UNKNOWN in values.values():
        return with_value(properties, POLICY, UNKNOWN)
    return with_value(properties, POLICY, canonical(BucketDeclaration.of(values).policy))


@contextmanager
def _answering_errors(context: grpc.ServicerContext) -> Iterator[None]:
    """Answer with an error of ours: its message, and its hint on a line of its own."""
    try:
        yield
    except GitOpsRunError as error:
        context.abort(grpc.StatusCode.UNKNOWN, f"{error.message}\nhint: {error.hint}")
