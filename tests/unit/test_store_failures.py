"""What a store's refusal means."""

from __future__ import annotations

import pytest

from gitops_run.errors import BackendError, GitOpsRunError, GuardError, NotFound, TransientError, UsageError
from gitops_run.model.store.failures import Fault, outage, refusal
from gitops_run.model.store.objects import StoreAccess

ACCESS = StoreAccess(endpoint="https://store:9000", region="here", access_key="ak", secret_key="hidden")


@pytest.mark.parametrize(
    ("code", "error", "words"),
    [
        ("AccessDenied", BackendError, "refuses bucket b to the access key ak"),
        ("403", BackendError, "refuses bucket b to the access key ak"),
        ("InvalidAccessKeyId", BackendError, "does not know the access key ak"),
        ("SignatureDoesNotMatch", BackendError, "the secret key of ak is wrong"),
        ("NoSuchBucket", NotFound, "there is no bucket b at https://store:9000"),
        ("404", NotFound, "there is no bucket b"),
        ("BucketAlreadyExists", GuardError, "belongs to someone else"),
        ("BucketNotEmpty", GuardError, "still holds objects"),
        ("InvalidBucketName", UsageError, "as a bucket's name"),
        ("AuthorizationHeaderMalformed", UsageError, "in region 'here'"),
        ("RequestTimeTooSkewed", BackendError, "clocks"),
        ("SlowDown", TransientError, "at the moment (SlowDown)"),
        ("503", TransientError, "at the moment (503)"),
        ("ObjectParentIsFile", BackendError, "a file and a folder of one name"),
        ("Unheard", BackendError, "refused a request for bucket b: Unheard"),
    ],
)
def test_a_code_becomes_an_error_in_words_with_a_hint(
    code: str, error: type[GitOpsRunError], words: str
) -> None:
    refused = refusal(code, access=ACCESS, bucket="b")

    assert type(refused) is error
    assert words in refused.message
    assert refused.hint


@pytest.mark.parametrize("fault", Fault)
def test_an_outage_names_the_store_and_says_what_to_do(fault: Fault) -> None:
    error = outage(fault, access=ACCESS)

    assert "https://store:9000" in error.message
    assert error.hint


def test_an_untrusted_certificate_is_not_tried_again() -> None:
    assert not isinstance(outage(Fault.UNTRUSTED, access=ACCESS), TransientError)
