"""Which requests the page's server answers at all, and what every answer carries."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.datastructures import Headers

from gitops_run.web.guard import HEADERS, refusal_of
from gitops_run.web.login import TOKEN_S, Logins
from tests.virtual_time import scenario
from tests.web_fakes import COOKIE, HOST, FakeViewing, browsing, session

HOSTS = frozenset({HOST, "localhost:8000"})
OWN = {"host": HOST, "sec-fetch-site": "same-origin"}


@pytest.mark.parametrize(
    "host",
    ["", "127.0.0.1", "localhost", "127.0.0.1:80", "127.0.0.1:8000.example.com", "evil.example:8000",
     "LOCALHOST:8000", "127.0.0.1:8000, evil", "0.0.0.0:8000", "[::1]:8000", "127.1:8000", " 127.0.0.1:8000"],
)  # fmt: skip
def test_a_host_that_is_not_exactly_the_servers_is_refused(host: str) -> None:
    refusal = refusal_of("GET", Headers({"host": host}), HOSTS)
    assert refusal is not None
    assert refusal.status == 421


def test_a_second_host_is_refused() -> None:
    twice = Headers(raw=[(b"host", HOST.encode()), (b"host", HOST.encode())])
    assert refusal_of("GET", twice, HOSTS) is not None


@given(st.text(max_size=30))
@settings(max_examples=50)
def test_no_other_host_is_answered(host: str) -> None:
    headers = Headers(raw=[(b"host", host.encode("utf-8"))])
    assert (refusal_of("GET", headers, HOSTS) is None) == (host in HOSTS)


@pytest.mark.parametrize("host", sorted(HOSTS))
def test_the_servers_own_hosts_are_answered(host: str) -> None:
    assert refusal_of("GET", Headers({"host": host}), HOSTS) is None


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "QUERY"])
@pytest.mark.parametrize(
    ("headers", "is_answered"),
    [
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "none"}, False),
        ({"sec-fetch-site": ""}, False),
        ({"sec-fetch-site": "cross-site", "origin": f"http://{HOST}"}, False),
        ({"origin": f"http://{HOST}"}, True),
        ({"origin": "http://localhost:8000"}, False),
        ({"origin": f"http://{HOST}.example.com"}, False),
        ({"origin": "http://127.0.0.1:8001"}, False),
        ({"origin": "null"}, False),
        ({"origin": ""}, False),
        ({"referer": f"http://{HOST}/"}, False),
        ({}, False),
    ],
)
def test_what_changes_something_comes_from_an_own_page(
    method: str, headers: dict[str, str], *, is_answered: bool
) -> None:
    assert (refusal_of(method, Headers({"host": HOST, **headers}), HOSTS) is None) is is_answered


@pytest.mark.parametrize("length", ["1048577", "99999999999999999999999", "-1", "x", "1e9", "", "²"])
def test_a_body_that_is_too_large_or_of_no_size_is_refused(length: str) -> None:
    refusal = refusal_of("POST", Headers(raw=[
        (b"host", HOST.encode()), (b"sec-fetch-site", b"same-origin"), (b"content-length", length.encode())
    ]), HOSTS)  # fmt: skip
    assert refusal is not None
    assert refusal.status == 413


@scenario
async def test_every_answer_has_the_headers_of_the_policy() -> None:
    async with browsing(FakeViewing([session()])) as browser:
        for url in (
            "/",
            "/nowhere",
            "/s/run-web/web",
            "/me",
            "/healthz",
            "/api/sessions",
            "/auth",
            "/metrics",
        ):
            answer = await browser.get(url)
            assert {name: answer.headers.get(name) for name in HEADERS} == dict(HEADERS), url
        refused = await browser.client.get("/", headers={"Host": "evil.example"})
    assert {name: refused.headers.get(name) for name in HEADERS} == dict(HEADERS)


@scenario
async def test_nothing_is_shown_without_a_login() -> None:
    async with browsing(FakeViewing([session()])) as browser:
        browser.client.cookies.clear()
        for url in ("/", "/s/run-web/web", "/me", "/platform", "/api/sessions", "/s/run-web/web/end"):
            answer = await browser.get(url)
            assert (answer.status_code, "run-web" in answer.text) == (401, False), url
        stream = await browser.get("/events?topic=rows")
    assert stream.text == "event: login\ndata: {}\n\n"


@scenario
async def test_the_token_logs_one_browser_in_once() -> None:
    async with browsing(FakeViewing()) as browser:
        browser.client.cookies.clear()
        token = browser.site.logins.new_token()
        first = await browser.get(f"/auth?token={token}")
        browser.client.cookies.clear()
        second = await browser.get(f"/auth?token={token}")
    cookie = first.headers["set-cookie"].lower()
    # No redirect: a link from another program's page would be followed without a cookie that is Strict.
    assert (first.status_code, first.headers["refresh"]) == (200, "0; url=/")
    assert cookie.startswith(f"{COOKIE}=")
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "domain" not in cookie
    assert second.status_code == 401


@scenario
async def test_a_request_for_the_head_of_the_link_does_not_spend_the_token() -> None:
    async with browsing(FakeViewing()) as browser:
        link = f"/auth?token={browser.site.logins.new_token()}"
        head = await browser.client.head(link)
        first = await browser.get(link)
    assert (head.status_code, head.headers["allow"], "set-cookie" in head.headers) == (405, "GET", False)
    assert first.status_code == 200


def test_a_token_is_long_and_works_for_a_minute() -> None:
    clock = [0.0]
    logins = Logins(lambda: clock[0])
    early = logins.new_token()
    assert len(early) >= 43  # 256 bits in base64
    clock[0] = TOKEN_S - 0.1
    assert logins.enter(early) is not None
    late = logins.new_token()
    clock[0] += TOKEN_S
    assert logins.enter(late) is None
    assert logins.enter("") is None


def test_a_new_token_ends_the_one_before() -> None:
    logins = Logins(lambda: 0.0)
    before = logins.new_token()
    logins.new_token()
    assert logins.enter(before) is None


@scenario
async def test_a_logout_ends_the_login_on_the_server() -> None:
    async with browsing(FakeViewing([session()])) as browser:
        answer = await browser.post("/logout")
        browser.client.cookies.set(COOKIE, browser.login.key)
        after = await browser.get("/")
    assert answer.status_code == 200
    assert after.status_code == 401


@pytest.mark.parametrize("csrf", ["", "wrong"])
def test_a_form_without_the_logins_token_changes_nothing(csrf: str) -> None:
    @scenario
    async def run() -> None:
        viewing = FakeViewing([session()])
        async with browsing(viewing) as browser:
            for action in ("retry", "suspend", "resume", "extend", "undo", "end"):
                answer = await browser.post(f"/s/run-web/web/{action}", csrf=csrf, name="web", reason="x")
                assert answer.status_code == 403, action
            bulk = await browser.post("/bulk", csrf=csrf, action="retry", session="run-web/web")
            assert bulk.status_code == 403
        assert viewing.connection.patched == []

    run()


@scenario
async def test_what_is_no_form_is_refused() -> None:
    async with browsing(FakeViewing([session()])) as browser:
        answer = await browser.client.post(
            "/s/run-web/web/retry",
            json={"csrf": browser.login.csrf},
            headers={"Sec-Fetch-Site": "same-origin"},
        )
    assert answer.status_code == 400


@scenario
async def test_a_body_without_a_length_is_limited_too() -> None:
    async def body() -> object:
        for _ in range(2000):
            yield b"x" * 1024

    async with browsing(FakeViewing([session()])) as browser:
        answer = await browser.client.post(
            "/s/run-web/web/retry",
            content=body(),  # type: ignore[arg-type]
            headers={"Sec-Fetch-Site": "same-origin", "Content-Type": "application/x-www-form-urlencoded"},
        )
    assert answer.status_code == 400
