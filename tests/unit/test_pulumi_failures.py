"""What Pulumi's messages mean: a test for each row of the table."""

from __future__ import annotations

import pytest

from gitops_run.errors import (
    BackendError,
    GitOpsRunError,
    GuardError,
    NotFound,
    TransientError,
    UsageError,
    WaitTimeout,
)
from gitops_run.model.stack.events import StackLock
from gitops_run.model.stack.failures import FAILURES, failure, parse_locks

SAMPLES: tuple[tuple[str, type[GitOpsRunError], str], ...] = (
    ("error: getting secrets manager: incorrect passphrase", UsageError, "passphrase"),
    ("error: passphrase must be set with PULUMI_CONFIG_PASSPHRASE or …", UsageError, "passphrase"),
    ("error: no stack named 'web' found", NotFound, "'web'"),
    ('error: unable to open state directory "file:///a": stat /a: no such file', BackendError, "stacks"),
    (
        'error: performing HTTP request: Get "https://api.pulumi.com/api/user": dial tcp: i/o timeout',
        TransientError,
        "where stacks are kept",
    ),
    ("error: PULUMI_ACCESS_TOKEN must be set for login during …", UsageError, "logged in"),
    (
        "error: no resource plugin 'pulumi-resource-gitops-run' found in the workspace or on your $PATH",
        BackendError,
        "plugin of sessions",
    ),
    (
        "error: no resource plugin 'pulumi-resource-kubernetes' found in the workspace at version v4.34.2 …",
        BackendError,
        "kubernetes v4.34.2",
    ),
    (
        "error: no resource plugin 'pulumi-resource-kubernetes' found in the workspace or …",
        BackendError,
        "plugin kubernetes",
    ),
    (
        "error: failed to save snapshot: write /state/web.json.18eb.tmp: no space left on device",
        BackendError,
        "the disk is full: /state/web.json.18eb.tmp",
    ),
    ("error: The Pulumi CLI encountered a snapshot integrity error. This …", BackendError, "damaged"),
    ("error: configured Kubernetes cluster is unreachable: dial tcp", TransientError, "cluster"),
    (
        "error: timed out …: finalizers might be preventing deletion (finalizers.fluxcd.io)",
        WaitTimeout,
        "(finalizers.fluxcd.io)",
    ),
    ('error: namespaces "run-web" already exists', GuardError, 'namespaces "run-web"'),
    ("\n code: -9\n stdout: \n stderr: \n", BackendError, "signal 9"),
)
LOCKED = """error: the stack is currently locked by 1 lock(s). Either wait for the other process(es) to end or …
  file:///state/.pulumi/locks/organization/gitops-run/web/0a0b.json?no_tmp_dir=true: created by jane@laptop (pid 4711) at 2026-11-23T19:10:00Z
"""  # noqa: E501 - as Pulumi writes it


def test_each_row_of_the_table_has_a_sample() -> None:
    assert len(SAMPLES) == len(FAILURES)


@pytest.mark.parametrize(("text", "kind", "told"), SAMPLES)
def test_a_message_of_pulumi_becomes_our_error_with_a_hint(
    text: str, kind: type[GitOpsRunError], told: str
) -> None:
    error = failure(text)
    assert type(error) is kind
    assert told in error.message
    assert error.hint


DOWNLOAD = """warning: error downloading provider: Get "https://…": dial tcp: connect: connection refused
error: Could not automatically download and install resource plugin 'pulumi-resource-kubernetes' at \
version v4.34.2, install the plugin using `pulumi plugin install resource kubernetes v4.34.2`: failed all …"""


def test_a_plugin_that_cannot_be_downloaded_is_not_taken_for_a_cluster_that_is_away() -> None:
    error = failure(DOWNLOAD)
    assert "plugin kubernetes v4.34.2 is not installed" in error.message
    assert error.hint.startswith("pulumi plugin install resource kubernetes v4.34.2;")


def test_a_store_that_is_away_is_not_taken_for_the_cluster() -> None:
    text = "error: nothing answers at https://s3:9000: connection refused; check the endpoint"
    error = failure(text)
    assert type(error) is BackendError
    assert "nothing answers at https://s3:9000" in error.message


def test_an_unknown_message_is_passed_on() -> None:
    assert failure("Diagnostics:\nerror: the moon is full\n").message == "Pulumi failed: the moon is full"


def test_a_lock_tells_who_holds_it_since_when_and_where() -> None:
    assert parse_locks(LOCKED) == (
        StackLock(
            user="jane",
            host="laptop",
            pid=4711,
            since="2026-11-23T19:10:00Z",
            path="/state/.pulumi/locks/organization/gitops-run/web/0a0b.json",
        ),
    )


def test_other_messages_tell_of_no_lock() -> None:
    assert parse_locks("error: incorrect passphrase") == ()


def test_objects_that_did_not_become_ready_are_told_by_their_reasons() -> None:
    text = (
        "error: 3 errors occurred:\n"
        '\t* resource "urn:pulumi:web::gitops-run::kubernetes:apps/v1:StatefulSet::web-server" was created, '
        "but did not become ready: timed out\n"
        "\t* 0 of 1 pods are ready\n"
        "\t* pod gitops-run-bucket-0: image shop:1 can't be pulled: dial tcp 10.0.0.1:443: i/o timeout\n"
        "error: update failed\n"
    )
    pod = "pod gitops-run-bucket-0: image shop:1 can't be pulled: dial tcp 10.0.0.1:443: i/o timeout"
    assert failure(text).message == f"Pulumi failed: 0 of 1 pods are ready; {pod}"


def test_a_failure_without_a_reason_says_what_to_do() -> None:
    error = failure("code: 255", by_hand="pulumi preview -s web")
    assert error.message == "Pulumi failed and gave no reason"
    assert "run the same command again" in error.hint
    assert error.hint.endswith("pulumi preview -s web")


def test_what_our_own_plugin_says_to_do_is_the_hint() -> None:
    text = "error: 1 error occurred:\n\t* bucket b still holds objects\nhint: stop who writes to it\n"
    found = failure(text, "pulumi preview")
    assert (found.message, found.hint) == (
        "Pulumi failed: bucket b still holds objects",
        "stop who writes to it",
    )


@pytest.mark.parametrize(
    "text", ["incorrect passphrase", "passphrase must be set", "snapshot integrity error"]
)
def test_a_state_that_can_not_be_read_any_more_leaves_the_way_by_labels(text: str) -> None:
    assert failure(f"error: {text}").hint.endswith("gitops-run down NAME --from-cluster")
