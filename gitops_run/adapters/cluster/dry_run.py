"""What the cluster has of an object, and what the API server would make of it: asked as Flux asks.

Every request is made in the name of the session's ServiceAccount, so that rights are Flux's and not those
of the user. The server fills in the account's groups itself; asking with groups would take a
right on groups of the whole cluster. Nothing is ever written: each patch is a dry run.
"""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any, Final

import anyio

from gitops_run.adapters.cluster.connection import APPLY_PATCH, Connection, Json, refusal
from gitops_run.adapters.cluster.discovery import Discovery
from gitops_run.adapters.cluster.paths import collection_path, object_path, secret_path
from gitops_run.adapters.cluster.request import Request
from gitops_run.errors import GitOpsRunError, ungrouped
from gitops_run.model.names import ACCOUNT
from gitops_run.model.objects.dry_run import (
    NO_NAMESPACE,
    Finding,
    Look,
    Obstacle,
    conflict_of,
    is_conflict,
    may_be_immutable,
    of_conflict,
    to_findings,
    to_findings_if_new,
)
from gitops_run.model.objects.identity import ObjectRef, RenderedObject
from gitops_run.model.objects.secret_values import of_object
from gitops_run.model.text.echoes import without_echo
from gitops_run.model.text.masking import Masker

AT_A_TIME: Final = 10
"""Objects that are looked at together: more would be another client's wait."""
LIST_FROM: Final = 20
"""So many objects of one kind in one namespace are read by one list, and not by as many requests."""
_NAME_MAX: Final = 30
_UNTAKEN: Final = "recreated-dfjt7"
"""What is added to a name, of which _NAME_MAX letters stay, to ask for an object that isn't there."""
CONFLICTS_MAX: Final = 3
"""A 409 that comes this often in a row is not caused by somebody else's change."""
_DRY_RUN: Final = {"dryRun": "All", "force": "true", "fieldValidation": "Strict"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenSecrets:
    """Describe what is to be learned of Secrets. names: of those that variables come from."""

    masker: Masker = field(default_factory=Masker)
    names: tuple[str, ...] = ()


class ClusterDryRun:
    """Look at objects for one session."""

    def __init__(
        self,
        connection: Connection,
        namespace: str,
        discovery: Discovery,
        manager: str,
        seen: SeenSecrets | None = None,
    ) -> None:
        """manager: as which Flux applies; the fields that only it owns go where an object leaves them out."""
        self._connection = connection
        self._seen = seen or SeenSecrets()
        self._masker = self._seen.masker
        self._namespace = namespace
        self._discovery = discovery
        self._query = {**_DRY_RUN, "fieldManager": manager}
        self._headers = {"Impersonate-User": f"system:serviceaccount:{namespace}:{ACCOUNT}"}

    async def look(self, objects: Sequence[RenderedObject], *, has_dry_run: bool) -> tuple[Look, ...]:
        """Look at each object, in order. Raises TransientError where the cluster fails.

        has_dry_run: False to read only what is there.
        """
        found: dict[int, Look] = {}
        limiter = anyio.CapacityLimiter(AT_A_TIME)

        async def look_at(index: int, item: RenderedObject) -> None:
            async with limiter:
                is_tried = has_dry_run and not item.is_encrypted
                found[index] = await self._look(item, listed.get(item.ref), has_dry_run=is_tried)

        with ungrouped():
            listed = await self._list([item.ref for item in objects])
            async with anyio.create_task_group() as tasks:
                for name in self._seen.names if objects else ():
                    tasks.start_soon(self._learn, name)
                for index, item in enumerate(objects):
                    tasks.start_soon(look_at, index, item)
        return tuple(self._masked(found[index]) for index in range(len(objects)))

    async def _learn(self, name: str) -> None:
        """Learn the values of a Secret that variables come from; one that can't be read teaches nothing."""
        path = secret_path(self._namespace, name)
        _, answer = await self._connection.ask(Request(method="GET", path=path, headers=self._headers))
        self._masker.learn(of_object(answer))

    def _masked(self, look: Look) -> Look:
        """Take values of Secrets out of what the API server says; a key may be a line of a file."""
        mask = self._masker.mask

        def masked(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
            return tuple(
                replace(one, field=mask(one.field), message=mask(without_echo(one.message)))
                for one in findings
            )

        if_new = None if look.if_new is None else masked(look.if_new)
        return replace(look, findings=masked(look.findings), if_new=if_new)

    async def _list(self, refs: Sequence[ObjectRef]) -> Mapping[ObjectRef, Json]:
        """Read at once what is there of many objects of one kind; what this leaves out is read one by one.

        A namespace may hold many others, so the list has an end; and rights to list may be missing.
        """
        alike: dict[tuple[str, str, str], list[ObjectRef]] = defaultdict(list)
        for ref in refs:
            alike[ref.api_version, ref.kind, ref.namespace].append(ref)
        listed: dict[ObjectRef, Json] = {}
        for wanted in alike.values():
            if len(wanted) >= LIST_FROM and (resource := await self._discovery.find(wanted[0])) is not None:
                listed |= await self._page(collection_path(wanted[0], resource, self._namespace), wanted)
        return listed

    async def _page(self, path: str, wanted: Sequence[ObjectRef]) -> Mapping[ObjectRef, Json]:
        query = {"limit": str(2 * len(wanted))}
        _, answer = await self._connection.ask(
            Request(method="GET", path=path, query=query, headers=self._headers)
        )
        live = {item["metadata"]["name"]: item for item in answer.get("items") or ()}
        # A list's items don't say what they are.
        return {
            ref: {"apiVersion": ref.api_version, "kind": ref.kind, **live[ref.name]}
            for ref in wanted
            if ref.name in live
        }

    async def _look(self, item: RenderedObject, live: Json | None, *, has_dry_run: bool) -> Look:
        """Look at an object. live: as a list had it; None where it wasn't listed."""
        resource = await self._discovery.find(item.ref)
        if resource is None:
            message = f"the cluster has no kind {item.ref.kind} in {item.ref.api_version}"
            return Look(findings=(Finding(obstacle=Obstacle.KIND, message=message),))
        if has_dry_run and resource.is_namespaced and not item.ref.namespace:
            return Look(findings=(NO_NAMESPACE,), resource=resource.plural)
        path = object_path(item.ref, resource, self._namespace)
        answers = await self._answers(path, item.body if has_dry_run else None, is_read=live is None)
        there = self._live(*answers["GET"]) if live is None else live
        if isinstance(there, dict):
            self._masker.learn(of_object(there))
        result = self._result(item, *answers["PATCH"]) if has_dry_run else Look()
        if result.findings and there is not None and _may_be_immutable(*answers["PATCH"]):
            if_new, made_new = await self._if_new(item, path)
            result = replace(result, if_new=if_new, made_new=made_new)
        refused = there if isinstance(there, tuple) and not has_dry_run else ()
        return Look(
            live=None if isinstance(there, tuple) else there,
            result=result.result,
            findings=result.findings or refused,
            resource=resource.plural,
            is_namespaced=resource.is_namespaced,
            is_hidden=isinstance(there, tuple),
            if_new=result.if_new,
            made_new=result.made_new,
        )

    async def _answers(
        self, path: str, body: Mapping[str, Any] | None, *, is_read: bool
    ) -> Mapping[str, tuple[int, Json]]:
        """Read and dry-run an object side by side, what of both is wanted. By method: status and answer."""
        answers: dict[str, tuple[int, Json]] = {}

        async def ask(request: Request) -> None:
            answers[request.method] = await self._connection.ask(request)

        async def try_out(body: Mapping[str, Any]) -> None:
            for _ in range(CONFLICTS_MAX):
                await ask(self._dry_run(path, body))
                if answers["PATCH"][0] != HTTPStatus.CONFLICT or conflict_of(body):
                    return

        async with anyio.create_task_group() as tasks:
            if is_read:
                tasks.start_soon(ask, Request(method="GET", path=path, headers=self._headers))
            if body is not None:
                tasks.start_soon(try_out, body)
        return answers

    async def _if_new(self, item: RenderedObject, path: str) -> tuple[tuple[Finding, ...], Json | None]:
        """Ask what would be wrong with an object if it were new, and what it would be.

        It is asked for under a name that isn't taken.
        """
        name = f"{item.ref.name[:_NAME_MAX].rstrip('-.')}-{_UNTAKEN}"
        metadata = {key: value for key, value in item.body["metadata"].items() if key != "resourceVersion"}
        body = {**item.body, "metadata": {**metadata, "name": name}}
        request = self._dry_run(f"{path.rpartition('/')[0]}/{name}", body)
        status, answer = await self._connection.ask(request)
        if is_conflict(status, answer) and (conflict := conflict_of(body)):
            return conflict, None
        found = to_findings_if_new(status, answer, is_secret=item.ref.kind == "Secret")
        if found is None:
            raise self._failure(status, answer)
        return found, answer if status < HTTPStatus.BAD_REQUEST else None

    def _dry_run(self, path: str, body: Mapping[str, Any]) -> Request:
        return Request(
            method="PATCH",
            path=path,
            query=self._query,
            body=_as_flux_sends(body),
            content_type=APPLY_PATCH,
            headers=self._headers,
        )

    def _live(self, status: int, answer: Json) -> Json | tuple[Finding, ...] | None:
        """Read the live object; None where there is none, findings where Flux may not read it."""
        if status < HTTPStatus.BAD_REQUEST:
            return answer
        if status == HTTPStatus.NOT_FOUND:
            return None
        if status == HTTPStatus.FORBIDDEN:
            return to_findings(status, answer) or ()
        raise self._failure(status, answer)

    def _result(self, item: RenderedObject, status: int, answer: Json) -> Look:
        if status < HTTPStatus.BAD_REQUEST:
            return Look(result=answer)
        if is_conflict(status, answer) and (conflict := conflict_of(item.body)):
            return Look(findings=conflict)
        if status == HTTPStatus.CONFLICT:
            return Look(findings=of_conflict(answer))
        found = to_findings(status, answer, is_secret=item.ref.kind == "Secret")
        if found is None:
            raise self._failure(status, answer)
        return Look(findings=found)

    def _failure(self, status: int, answer: Json) -> GitOpsRunError:
        message = self._masker.mask(without_echo(str(answer.get("message") or "no reason given")))
        return refusal(self._connection.context, status, message)


def _may_be_immutable(status: int, answer: Json) -> bool:
    return may_be_immutable(status, str(answer.get("message") or ""))


def _as_flux_sends(body: Mapping[str, Any]) -> Json:
    """Encode a Secret's stringData as Flux does before it applies; what isn't text is left to be refused."""
    plain, data = body.get("stringData"), body.get("data") or {}
    if body.get("apiVersion") != "v1" or body.get("kind") != "Secret":
        return dict(body)
    if not isinstance(plain, Mapping) or not isinstance(data, Mapping):
        return dict(body)
    if not all(isinstance(value, str) for value in plain.values()):
        return dict(body)
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in plain.items()}
    kept = {key: value for key, value in body.items() if key != "stringData"}
    return {**kept, "data": {**data, **encoded}}
