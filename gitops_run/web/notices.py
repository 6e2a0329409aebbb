"""Errors as a page and as HTTP report them."""

from __future__ import annotations

from http import HTTPStatus

from gitops_run.errors import (
    BackendError,
    DeniedError,
    GitOpsRunError,
    GuardError,
    NotFound,
    TransientError,
    UsageError,
)
from gitops_run.model.session.commands import Place, completed
from gitops_run.web.pages.view import Notice, NoticeKind


def status_of(error: GitOpsRunError) -> HTTPStatus:
    """Choose the status that an error has in HTTP."""
    match error:
        case NotFound():
            return HTTPStatus.NOT_FOUND
        case GuardError() | DeniedError():
            return HTTPStatus.FORBIDDEN
        case UsageError():
            return HTTPStatus.BAD_REQUEST
        case TransientError():
            return HTTPStatus.SERVICE_UNAVAILABLE
        case BackendError():
            return HTTPStatus.BAD_GATEWAY
    return HTTPStatus.INTERNAL_SERVER_ERROR


def notice_of(error: GitOpsRunError, place: Place) -> Notice:
    """Explain an error as a page does. place: completes the commands of its hint."""
    kind, title = {
        HTTPStatus.NOT_FOUND: (NoticeKind.GONE, "That isn't there"),
        HTTPStatus.FORBIDDEN: (NoticeKind.NOT_ALLOWED, "You may not do that"),
        HTTPStatus.SERVICE_UNAVAILABLE: (NoticeKind.CUT_OFF, "The cluster can't do that now"),
        HTTPStatus.BAD_GATEWAY: (NoticeKind.FAILED, "The cluster or the store refused"),
    }.get(status_of(error), (NoticeKind.FAILED, "That can't be done"))
    return Notice(kind=kind, title=title, explanation=error.message, next_step=completed(error.hint, place))
