"""Pages are pure functions: whatever a cluster or a person says is shown as text, and nothing is needed."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitops_run.cli.app import COMMANDS
from gitops_run.model.flux.requests import Verb
from gitops_run.model.session.commands import Place
from gitops_run.model.state.record import Record
from gitops_run.model.state.session_state import Phase, SessionState
from gitops_run.model.state.summary import Summary
from gitops_run.web.pages import others, session, sessions
from gitops_run.web.pages.actions import WORDS, command_of
from gitops_run.web.pages.charts import sparkline, waterfall
from gitops_run.web.pages.keys import KEYS
from gitops_run.web.pages.objects import failed_first, first
from gitops_run.web.pages.ordering import GROUPS, RANKS, SORTS, field_of, matches, ordered, to_query
from gitops_run.web.pages.rows import HEADS
from gitops_run.web.pages.session import Topic
from gitops_run.web.pages.view import (
    EndView,
    Notice,
    NoticeKind,
    ObjectNode,
    OpenedObject,
    PlatformView,
    ReceiptView,
    Rights,
    SessionsQuery,
    SessionView,
    Tab,
    ViewerView,
)
from tests.browser import states, views

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
NOBODY = ViewerView(user="")
NOTHING = SessionState(namespace="", name="")
STATIC = Path(sessions.__file__).parents[1] / "static"
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


class _Reader(HTMLParser):
    """Collect a page's tags, attributes and text, and check that what is opened is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text: list[str] = []
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def values(self, name: str) -> list[str]:
        return [value for each, value in self.attributes if each == name]


def read(page: str) -> _Reader:
    reader = _Reader()
    reader.feed(page)
    reader.close()
    return reader


def pages_of(state: SessionState, view: SessionView, viewer: ViewerView = NOBODY) -> Iterator[str]:
    yield sessions.sessions_page(viewer, [state], NOW, SessionsQuery(group="owner"))
    for tab in Tab:
        yield session.session_page(viewer, view, tab, NOW)
    yield others.me_page(viewer)
    yield others.end_page(viewer, EndView(state=state, deleted=(state.name,)))
    yield others.receipt_page(viewer, ReceiptView(namespace=state.namespace, name=state.name), NOW)


def tags_and_attributes() -> tuple[set[str], set[str]]:
    """Collect what pages of harmless text consist of."""
    failed = replace(views.session_view(states.failed()), opened=views.opened())
    found = [read(page) for page in (*every_page(), *pages_of(states.failed(), failed, views.VIEWER))]
    return {tag for each in found for tag in each.tags}, {
        name for each in found for name, _ in each.attributes
    }


def every_page() -> Iterator[str]:
    view = replace(views.session_view(), opened=views.opened())
    yield sessions.sessions_page(views.VIEWER, states.team(), NOW, SessionsQuery())
    yield from pages_of(states.session(), view, views.VIEWER)
    yield others.platform_page(views.VIEWER, views.platform_view(), NOW)
    yield others.logged_in_page()
    yield others.notice_page(None, Notice(kind=NoticeKind.GONE, title="Gone", explanation="It ended."))


@pytest.mark.parametrize("state", [NOTHING, replace(NOTHING, summary=Summary(), record=Record())])
def test_a_page_of_nothing_is_a_page(state: SessionState) -> None:
    for page in [
        *pages_of(state, SessionView(state=state)),
        others.platform_page(NOBODY, PlatformView(), NOW),
    ]:
        assert "main" in read(page).tags


def test_no_sessions_show_the_command_that_starts_one() -> None:
    assert "gitops-run up NAME PATH" in read(sessions.sessions_page(NOBODY, [], NOW, SessionsQuery())).text


@pytest.mark.parametrize("kind", NoticeKind)
def test_each_notice_has_a_shape_of_its_kind(kind: NoticeKind) -> None:
    page = read(others.notice_page(NOBODY, Notice(kind=kind, title="T", explanation="E", next_step="N")))
    assert kind.value in page.values("data-kind")


def test_no_page_has_inline_styles_scripts_or_handlers() -> None:
    """The policy of the page forbids them: they would be dead."""
    for page in every_page():
        found = read(page)
        names = {name for name, _ in found.attributes}
        assert not {name for name in names if name == "style" or name.startswith("on")}
        assert "style" not in found.tags
        assert not re.search(r"<script(?![^>]* src=)", page)


def test_ids_are_unique_on_each_page() -> None:
    for page in every_page():
        ids = read(page).values("id")
        assert sorted(ids) == sorted(set(ids))


TAGS, ATTRIBUTES = tags_and_attributes()


def hostile(value: Any, text: str) -> Any:
    """Put a text into every field of a value that holds text, at any depth."""
    if isinstance(value, str):
        return value if type(value) is not str else text
    if isinstance(value, tuple):
        return tuple(hostile(each, text) for each in value)
    if is_dataclass(value) and not isinstance(value, type):
        made = {each.name: hostile(getattr(value, each.name), text) for each in fields(value) if each.init}
        return replace(value, **made)
    return value


@settings(max_examples=4, deadline=None)
@given(
    st.one_of(
        st.just("</script><script>alert(1)</script>"),
        st.just("\"'><img src=x onerror=alert(1)>"),
        st.just("&lt;b&gt; &amp; ]]> <!-- ${x} {{x}} javascript:alert(1)"),
        st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), min_size=1),
    )
)
def test_foreign_text_stays_text(text: str) -> None:
    view = hostile(replace(views.session_view(states.failed()), opened=views.opened()), text)
    for page in pages_of(view.state, view, hostile(views.VIEWER, text)):
        found = read(page)
        assert set(found.tags) <= TAGS
        assert {name for name, _ in found.attributes} <= ATTRIBUTES
        assert not [value for value in found.values("href") if not value.startswith(("/", "#"))]


def test_a_session_named_like_a_script_is_shown_by_its_name() -> None:
    name = "<script>alert(1)</script>"
    found = read(sessions.session_row(replace(states.session(), name=name), NOW))
    assert name in found.text


def test_a_row_has_nothing_about_the_viewer_and_is_the_same_for_all() -> None:
    one, other = (
        sessions.sessions_page(ViewerView(user=user), [states.session()], NOW, SessionsQuery())
        for user in ("ann", "bo")
    )
    row = sessions.session_row(states.session(), NOW)
    assert row in one
    assert row in other


def test_counts_are_filters_of_every_state() -> None:
    found = read(sessions.counts(states.team(), states.NOW, ["failed"]))
    assert found.values("value") == [phase.value for phase in RANKS]
    assert set(RANKS) == set(Phase)


def test_chosen_sessions_are_those_that_are_shown() -> None:
    query = to_query([("state", "live"), ("owner", "mine"), ("sort", "-name")])
    page = sessions.sessions_page(views.VIEWER, states.team(), states.NOW, query)
    rows = [each for each in read(page).values("id") if each.startswith("row-")]
    assert rows == ["row-run-web-mara_web-mara", "row-run-checkout_checkout"]


@pytest.mark.parametrize("sort", SORTS)
def test_the_order_is_reversed_by_a_dash(sort: str) -> None:
    def keys(order: str) -> list[str]:
        return [field_of(one, sort, states.NOW) for one in ordered(states.team(), order, states.NOW)]

    assert keys(f"-{sort}") == list(reversed(keys(sort))) or len(set(keys(sort))) < len(keys(sort))
    assert sorted(keys(f"-{sort}")) == sorted(keys(sort))


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_is_counted(group: str) -> None:
    page = sessions.sessions_page(views.VIEWER, states.team(), states.NOW, SessionsQuery(group=group))
    assert read(page).values("data-group")


@pytest.mark.parametrize(
    ("q", "is_found"),
    [("check OUT", True), ("!checkout", False), ("!absent", True), ("a&b", False), ("", True)],
)
def test_a_search_finds_all_words_and_excludes_others(q: str, is_found: object) -> None:
    assert matches("<a>Checkout</a> &lt;x&gt;", q) is is_found


def test_the_first_page_has_no_more_rows_than_are_seen_first() -> None:
    many = [replace(NOTHING, name=f"s{number}", namespace=f"n{number}") for number in range(100)]
    first_page = sessions.sessions_page(NOBODY, many, NOW, SessionsQuery())
    whole = sessions.sessions_page(NOBODY, many, NOW, SessionsQuery(is_whole=True))
    assert first_page.count('id="row-') == sessions.ROWS_FIRST
    assert whole.count('id="row-') == len(many)


def test_a_disabled_action_names_the_missing_right() -> None:
    view = replace(
        views.session_view(), rights=Rights(missing={Verb.UNDO: "you need the right to patch buckets"})
    )
    page = read(session.session_page(NOBODY, view, Tab.SAVES, NOW))
    assert "Undo: you need the right to patch buckets" in page.text
    assert "do-undo" not in page.values("commandfor")


@pytest.mark.parametrize("has_stack", [True, False])
@pytest.mark.parametrize("action", Verb)
def test_each_action_has_a_command_that_leads_to_its_session(action: Verb, *, has_stack: bool) -> None:
    place = Place(name="a b", given=("--context", "kind dev"))
    words = shlex.split(command_of(action, place, has_stack=has_stack))
    assert words[0] == "gitops-run"
    assert words[1] in COMMANDS
    assert words[2] == "a b"
    assert words[-2:] == ["--context", "kind dev"]
    assert action in WORDS


@pytest.mark.parametrize(("has_stack", "command"), [(True, "down a"), (False, "request a end --reason TEXT")])
def test_the_command_that_ends_a_session_asks_for_it_where_the_stack_is_elsewhere(
    command: str, *, has_stack: bool
) -> None:
    assert command_of(Verb.END, Place(name="a"), has_stack=has_stack) == f"gitops-run {command}"


def test_failed_objects_come_first_and_their_owners_with_them() -> None:
    pod = ObjectNode(kind="Pod", name="z", status="failed")
    nodes = (
        ObjectNode(kind="A", name="a", status="ready"),
        ObjectNode(kind="Z", name="z", status="ready", children=(pod,)),
    )
    assert [one.name for one in failed_first(nodes)] == ["z", "a"]


def test_a_large_tree_is_cut_at_its_number_of_objects() -> None:
    pods = tuple(ObjectNode(kind="Pod", name=str(number)) for number in range(300))
    tree = (ObjectNode(kind="Deployment", name="web", children=pods),)
    shown, _ = first(tree, 200)
    assert len(shown[0].children) == 199
    page = session.session_page(NOBODY, SessionView(state=NOTHING, objects=tree), Tab.OBJECTS, NOW)
    assert "Show 101 more objects" in page


def test_an_opened_object_is_no_part_of_the_stream() -> None:
    view = replace(views.session_view(), opened=OpenedObject(kind="Pod", name="web", yaml="kind: Pod"))
    assert set(session.session_parts(view, Tab.OBJECTS, NOW)) == {"head", "kept", "tree"}


@pytest.mark.parametrize("tab", Tab)
def test_each_part_is_an_element_of_its_page(tab: Tab) -> None:
    page = read(session.session_page(views.VIEWER, views.session_view(), tab, NOW))
    for name, html in session.session_parts(views.session_view(), tab, NOW).items():
        assert name in page.values("id")
        assert read(html).values("id")[0] == name


def test_pods_that_come_bring_the_logs_and_others_stay_out_of_what_is_followed() -> None:
    view = views.session_view()
    assert "log-pod" in session.session_parts(view, Tab.LOGS, NOW)
    assert "panel" in session.session_parts(replace(view, pods=()), Tab.LOGS, NOW)
    assert "panel" not in session.session_parts(view, Tab.LOGS, NOW)


def test_no_part_has_the_token_of_a_login() -> None:
    for tab in Tab:
        parts = session.session_parts(views.session_view(), tab, NOW)
        values = [value for html in parts.values() for value in read(html).values("value")]
        assert views.VIEWER.csrf not in values


@pytest.mark.parametrize("text", ["a/b/objects", "a/b/objects/all", "a/b/logs"])
def test_a_topic_is_read_as_it_is_written(text: str) -> None:
    assert str(Topic.parse(text)) == text


@pytest.mark.parametrize("text", ["", "rows", "a/b", "a/b/none", "a/b/objects/some", "a/b/logs/x/y"])
def test_another_text_is_no_topic(text: str) -> None:
    assert Topic.parse(text) is None


def test_charts_of_nothing_are_none() -> None:
    assert sparkline(()) is None
    assert sparkline((0, 0)) is not None
    assert waterfall({}) is None


def test_each_key_does_something_that_the_script_or_a_page_knows() -> None:
    script = (STATIC / "app.js").read_text()
    all_rights = session.session_page(NOBODY, SessionView(state=states.session()), Tab.SAVES, NOW)
    marked = {value for page in (*every_page(), all_rights) for value in read(page).values("data-do")}
    for key in KEYS:
        assert key.does in marked or re.search(rf'^  "?{key.does}"?: ', script, re.MULTILINE), key


def test_no_key_is_bound_twice_on_one_page() -> None:
    for page in ("sessions", "session"):
        keys = [key.keys for key in KEYS if key.where in ("", page)]
        assert sorted(keys) == sorted(set(keys))


def test_the_script_of_others_is_the_one_that_is_named() -> None:
    table = (STATIC / "VENDORED.md").read_text()
    assert hashlib.sha256((STATIC / "idiomorph.min.js").read_bytes()).hexdigest() in table


def test_every_sorted_column_is_a_sort() -> None:
    assert {name for name, _ in HEADS if name} == set(SORTS)
