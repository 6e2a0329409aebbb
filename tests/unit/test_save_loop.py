"""The save loop on fakes, under virtual time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import anyio
import pytest

from gitops_run.errors import LockedError, ungrouped
from gitops_run.flows.follow import Save
from gitops_run.flows.push import Pusher
from gitops_run.model.flux.requests import Verb
from gitops_run.model.state.events import (
    ObjectsAwaited,
    RequestAnswered,
    SaveApplied,
    SaveBroken,
    SaveFailed,
    SaveHealthy,
    SavePushed,
    SaveSuperseded,
    SaveSuspended,
    SaveUnchanged,
    StoreDiffered,
    StoreReplaced,
    UndoFailed,
)
from gitops_run.model.store.permit import Permit
from tests import virtual_time
from tests.fakes import (
    BROKEN,
    FakeCluster,
    FakeFiles,
    FakeFlux,
    FakeLease,
    FakeLeases,
    FakeStore,
    counting_tokens,
    objects_of,
)
from tests.save_session import Session, restarted, running
from tests.virtual_time import scenario


@scenario
async def test_the_first_save_uploads_and_applies_everything() -> None:
    async with running({"app/a": b"1", "app/b": b"2"}) as session:
        applied = await session.says(SaveApplied)
        assert session.cluster.live == {"a": b"1", "b": b"2"}
        assert applied.revision == session.cluster.source.revision


@scenario
async def test_one_changed_file_needs_no_fence() -> None:
    async with running({"app/a": b"1"}) as session:
        await session.says(SaveApplied)
        session.files.write("app/a", b"2")
        pushed = await session.says(SavePushed, 2)
        assert (pushed.puts, pushed.is_fenced) == (("app/a",), False)


@scenario
async def test_two_changed_files_are_pushed_behind_a_fence() -> None:
    async with running({"app/a": b"1"}) as session:
        await session.says(SaveApplied)
        session.files.write("app/a", b"2")
        session.files.write("app/b", b"2")
        pushed = await session.says(SavePushed, 2)
        assert pushed.is_fenced


@scenario
async def test_a_deleted_file_s_object_goes() -> None:
    async with running({"app/a": b"1", "app/b": b"1"}) as session:
        await session.says(SaveApplied)
        session.files.delete("app/b")
        await session.says(SaveApplied, 2)
        assert session.cluster.live == {"a": b"1"}


@scenario
async def test_a_renamed_file_s_object_moves() -> None:
    async with running({"app/a": b"1", "app/c": b"1"}) as session:
        await session.says(SaveApplied)
        session.files.delete("app/a")
        session.files.write("app/b", b"1")
        await session.says(SaveApplied, 2)
        assert session.cluster.live == {"b": b"1", "c": b"1"}


@scenario
async def test_a_file_that_becomes_a_folder_is_replaced_by_it() -> None:
    async with running({"app/a": b"1", "app/z": b"1"}) as session:
        await session.says(SaveApplied)
        session.files.delete("app/a")
        session.files.write("app/a/b", b"2")
        await session.says(SaveApplied, 2)
        session.files.delete("app/a/b")
        session.files.write("app/a", b"3")
        await session.says(SaveApplied, 3)
        assert session.cluster.live == {"a": b"3", "z": b"1"}


@scenario
async def test_a_broken_save_writes_nothing() -> None:
    async with running({"app/a": b"1"}) as session:
        await session.says(SaveApplied)
        before = dict(session.store.content)
        session.files.write("app/a", BROKEN)
        broken = await session.says(SaveBroken)
        assert broken.problems[0].place == "app/a:1"
        assert session.store.content == before


@scenario
async def test_undoing_a_broken_save_says_that_nothing_changed() -> None:
    async with running({"app/a": b"1"}) as session:
        await session.says(SaveApplied)
        session.files.write("app/a", BROKEN)
        await session.says(SaveBroken)
        session.files.write("app/a", b"1")
        await session.says(SaveUnchanged)


@scenario
async def test_nothing_is_uploaded_before_there_is_an_object() -> None:
    async with running({"README": b"x"}) as session:
        await session.says(ObjectsAwaited)
        await session.quiet()
        assert session.store.content == {}


@scenario
async def test_an_emptied_directory_never_prunes() -> None:
    async with running({"app/a": b"1"}) as session:
        await session.says(SaveApplied)
        session.files.delete("app/a")
        broken = await session.says(SaveBroken)
        await session.quiet()
        assert broken.problems[0].message == "nothing left to apply"
        assert session.cluster.live == {"a": b"1"}


@scenario
async def test_a_large_prune_is_refused_where_nobody_confirms_it() -> None:
    async with running({f"app/{n}": b"1" for n in range(10)}) as session:
        await session.says(SaveApplied)
        for n in range(8):
            session.files.delete(f"app/{n}")
        await session.says(SaveBroken)
        await session.quiet()
        assert len(session.cluster.live) == 10


@scenario
async def test_new_hashes_in_all_names_are_no_large_prune() -> None:
    async with running({f"app/env{n}-bb2244ccdd": b"1" for n in range(6)}) as session:
        await session.says(SaveApplied)
        for n in range(6):
            session.files.delete(f"app/env{n}-bb2244ccdd")
            session.files.write(f"app/env{n}-tt2244ccdd", b"2")
        await session.says(SaveApplied, 2)
        assert session.cluster.live == {f"env{n}-tt2244ccdd": b"2" for n in range(6)}


@scenario
async def test_a_large_prune_that_is_confirmed_is_carried_out() -> None:
    async with running({f"app/{n}": b"1" for n in range(10)}, confirms=True) as session:
        await session.says(SaveApplied)
        for n in range(8):
            session.files.delete(f"app/{n}")
        await session.says(SaveApplied, 2)
        assert len(session.cluster.live) == 2


@scenario
async def test_what_flux_refuses_is_told_with_its_reason() -> None:
    async with running({"app/a": b"1"}) as session:
        await session.says(SaveApplied)
        session.files.write("app/a", b"refused")
        failed = await session.says(SaveFailed)
        assert (failed.reason, failed.message) == ("ReconciliationFailed", "refused")


@scenario
async def test_a_save_after_a_fetch_that_failed_is_fenced_since_flux_may_try_again_amid_it() -> None:
    async with running({"app/a": b"1"}) as session:
        await session.says(SaveApplied)
        session.cluster.fails_to_fetch = True
        session.files.write("app/a", b"2")
        await session.says(SaveFailed)
        session.cluster.fails_to_fetch = False
        session.files.write("app/a", b"3")
        await session.says(SaveApplied, 2)
        assert [pushed.is_fenced for pushed in session.told(SavePushed)] == [True, False, True]


@scenario
async def test_a_newer_save_supersedes_the_older_at_once() -> None:
    async with running({"app/a": b"1"}) as session:
        await session.says(SaveApplied)
        session.cluster.apply_s = 20
        session.files.write("app/a", b"2")
        await session.says(SavePushed, 2)
        session.files.write("app/a", b"3")
        superseded = await session.says(SaveSuperseded)
        await session.says(SaveApplied, 2)
        assert (superseded.save, superseded.by) == (2, 3)
        assert session.cluster.live == {"a": b"3"}


@scenario
async def test_an_apply_that_takes_long_is_waited_for_and_not_asked_for_again() -> None:
    async with running({"app/a": b"1"}) as session:
        await session.says(SaveApplied)
        session.cluster.apply_s = 10
        session.files.write("app/a", b"2")
        await session.says(SaveApplied, 2)
        await session.quiet()
        assert [tree["app/a"] for tree in session.cluster.applied_trees].count(b"2") == 1


@scenario
async def test_a_revision_that_was_live_before_is_not_believed_before_it_is_applied_again() -> None:
    async with running({"app/a": b"1"}) as session:
        await session.says(SaveApplied)
        await fetched_but_not_yet_applied(session, b"2")
        session.files.write("app/a", b"1")
        await session.says(SaveApplied, 2)
        assert await applied_later(session) <= {b"1"}


@scenario
async def test_what_flux_showed_as_a_sync_began_is_not_believed_before_it_is_applied_again() -> None:
    session = Session({"app/a": b"1"})
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(session.cluster.run)
        async with anyio.create_task_group() as earlier:
            earlier.start_soon(session.sync)
            await session.says(SaveApplied)
            await fetched_but_not_yet_applied(session, b"2")
            earlier.cancel_scope.cancel()
        session.files.write("app/a", b"1")
        tasks.start_soon(session.sync)
        await session.says(SaveApplied, 2)
        assert await applied_later(session) <= {b"1"}
        tasks.cancel_scope.cancel()


async def fetched_but_not_yet_applied(session: Session, content: bytes) -> None:
    """Save this, and leave Flux at work on it with a status that still tells of the save before."""
    session.cluster.notice_s = session.cluster.apply_s = 10
    session.files.write("app/a", content)
    pushed = await session.says(SavePushed, len(session.told(SavePushed)) + 1)
    with anyio.fail_after(5):
        while session.cluster.source.revision != pushed.revision:
            await session.cluster.changed()
    assert session.cluster.applier.ready == "True"


async def applied_later(session: Session) -> set[bytes]:
    """Tell what Flux applies from now on."""
    before = len(session.cluster.applied_trees)
    await session.quiet()
    return {tree["app/a"] for tree in session.cluster.applied_trees[before:]}


@scenario
async def test_what_flux_fetches_of_someone_else_between_saves_is_put_right() -> None:
    async with running({"app/a": b"1"}) as session:
        await session.says(SaveApplied)
        await session.quiet()
        session.store.content["src/app/a"] = b"of someone else"
        session.cluster.poke_source()
        await session.says(StoreDiffered)
        await session.quiet()
        assert session.cluster.live == {"a": b"1"}
        assert len(session.told(StoreDiffered)) == 1


@scenario
async def test_a_burst_of_changes_is_one_save() -> None:
    async with running({"app/a": b"1"}) as session:
        await session.says(SaveApplied)
        for n in range(20):
            session.files.write(f"app/{n}", b"2")
            await anyio.sleep(0.02)
        await session.says(SaveApplied, 2)
        assert len(session.told(SavePushed)) == 2


@scenario
async def test_changes_that_never_stop_are_saved_all_the_same() -> None:
    async with running({"app/a": b"1"}) as session:
        await session.says(SaveApplied)
        for n in range(1000):
            session.files.write("app/a", str(n).encode())
            await anyio.sleep(0.02)
        assert len(session.told(SavePushed)) > 5


@scenario
async def test_a_store_that_was_emptied_behind_our_back_is_put_right() -> None:
    async with running({"app/a": b"1", "app/b": b"1"}) as session:
        await session.says(SaveApplied)
        session.store.content.clear()
        session.files.write("app/a", b"2")
        await session.says(StoreDiffered)
        await session.says(SaveApplied, 2)
        assert session.cluster.live == {"a": b"2", "b": b"1"}


@scenario
async def test_a_store_that_began_anew_is_filled_without_waiting_for_a_save() -> None:
    async with running({"app/a": b"1", "app/b": b"1"}) as session:
        await session.says(SaveApplied)
        session.store.begin_anew()
        await session.says(StoreReplaced)
        again = await session.says(SaveApplied, 2)
        assert session.store.content == {"src/app/a": b"1", "src/app/b": b"1"}
        assert again.revision == session.told(SaveApplied)[0].revision
        assert not session.told(StoreDiffered)


class Doubting(FakeFlux):
    """Flux whose answer to a push is overtaken by news of the store."""

    def __init__(self, cluster: FakeCluster, doubt: Callable[[], None]) -> None:
        super().__init__(cluster)
        self._doubt = doubt

    async def fence(self, mark: str, permit: Permit) -> None:
        del mark, permit

    async def release(self, mark: str, token: str) -> None:
        del mark, token
        self._doubt()


@pytest.mark.parametrize("is_doubted", [False, True])
def test_a_store_that_begins_anew_after_a_push_has_listed_it_stays_in_doubt(*, is_doubted: bool) -> None:
    async def push() -> None:
        store, lease = FakeStore(), FakeLease(FakeLeases(), "me")
        await lease.take(lambda event: None)
        flux = Doubting(FakeCluster(store), lambda: pusher.doubt() if is_doubted else None)
        pusher = Pusher(store, flux, lease, lambda event: None, counting_tokens())
        snapshot = await FakeFiles({"app/a": b"1"}).snapshot()
        await pusher.push(snapshot, Save(1, 0.0))
        assert pusher.holds(snapshot.tree) is not is_doubted

    virtual_time.run(push)


@scenario
async def test_nothing_is_pruned_where_flux_fetches_from_a_store_that_began_anew() -> None:
    async with running({"app/a": b"1"}) as session:
        await session.says(SaveApplied)
        session.cluster.poke_source()
        session.store.begin_anew()
        await session.quiet()
        assert session.cluster.live == {"a": b"1"}


@scenario
async def test_a_suspended_session_is_honoured() -> None:
    async with running({"app/a": b"1"}) as session:
        await session.says(SaveApplied)
        session.cluster.applier = replace(session.cluster.applier, is_suspended=True)
        session.files.write("app/a", b"2")
        await session.says(SaveSuspended)
        assert session.cluster.live == {"a": b"1"}


@scenario
async def test_a_second_writer_is_refused() -> None:
    async with running({"app/a": b"1"}) as session:
        await session.says(SaveApplied)
        with pytest.raises(LockedError):
            await session.sync("another")


@scenario
async def test_a_writer_that_was_taken_over_stops() -> None:
    session = Session({"app/a": b"1"})

    async def take_over() -> None:
        await session.says(SaveApplied)
        session.leases.holder = "another"

    with pytest.raises(LockedError, match="taken over by another"), ungrouped():  # noqa: PT012 - the tasks are the act
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(session.cluster.run)
            tasks.start_soon(take_over)
            tasks.start_soon(session.sync)


@scenario
async def test_after_quiet_the_cluster_equals_the_tree() -> None:
    async with running({"app/a": b"1"}) as session:
        for n in range(30):
            session.files.write(f"app/{n % 7}", str(n).encode())
            await anyio.sleep(n % 5 / 10)
        await session.quiet()
        assert session.cluster.live == objects_of(session.files.files)


@scenario
async def test_an_undo_brings_an_earlier_snapshot_back_and_the_next_save_applies_the_files_again() -> None:
    async with running({"app/a": b"1"}) as session:
        first = await session.says(SaveApplied)
        session.files.write("app/a", b"2")
        await session.says(SaveApplied, 2)
        session.asks(Verb.UNDO, first.revision)
        undone = await session.says(SaveApplied, 3)
        answer = await session.says(RequestAnswered)
        assert (answer.who, answer.is_accepted) == ("dev@example.com", True)
        assert (undone.undone_to, session.cluster.live) == ("then", {"a": b"1"})
        session.files.write("app/b", b"2")
        await session.says(SaveApplied, 4)
        assert session.cluster.live == {"a": b"2", "b": b"2"}


@scenario
async def test_an_undo_to_what_is_not_kept_any_more_is_told_and_changes_nothing() -> None:
    async with running({"app/a": b"1"}) as session:
        await session.says(SaveApplied)
        session.asks(Verb.UNDO, "sha256:0")
        await session.says(UndoFailed)
        answer = await session.says(RequestAnswered)
        assert (answer.request, answer.is_accepted) == ("request-1", False)
        await session.quiet()
        assert session.cluster.live == {"a": b"1"}


@scenario
async def test_an_undo_that_a_change_of_the_files_overtakes_is_refused_and_the_files_are_applied() -> None:
    async with running({"app/a": b"1"}) as session:
        first = await session.says(SaveApplied)
        session.files.write("app/a", b"2")
        await session.says(SaveApplied, 2)
        session.history.delay_s = 2.0
        session.asks(Verb.UNDO, first.revision)
        await anyio.sleep(1)
        session.files.write("app/a", b"3")
        await session.quiet()
        (answer,) = session.told(RequestAnswered)
        assert (answer.is_accepted, answer.message) == (False, "files have changed since it was asked for")
        assert session.cluster.live == {"a": b"3"}


@scenario
async def test_an_undo_that_a_later_one_replaces_is_refused() -> None:
    async with running({"app/a": b"1"}) as session:
        first = await session.says(SaveApplied)
        session.files.write("app/a", b"2")
        second = await session.says(SaveApplied, 2)
        session.files.write("app/a", b"3")
        await session.says(SaveApplied, 3)
        session.history.delay_s = 2.0
        session.asks(Verb.UNDO, second.revision)
        await anyio.sleep(1)
        session.asks(Verb.UNDO, first.revision)
        await session.quiet()
        answers = [(answer.request, answer.is_accepted) for answer in session.told(RequestAnswered)]
        assert answers == [("request-1", False), ("request-2", True)]
        assert session.cluster.live == {"a": b"1"}


@pytest.mark.parametrize("verb", [Verb.RETRY, Verb.SUSPEND])
def test_a_request_is_carried_out_once_by_its_id_whoever_syncs(verb: Verb) -> None:
    async def asked() -> int:
        async with running({"app/a": b"1"}) as session:
            await session.says(SaveApplied)
            session.asks(verb)
            answer = await session.says(RequestAnswered)
            session.cluster.poke_source()
            await session.quiet()
        session.carrier.answered = frozenset({answer.request})
        async with restarted(session) as later:
            await later.quiet()
            return len(later.told(RequestAnswered))

    assert virtual_time.run(asked) == 1


@pytest.mark.parametrize("verb", [Verb.RESUME, Verb.RETRY, Verb.UNDO])
def test_a_request_that_nobody_answered_is_answered_by_the_next_sync_which_refuses_an_undo(
    verb: Verb,
) -> None:
    async def asked() -> list[bool]:
        async with running({"app/a": b"1"}) as session:
            await session.says(SaveApplied)
        session.asks(verb, session.cluster.source.revision)
        async with restarted(session) as later:
            await later.quiet()
            return [answer.is_accepted for answer in later.told(RequestAnswered)]

    assert virtual_time.run(asked) == [verb is not Verb.UNDO]


@scenario
async def test_requests_that_come_while_one_is_carried_out_are_seen_and_a_refusal_says_why() -> None:
    async with running({"app/a": b"1"}) as session:
        await session.says(SaveApplied)
        session.asks(Verb.EXTEND, "refused")
        refused = await session.says(RequestAnswered)
        session.asks(Verb.SUSPEND)
        await session.says(RequestAnswered, 2)
        assert (refused.is_accepted, refused.message) == (False, "the platform refuses")
        assert session.carrier.carried_out == [Verb.SUSPEND]


@scenario
async def test_the_end_is_left_to_the_collector_without_an_answer() -> None:
    async with running({"app/a": b"1"}) as session:
        await session.says(SaveApplied)
        session.asks(Verb.END)
        await session.quiet()
        assert session.told(RequestAnswered) == []


@scenario
async def test_what_is_asked_of_an_older_version_is_refused() -> None:
    async with running({"app/a": b"1"}) as session:
        await session.says(SaveApplied)
        session.asks("teleport")
        answer = await session.says(RequestAnswered)
        assert not answer.is_accepted
        assert "teleport" in answer.message


@scenario
async def test_the_health_of_what_was_applied_is_told_beside_the_loop() -> None:
    async with running({"app/a": b"1"}) as session:
        healthy = await session.says(SaveHealthy)
        assert healthy.times_ms["healthy"] >= healthy.times_ms["applied"]


@scenario
async def test_a_store_that_lost_objects_unseen_is_whole_again_before_flux_hears_of_the_next_save() -> None:
    async with running({"app/a": b"1", "app/b": b"1"}) as session:
        await session.says(SaveApplied)
        session.store.content.clear()
        session.files.write("app/a", b"2")
        await session.says(SaveApplied, 2)
        assert [set(tree) for tree in session.cluster.applied_trees] == [{"app/a", "app/b"}] * 2


@scenario
async def test_a_fetch_that_is_not_over_is_fenced_off_from_the_next_save() -> None:
    async with running({"app/a": b"1"}) as session:
        await session.says(SaveApplied)
        session.cluster.fetch_s = 5.0
        session.files.write("app/b", b"1")
        await session.says(SavePushed, 2)
        session.files.write("app/a", b"2")
        pushed = await session.says(SavePushed, 3)
        assert pushed.is_fenced


@scenario
async def test_a_question_that_nobody_answered_ends_with_the_next_change() -> None:
    async with running({f"app/{name}": b"1" for name in "abcdefgh"}, confirms=True) as session:
        await session.says(SaveApplied)
        session.confirm_after = 300.0
        for name in "abcdefg":
            session.files.delete(f"app/{name}")
        await session.quiet()
        session.files.files |= {f"app/{name}": b"1" for name in "abcdefg"}
        session.files.write("app/new", b"1")
        await session.says(SaveApplied, 2)
        await anyio.sleep(session.confirm_after)
        assert all("app/a" in tree for tree in session.cluster.applied_trees)
