"""HTTP/1.1 messages as the proxy of the store passes them on: a head, and a body of any content."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

CHUNK = 65536


@dataclass(frozen=True, slots=True)
class Head:
    """A request's or an answer's head. raw: as it is passed on. headers: by lower-case names."""

    raw: bytes
    start: str
    headers: Mapping[str, str]

    @property
    def method(self) -> str:
        return self.start.split(" ")[0]

    @property
    def target(self) -> str:
        return self.start.split(" ")[1]

    @property
    def status(self) -> int:
        return int(self.start.split(" ")[1])

    @property
    def is_answer(self) -> bool:
        return self.start.startswith("HTTP/")

    @property
    def expects_continue(self) -> bool:
        return "expect" in self.headers


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """Read the next head, past any interim answer; None where the other end closed."""
    while True:
        try:
            raw = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return None
        start, *lines = raw.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        fields = [line.partition(":") for line in lines]
        headers = {name.strip().lower(): value.strip() for name, _, value in fields}
        # Who asks whether to go on was told so already.
        kept = [line for line in lines if not line.lower().startswith("expect:")]
        head = Head("\r\n".join((start, *kept, "", "")).encode("latin-1"), start, headers)
        if not (head.is_answer and 100 <= head.status < 200):
            return head


async def relay_body(
    head: Head, reader: asyncio.StreamReader, write: Callable[[bytes], object], *, asked: str = ""
) -> None:
    """Pass a body on. asked: the method that an answer answers."""
    if head.is_answer and (asked == "HEAD" or head.status in (204, 304)):
        return
    if head.headers.get("transfer-encoding", "").lower() == "chunked":
        await _relay_chunks(reader, write)
    elif "content-length" in head.headers:
        await _relay_bytes(reader, write, int(head.headers["content-length"]))
    elif head.is_answer:
        while chunk := await reader.read(CHUNK):
            write(chunk)


async def _relay_chunks(reader: asyncio.StreamReader, write: Callable[[bytes], object]) -> None:
    while True:
        size = await reader.readuntil(b"\r\n")
        write(size)
        length = int(size.split(b";")[0], 16)
        if length == 0:
            break
        await _relay_bytes(reader, write, length + 2)
    while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
        write(line)
    write(b"\r\n")


async def _relay_bytes(reader: asyncio.StreamReader, write: Callable[[bytes], object], length: int) -> None:
    while length:
        chunk = await reader.readexactly(min(length, CHUNK))
        write(chunk)
        length -= len(chunk)
