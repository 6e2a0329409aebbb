"""A link that is clicked on a page of another site, as in a terminal that is one, logs the browser in."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import anyio
from playwright.async_api import async_playwright

from gitops_run.web.app import open_site
from gitops_run.web.serve import ADDRESS, _listening, _run
from tests.browser.chromium import FLAGS, PROGRAM
from tests.web_fakes import FakeViewing, session

PATIENCE_MS = 20_000


@contextmanager
def terminal_with(link: str) -> Iterator[str]:
    """Serve a page with a link, under a name that is another site than the address."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(f'<a href="{link}">open</a>'.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer((ADDRESS, 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_address[1]}/"
        server.shutdown()


async def clicked(url: str) -> str:
    """Click the link of a page, and name the page that the browser ends up on."""
    assert PROGRAM, "Chromium is needed: apt-get install -y chromium fonts-dejavu-core"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=PROGRAM, args=list(FLAGS))
        page = await browser.new_page()
        page.set_default_timeout(PATIENCE_MS)
        await page.goto(url)
        await page.click("a")
        await page.wait_for_url(f"http://{ADDRESS}:*/")
        title = await page.title()
        await browser.close()
        return title


def test_a_link_that_is_clicked_on_another_site_logs_the_browser_in() -> None:
    async def run() -> str:
        viewing, links = FakeViewing([session()]), list[str]()
        with _listening(0) as listener:
            port = listener.getsockname()[1]
            hosts = frozenset({f"{ADDRESS}:{port}"})
            async with (
                open_site(viewing, viewing.caller, hosts, f"gitops-run-{port}") as site,  # type: ignore[arg-type]
                anyio.create_task_group() as tasks,
            ):
                tasks.start_soon(_run, site, listener, links.append)
                await anyio.wait_all_tasks_blocked()
                with terminal_with(links[0]) as url:
                    title = await clicked(url)
                tasks.cancel_scope.cancel()
        return title

    assert anyio.run(run) == "Sessions · gitops-run"
