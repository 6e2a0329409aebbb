"""/api: the documents of `-o json` over HTTP, and their description as OpenAPI 3.1."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import anyio
import msgspec
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gitops_run.errors import TransientError
from gitops_run.model.platform.status import to_json
from gitops_run.model.state.document import SessionDocument, to_document
from gitops_run.model.state.session_state import Phase, phase
from gitops_run.version import VERSION
from gitops_run.web.session_routes import gone
from gitops_run.web.site import Site, Visit, visited

LISTED_S: Final = 10.0
_ERROR: Final = {
    "type": "object",
    "required": ["error", "message", "hint"],
    "properties": {name: {"type": "string"} for name in ("error", "message", "hint")},
}


def routes(site: Site) -> Sequence[Route]:
    """List the URLs of documents."""
    return (
        Route("/api/sessions", visited(site, _sessions)),
        Route("/api/sessions/{namespace}/{name}", visited(site, _session)),
        Route("/api/platform", visited(site, _platform)),
        Route("/api/me", visited(site, _me)),
        Route("/api/openapi.json", visited(site, _openapi)),
    )


async def _sessions(visit: Visit) -> Response:
    live, said, now = visit.site.live, visit.request.query_params, datetime.now(UTC)
    with anyio.move_on_after(LISTED_S):
        await live.listed.wait()
    if not live.is_listed:
        raise live.trouble or TransientError("the sessions are not listed yet", hint="ask again")
    scene = await visit.viewer.scene(live)
    states = sorted(
        (live.rows[key].state for key in scene.rows if key in live.rows),
        key=lambda state: (state.name, state.namespace),
    )
    wanted = (
        state
        for state in states
        if said.get("owner") in (None, state.known_owner)
        and said.get("namespace") in (None, state.namespace)
        and said.get("state") in (None, phase(state, now).value)
    )
    return JSONResponse([to_document(state, now) for state in wanted])


async def _session(visit: Visit) -> Response:
    namespace, name = visit.place
    state = visit.site.live.find(namespace, name)
    if state is None or not await visit.viewer.may_see(state):
        raise gone(visit)
    whole = await visit.viewer.viewing.state(namespace, name)
    close_up = await visit.viewer.viewing.close_up(namespace, name)
    return JSONResponse(to_document(whole, datetime.now(UTC), close_up.details))


async def _platform(visit: Visit) -> Response:
    status = await visit.viewer.viewing.platform()
    return JSONResponse(to_json(status, visit.viewer.viewing.request.context))


async def _me(visit: Visit) -> Response:
    identity = visit.viewer.identity
    return JSONResponse({"user": identity.user, "groups": list(identity.groups)})


async def _openapi(visit: Visit) -> Response:
    del visit
    return JSONResponse(openapi())


def openapi() -> dict[str, Any]:
    """Write the description of /api, its schemas made from the documents' types."""
    (session,), components = msgspec.json.schema_components(
        (SessionDocument,), ref_template="#/components/schemas/{name}"
    )
    text = {"type": "string"}
    place = [{"name": name, "in": "path", "required": True, "schema": text} for name in ("namespace", "name")]
    query = [
        {"name": "owner", "in": "query", "schema": text},
        {"name": "namespace", "in": "query", "schema": text},
        {"name": "state", "in": "query", "schema": {"enum": [one.value for one in Phase]}},
    ]
    every = {"type": "array", "items": session}
    me = {
        "type": "object",
        "required": ["user", "groups"],
        "properties": {"user": text, "groups": {"type": "array", "items": text}},
    }
    made = {
        "openapi": "3.1.0",
        "info": {"title": "gitops-run", "version": VERSION},
        "paths": {
            "/api/sessions": _get("The sessions that you may see.", every, query),
            "/api/sessions/{namespace}/{name}": _get("One session, as `status` shows it.", session, place),
            "/api/platform": _get("How the platform is.", {"type": "object"}),
            "/api/me": _get("Who you are to the cluster.", me),
            "/api/openapi.json": _get("This description.", {"type": "object"}),
        },
        "components": {"schemas": {**components, "Error": _ERROR}},
    }
    return copy.deepcopy(made)


def _get(words: str, schema: object, parameters: Sequence[object] = ()) -> dict[str, Any]:
    def answer(description: str, of: object) -> dict[str, Any]:
        return {"description": description, "content": {"application/json": {"schema": of}}}

    error = {"$ref": "#/components/schemas/Error"}
    return {
        "get": {
            "summary": words,
            "parameters": list(parameters),
            "responses": {"200": answer("The document.", schema), "default": answer("Why not.", error)},
        }
    }
