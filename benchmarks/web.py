"""What it costs to show 500 sessions in browsers, and how soon a verdict is in the page.

The sessions' objects and states are written here, and no loop runs but that of one real session. The browser
is Debian's Chromium; a hundred viewers are a hundred streams that are read to their end.
"""

from __future__ import annotations

import json
import re
import threading
import time
import urllib.request
import zlib
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeVar

import anyio
from anyio import to_thread
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, ViewportSize

from benchmarks.figures import p50, percentiles
from benchmarks.listing import WHEN, sessions_without_loops
from benchmarks.process import resident_mb
from benchmarks.session import Bench, session
from benchmarks.targets import make_target
from gitops_run.adapters.cluster.connection import Connection, connect
from gitops_run.api.viewing import ViewRequest, open_viewing
from gitops_run.cli.caller import this_caller
from gitops_run.model.names import LOOP_KEY, STATE_MAP
from gitops_run.model.state.saves import Outcome
from gitops_run.model.state.session_state import SessionState
from gitops_run.model.state.summary import SaveSummary, Summary
from gitops_run.model.state.texts import summary_text
from gitops_run.model.state.timings import whole_ms
from gitops_run.model.text.amounts import duration
from gitops_run.sandbox.kubeconfigs import issue_user_kubeconfig
from gitops_run.web.viewer import Sight
from tests.browser.chromium import chromium
from tests.integration.page_visits import Visit, visiting

SESSIONS: Final = 500
VIEWERS: Final = 100
CHANGES_PER_S: Final = 20
CHANGED_S: Final = 10.0
SAVES: Final = 30
PAINTS: Final = 5
NAMES: Final = [f"page-{number}" for number in range(SESSIONS)]
SIZES: Final[tuple[ViewportSize, ...]] = (
    {"width": 360, "height": 800},
    {"width": 1440, "height": 900},
    {"width": 2560, "height": 1440},
)
Found = TypeVar("Found")
SEEN: Final = """
(id) => {
  window.seen = [];
  const note = () => {
    const row = document.getElementById(id);
    if (row) window.seen.push([Date.now(), row.textContent]);
  };
  new MutationObserver(note).observe(document.body, {childList: true, subtree: true, characterData: true});
}
"""
LONG: Final = """
() => {
  window.longTasks = [];
  new PerformanceObserver((list) => window.longTasks.push(...list.getEntries().map((one) => one.duration)))
    .observe({type: "longtask"});
}
"""
PAINT: Final = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"


def measure_web(bench: Bench) -> dict[str, Any]:
    """Measure the page with one real session, and then with 500 that nobody syncs."""
    with chromium() as browser:
        found = {"save_seen_p95_ms": _saves_seen(bench, browser)}
        with _five_hundred(bench):
            found |= _of_five_hundred(bench, browser)
            found["rights_500_ms"] = _in_thread(_rights, bench)
    return {"web": found}


def _in_thread(work: Callable[[Bench], Awaitable[Found]], bench: Bench) -> Found:
    """Run a coroutine elsewhere: the thread that drives the browser has an event loop already."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(anyio.run, work, bench).result()


def _saves_seen(bench: Bench, browser: Browser) -> int:
    """Save again and again, and take the time from the loop's own event to the row in the page."""
    target = make_target(bench.folder / "seen", 10)
    delays = []
    with (
        session(bench, "seen", target) as made,
        made.synced() as sync,
        visiting(made.person, browser) as visit,
    ):
        page = visit.opens()
        row = f"row-run-{made.name}_{made.name}"
        page.wait_for_selector(f"#{row}")
        page.evaluate(SEEN, row)
        for _ in range(SAVES):
            made.edit()
            event = sync.tells("save_applied")
            time.sleep(0.6)
            delays.append(_delay(page, event))
    return percentiles(delays)["p95"]


def _delay(page: Page, event: dict[str, Any]) -> float:
    """Find when the page showed a save's revision together with the time that it took."""
    words = duration(whole_ms(event["times_ms"]))
    short = event["revision"].removeprefix("sha256:")[:12]
    seen = page.evaluate("window.seen")
    shown = [at for at, text in seen if words in text and short in text]
    if not shown:
        raise RuntimeError(f"{words} of {short} was not shown; the last row was {seen[-1:]}")
    return float(shown[0]) - datetime.fromisoformat(event["ts"]).timestamp() * 1000


@contextmanager
def _five_hundred(bench: Bench) -> Iterator[None]:
    """Make the sessions in a thread of their own, since the browser is driven without an event loop."""
    ready, done = threading.Event(), threading.Event()

    async def make() -> None:
        async with (
            connect(bench.kubeconfig, bench.sandbox.context) as connection,
            sessions_without_loops(connection, NAMES),
        ):
            ready.set()
            await to_thread.run_sync(done.wait)

    thread = threading.Thread(target=partial(anyio.run, make))
    thread.start()
    try:
        ready.wait()
        yield
    finally:
        done.set()
        thread.join()


def _of_five_hundred(bench: Bench, browser: Browser) -> dict[str, Any]:
    with visiting(bench.person(bench.folder), browser, expected=("404",)) as visit:  # axe looks at one too
        (cookie,) = visit.context.cookies()
        named = f"{cookie['name']}={cookie['value']}"
        found: dict[str, Any] = {**_wire_kb(visit, named)}
        paints, whole = zip(*(_painted(visit) for _ in range(PAINTS)), strict=True)
        found |= {"paint_500_ms": p50(paints), "rows_500_ms": p50(whole)}
        page = visit.opens()
        page.locator("#rows > [role=row]").nth(SESSIONS - 1).wait_for(state="attached")
        found["watches_1"] = _watches(bench)
        page.evaluate(LONG)
        _in_thread(_change, bench)
        found["long_tasks"] = len(page.evaluate("window.longTasks.splice(0)"))
        with _viewers(visit, named):
            found["watches_100"] = _watches(bench)
            _in_thread(_change, bench)
            found["rss_mb"] = resident_mb(visit.ui.process.pid)
        # The readers, the API server and the browser share the processors.
        found["long_tasks_100"] = len(page.evaluate("window.longTasks.splice(0)"))
        found["axe_violations"] = _axe(visit)
        return found


def _wire_kb(visit: Visit, cookie: str) -> dict[str, float]:
    """Take how many bytes a browser gets for the first paint, and then for the rest of the rows."""
    headers = {"Cookie": cookie, "Accept-Encoding": "gzip"}
    with urllib.request.urlopen(urllib.request.Request(f"{visit.url}/", headers=headers)) as answer:
        page = len(answer.read())
    request = urllib.request.Request(f"{visit.url}/events?topic=rows", headers=headers)
    rows, text, unzip = 0, b"", zlib.decompressobj(31)
    with urllib.request.urlopen(request) as answer:
        while b"event: rows" not in text or not text.endswith(b"\n\n"):
            chunk = answer.read1(65536)
            rows += len(chunk)
            text += unzip.decompress(chunk)
    return {"html_500_kb": round(page / 1024, 1), "rows_500_kb": round(rows / 1024, 1)}


def _painted(visit: Visit) -> tuple[float, float]:
    """Open the page, and take when it was first painted and when it had every row."""
    page = visit.opens()
    page.locator("#rows > [role=row]").nth(SESSIONS - 1).wait_for(state="attached")
    whole = float(page.evaluate("performance.now()"))
    first = float(page.evaluate(PAINT))
    page.close()
    return first, whole


@contextmanager
def _viewers(visit: Visit, cookie: str) -> Iterator[None]:
    """Read as many streams as there are viewers, each to its end."""
    done = threading.Event()

    def read() -> None:
        headers = {"Cookie": cookie, "Accept-Encoding": "gzip"}
        request = urllib.request.Request(f"{visit.url}/events?topic=rows", headers=headers)
        with suppress(OSError), urllib.request.urlopen(request) as answer:
            while not done.is_set() and answer.read1(65536):
                pass

    threads = [threading.Thread(target=read, daemon=True) for _ in range(VIEWERS)]
    for thread in threads:
        thread.start()
    try:
        while visit.metric('gitops_run_streams{kind="sessions"}') < VIEWERS:
            time.sleep(0.1)
        yield
    finally:
        done.set()


async def _change(bench: Bench) -> None:
    """Change sessions at an even pace, as their loops do after a save."""
    async with connect(bench.kubeconfig, bench.sandbox.context) as connection:
        began = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            for number in range(round(CHANGES_PER_S * CHANGED_S)):
                tasks.start_soon(_save, connection, NAMES[number * 7 % SESSIONS], number)
                await anyio.sleep_until(began + (number + 1) / CHANGES_PER_S)


async def _save(connection: Connection, name: str, number: int) -> None:
    last = SaveSummary(run=1, number=number, at=WHEN, outcome=Outcome.APPLIED, took_ms=400 + number, files=1)
    state = summary_text(Summary(run=1, seq=100 + number, last=last, recent_ms=(300,) * 29 + (400 + number,)))
    path = f"/api/v1/namespaces/run-{name}/configmaps/{STATE_MAP}"
    await connection.patch(path, {"data": {LOOP_KEY: state}})


def _watches(bench: Bench) -> int:
    """Count the watches that the API server serves."""
    text = bench.person(bench.folder).kubectl("get", "--raw", "/metrics")
    found = re.findall(
        r'^apiserver_longrunning_requests\{[^}]*verb="WATCH"[^}]*\} (\S+)$', text, re.MULTILINE
    )
    return round(sum(map(float, found)))


def _axe(visit: Visit) -> int:
    """Count what axe finds on every page, light and dark, narrow and wide."""
    name = NAMES[0]
    paths = ["/", "/me", "/platform", "/nowhere", f"/s/run-{name}/{name}/end"]
    paths += [f"/s/run-{name}/{name}?tab={tab}" for tab in ("saves", "objects", "logs", "why", "access")]
    found = 0
    for path in paths:
        page = visit.opens(path)
        for size in SIZES:
            page.set_viewport_size(size)
            for scheme in ("light", "dark"):
                # A colour that is still changing has no contrast of its own.
                page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
                violations = Axe().run(page).response["violations"]
                found += len(violations)
                for one in violations:
                    print(path, size["width"], scheme, one["id"], json.dumps(one["nodes"][0]["html"])[:200])
        page.close()
    return found


async def _rights(bench: Bench) -> int:
    """Take how long it takes to know which of 500 sessions somebody may see who may not see all."""
    kubeconfig = issue_user_kubeconfig(bench.sandbox, "few@example.com")
    request = ViewRequest(kubeconfig=str(kubeconfig), context=bench.sandbox.context)
    async with open_viewing(request, this_caller()) as viewing:
        states = [SessionState(namespace=f"run-{name}", name=name) for name in NAMES]
        await viewing.identity()
        began = time.monotonic()
        seen = await Sight(viewing).visible(states)
        took_ms = (time.monotonic() - began) * 1000
    assert not seen, "nobody has bound this user"
    return round(took_ms)
