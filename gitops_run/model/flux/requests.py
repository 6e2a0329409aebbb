"""What somebody asks of a session, as annotations of its Flux Bucket: made once, carried out once.

Knows how a request is written and read, and its limits: whoever may patch the annotation may write anything.
RBAC decides who may ask, and an admission policy of the platform makes sure that the name is that of who
asks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gitops_run.errors import GuardError
from gitops_run.model.names import REQUEST_ANNOTATION, REQUESTED_BY_ANNOTATION

ID_MAX: Final = 64
REASON_MAX: Final = 200


class Verb(StrEnum):
    """Say what is asked for.

    undo: apply a kept revision again; argument: the whole revision. end: as `down` does it. extend: move its
    end; argument: the new one, RFC 3339. retry: check and push the files again, or, where nobody syncs, fetch
    and apply again what is stored. suspend, resume: what applies it.
    """

    UNDO = "undo"
    END = "end"
    EXTEND = "extend"
    RETRY = "retry"
    SUSPEND = "suspend"
    RESUME = "resume"


OF_FILES: Final = frozenset({Verb.UNDO, Verb.RETRY})
"""What concerns the files: a sync does it in its save loop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Hold one request.

    id: never used before. verb: one that this version doesn't know is refused. argument: as Verb says, or "".
    who: a Kubernetes user. when: RFC 3339. why: one line in the user's words, or "".
    """

    id: str
    verb: str
    who: str
    when: str
    argument: str = ""
    why: str = ""

    def __str__(self) -> str:
        """Write it as a sentence about the session."""
        why = f": {self.why}" if self.why else ""
        return f"{self.who or 'somebody'} asks to {self.verb} it{why}"


def verb_of(request: Request) -> Verb:
    """Say what is asked for. Raises GuardError where a later version knows it, and this one doesn't."""
    try:
        return Verb(request.verb)
    except ValueError:
        raise GuardError(
            f"this version can't {request.verb}: it is older than the one that asks for it",
            hint="update the version that syncs the session, and the one that collects",
        ) from None


def to_annotations(request: Request) -> dict[str, str]:
    """Write a request as annotations."""
    fields = {name: getattr(request, name) for name in ("id", "verb", "argument", "when", "why")}
    return {REQUEST_ANNOTATION: json.dumps(fields), REQUESTED_BY_ANNOTATION: request.who}


def parse_request(annotations: Mapping[str, str]) -> Request | None:
    """Read a request; None where there is none, or one that can't be read. A longer reason is cut."""
    try:
        asked = json.loads(annotations.get(REQUEST_ANNOTATION, ""))
    except ValueError:
        return None
    match asked:
        case {"id": str(id_), "verb": str(verb), "when": str(when)} if 0 < len(id_) <= ID_MAX:
            argument, why = str(asked.get("argument", "")), one_line(str(asked.get("why", "")))
            who = annotations.get(REQUESTED_BY_ANNOTATION, "")
            return Request(id=id_, verb=verb, who=who, when=when, argument=argument, why=why)
    return None


def one_line(reason: str) -> str:
    """Reduce a reason to one printable line of at most REASON_MAX characters."""
    words = " ".join(reason.split())
    return "".join(letter for letter in words if letter.isprintable())[:REASON_MAX]
