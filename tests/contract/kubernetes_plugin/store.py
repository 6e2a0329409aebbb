"""An S3 server with one bucket and one object, which lets anybody read: enough for Flux to be content."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

BUCKET = "sess10"
KEY = "deploy/hello.yaml"
BODY = b"kind: List\napiVersion: v1\nitems: []\n"
ETAG = hashlib.md5(BODY, usedforsecurity=False).hexdigest()
MODIFIED = "Mon, 23 Nov 2026 18:56:00 GMT"
LISTING = f"""<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>{BUCKET}</Name><KeyCount>1</KeyCount>
<MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated><Contents><Key>{KEY}</Key><Size>{len(BODY)}</Size>
<LastModified>2026-11-23T18:56:00.000Z</LastModified><ETag>"{ETAG}"</ETag></Contents></ListBucketResult>"""
LOCATION = (
    '<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/">us-east-1</LocationConstraint>'
)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(*self._found())

    def do_HEAD(self) -> None:
        code, headers, body = self._found()
        self._answer(code, {**headers, "Content-Length": str(len(body))}, b"")

    def log_message(self, *arguments: object) -> None:
        pass

    def _found(self) -> tuple[int, dict[str, str], bytes]:
        url = urlsplit(self.path)
        if url.path.strip("/") == BUCKET:
            is_location = "location" in parse_qs(url.query, keep_blank_values=True)
            return 200, {"Content-Type": "application/xml"}, (LOCATION if is_location else LISTING).encode()
        if url.path == f"/{BUCKET}/{KEY}":
            return 200, {"ETag": f'"{ETAG}"', "Last-Modified": MODIFIED}, BODY
        return 404, {"Content-Type": "application/xml"}, b"<Error><Code>NoSuchKey</Code></Error>"

    def _answer(self, code: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(code)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def served() -> Iterator[str]:
    """Serve the bucket, and say at which host and port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
