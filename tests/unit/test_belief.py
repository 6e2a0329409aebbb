"""What a sync believes of its store and cluster, and what it decides by that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitops_run.model.flux.conditions import SourceStatus
from gitops_run.model.objects.identity import ObjectRef
from gitops_run.model.state.belief import HEALS_MAX, Belief, Reported, Stored
from gitops_run.model.tree.tree import FileEntry, Plan, Tree

STORED = {"a": Stored("1", "e1"), "b": Stored("2", "e2")}
TREE = Tree.of(FileEntry(path=path, size=1, digest=entry.digest) for path, entry in STORED.items())
EDIT, ADDITION, DELETION = Plan(puts=("a",)), Plan(puts=("c",)), Plan(deletes=("a",))
OBJECT = ObjectRef(group="", version="v1", kind="ConfigMap", namespace="ns", name="one")


def pushed(belief: Belief, token: str = "token") -> Belief:
    begun = belief.begun(belief.save + 1, live=("older",))
    return begun.pushed(STORED, begun.revision(STORED, token))


PUSHED = pushed(Belief()).with_checked({OBJECT: "digest"})
assert PUSHED.expected is not None
FETCHED = SourceStatus(handled="token", revision=PUSHED.expected.text)


@pytest.mark.parametrize(
    ("belief", "plan", "source", "is_needed"),
    [
        (PUSHED, EDIT, FETCHED, False),
        (PUSHED, ADDITION, FETCHED, False),
        (PUSHED, DELETION, FETCHED, False),
        (PUSHED, Plan(), FETCHED, True),
        (PUSHED, Plan(puts=("a", "b")), FETCHED, True),
        (PUSHED, Plan(puts=("a",), deletes=("b",)), FETCHED, True),
        (PUSHED, EDIT, replace(FETCHED, is_suspended=True), True),
        (PUSHED, EDIT, replace(FETCHED, handled="an older one"), True),
        (PUSHED, EDIT, replace(FETCHED, revision="another"), True),
        (Belief(), EDIT, SourceStatus(), True),
        (PUSHED.begun(2, live=()), EDIT, FETCHED, True),
        (PUSHED.doubted(), EDIT, FETCHED, True),
        (PUSHED.replaced(), EDIT, FETCHED, True),
        (PUSHED.contradicted(1), EDIT, FETCHED, True),
        (PUSHED.broken(2), EDIT, FETCHED, False),
    ],
)
def test_only_one_operation_on_a_known_store_after_a_good_fetch_spares_the_fence(
    belief: Belief, plan: Plan, source: SourceStatus, *, is_needed: bool
) -> None:
    assert belief.needs_fence(plan, source) is is_needed


@pytest.mark.parametrize(
    ("heeds_conditions", "plan", "is_fenced", "path"),
    [
        (True, EDIT, False, "a"),
        (True, EDIT, True, ""),
        (True, ADDITION, False, ""),
        (True, DELETION, False, ""),
        (True, Plan(puts=("a", "b")), False, ""),
        (True, Plan(), False, ""),
        (False, EDIT, False, ""),
        (None, EDIT, False, ""),
    ],
)
def test_only_an_unfenced_replacement_in_a_store_that_heeds_conditions_is_put_while_listing(
    plan: Plan, path: str, *, heeds_conditions: bool | None, is_fenced: bool
) -> None:
    belief = replace(PUSHED, heeds_conditions=heeds_conditions)
    assert belief.put_while_listing(plan, is_fenced=is_fenced) == path


def test_nothing_is_put_while_listing_a_store_in_doubt() -> None:
    belief = PUSHED.with_conditions(are_heeded=True).doubted()
    assert not belief.put_while_listing(EDIT, is_fenced=False)


OLD, OTHER = SourceStatus(handled="before", revision="older"), SourceStatus(handled="x", revision="other")


@pytest.mark.parametrize(
    ("belief", "seen", "is_contradicted"),
    [
        (PUSHED, (), False),
        (PUSHED, (OLD,), False),
        (PUSHED, (OTHER,), False),
        (PUSHED, (FETCHED,), False),
        (PUSHED, (FETCHED, replace(FETCHED, handled="a newer one")), False),
        (PUSHED, (FETCHED, OTHER), True),
        (PUSHED, (OLD, FETCHED, OTHER), True),
        (PUSHED, (FETCHED, OTHER, FETCHED), False),
        (PUSHED, (FETCHED, replace(FETCHED, revision="")), True),
        (PUSHED, (replace(FETCHED, handled="before"), OTHER), False),
        (Belief(), (FETCHED, OTHER), False),
        (PUSHED.doubted(), (FETCHED, OTHER), True),
        (PUSHED.replaced(), (FETCHED, OTHER), False),
        (PUSHED.contradicted(1), (FETCHED, OTHER), False),
        (PUSHED.begun(2, live=()), (FETCHED, OTHER), False),
    ],
)
def test_flux_contradicts_a_push_only_after_it_has_fetched_it(
    belief: Belief, seen: tuple[SourceStatus, ...], *, is_contradicted: bool
) -> None:
    *_, after = accumulate(seen, Belief.fetched, initial=belief)
    assert after.is_contradicted_by(seen[-1] if seen else OLD) is is_contradicted


def test_a_new_push_has_to_be_fetched_itself() -> None:
    fetched = PUSHED.fetched(FETCHED)
    again = fetched.pushed(STORED, fetched.revision(STORED, "another token"))
    assert not again.fetched(FETCHED).is_contradicted_by(OTHER)


@pytest.mark.parametrize(
    ("belief", "must_list"),
    [
        (Belief(), True),
        (PUSHED, False),
        (PUSHED.begun(2, live=()), True),
        (PUSHED.doubted(), True),
        (PUSHED.replaced(), True),
        (PUSHED.contradicted(1), True),
        (PUSHED.fetched(FETCHED), False),
        (PUSHED.broken(2), False),
        (PUSHED.doubted().broken(2), True),
        (pushed(PUSHED.doubted()), False),
    ],
)
def test_a_store_in_doubt_has_to_be_listed_and_holds_no_tree(belief: Belief, *, must_list: bool) -> None:
    assert (belief.must_list, belief.holds(TREE)) == (must_list, not must_list)


@pytest.mark.parametrize("doubt", [Belief.doubted, Belief.replaced, lambda belief: belief.contradicted(1)])
def test_what_comes_into_doubt_amid_a_push_stays_so(doubt: Callable[[Belief], Belief]) -> None:
    amid = doubt(Belief().begun(1, live=()))
    assert amid.pushed(STORED, amid.revision(STORED, "token")).must_list


@pytest.mark.parametrize(
    ("saves", "heals", "is_at_once"),
    [
        ((1,), 1, True),
        ((1, 2), 2, True),
        ((1, 2, 3), HEALS_MAX, True),
        ((1, 2, 3, 4), HEALS_MAX + 1, False),
        ((1, 2, 3, 4, 6), 1, True),
        ((1, 3, 5, 7, 9), 1, True),
    ],
)
def test_a_store_that_differs_at_each_save_is_put_right_at_once_a_few_times_only(
    saves: tuple[int, ...], heals: int, *, is_at_once: bool
) -> None:
    *_, belief = accumulate(saves, Belief.contradicted, initial=Belief())
    assert (belief.heals, belief.heals_at_once) == (heals, is_at_once)


@pytest.mark.parametrize(
    ("belief", "checked"),
    [
        (PUSHED, {OBJECT: "digest"}),
        (PUSHED.replaced(), {OBJECT: "digest"}),
        (PUSHED.doubted(), {}),
        (PUSHED.contradicted(1), {}),
        (PUSHED.with_checked({}), {}),
    ],
)
def test_the_api_server_is_asked_again_after_doubt_and_not_after_a_new_store(
    belief: Belief, checked: dict[ObjectRef, str]
) -> None:
    assert belief.checked == checked


@pytest.mark.parametrize(
    ("belief", "was_live"),
    [
        (Belief(), False),
        (Belief().begun(1, live=("older",)), False),
        (Belief().begun(1, live=(FETCHED.revision,)), True),
        (Belief().begun(1, live=("older",)).begun(2, live=(FETCHED.revision,)), False),
        (PUSHED, True),
        (PUSHED.doubted(), True),
        (PUSHED.begun(2, live=("whatever",)), True),
    ],
)
def test_a_revision_was_live_where_flux_showed_it_at_first_or_it_was_pushed(
    belief: Belief, *, was_live: bool
) -> None:
    assert belief.revision(STORED, "token").was_live is was_live


@pytest.mark.parametrize(
    ("belief", "reported"),
    [
        (Belief(), Reported.PUSHED),
        (PUSHED.unchanged(), Reported.LIVE),
        (PUSHED.broken(2), Reported.BROKEN),
        (PUSHED.broken(2).unchanged(), Reported.LIVE),
        (PUSHED.unchanged().broken(2), Reported.BROKEN),
        (PUSHED.unchanged().begun(2, live=()), Reported.LIVE),
        (pushed(PUSHED.broken(2)), Reported.PUSHED),
    ],
)
def test_a_push_and_a_refusal_change_what_an_unchanged_tree_is_reported_as(
    belief: Belief, reported: Reported
) -> None:
    assert belief.reported is reported


PLANS = st.builds(
    Plan,
    puts=st.sets(st.sampled_from("abc")).map(lambda paths: tuple(sorted(paths))),
    deletes=st.sets(st.sampled_from("ab")).map(lambda paths: tuple(sorted(paths))),
)


@given(plan=PLANS, is_suspended=st.booleans(), heeds=st.sampled_from([None, False, True]))
@settings(max_examples=50)
def test_nothing_is_written_without_a_fence_but_one_operation_on_a_known_store(
    plan: Plan, *, heeds: bool | None, is_suspended: bool
) -> None:
    source = replace(FETCHED, is_suspended=is_suspended)
    for belief in (PUSHED, PUSHED.doubted(), PUSHED.replaced(), Belief()):
        trying = replace(belief, heeds_conditions=heeds)
        if not trying.needs_fence(plan, source):
            assert not trying.must_list
            assert len(plan.puts) + len(plan.deletes) == 1
