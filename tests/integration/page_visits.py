"""People who look at sessions in a real browser: `gitops-run ui`, Debian's Chromium, pages without faults."""

from __future__ import annotations

import re
import shutil
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

from tests.browser.chromium import Faults
from tests.people import Person, Running

PATIENCE_MS = 30_000
HAS_CHROMIUM = shutil.which("chromium") is not None
needs_chromium = pytest.mark.skipif(
    not HAS_CHROMIUM, reason="not run, there is no Chromium: apt-get install -y chromium fonts-dejavu-core"
)


@dataclass
class Visit:
    """A browser that is logged in. url: of the server. ui: the command that serves."""

    url: str
    ui: Running
    context: BrowserContext
    faults: Faults

    def opens(self, path: str = "/") -> Page:
        page = self.context.new_page()
        page.on("console", self._take)
        page.on("pageerror", lambda error: self.faults.add(str(error)))
        page.set_default_timeout(PATIENCE_MS)
        page.goto(self.url + path)
        return page

    def _take(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.faults.add(message.text)

    def metric(self, line: str) -> float:
        with urllib.request.urlopen(f"{self.url}/metrics") as answer:
            text = answer.read().decode()
        found = re.search(rf"^{re.escape(line)} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0.0


@contextmanager
def visiting(
    person: Person, browser: Browser, *arguments: str, expected: tuple[str, ...] = ()
) -> Iterator[Visit]:
    """Serve the page to somebody, and log their browser in. expected: faults that the test causes itself."""
    with person.leaves_running("ui", *arguments) as ui:
        link = ui.says(lambda line: "url" in line)["url"]
        url = link.partition("/auth")[0]
        faults = Faults(expected=expected)
        context = browser.new_context()
        context.on("request", lambda one: _refuse_foreign(one.url, url, faults))
        try:
            first = context.new_page()
            first.goto(link)
            first.wait_for_url(f"{url}/")
            first.close()
            yield Visit(url, ui, context, faults)
        finally:
            context.close()
    assert faults.found == [], faults.found


def _refuse_foreign(asked: str, url: str, faults: Faults) -> None:
    if not asked.startswith((url, "data:", "blob:")):
        faults.add(f"asked another server: {asked}")


def eventually(is_asserted: Callable[[], Any], within_s: float = 30.0) -> Any:
    """Wait until something holds, and return it."""
    until = time.monotonic() + within_s
    while not (found := is_asserted()):
        assert time.monotonic() < until, "it did not come to hold"
        time.sleep(0.1)
    return found
