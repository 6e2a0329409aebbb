"""The smaller pages: who am I, the platform, an end and its receipt, and why there is nothing to show."""

from __future__ import annotations

from datetime import datetime

from htpy import div

from gitops_run.web.pages.view import EndView, Notice, PlatformView, ReceiptView, ViewerView


def me_page(viewer: ViewerView) -> str:
    """Write who the viewer is: user, groups, rights, logout."""
    return str(div[viewer.user])


def platform_page(viewer: ViewerView, view: PlatformView, now: datetime) -> str:
    """Write how Flux, its lockdown, the collector and the watches are."""
    return str(div[viewer.user, str(view.streams), now.isoformat()])


def end_page(viewer: ViewerView, view: EndView) -> str:
    """Write what an end deletes, with the form that takes the session's name."""
    return str(div[viewer.user, view.state.name])


def receipt_page(viewer: ViewerView, view: ReceiptView) -> str:
    """Write what an end has left behind, or who carries it out and when."""
    return str(div[viewer.user, view.name])


def notice_page(viewer: ViewerView | None, notice: Notice) -> str:
    """Write why there is nothing to show. viewer: None before the login."""
    return str(div[viewer.user if viewer else "", notice.title])
