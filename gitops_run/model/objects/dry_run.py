"""What the API server's answer to a dry run says is wrong, without noise and without values of Secrets.

This module knows the two languages that the answers are in: causes with a field each (422), and the message
of a server-side apply whose object doesn't fit its schema, which comes as a 500 without any detail. It knows
nothing of how the request is made. Source: Kubernetes 1.36, seen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from http import HTTPStatus
from typing import Any, Final

Json = Mapping[str, Any]


class Obstacle(Enum):
    """Name what stands in an object's way."""

    KIND = "the cluster has no such kind"
    NAMESPACE = "its namespace doesn't exist"
    RIGHT = "Flux may not apply it for this session"
    IMPERSONATION = "the user may not impersonate the session's account"
    CONTENT = "the API server finds it invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Hold one thing that is wrong with an object.

    field: as the API server names it, "" for the whole. hint: what to do about it, where that is known here.
    """

    obstacle: Obstacle
    message: str
    field: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Hold what the cluster says of one object. live: None where it has none. result: of the dry run.

    resource: the kind's plural. is_hidden: Flux may not read what is there, so None says nothing. if_new:
    what is wrong with the object apart from the change; None where that wasn't asked. made_new: what comes of
    it under another name. dropped: fields that Flux drops, so that none of the rest is about them. Values of
    Secrets are in here, so nothing of it is in the representation.
    """

    live: Json | None = field(default=None, repr=False)
    result: Json | None = field(default=None, repr=False)
    findings: tuple[Finding, ...] = ()
    resource: str = ""
    is_namespaced: bool = True
    is_hidden: bool = False
    if_new: tuple[Finding, ...] | None = None
    made_new: Json | None = field(default=None, repr=False)
    dropped: tuple[str, ...] = ()

    @property
    def unknown_fields(self) -> tuple[str, ...]:
        """List the fields that the kind doesn't have; none where a value of another type is refused as well.

        Flux sends such an object as it is, and the unknown fields are refused too.
        """
        if any(finding.message.startswith("expected ") for finding in self.findings):
            return ()
        return tuple(one.field for one in self.findings if one.message == _UNKNOWN_FIELD)

    def would_recreating_help(self, finding: Finding) -> bool:
        """Report whether a finding is about the change alone, and not about the object."""
        return self.if_new is not None and finding not in self.if_new


NO_NAMESPACE: Final = Finding(
    obstacle=Obstacle.CONTENT,
    field="metadata.namespace",
    message="it is missing, and Flux applies no object of this kind without it",
    hint="kustomize sets it after patches and before patchesJson6902: change an object's kind under patches",
)
"""What is wrong with an object that kustomize took for one of the whole cluster: it had another kind then."""

_UNKNOWN_FIELD: Final = "unknown field"
_TYPED = "failed to create typed patch object"
_CONVERTED = re.compile(
    r"^failed to convert new object .*?: (?:unable to convert .*?, Kind=\w+: )?", re.DOTALL
)
_AFTERTHOUGHT = "some validation rules were not checked because the object was invalid"
_TYPED_LINE = re.compile(r"^\s*(?P<field>\.\S.*?): (?P<message>[^:]*(?:got .*)?)$")
_TYPED_HEAD = re.compile(r"^.*?Kind=\w+\): ", re.DOTALL)
_STRICT = re.compile(r'(unknown|duplicate) field "([^"]+)"')
_OF_AN_ACCOUNT = re.compile(r'User "system:serviceaccount:[^"]*" cannot ')
_INVALID = re.compile(r"^.*? is invalid: ", re.DOTALL)
_ECHO = re.compile(r"^(Invalid|Unsupported|Duplicate|Too long|Not found)( value)?: .*?(?=: |$)", re.DOTALL)
_ECHO_MAX = 60
_CONTENT_CODES = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    }
)


_IMMUTABLE = re.compile(r"is\simmutable|immutable\sfield")
_ALLOCATED = "already allocated"


def may_be_immutable(status: int, message: str) -> bool:
    """Report whether Flux may take a refusal for one of the change alone.

    Source: fluxcd/pkg ssa, IsImmutableError.
    """
    is_named = status in (HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.CONFLICT)
    return is_named or bool(_IMMUTABLE.search(message))


def to_findings_if_new(status: int, answer: Json, *, is_secret: bool = False) -> tuple[Finding, ...] | None:
    """Read the answer for an object under another name, as to_findings does.

    A quota, or an address that the object itself holds, says nothing of what comes after its deletion.
    """
    if status in (HTTPStatus.FORBIDDEN, HTTPStatus.CONFLICT) or status < HTTPStatus.BAD_REQUEST:
        return ()
    found = to_findings(status, answer, is_secret=is_secret)
    return None if found is None else tuple(one for one in found if _ALLOCATED not in one.message)


_OF_ANOTHER_CLUSTER = {
    "uid": "it is the identity of another object",
    "resourceVersion": "it is the version of another object, or of an earlier state of this one",
}


_NO_VERSION = "strconv.ParseUint: "


def is_conflict(status: int, answer: Json) -> bool:
    """Report whether an object's identity is refused; a version that is no number is, too."""
    return status == HTTPStatus.CONFLICT or _NO_VERSION in str(answer.get("message") or "")


def of_conflict(answer: Json) -> tuple[Finding, ...]:
    """Read an answer 409 whose cause is in no file: a webhook's, or somebody else who writes all the time."""
    return (replace(_plain(str(answer.get("message") or "")), hint="save again once that is over"),)


def conflict_of(body: Json) -> tuple[Finding, ...]:
    """Find what makes the API server answer 409 each time: what a file copied from a cluster has kept."""
    metadata = body.get("metadata")
    return tuple(
        Finding(
            obstacle=Obstacle.CONTENT,
            field=f"metadata.{key}",
            message=message,
            hint="remove the line: the API server sets this field",
        )
        for key, message in _OF_ANOTHER_CLUSTER.items()
        if isinstance(metadata, Mapping) and metadata.get(key)
    )


def to_findings(status: int, answer: Json, *, is_secret: bool = False) -> tuple[Finding, ...] | None:
    """Read a refusal; None for one that says nothing of the object, so that trying again may help.

    is_secret: no value of the object may show in the messages.
    """
    message = str(answer.get("message") or "")
    if status == HTTPStatus.FORBIDDEN:
        return (_of_forbidden(message),)
    if status == HTTPStatus.NOT_FOUND:
        obstacle = Obstacle.NAMESPACE if message.startswith("namespaces ") else Obstacle.KIND
        return (Finding(obstacle=obstacle, message=message),)
    if message.startswith(_TYPED):
        found = _of_types(message)
    elif converted := _CONVERTED.match(message):
        found = (_plain(message[converted.end() :].removeprefix("error decoding from json: ")),)
    elif status in _CONTENT_CODES:
        found = _of_strictness(message) or _of_causes(answer) or (_plain(_INVALID.sub("", message)),)
    else:
        return None
    return tuple(_masked(finding) for finding in found) if is_secret else found


def _of_forbidden(message: str) -> Finding:
    if " cannot impersonate resource " in message:
        return Finding(obstacle=Obstacle.IMPERSONATION, message=message)
    if _OF_AN_ACCOUNT.search(message):
        return Finding(obstacle=Obstacle.RIGHT, message=message)
    return _plain(message.partition(" is forbidden: ")[2] or message)


def _of_types(message: str) -> tuple[Finding, ...]:
    text = _TYPED_HEAD.sub("", message).removeprefix("errors:\n")
    found = []
    for line in text.splitlines():
        parsed = _TYPED_LINE.match(line)
        if parsed is None:
            found.append(_plain(line.strip()))
            continue
        found.append(_content(parsed["field"].lstrip("."), _clear(parsed["message"])))
    return tuple(found)


def _of_strictness(message: str) -> tuple[Finding, ...]:
    return tuple(_content(field, f"{kind} field") for kind, field in _STRICT.findall(message))


def _of_causes(answer: Json) -> tuple[Finding, ...]:
    causes = (answer.get("details") or {}).get("causes") or ()
    return tuple(
        _content(_field(str(cause.get("field") or "")), _shortened(str(cause.get("message") or "")))
        for cause in causes
        if _AFTERTHOUGHT not in str(cause.get("message"))
    )


def _field(field: str) -> str:
    """Name a cause's field; all keys and values of a ConfigMap together are a field without a name."""
    return "data" if field == "[]" else field.replace("<nil>", "")


def _content(field: str, message: str) -> Finding:
    return Finding(obstacle=Obstacle.CONTENT, field=field, message=message)


def _plain(message: str) -> Finding:
    return _content("", message or "the API server refuses it without a reason")


def _clear(message: str) -> str:
    if message == "field not declared in schema":
        return _UNKNOWN_FIELD
    return re.sub(r"&value\.valueUnstructured\{Value:(.*)\}$", r"\1", message)


def _shortened(message: str) -> str:
    """Leave out a value that would bury the reason: an immutable selector comes with all of it."""
    echo = _ECHO.match(message)
    if echo is None or echo.end() == len(message):
        return message
    reason = message.rpartition("}: ")[2] if "}: " in message else message[echo.end() + 2 :]
    return reason if "{" in echo.group() or echo.end() > _ECHO_MAX else message


_SECRET_REASONS = (
    "field is immutable",
    "field is immutable when `immutable` is set",
    "Required value",
    _UNKNOWN_FIELD,
    "duplicate field",
)


_HARMLESS = re.compile(r"illegal base64 data at input byte \d+|Too long: may not be more than \d+ bytes")


def _masked(finding: Finding) -> Finding:
    """Keep what can't hold a value: the field, and reasons that are known by heart."""
    reason = next((one for one in _SECRET_REASONS if finding.message.endswith(one)), "")
    expected = re.match(r"expected \w+", finding.message)
    if not reason and expected:
        reason = f"{expected.group()}, got something else"
    if illegal := _HARMLESS.fullmatch(finding.message):
        reason = illegal.group()
    message = reason or "the API server refuses its value, which is not shown"
    return replace(finding, message=message)
