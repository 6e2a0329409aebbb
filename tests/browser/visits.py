"""What the tests in Chromium have in common: a session, its log lines, and a page that is live."""

from __future__ import annotations

from playwright.sync_api import Page, expect

SESSION = "/s/run-checkout/checkout"
TEXTS = (
    ("web-1", "GET /cart 200"),
    ("web-1", "ERROR payment timed out"),
    ("worker-1", "<script>alert(1)</script>"),
    ("worker-1", "level=warn slow query"),
)
LINES = [
    {"pod": pod, "container": "app", "at": f"2026-11-26T12:00:0{second}Z", "text": text}
    for second, (pod, text) in enumerate(TEXTS)
]


def live(page: Page, path: str) -> Page:
    """Open a page and wait until its stream is there."""
    page.goto(path)
    expect(page.locator("body")).to_have_attribute("data-stream", "live")
    return page
