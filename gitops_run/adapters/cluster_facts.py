"""What a cluster tells before anything is made in it: that it is the one, who asks, and which Flux it has.

Knows kubeconfigs, the API server's word on who a user is, and how Flux labels its installation. Changes
nothing. Sources: Kubernetes' authentication.k8s.io/v1, Flux 2.7's install manifests.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import yaml
from kubernetes.aio import client, config
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.config.config_exception import ConfigException

from gitops_run.errors import BackendError, UsageError
from gitops_run.model.session import OWNER_ANNOTATION, SessionName
from gitops_run.model.session_spec import ClusterFacts

ANSWER_WITHIN_S = 5.0
FLUX_AT_LEAST = (2, 7)

_KINDS = (
    ("source.toolkit.fluxcd.io/v1", "Bucket"),
    ("kustomize.toolkit.fluxcd.io/v1", "Kustomization"),
)
_REFUSED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_INSTALL_HINT = "install Flux 2.7 or later: https://fluxcd.io/flux/installation, or: gitops-run sandbox start"


def current_context(kubeconfig: str) -> str:
    """Name the kubeconfig's current context. Raises UsageError where it has none."""
    _, current = _contexts(kubeconfig)
    if not current:
        raise UsageError(f"{kubeconfig} has no current context", hint="name one: --context NAME")
    return current


async def read_facts(kubeconfig: str, context: str, name: SessionName, namespace: str) -> ClusterFacts:
    """Ask a cluster what a session needs to know of it.

    Raises UsageError on a kubeconfig or context that isn't there, or a Flux that is missing or too old;
    BackendError where the cluster doesn't answer or refuses to.
    """
    names, _ = _contexts(kubeconfig)
    if context not in names:
        raise UsageError(
            f"{kubeconfig} has no context {context!r}", hint=f"it has: {', '.join(names) or 'none'}"
        )
    place = f"the cluster of context {context!r}"
    try:
        with anyio.fail_after(ANSWER_WITHIN_S):
            async with _connection(kubeconfig, context) as api:
                return await _ask(api, name, namespace)
    except TimeoutError as error:
        raise BackendError(
            f"{place} did not answer within {ANSWER_WITHIN_S:.0f} s",
            hint="check that it runs and can be reached",
        ) from error
    except (aiohttp.ClientError, OSError) as error:
        raise BackendError(
            f"{place} can't be reached: {error}", hint="check that it runs and can be reached"
        ) from error
    except ApiException as error:
        raise BackendError(
            f"{place} answered {error.status} {error.reason}",
            hint="check who you are there: kubectl auth whoami"
            if error.status in _REFUSED
            else "look at the API server's log",
        ) from error


async def _ask(api: client.ApiClient, name: SessionName, namespace: str) -> ClusterFacts:
    source_version = _KINDS[0][0]
    path = f"/apis/{source_version}/namespaces/{namespace}/buckets/{name}"
    system, review, session, installations, *kinds = await asyncio.gather(
        _call(api, "GET", "/api/v1/namespaces/kube-system"),
        _call(api, "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", body=_review()),
        _find(api, path),
        _find(api, "/api/v1/namespaces?labelSelector=app.kubernetes.io%2Fpart-of%3Dflux"),
        *(_find(api, f"/apis/{version}") for version, _ in _KINDS),
    )
    flux = _flux_version(installations)
    _refuse_flux(flux, kinds)
    annotations = ((session or {}).get("metadata") or {}).get("annotations") or {}
    return ClusterFacts(
        uid=system["metadata"]["uid"],
        user=review["status"]["userInfo"]["username"],
        flux=flux,
        owner=annotations.get(OWNER_ANNOTATION, ""),
    )


def _review() -> dict[str, str]:
    return {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}


def _flux_version(namespaces: Mapping[str, Any] | None) -> str:
    for item in (namespaces or {}).get("items", ()):
        version = item["metadata"].get("labels", {}).get("app.kubernetes.io/version")
        if version:
            return str(version)
    return ""


def _refuse_flux(version: str, kinds: list[Mapping[str, Any] | None]) -> None:
    """Refuse a Flux that is too old, where it can be told, or that lacks a kind in the version we use."""
    numbers = re.match(r"v?(\d+)\.(\d+)", version)
    if numbers and (int(numbers[1]), int(numbers[2])) < FLUX_AT_LEAST:
        raise UsageError(f"this cluster's Flux is {version}, and 2.7 or later is needed", hint=_INSTALL_HINT)
    for (api_version, kind), found in zip(_KINDS, kinds, strict=True):
        if kind not in {resource["kind"] for resource in (found or {}).get("resources", ())}:
            raise UsageError(f"this cluster has no {kind} in {api_version}", hint=_INSTALL_HINT)


def _contexts(kubeconfig: str) -> tuple[list[str], str]:
    """List a kubeconfig's contexts, and the current one: the client refuses files without a current one."""
    try:
        document = yaml.safe_load(Path(kubeconfig).read_text(encoding="utf-8")) or {}
        return [entry["name"] for entry in document.get("contexts") or ()], document.get(
            "current-context"
        ) or ""
    except FileNotFoundError as error:
        raise UsageError(
            f"there is no kubeconfig at {kubeconfig}", hint="name one: --kubeconfig FILE"
        ) from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError, LookupError, TypeError) as error:
        raise UsageError(
            f"{kubeconfig} is not a usable kubeconfig ({type(error).__name__})", hint="check the file"
        ) from error


@asynccontextmanager
async def _connection(kubeconfig: str, context: str) -> AsyncIterator[client.ApiClient]:
    """Open a connection to one context, whatever happens to be current."""
    configuration = client.Configuration()
    configuration.retries = False
    try:
        await config.load_kube_config(
            config_file=kubeconfig,
            context=context,
            client_configuration=configuration,
            persist_config=False,
        )
    except ConfigException as error:
        raise UsageError(
            f"context {context!r} in {kubeconfig} can't be used: {error}", hint="check the file"
        ) from error
    async with client.ApiClient(configuration) as api:
        yield api


async def _find(api: client.ApiClient, path: str) -> Any:
    """Get what may be absent, or hidden from this user: None then."""
    try:
        return await _call(api, "GET", path)
    except ApiException as error:
        if error.status in {HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN}:
            return None
        raise


async def _call(api: client.ApiClient, method: str, path: str, *, body: object = None) -> Any:
    response = await api.call_api(
        *(
            await api.param_serialize(
                method,
                path,
                header_params={"Accept": "application/json", "Content-Type": "application/json"},
                body=body,
                auth_settings=["BearerToken"],
            )
        )
    )
    text = await response.read()
    if not HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
        raise ApiException(status=response.status, reason=response.reason)
    return json.loads(text)
