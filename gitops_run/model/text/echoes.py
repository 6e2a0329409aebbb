"""The forms in which kustomize, Flux and the API server repeat their input, and what is left of them.

For text whose values nobody has learned: what only Flux decrypts or substitutes, and messages that are read
without the files they are about. The patterns stand in tables, each row with a test. Sources: kustomize
api 0.21 (kv, resmap), go-yaml 3, apimachinery's field errors, kustomize-controller 1.9, helm-controller 1.6.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from gitops_run.model.text.masking import MASK

NOT_SHOWN = "what is wrong with it may repeat a value, and is not shown"

RAW: tuple[tuple[str, str], ...] = (
    (
        r"(?s)line \[[\d ]*\] has invalid utf8 bytes ?:.*?(?=$|['\"]?: must build at directory|\n\n)",
        "a line of it is not UTF-8",
    ),
    (
        r"(?s)(?:literal sources \[.*?\]: )?invalid literal source .*?, expected key=value",
        "a literal has no '='",
    ),
    (r'"[^"\n]*" is not a valid key name', "a key is not a valid key name"),
    (r"(?s)\{\\?\"apiVersion\\?\":.*\}", "{…}"),
    (r"(?s)\bmap\[.*\]", f"map[{MASK}]"),
    (r"\[\d{1,3}(?: \d{1,3}){3,}\]", f"[{MASK}]"),
)
"""What repeats whole lines, literals and objects, in any text, and what takes its place."""

_CONFLICT = re.compile(r"produces ID conflict: (.*)", re.DOTALL)
_NAMED = re.compile(r'"kind":"(\w+)".*?"name":"([\w.-]+)","namespace"', re.DOTALL)

QUOTED: tuple[tuple[str, str], ...] = (
    (r"((?:Invalid|Unsupported|Duplicate|Not found)(?: value)?: )(?:\"(?:[^\"\\]|\\.)*\"|\S+)", rf"\1{MASK}"),
    (r"(\bgot )&value\.value\w+\{.*?\}(?=$|\n)", rf"\1{MASK}"),
    (r"(\bgot )(?!something)\S.*", rf"\1{MASK}"),
    (r"`[^`\n]*`", f"`{MASK}`"),
    (r"(?<=parsing )\"(?:[^\"\\]|\\.)*\"", f'"{MASK}"'),
)
"""What repeats one value of an object."""

_ABOUT_SECRET = re.compile(
    r"\bSecret/|'Secret\.v1\.|\bKind=Secret\b|\b[Kk]ind \"?Secret\b|\bSecret \"|\bas a Secret\b"
    r"|\bSecret\.(?:data|stringData)\b|\bSecretList\b"
)
_HEAD = re.compile(
    r"^.*?(?:\bSecret/[^\s:,]+|'Secret\.v1\.[^'\s]*'|Kind=Secret\)?|[Kk]ind \"?Secret\"?|\bSecret \"[^\"]*\")"
    r"(?: (?:dry-run|apply) failed(?: \(\w+\))?| is invalid| is forbidden)?"
)
SAFE: tuple[str, ...] = (
    r"is immutable|field is immutable(?: when `immutable` is set)?|immutable field detected",
    r"Required value|unknown field|duplicate field|field not declared in schema",
    r"(?:\.(?:data|stringData)\.[\w-]+: )?expected (?:string|map|list|numeric|boolean)\b",
    r"illegal base64 data at input byte \d+",
    r"must have at most \d+ (?:bytes|characters)",
    r"User \"[^\"]*\" cannot \w+ resource \"[^\"]*\"(?: in [\w ]+ \"[^\"]*\")*",
    r"(?:secrets|configmaps|namespaces) \"[^\"]*\" (?:already exists|not found)",
    r"exceeded quota: [^,\s]+",
    r"is SOPS encrypted, configuring decryption is required",
    r"cannot get sops data key",
    r"variable not set \(strict mode\): \"\w+\"|variable not set",
    r"invalid ownership metadata",
    r"context deadline exceeded",
    r"(?:status: )?'(?:InProgress|Failed|Terminating|NotFound|Unknown|Current)'",
    r"(?:(?:created|configured|unchanged|deleted|skipped|unknown)$)",
)
"""Parts of a message about a Secret that can't hold a value of it."""
_SAFE_PART = re.compile("|".join(f"(?:{pattern})" for pattern in SAFE))


def without_echo(message: str) -> str:
    """Take out what repeats whole lines, literals or objects, whatever they are of."""
    message = _CONFLICT.sub(_conflict, message)
    for pattern, instead in RAW:
        message = re.sub(pattern, instead, message)
    return message


def _conflict(found: re.Match[str]) -> str:
    """Name what a namespace makes one, in place of the objects that kustomize writes out."""
    named = _NAMED.search(found[1])
    conflict = f"{named[1]} {named[2]} is defined more than once" if named else "two objects become one"
    return f"produces ID conflict: {conflict}"


def without_values(message: str, *, is_any_secret: bool = False) -> str:
    """Cut a message of Flux to what can't hold a value of a Secret.

    is_any_secret: whether objects of any kind may hold one, since variables come from Secrets.
    """
    return "\n".join(_told(line, is_any_secret=is_any_secret) for line in without_echo(message).split("\n"))


def _told(line: str, *, is_any_secret: bool) -> str:
    if _ABOUT_SECRET.search(line):
        head = _HEAD.match(line)
        if head is None:
            return "; ".join(_safe_parts(line)) or f"a Secret is refused: {NOT_SHOWN}"
        rest = line[head.end() :].strip(" :")
        kept = "; ".join(_safe_parts(rest))
        between = "" if not rest else " " if kept and line[head.end()] == " " else ": "
        return f"{head.group()}{between}{kept or NOT_SHOWN}" if rest else line
    if is_any_secret:
        for pattern, instead in QUOTED:
            line = re.sub(pattern, instead, line)
    return line


def _safe_parts(text: str) -> Iterator[str]:
    yield from dict.fromkeys(found.group() for found in _SAFE_PART.finditer(text))
