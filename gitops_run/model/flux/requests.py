"""What somebody asks of a session, as annotations of its Flux Bucket: made once, carried out once.

Knows how a request is written and read. RBAC decides who may ask, and an admission policy of the platform
makes sure that the name is that of who asks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from gitops_run.model.names import REQUEST_ANNOTATION, REQUESTED_BY_ANNOTATION


class Verb(StrEnum):
    """Say what is asked for. undo: a kept revision, back. retry: the files, checked and pushed again."""

    UNDO = "undo"
    RETRY = "retry"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Hold one request.

    id: never used before. verb: one that this version doesn't know is refused. argument: of undo, the whole
    revision. who: a Kubernetes user. when: RFC 3339. why: in the user's words, or "".
    """

    id: str
    verb: str
    who: str
    when: str
    argument: str = ""
    why: str = ""


def to_annotations(request: Request) -> dict[str, str]:
    """Write a request as annotations."""
    fields = {name: getattr(request, name) for name in ("id", "verb", "argument", "when", "why")}
    return {REQUEST_ANNOTATION: json.dumps(fields), REQUESTED_BY_ANNOTATION: request.who}


def parse_request(annotations: Mapping[str, str]) -> Request | None:
    """Read a request; None where there is none, or one that can't be read."""
    try:
        asked = json.loads(annotations.get(REQUEST_ANNOTATION, ""))
    except ValueError:
        return None
    match asked:
        case {"id": str(id_), "verb": str(verb), "when": str(when)} if id_:
            argument, why = str(asked.get("argument", "")), str(asked.get("why", ""))
            who = annotations.get(REQUESTED_BY_ANNOTATION, "")
            return Request(id=id_, verb=verb, who=who, when=when, argument=argument, why=why)
    return None
