"""Errors as HTTP and a page report them: what isn't allowed, what failed, and what may work later."""

from __future__ import annotations

from http import HTTPStatus

import pytest

from gitops_run.adapters.cluster.connection import refusal
from gitops_run.adapters.cluster.failures import Way, unauthorized
from gitops_run.errors import BackendError, GitOpsRunError, GuardError
from gitops_run.model.session.commands import Place
from gitops_run.web.notices import notice_of, status_of
from gitops_run.web.pages.view import NoticeKind


@pytest.mark.parametrize(
    ("answered", "shown"),
    [
        (400, 502),
        (401, 403),
        (403, 403),
        (404, 404),
        (409, 503),
        (413, 502),
        (422, 502),
        (429, 503),
        (500, 503),
    ],
)
def test_only_an_answer_that_denies_is_shown_as_one(answered: int, shown: int) -> None:
    assert status_of(refusal("kind-dev", answered, "no")) == shown


@pytest.mark.parametrize("error", [GuardError("no"), refusal("kind-dev", 403, "no")])
def test_what_is_denied_is_said_to_be_so(error: GitOpsRunError) -> None:
    assert notice_of(error, Place()).kind is NoticeKind.NOT_ALLOWED


@pytest.mark.parametrize("error", [BackendError("no Flux"), refusal("kind-dev", 422, "no")])
def test_what_failed_is_not_said_to_be_a_missing_right(error: GitOpsRunError) -> None:
    assert (status_of(error), notice_of(error, Place()).kind) == (HTTPStatus.BAD_GATEWAY, NoticeKind.FAILED)


def test_credentials_that_were_never_accepted_are_denied() -> None:
    way = Way(context="kind-dev", kubeconfig="/k", server="https://127.0.0.1", proxy="")
    assert status_of(unauthorized(way, has_answered=False)) is HTTPStatus.FORBIDDEN
