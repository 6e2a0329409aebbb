"""Buckets of an S3 store: make, look at, empty and remove them, and say who may read and write.

This module knows boto3 and how it words a failure. It knows neither sessions nor what objects mean. For the
plugin and the collector; the save loop uses gitops_run.adapters.store.objects. Source: boto3 1.40 and later.
"""

from __future__ import annotations

import json
import ssl
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import boto3
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    ParamValidationError,
    ReadTimeoutError,
    SSLError,
)

from gitops_run.errors import NotFound, UsageError
from gitops_run.model.store.failures import Fault, outage, refusal
from gitops_run.model.store.objects import StoreAccess

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import ObjectIdentifierTypeDef

ANSWER_BYTES_MAX = 16 * 1024 * 1024
"""A list of a thousand keys, the most that is asked for at once, has less than two."""
ANSWER_CHUNK_BYTES = 64 * 1024
CONNECT_TIMEOUT_S = 5
READ_TIMEOUT_S = 20
ATTEMPTS = 2

_NOT_OFFERED = frozenset({"NotImplemented", "MethodNotAllowed", "501", "405"})
"""A store without versions or multipart uploads may answer so."""
_NO_POLICY = "NoSuchBucketPolicy"
_MADE_ALREADY = "BucketAlreadyOwnedByYou"


class StoreAdmin:
    """Administer the buckets of one store. Use `open_store`, which closes what this keeps open."""

    def __init__(self, client: S3Client, access: StoreAccess) -> None:
        self._client = client
        self._access = access

    def exists(self, bucket: str) -> bool:
        """Ask whether the bucket is there. Raises BackendError where it is someone else's."""
        try:
            with self._translated(bucket):  # a HEAD would do, but its refusals come without a reason
                self._client.list_objects_v2(Bucket=bucket, MaxKeys=1)
        except NotFound:
            return False
        return True

    def names(self) -> tuple[str, ...]:
        """List the buckets that this key may see. Raises BackendError where it may list none."""
        with self._translated(""):
            listed = self._client.list_buckets()
        return tuple(one["Name"] for one in listed.get("Buckets", ()))

    def make(self, bucket: str) -> None:
        """Make a bucket. Raises GuardError where someone else has one of this name; one's own is fine."""
        region = self._access.region
        location: Any = {}
        if region != "us-east-1":  # S3 refuses this one by name: it is what no constraint means
            location = {"CreateBucketConfiguration": {"LocationConstraint": region}}
        with self._translated(bucket, tolerated=frozenset({_MADE_ALREADY})):
            self._client.create_bucket(Bucket=bucket, **location)

    def is_empty(self, bucket: str) -> bool:
        """Report whether a bucket holds nothing: no object, no old version, no unfinished upload."""
        for found in (*self._versions(bucket), *self._objects(bucket), *self._uploads(bucket)):
            if found:
                return False
        return True

    def close(self, bucket: str) -> None:
        """Let nobody write to a bucket any more but the key that made it."""
        self.drop_policy(bucket)

    def empty(self, bucket: str) -> None:
        """Delete what a bucket holds: objects, old versions, delete markers, unfinished uploads."""
        for page in self._uploads(bucket):
            for key, upload in page:
                with self._translated(bucket, tolerated=frozenset({"NoSuchUpload"})):
                    self._client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload)
        for page_of_versions in self._versions(bucket):
            self._delete(bucket, page_of_versions)
        for page_of_objects in self._objects(bucket):
            self._delete(bucket, page_of_objects)

    def remove(self, bucket: str) -> None:
        """Remove an empty bucket. Raises GuardError where it isn't empty, NotFound where it is gone."""
        with self._translated(bucket):
            self._client.delete_bucket(Bucket=bucket)

    def policy(self, bucket: str) -> Mapping[str, Any] | None:
        """Read the bucket's policy document; None where it has none."""
        answer: Mapping[str, Any] = {}
        with self._translated(bucket, tolerated=frozenset({_NO_POLICY})):
            answer = self._client.get_bucket_policy(Bucket=bucket)
        document: Mapping[str, Any] | None = json.loads(answer["Policy"]) if "Policy" in answer else None
        return document

    def set_policy(self, bucket: str, document: Mapping[str, Any]) -> None:
        """Replace the bucket's policy document."""
        with self._translated(bucket):
            self._client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(document))

    def drop_policy(self, bucket: str) -> None:
        """Delete the bucket's policy; that there is none is fine."""
        with self._translated(bucket, tolerated=frozenset({_NO_POLICY})):
            self._client.delete_bucket_policy(Bucket=bucket)

    def _versions(self, bucket: str) -> Iterator[list[ObjectIdentifierTypeDef]]:
        with self._translated(bucket, tolerated=_NOT_OFFERED):
            for page in self._client.get_paginator("list_object_versions").paginate(Bucket=bucket):
                entries = (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))
                yield [{"Key": entry["Key"], "VersionId": entry["VersionId"]} for entry in entries]

    def _objects(self, bucket: str) -> Iterator[list[ObjectIdentifierTypeDef]]:
        with self._translated(bucket):
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
                yield [{"Key": entry["Key"]} for entry in page.get("Contents", ())]

    def _uploads(self, bucket: str) -> Iterator[list[tuple[str, str]]]:
        with self._translated(bucket, tolerated=_NOT_OFFERED):
            for page in self._client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket):
                yield [(upload["Key"], upload["UploadId"]) for upload in page.get("Uploads", ())]

    def _delete(self, bucket: str, entries: list[ObjectIdentifierTypeDef]) -> None:
        if not entries:
            return
        with self._translated(bucket):
            answer = self._client.delete_objects(Bucket=bucket, Delete={"Objects": entries, "Quiet": True})
        for failed in answer.get("Errors", ()):
            raise refusal(failed.get("Code", "no code given"), access=self._access, bucket=bucket)

    @contextmanager
    def _translated(self, bucket: str, *, tolerated: frozenset[str] = frozenset()) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code not in tolerated:
                raise refusal(code, access=self._access, bucket=bucket) from error
        except ParamValidationError as error:
            raise refusal("InvalidBucketName", access=self._access, bucket=bucket) from error
        except BotoCoreError as error:
            raise outage(fault_of(error), access=self._access) from error


@contextmanager
def open_store(access: StoreAccess) -> Iterator[StoreAdmin]:
    """Open the connections to a store, and close them at the end.

    Raises UsageError on an endpoint that is no URL and on a CA certificate that is not PEM.
    """
    with ExitStack() as stack:
        client = _client(access, ca_file=ca_file(access, stack))
        stack.callback(client.close)
        yield StoreAdmin(client, access)


def _client(access: StoreAccess, *, ca_file: str | None) -> S3Client:
    config = Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        s3={"addressing_style": "path" if access.endpoint else "virtual"},
        request_checksum_calculation="when_required",  # stores other than AWS often know none
        response_checksum_validation="when_required",
    )
    try:
        client = boto3.session.Session().client(
            "s3",
            endpoint_url=access.endpoint or None,
            region_name=access.region,
            aws_access_key_id=access.access_key,
            aws_secret_access_key=access.secret_key,
            verify=ca_file,
            config=config,
        )
    except (ValueError, BotoCoreError) as error:
        raise UsageError(
            f"the store's endpoint {access.endpoint!r} or region {access.region!r} can't be used",
            hint="write the endpoint as https://host:port, and the region as us-east-1",
        ) from error
    # The types say that an event's handler returns nothing; this event's may return the answer.
    client.meta.events.register("before-send.s3", cast("Any", partial(_send_within_limit, client)))
    return client


class _AnswerTooLargeError(HTTPClientError):
    fmt = "{error}"


def _send_within_limit(client: S3Client, request: AWSPreparedRequest, **_event: object) -> AWSResponse:
    """Send a request in botocore's place, which reads an answer whole however long it is."""
    request.stream_output = True
    http = client._endpoint.http_session  # type: ignore[attr-defined] # noqa: SLF001 - nothing public has it
    response: AWSResponse = http.send(request)
    content = bytearray()
    for chunk in response.raw.stream(ANSWER_CHUNK_BYTES):
        content += chunk
        if len(content) > ANSWER_BYTES_MAX:
            response.raw.close()
            raise _AnswerTooLargeError(error=f"more than {ANSWER_BYTES_MAX} bytes")
    headers = cast("Any", response.headers)
    return AWSResponse(response.url, response.status_code, headers, _Read(bytes(content)))


@dataclass(frozen=True, slots=True)
class _Read:
    """Stand for a connection whose answer was read."""

    content: bytes

    def stream(self) -> Iterator[bytes]:
        yield self.content


def ca_file(access: StoreAccess, stack: ExitStack) -> str | None:
    """Write the CA certificate where botocore can read it: it takes only a path."""
    if not access.ca_cert:
        return None
    try:
        ssl.create_default_context(cadata=access.ca_cert)
    except (ssl.SSLError, ValueError) as error:
        raise UsageError(
            f"the CA certificate for {access.place} can't be read: it is not PEM",
            hint="set caFile to a file with '-----BEGIN CERTIFICATE-----'",
        ) from error
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="gitops-run-"))
    file = Path(folder, "ca.crt")
    file.write_text(access.ca_cert)
    return str(file)


def fault_of(error: BotoCoreError) -> Fault:
    """Explain why a store could not be asked."""
    if isinstance(error, _AnswerTooLargeError):
        return Fault.ENDLESS
    if isinstance(error, SSLError):
        return Fault.UNTRUSTED
    if isinstance(error, ConnectTimeoutError | ReadTimeoutError):
        return Fault.TIMED_OUT
    cause = str(error.kwargs.get("error", "")) if isinstance(error, EndpointConnectionError) else ""
    if "resolve" in cause:
        return Fault.UNKNOWN_HOST
    return Fault.REFUSED if "refused" in cause else Fault.BROKEN
