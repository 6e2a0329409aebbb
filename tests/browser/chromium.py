"""The system's Chromium, in which a page may log no error, break no policy and ask no other server."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from playwright.sync_api import Browser, Page, Route, sync_playwright

PROGRAM = shutil.which("chromium")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--force-color-profile=srgb")


@dataclass
class Faults:
    """Hold what a page did that no page may do."""

    found: list[str] = field(default_factory=list)
    expected: tuple[str, ...] = ()

    def add(self, text: str) -> None:
        if not any(each in text for each in self.expected):
            self.found.append(text)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start Debian's Chromium."""
    assert PROGRAM, "Chromium is needed: apt-get install -y chromium fonts-dejavu-core"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def watched_page(browser: Browser, url: str, faults: Faults, **options: object) -> Iterator[Page]:
    """Open a page in a context of its own, and collect its faults."""
    context = browser.new_context(base_url=url, **options)  # type: ignore[arg-type]
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=url)

    def route(request: Route) -> None:
        if request.request.url.startswith((url, "data:", "blob:")):
            request.fallback()
        else:
            faults.add(f"asked another server: {request.request.url}")
            request.abort()

    page = context.new_page()
    page.route("**/*", route)
    page.on("console", lambda each: faults.add(each.text) if each.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: faults.add(str(error)))
    try:
        yield page
    finally:
        context.close()
