"""What a store's refusal means: one table from S3 error codes and network faults to our errors.

This module knows the codes, and what a person should do about each. It doesn't know which SDK met them: the
adapters take the code, or the fault, out of what their SDK raised. Sources: the S3 documentation's list of
error codes; versitygw 1.8 for those that no AWS server sends.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from gitops_run.errors import BackendError, GitOpsRunError, GuardError, NotFound, TransientError, UsageError
from gitops_run.model.store.objects import StoreAccess


@dataclass(frozen=True, slots=True, kw_only=True)
class _Meaning:
    error: type[GitOpsRunError]
    message: str
    hint: str


class Fault(Enum):
    """Name what can go wrong before a store has answered."""

    REFUSED = "refused"
    UNKNOWN_HOST = "unknown host"
    UNTRUSTED = "untrusted"
    TIMED_OUT = "timed out"
    BROKEN = "broken"
    ENDLESS = "endless"


_DENIED = _Meaning(
    error=BackendError,
    message="{place} refuses bucket {bucket} to the access key {key}",
    hint="use a key that may do this, or let this key do it in the store's policies",
)
_NO_BUCKET = _Meaning(
    error=NotFound,
    message="there is no bucket {bucket} at {place}",
    hint="check the endpoint; to recreate a session's bucket: gitops-run up NAME",
)
_REGION = _Meaning(
    error=UsageError,
    message="{place} does not serve buckets in region {region!r}",
    hint="set the region that the store expects; many stores say us-east-1",
)
_BUSY = _Meaning(
    error=TransientError,
    message="{place} can't serve requests at the moment ({code})",
    hint="try again; if it persists, check the store's log",
)
_SHADOWED = _Meaning(
    error=BackendError,
    message="{place} can't hold a file and a folder of one name in bucket {bucket} ({code})",
    hint="a file became a folder, or vice versa: delete the old one first",
)
_WITHOUT_CODE = {"301": _REGION, "403": _DENIED, "404": _NO_BUCKET}
"""A HEAD has no body, and so nothing but a status."""
_CODES = {
    **_WITHOUT_CODE,
    "AccessDenied": _DENIED,
    "NoSuchBucket": _NO_BUCKET,
    "AuthorizationHeaderMalformed": _REGION,
    "PermanentRedirect": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "InvalidLocationConstraint": _REGION,
    "SlowDown": _BUSY,
    "ServiceUnavailable": _BUSY,
    "InternalError": _BUSY,
    "RequestTimeout": _BUSY,
    "OperationAborted": _BUSY,
    "ConditionalRequestConflict": _BUSY,
    "ObjectParentIsFile": _SHADOWED,
    "ExistingObjectIsDirectory": _SHADOWED,
    "InvalidAccessKeyId": _Meaning(
        error=BackendError,
        message="{place} does not know the access key {key}",
        hint="check the access key, and that it belongs to this store",
    ),
    "XAdminAccessDenied": _Meaning(
        error=UsageError,
        message="{place} does not let the access key {key} create and remove accounts",
        hint="set accessKey to an account of role admin, or provide the session's keys: --keys-file FILE",
    ),
    "SignatureDoesNotMatch": _Meaning(
        error=BackendError,
        message="{place} says that the secret key of {key} is wrong",
        hint="check the secret key; after a rotation, set the new one and run: gitops-run up NAME",
    ),
    "BucketAlreadyExists": _Meaning(
        error=GuardError,
        message="bucket {bucket} at {place} belongs to someone else",
        hint="choose another session name, or ask the store's administrator who owns it",
    ),
    "BucketNotEmpty": _Meaning(
        error=GuardError,
        message="bucket {bucket} at {place} still holds objects",
        hint="empty it first, or allow it to be emptied: forceDestroy=True",
    ),
    "InvalidBucketName": _Meaning(
        error=UsageError,
        message="{place} does not accept {bucket!r} as a bucket's name",
        hint="use 3 to 63 of a-z, 0-9, '-' and '.', beginning and ending with a letter or a digit",
    ),
    "MalformedPolicy": _Meaning(
        error=BackendError,
        message="{place} does not accept the policy of bucket {bucket}",
        hint="check that the reading and the writing access key exist in this store",
    ),
    "RequestTimeTooSkewed": _Meaning(
        error=BackendError,
        message="the clocks of this machine and of {place} differ by more than 15 minutes",
        hint="set this machine's clock",
    ),
}
_FAULTS = {
    Fault.REFUSED: _Meaning(
        error=TransientError,
        message="nothing answers at {place}: connection refused",
        hint="check the endpoint, and that the store is running",
    ),
    Fault.UNKNOWN_HOST: _Meaning(
        error=TransientError,
        message="the host of {place} can't be found",
        hint="check the endpoint's spelling, and the network",
    ),
    Fault.UNTRUSTED: _Meaning(
        error=BackendError,
        message="the certificate of {place} is not trusted",
        hint="set caFile to its authority's certificate; if up has renewed it in the meantime, restart sync",
    ),
    Fault.TIMED_OUT: _Meaning(
        error=TransientError,
        message="{place} did not answer in time",
        hint="check the network, and that the store is running",
    ),
    Fault.ENDLESS: _Meaning(
        error=TransientError,
        message="{place} returns far more data than expected",
        hint="check whether an S3 store runs there",
    ),
    Fault.BROKEN: _Meaning(
        error=TransientError,
        message="the connection to {place} broke",
        hint="check that the endpoint says https or http as the store does, then try again",
    ),
}


def refusal(code: str, *, access: StoreAccess, bucket: str) -> GitOpsRunError:
    """Describe what a store's answer means. code: S3's error code, or the status where there is no body."""
    meaning = _CODES.get(code)
    if meaning is None and code.isdecimal() and int(code) >= 500:
        meaning = _BUSY
    if meaning is None:
        return BackendError(
            f"{access.place} refused a request{f' for bucket {bucket}' if bucket else ''}: {code}",
            hint="look the code up in the store's documentation",
        )
    return _error(meaning, access=access, bucket=bucket, code=code)


def outage(fault: Fault, *, access: StoreAccess) -> GitOpsRunError:
    """Explain why a store could not be asked at all."""
    return _error(_FAULTS[fault], access=access, bucket="", code="")


def cannot_make_keys(access: StoreAccess) -> UsageError:
    """Report that a store makes no keys, and what to do instead."""
    return UsageError(
        f"{access.place} has no admin API that could create keys for this session",
        hint="create a reader's and a writer's key for this session in the store, put them into a file, and: "
        "--keys-file FILE (on MinIO the store creates them: pip install 'gitops-run[minio]')",
    )


def _error(meaning: _Meaning, *, access: StoreAccess, bucket: str, code: str) -> GitOpsRunError:
    message = meaning.message.format(
        place=access.place, bucket=bucket, key=access.access_key, region=access.region, code=code
    )
    return meaning.error(message, hint=meaning.hint)
