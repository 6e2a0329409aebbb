"""The provider protocol: requests in, answers out; what to do is decided elsewhere."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import grpc
from google.protobuf import empty_pb2
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc, status_pb2

from gitops_run.errors import GitOpsRunError, UsageError
from gitops_run.sandbox.kubernetes_plugin import diffing, kinds, objects, options
from gitops_run.sandbox.kubernetes_plugin.api import Api, connect
from gitops_run.sandbox.kubernetes_plugin.host import Host
from gitops_run.sandbox.kubernetes_plugin.lifecycle import Change, InitFailed, Operation
from gitops_run.sandbox.kubernetes_plugin.options import Options
from gitops_run.sandbox.kubernetes_plugin.readiness import parse_wait_for
from gitops_run.sandbox.kubernetes_plugin.values import (
    Object,
    from_struct,
    has_unknown,
    marked,
    plain,
    to_struct,
)

# The version of the real plugin whose behaviour this one has.
VERSION = "4.34.2"
_STAND_IN = "this stand-in for pulumi-resource-kubernetes"
ANNOUNCEMENT = f"gitops-run's stand-in for pulumi-resource-kubernetes {VERSION} is in use"

Answer = TypeVar("Answer")
_Method = Callable[["Provider", Any, grpc.ServicerContext], Answer]


class _Partial(Exception):
    """Carry the state of a half-done resource, as it goes over the wire."""

    def __init__(self, error: InitFailed, like: Object, *, with_inputs: bool = False) -> None:
        """like: the inputs on the wire, for what of them is secret."""
        super().__init__(str(error))
        state = error.state
        self.detail = provider_pb2.ErrorResourceInitFailed(
            id=objects.identity(state.live),
            properties=_state(state, like),
            reasons=error.reasons,
            inputs=to_struct(marked(state.inputs, like)) if with_inputs else None,
        )


def _answering(method: _Method[Answer]) -> _Method[Answer]:
    """Turn this project's errors into the protocol's, with the state of a half-done resource."""

    @functools.wraps(method)
    def answer(self: Provider, request: Any, context: grpc.ServicerContext) -> Answer:
        try:
            return method(self, request, context)
        except _Partial as error:
            status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=str(error))
            status.details.add().Pack(error.detail)
            context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
            return _abort(context, str(error))
        except GitOpsRunError as error:
            return _abort(context, _text(error))

    return answer


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """One configured provider; the engine calls it from many threads at once."""

    def __init__(self, host: Host) -> None:
        """host: the engine that started the plugin."""
        self._host = host
        self._cancelled = threading.Event()
        self._options = Options()
        self._api: Api | None = None
        self._connecting = threading.Lock()

    def GetPluginInfo(self, request: Any, context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:
        """Report which version of the real plugin this one stands in for."""
        return plugin_pb2.PluginInfo(version=VERSION)

    def Handshake(
        self, request: Any, context: grpc.ServicerContext
    ) -> provider_pb2.ProviderHandshakeResponse:
        """Describe what this plugin understands."""
        return provider_pb2.ProviderHandshakeResponse(
            accept_secrets=True, supports_autonaming_configuration=True
        )

    def GetSchema(self, request: Any, context: grpc.ServicerContext) -> provider_pb2.GetSchemaResponse:
        """Give a schema without types: programs bring theirs along."""
        return provider_pb2.GetSchemaResponse(schema=f'{{"name": "kubernetes", "version": "{VERSION}"}}')

    @_answering
    def CheckConfig(self, request: Any, context: grpc.ServicerContext) -> provider_pb2.CheckResponse:
        """Refuse the options that aren't known."""
        failures = [
            provider_pb2.CheckFailure(property=name, reason=f"{name} is not known to {_STAND_IN}")
            for name in options.refused(from_struct(request.news))
        ]
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    @_answering
    def DiffConfig(self, request: Any, context: grpc.ServicerContext) -> provider_pb2.DiffResponse:
        """Report whether a changed configuration means another cluster."""
        found = options.config_difference(plain(from_struct(request.olds)), plain(from_struct(request.news)))
        if not found.changed:
            return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME, diffs=found.changed, replaces=found.replaces
        )

    @_answering
    def Configure(self, request: Any, context: grpc.ServicerContext) -> provider_pb2.ConfigureResponse:
        """Take the configuration; the cluster is asked when first needed."""
        self._options = options.parse(dict(request.variables), os.environ)
        self._host.info(ANNOUNCEMENT, request.urn)
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True, supportsPreview=True, supports_autonaming_configuration=True
        )

    @_answering
    def Check(self, request: Any, context: grpc.ServicerContext) -> provider_pb2.CheckResponse:
        """Write inputs as the API server stores them, and refuse what isn't known."""
        news = from_struct(request.news)
        inputs = objects.parse_inputs(news)
        try:
            _check_inputs(kinds.parse_type(_type_of(request)), inputs)
        except UsageError as error:
            return provider_pb2.CheckResponse(
                inputs=request.news, failures=[provider_pb2.CheckFailure(reason=_text(error))]
            )
        return provider_pb2.CheckResponse(inputs=to_struct(marked(objects.normalized(inputs), news)))

    @_answering
    def Diff(self, request: Any, context: grpc.ServicerContext) -> provider_pb2.DiffResponse:
        """Compare the object as it was last seen with the inputs; the cluster isn't asked."""
        old = objects.parse_state(from_struct(request.olds))
        new = objects.normalized(objects.parse_inputs(from_struct(request.news)))
        base, wanted = objects.comparable(old, new)
        kind = kinds.known(kinds.parse_type(_type_of(request)))
        fixed = kinds.IDENTITY
        if kind is not None:
            fixed = kinds.fixed_fields(kind, wanted, secrets_mutable=self._options.secrets_mutable)
        found = diffing.differences(base, wanted, fixed)
        return _diff_response(diffing.without_ignored(found, request.ignoreChanges), old.live, wanted)

    @_answering
    def Create(self, request: Any, context: grpc.ServicerContext) -> provider_pb2.CreateResponse:
        """Create an object, or preview that."""
        news = from_struct(request.properties)
        inputs = objects.parse_inputs(news)
        operation = self._operation(request)
        if request.preview:
            preview = operation.preview_create(inputs)
            properties = request.properties if preview is None else _state(preview, news)
            return provider_pb2.CreateResponse(properties=properties)
        try:
            state = operation.create(inputs)
        except InitFailed as error:
            raise _Partial(error, news) from error
        return provider_pb2.CreateResponse(id=objects.identity(state.live), properties=_state(state, news))

    @_answering
    def Read(self, request: Any, context: grpc.ServicerContext) -> provider_pb2.ReadResponse:
        """Read an object back, for a refresh or an import."""
        wire_inputs = from_struct(request.inputs)
        old = objects.parse_state(from_struct(request.properties))
        try:
            state = self._operation(request).read(request.id, old, objects.parse_inputs(wire_inputs))
        except InitFailed as error:
            raise _Partial(error, wire_inputs, with_inputs=True) from error
        if state is None:
            return provider_pb2.ReadResponse()
        return provider_pb2.ReadResponse(
            id=request.id,
            properties=_state(state, wire_inputs),
            inputs=to_struct(marked(state.inputs, wire_inputs)),
        )

    @_answering
    def Update(self, request: Any, context: grpc.ServicerContext) -> provider_pb2.UpdateResponse:
        """Update an object in place, or preview that."""
        news = from_struct(request.news)
        change = Change(
            old=objects.parse_state(from_struct(request.olds)),
            inputs=objects.normalized(objects.parse_inputs(news)),
            ignored=tuple(request.ignoreChanges),
        )
        operation = self._operation(request)
        if request.preview:
            preview = operation.preview_update(change)
            properties = request.news if preview is None else _state(preview, news)
            return provider_pb2.UpdateResponse(properties=properties)
        try:
            state = operation.update(change)
        except InitFailed as error:
            raise _Partial(error, news) from error
        return provider_pb2.UpdateResponse(properties=_state(state, news))

    @_answering
    def Delete(self, request: Any, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """Delete an object and wait until it is gone."""
        wire_state = from_struct(request.properties)
        old = objects.parse_state(wire_state)
        try:
            self._operation(request).delete(old, request.id)
        except InitFailed as error:
            raise _Partial(error, wire_state) from error
        return empty_pb2.Empty()

    def Cancel(self, request: Any, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """End every wait at once."""
        self._cancelled.set()
        return empty_pb2.Empty()

    @_answering
    def Invoke(self, request: Any, context: grpc.ServicerContext) -> NoReturn:
        """Refuse functions."""
        raise kinds.refusal(f"the function {request.tok}")

    @_answering
    def Call(self, request: Any, context: grpc.ServicerContext) -> NoReturn:
        """Refuse methods."""
        raise kinds.refusal(f"the method {request.tok}")

    @_answering
    def Construct(self, request: Any, context: grpc.ServicerContext) -> NoReturn:
        """Refuse components, such as charts."""
        raise kinds.refusal(f"the component {request.type}")

    def _cluster(self) -> Api:
        with self._connecting:
            if self._api is None:
                self._api = connect(self._options)
            return self._api

    def _operation(self, request: Any) -> Operation:
        return Operation(
            api=self._cluster(),
            host=self._host,
            cancelled=self._cancelled,
            urn=request.urn,
            kind=kinds.parse_type(_type_of(request)),
            timeout_s=getattr(request, "timeout", 0.0),
        )


def _check_inputs(kind: kinds.KindName, inputs: Object) -> None:
    if objects.kind_name(inputs) != kind:
        raise UsageError(f"the inputs of {kind.api_version}/{kind.name} name another apiVersion or kind")
    if not objects.name_of(inputs) and not has_unknown(inputs.get("metadata")):
        raise UsageError(f"metadata.name is missing, and {_STAND_IN} generates no names")
    marks = objects.annotations_of(inputs)
    kinds.check_annotations(marks)
    policy = marks.get(kinds.DELETION_POLICY)
    if policy is not None and policy not in {"foreground", "background", "orphan"}:
        raise UsageError(f"{kinds.DELETION_POLICY} can't be {policy!r}: foreground, background or orphan")
    expression = marks.get(kinds.WAIT_FOR)
    if expression is not None and not has_unknown(expression):
        parse_wait_for(str(expression))


def _diff_response(
    found: tuple[diffing.Difference, ...], live: Object, wanted: Object
) -> provider_pb2.DiffResponse:
    replaces = [difference.path for difference in found if difference.replaces]
    keeps_identity = objects.identity(live) == objects.identity(wanted)
    return provider_pb2.DiffResponse(
        changes=provider_pb2.DiffResponse.DIFF_SOME if found else provider_pb2.DiffResponse.DIFF_NONE,
        replaces=replaces,
        deleteBeforeReplace=bool(replaces) and bool(objects.name_of(wanted)) and keeps_identity,
        detailedDiff={difference.path: _property_diff(difference) for difference in found},
        hasDetailedDiff=True,
    )


def _property_diff(difference: diffing.Difference) -> provider_pb2.PropertyDiff:
    name = f"{difference.change.value}_REPLACE" if difference.replaces else difference.change.value
    return provider_pb2.PropertyDiff(
        kind=provider_pb2.PropertyDiff.Kind.Value(name),
        inputDiff=difference.change is diffing.Change.DELETE,
    )


def _state(state: objects.State, like: Object) -> Struct:
    return to_struct(objects.render_state(state, like))


def _type_of(request: Any) -> str:
    return str(request.type or request.urn.split("::")[2].rpartition("$")[2])


def _text(error: GitOpsRunError) -> str:
    return f"{error.message}; {error.hint}" if error.hint else error.message


def _abort(context: grpc.ServicerContext, message: str) -> NoReturn:
    context.abort(grpc.StatusCode.UNKNOWN, message)
    raise AssertionError("abort raises")
