"""The page of one session: header, actions and tabs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from htpy import div

from gitops_run.web.pages.view import SessionView, Tab, ViewerView


def session_page(viewer: ViewerView, view: SessionView, tab: Tab, now: datetime) -> str:
    """Write the whole page."""
    return str(div[viewer.user, *session_parts(view, tab, now).values()])


def session_parts(view: SessionView, tab: Tab, now: datetime) -> Mapping[str, str]:
    """Write the parts that change while the page is open, by their elements' ids."""
    return {
        "head": str(div(id="head")[view.state.name, now.isoformat()]),
        "panel": str(div(id="panel")[tab.value]),
    }
