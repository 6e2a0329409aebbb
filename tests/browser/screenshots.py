"""Photograph each page of the example sessions in light and dark; `make screenshots` runs this."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final, Literal

from playwright.sync_api import Page

from tests.browser import states
from tests.browser.chromium import Faults, chromium, watched_page
from tests.browser.server import Example, serving

SESSION: Final = "/s/run-checkout/checkout"
SCHEMES: Final[tuple[Literal["light"], Literal["dark"]]] = ("light", "dark")
PAGES: Final = {
    "sessions": "/",
    "groups": "/?group=owner&sort=-saved",
    "saves": SESSION,
    "objects": f"{SESSION}?tab=objects&kind=Deployment&name=worker&group=apps",
    "logs": f"{SESSION}?tab=logs",
    "why": "/s/run-payments/payments?tab=why",
    "access": f"{SESSION}?tab=access",
    "end": f"{SESSION}/end",
    "receipt": f"{SESSION}/receipt",
    "me": "/me",
    "platform": "/platform",
    "not-allowed": "/notice/not-allowed",
}
WIDE: Final = {"width": 1440, "height": 860}
NARROW: Final = {"width": 390, "height": 844}
TEXTS: Final = (
    ("web-6d9f7-2k8ls", "web", "GET /cart 200 12ms user=8141"),
    ("web-6d9f7-8bxqw", "web", "POST /checkout 201 184ms user=77 items=3"),
    ("web-6d9f7-2k8ls", "web", 'level=warn msg="slow query" ms=840 table=orders'),
    ("worker-7c9d8-x2x7q", "worker", "connecting to queue.run-checkout.svc:5672"),
    ("worker-7c9d8-x2x7q", "worker", "ERROR connection refused: queue.run-checkout.svc:5672, retry 4 of 5"),
    ("db-migrate-1-c2m9f", "helm", "migration 0042_add_express_checkout applied in 61ms"),
    ("web-6d9f7-p4tzn", "web", "GET /healthz 200 1ms"),
)


def lines() -> list[dict[str, str]]:
    """Write a log of several pods."""
    found = []
    for number in range(42):
        pod, container, text = TEXTS[number * 5 % len(TEXTS)]
        at = states.ago(seconds=84 - number * 2)
        found.append({"pod": pod, "container": container, "at": at, "text": text})
    return found


def photograph(page: Page, folder: Path, name: str, path: str) -> None:
    """Open a page, and photograph it in light and dark, no higher than it is long."""
    page.goto(path)
    page.evaluate("document.fonts.ready")
    if name == "saves":
        page.locator("#save-3-44 summary").click()
    page.wait_for_timeout(600)
    end = page.evaluate(
        "Math.max(...[...document.querySelectorAll('main *')].map((e) => e.getBoundingClientRect().bottom))"
    )
    width, height = page.viewport_size["width"], page.viewport_size["height"]  # type: ignore[index]
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        clip = {"x": 0, "y": 0, "width": width, "height": min(height, max(end + 24, 320))}
        page.screenshot(path=folder / f"{name}-{scheme}.png", clip=clip)  # type: ignore[arg-type]


def main(folder: Path) -> None:
    """Photograph all pages."""
    folder.mkdir(parents=True, exist_ok=True)
    example, faults = Example(lines=lines()), Faults()
    with serving(example), chromium() as browser:
        for size, names in ((WIDE, list(PAGES)), (NARROW, ["sessions"])):
            with watched_page(browser, example.url, faults, viewport=size, reduced_motion="reduce") as page:
                page.clock.set_fixed_time(states.NOW)
                for name in names:
                    shown = "narrow" if size is NARROW else name
                    photograph(page, folder, shown, PAGES[name])
    if faults.found:
        sys.exit("\n".join(faults.found))


if __name__ == "__main__":
    os.environ.setdefault("FONTCONFIG_FILE", str(Path(__file__).with_name("fonts.conf")))
    main(Path(sys.argv[1]))
