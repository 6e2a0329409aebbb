"""Take values of Secrets out of text, wherever the text came from.

This module knows the values that were learned and the forms in which a message may repeat one: as it is,
escaped, in base64, or cut to a piece. It finds no values itself: `secret_values` does. What nobody has
learned, such as a value that only Flux decrypts, is kept out by the forms of messages, see `echoes`.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from urllib.parse import quote

MASK = "***"
WHOLE_MIN = 4
"""A shorter value is masked in quotes alone: "on" or "1" would take words and numbers out of any message."""
LETTERS_MIN = 6
"""Letters alone are a piece of a value from here on: a shorter piece is a word that many texts have."""
_PIECES = ((4_096, 4), (65_536, 6))
"""The shortest piece that is looked for, by how much is known: in much text, short ones occur by chance."""
_LONGEST_PIECE = 8
_FEW_PIECES = 64
"""Of fewer pieces, each is looked for on its own."""
_GAP = "\0"
_REMEMBERED = 100
"""Texts whose masked form is kept: a status is read many times before it changes."""
_PLAIN = frozenset({"true", "false", "null"})
_BYTES = re.compile(r"\[\d{1,3}(?: \d{1,3}){3,}\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Learned:
    """Hold the forms of what was learned up to a moment, and what was masked by them."""

    forms: frozenset[str] = field(default=frozenset(), repr=False)
    text: str = field(default="", repr=False)
    masked: dict[str, str] = field(default_factory=dict, repr=False)


@dataclass(slots=True)
class Masker:
    """Mask what was learned. One for each session that is watched; it forgets nothing.

    Threads may share it: values are learned where large files are read, while the loop masks messages.
    """

    _values: set[str] = field(default_factory=set, repr=False)
    _new: set[str] = field(default_factory=set, repr=False)
    _learned: _Learned = field(default_factory=_Learned, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def learn(self, values: Iterable[str]) -> None:
        """Learn values, as plain text; each line of a value counts as one, too."""
        pieces = {piece for value in values for piece in _lines(value)}
        with self._lock:
            new = pieces - self._values
            self._values |= new
            self._new |= new

    def mask(self, text: str) -> str:
        """Mask whole values and pieces of them. For messages, of which nobody knows what they repeat."""
        learned = self._prepared()
        masked = learned.masked.get(text)
        if masked is None:
            plain = _BYTES.sub(f"[{MASK}]", text)
            masked = _covered(plain, [*_whole(plain, learned.forms), *_pieces(plain, learned.text)])
            if len(learned.masked) > _REMEMBERED:
                learned.masked.clear()
            learned.masked[text] = masked
        return masked

    def mask_whole(self, text: str) -> str:
        """Mask whole values. For text that is an object's own, which may resemble a value by chance."""
        return _covered(text, list(_whole(text, self._prepared().forms)))

    def _prepared(self) -> _Learned:
        """Write the forms of what was learned since the last text: most saves need none of them."""
        with self._lock:
            if self._new:
                forms = self._learned.forms.union(form for value in self._new for form in _forms(value))
                self._learned = _Learned(forms=forms, text=_GAP.join(sorted(forms)))
                self._new = set()
            return self._learned


def _whole(text: str, forms: frozenset[str]) -> Iterator[tuple[int, int]]:
    for form in forms:
        if len(form) >= WHOLE_MIN:
            start = text.find(form)
            while start >= 0:
                yield start, start + len(form)
                start = text.find(form, start + 1)
        elif form in text:
            for found in re.finditer(rf"(?<=([\"'`])){re.escape(form)}(?=\1)", text):
                yield found.span()


def _pieces(text: str, known: str) -> Iterator[tuple[int, int]]:
    """Find the pieces of a text that what is known has as well."""
    size = next((size for limit, size in _PIECES if len(known) < limit), _LONGEST_PIECE)
    shared = _shared(text, known, size)
    start = 0
    while start + size <= len(text):
        end = start + size
        if text[start:end] not in shared:
            start += 1
            continue
        # Pieces that may be letters alone are one by one too short for that, so only these are made longer.
        while size < LETTERS_MIN and end < len(text) and text[start : end + 1] in known:
            end += 1
        if end - start >= LETTERS_MIN or not text[start:end].replace(" ", "").isalpha():
            yield start, end
        start = end - size + 1


def _shared(text: str, known: str, size: int) -> set[str]:
    """List the pieces of this size that both have. Goes through what is known once, where a text is long."""
    wanted = {text[start : start + size] for start in range(len(text) - size + 1)}
    if len(wanted) < _FEW_PIECES:
        return {piece for piece in wanted if piece in known}
    return {piece for at in range(len(known) - size + 1) if (piece := known[at : at + size]) in wanted}


def _covered(text: str, spans: list[tuple[int, int]]) -> str:
    """Put one mask over each run of spans that touch."""
    pieces: list[str] = []
    done = 0
    for start, end in sorted(spans):
        if start > done or not pieces:
            pieces += [text[done:start], MASK]
        done = max(done, end)
    return "".join([*pieces, text[done:]])


def _lines(value: str) -> Iterator[str]:
    for line in (value, *value.splitlines()):
        stripped = line.strip()
        if stripped and stripped not in _PLAIN:
            yield stripped


def _encoded(value: str) -> bytes:
    """Encode a value, which was decoded with surrogateescape or has lone surrogates of its own."""
    try:
        return value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogatepass")


def _forms(value: str) -> Iterator[str]:
    """Write a value as messages do: as it is, escaped as JSON and in URLs, and within base64."""
    yield value
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    raw = _encoded(value)
    yield quote(raw, safe="")
    yield base64.b64encode(raw).decode()
    if len(raw) >= WHOLE_MIN:
        for shift in range(3):
            # What stands before and after it changes the characters at both ends.
            inner = base64.b64encode(b"\0" * shift + raw).decode().rstrip("=")
            yield inner[(0, 2, 3)[shift] : len(inner) - 1]
