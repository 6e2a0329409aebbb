"""The faults: what is done to which command, what has to come of it, and the test that tries it.

A test with parameters is as many faults. Each test checks for itself that nothing of its session is left, and
those of saves that the cluster holds just the objects of one whole tree: a wrong prune fails them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

HERE: Final = "tests/integration"


@dataclass(frozen=True, slots=True)
class Fault:
    """Describe a fault. test: a function in a module of tests/integration, "test_killed.py::test_x"."""

    command: str
    what: str
    outcome: str
    test: str

    @property
    def node(self) -> str:
        """Name the test as pytest does."""
        return f"{HERE}/{self.test}"


_COMMANDS: Final = "test_killed_commands.py::test_"
_FAULTS: Final = "test_faults.py::test_"
_PROGRAM: Final = "test_session_program.py::test_"
_ENDING: Final = "test_ending.py::test_"
_CUT_OFF: Final = "test_cut_off_state.py::test_"
_INPUT: Final = "test_bad_input.py::test_"
_TIME: Final = "test_time.py::test_"

FAULTS: Final = (
    Fault(
        "up",
        "SIGKILL before and after each step",
        "the next `up` continues",
        f"{_COMMANDS}an_up_that_was_killed_is_continued_by_the_next_one",
    ),
    Fault(
        "up",
        "SIGKILL before and after each step",
        "`down` cleans up",
        f"{_COMMANDS}down_cleans_up_after_an_up_that_was_killed",
    ),
    Fault(
        "up, down",
        "SIGKILL of tool and Pulumi while Pulumi works",
        "the next run continues, or cleans up",
        f"{_PROGRAM}after_kill_9_amid_an_up_a_rerun_carries_on_or_cleans_up",
    ),
    Fault(
        "up",
        "SIGKILL after an object was created and before the state says so",
        "the object is made again",
        f"{_PROGRAM}what_a_killed_up_made_and_could_not_record_is_made_anew",
    ),
    Fault(
        "up",
        "SIGKILL while Pulumi writes its state, or its lock",
        "the state is repaired",
        f"{_PROGRAM}what_a_kill_amid_pulumis_writing_has_torn_is_mended",
    ),
    Fault(
        "up, down",
        "SIGKILL after the session's keys were created and before the state says so",
        "no key stays in the store",
        "test_session_keys.py::test_keys_that_a_killed_up_made_and_could_not_record_stay_nowhere",
    ),
    Fault(
        "up",
        "Ctrl-C",
        "it ends in order, and `down` leaves nothing",
        f"{_PROGRAM}an_interrupted_up_ends_in_order_and_down_leaves_nothing",
    ),
    Fault(
        "up",
        "two at once of one session",
        "one wins, the other says who",
        f"{_FAULTS}of_two_up_of_one_session_at_once_one_wins_and_the_other_says_who",
    ),
    Fault(
        "up, down",
        "another developer uses the name",
        "refused",
        f"{_FAULTS}a_second_developer_who_uses_the_name_is_refused_and_learns_whose_it_is",
    ),
    Fault(
        "up",
        "a lock of a living process, of another host, of another tool",
        "refused with whose it is",
        f"{_PROGRAM}a_lock_of_a_living_process_is_told_with_who_and_since_when",
    ),
    Fault(
        "up",
        "a lock of another host",
        "refused with the command that removes it",
        f"{_PROGRAM}a_lock_of_another_host_stays",
    ),
    Fault(
        "up",
        "a wrong passphrase",
        "refused with what to set",
        f"{_PROGRAM}a_wrong_passphrase_is_told_with_what_to_set",
    ),
    Fault(
        "up",
        "a full disk has cut the state off",
        "it continues from the last complete copy",
        f"{_CUT_OFF}up_continues_from_the_last_complete_state",
    ),
    Fault(
        "up",
        "somebody deleted the namespace",
        "the session is made again",
        f"{_FAULTS}a_session_whose_namespace_somebody_deleted_is_made_again",
    ),
    Fault(
        "up",
        "somebody deleted a Flux object",
        "the session is made whole",
        f"{_FAULTS}a_session_whose_flux_object_somebody_deleted_is_made_whole",
    ),
    Fault(
        "up",
        "a path, a file or a name that can't be used",
        "refused, nothing is made",
        f"{_INPUT}a_name_that_dns_or_s3_will_not_take",
    ),
    Fault("up", "a path that does not exist", "refused", f"{_INPUT}a_path_that_does_not_exist"),
    Fault("up", "a context that does not exist", "refused", f"{_INPUT}a_context_that_does_not_exist"),
    Fault("up", "a cluster that does not answer", "refused", f"{_INPUT}a_cluster_that_does_not_answer"),
    Fault("up", "a store that refuses the key", "refused", f"{_INPUT}a_store_that_refuses_the_key"),
    Fault("up", "an unknown setting", "refused", f"{_INPUT}an_unknown_setting_names_the_key_and_its_place"),
    Fault(
        "up",
        "a TTL or an idle limit beyond the platform's",
        "refused with the rule",
        f"{_TIME}a_session_that_exceeds_a_rule_is_refused_with_its_name_and_is_not_created",
    ),
    Fault(
        "down",
        "SIGKILL before and after each step",
        "the next `down` finishes",
        f"{_COMMANDS}a_down_that_was_killed_is_finished_by_the_next_one",
    ),
    Fault(
        "down",
        "a suspended Kustomization and a live sync",
        "`pulumi destroy` ends both",
        f"{_ENDING}plain_pulumi_destroy_ends_a_suspended_session_that_is_being_synced",
    ),
    Fault(
        "down",
        "a finalizer whose controller is gone",
        "named with the way out",
        f"{_ENDING}an_object_that_nobody_lets_go_is_named_while_down_waits_for_it",
    ),
    Fault(
        "down",
        "the ServiceAccount was deleted first",
        "ended",
        f"{_ENDING}a_session_whose_account_was_deleted_first_is_ended",
    ),
    Fault(
        "down",
        "the namespace was deleted first",
        "ended",
        f"{_FAULTS}a_session_whose_namespace_somebody_deleted_is_ended",
    ),
    Fault(
        "down",
        "a lost passphrase, and a live sync",
        "`down --from-cluster` ends it",
        f"{_ENDING}a_session_whose_passphrase_is_lost_is_ended_by_its_labels_while_it_is_synced",
    ),
    Fault(
        "down",
        "a lost stack file",
        "ended",
        f"{_FAULTS}a_session_whose_stack_file_is_lost_is_ended",
    ),
    Fault(
        "down",
        "a full disk has cut the state off",
        "ended",
        f"{_CUT_OFF}down_ends_what_a_cut_off_state_has_left",
    ),
    Fault(
        "down",
        "a lost state, and a bucket that is not empty",
        "`down --from-cluster` ends it",
        f"{_CUT_OFF}a_session_whose_state_is_lost_is_ended_by_its_labels_with_its_bucket",
    ),
    Fault(
        "down",
        "the cluster is gone",
        "the store is cleaned and asked",
        "test_session_keys.py::test_the_end_of_a_session_whose_cluster_is_gone_asks_the_store",
    ),
    Fault(
        "gc",
        "SIGKILL before and after each step of an end",
        "the next `gc` finishes",
        f"{_COMMANDS}a_gc_that_was_killed_while_it_ended_a_session_is_finished_by_the_next_one",
    ),
    Fault(
        "gc",
        "an end that a finalizer holds up",
        "named; the other sessions are ended",
        f"{_FAULTS}gc_names_what_holds_one_end_up_and_ends_the_others",
    ),
    Fault(
        "gc",
        "the lock of an `up` that was killed",
        "removed; `down` cleans up",
        f"{_FAULTS}gc_removes_the_lock_that_a_killed_up_has_left",
    ),
    Fault(
        "gc",
        "a made-up tombstone",
        "nothing is ended or cleared",
        f"{_FAULTS}a_tombstone_that_somebody_made_up_ends_no_session",
    ),
    Fault(
        "gc",
        "annotations that say no time",
        "nothing is ended or suspended",
        f"{_FAULTS}an_annotation_that_says_nothing_sensible_ends_and_suspends_nothing",
    ),
    Fault(
        "gc",
        "a user who does not see every session",
        "refused",
        f"{_TIME}whoever_does_not_see_every_session_collects_nothing",
    ),
    Fault(
        "request",
        "SIGKILL of the collector before and after each step",
        "carried out once, and answered",
        f"{_COMMANDS}a_request_whose_collector_was_killed_is_carried_out_and_answered_by_the_next_one",
    ),
    Fault(
        "request",
        "annotations that are no request",
        "`gc`, `list` and a sync go on",
        f"{_FAULTS}a_request_that_nobody_can_read_disturbs_neither_gc_nor_list_nor_a_sync",
    ),
    Fault(
        "request",
        "a state and a record that are none",
        "written again",
        f"{_FAULTS}a_state_and_a_record_that_nobody_can_read_are_written_again",
    ),
    Fault(
        "request",
        "an undo that nobody can do, and a viewer who asks",
        "refused",
        f"{_TIME}an_undo_is_refused_where_nobody_syncs_and_a_viewer_asks_for_nothing",
    ),
    Fault(
        "undo",
        "a sync that does not answer",
        "named",
        "test_undo.py::test_an_undo_names_the_sync_elsewhere_that_does_not_answer",
    ),
    Fault(
        "sync",
        "SIGKILL before and after each step of a fenced save",
        "a whole tree stays, the next sync repairs it",
        "test_killed.py::test_a_kill_amid_a_fenced_save_leaves_a_whole_tree_and_the_next_sync_heals_it",
    ),
    Fault(
        "sync",
        "SIGKILL before and after each step of a save of one file",
        "a whole tree stays, the next sync repairs it",
        "test_killed.py::test_a_kill_amid_a_save_of_one_file_leaves_a_whole_tree_and_the_next_sync_heals_it",
    ),
    Fault(
        "sync",
        "a controller, the store or the API server crashes during a save",
        "the save is applied afterwards",
        "test_outages.py::test_a_save_amid_a_crash_is_applied_once_the_service_is_back",
    ),
    Fault(
        "sync",
        "the store is emptied",
        "filled before Flux sees it, nothing is pruned",
        "test_outages.py::test_an_emptied_store_is_told_and_filled_again_before_the_next_save_reaches_flux",
    ),
    Fault(
        "sync",
        "SIGSTOP, and another sync takes over",
        "the first ends, the files of the second stay",
        "test_two_writers.py::test_a_stopped_sync_that_was_taken_over_ends_and_leaves_the_winner_its_files",
    ),
    Fault(
        "sync",
        "SIGSTOP during a push, and another sync takes over",
        "the first never fences",
        "test_two_writers.py::test_a_sync_that_was_stopped_amid_a_push_never_fences_the_winner_s_bucket",
    ),
    Fault(
        "sync",
        "a Lease of a machine whose clock is two hours off",
        "taken once it is not renewed, or by --take-over",
        f"{_FAULTS}a_lease_of_a_machine_whose_clock_is_wrong_is_taken_once_it_is_not_renewed",
    ),
    Fault(
        "sync",
        "Ctrl-C twice at several times",
        "the Lease is released, or said to expire",
        "test_exit.py::test_ctrl_c_twice_ends_a_sync_that_releases_its_lease_or_says_that_it_expires",
    ),
    Fault(
        "sync",
        "a terminal that closes, and one that stalls",
        "the Lease is kept and released",
        "test_exit.py::test_a_stalled_terminal_stops_neither_the_lease_nor_the_end",
    ),
    Fault(
        "sync",
        "an emptied directory",
        "it waits, nothing is pruned",
        f"{_INPUT}an_empty_directory_waits_for_its_first_object",
    ),
    Fault(
        "sync",
        "links that leave the root, names that keys can't hold",
        "refused with file and line",
        f"{_INPUT}a_link_that_leaves_the_root_is_named",
    ),
)

CANARIES: Final = (
    f"{HERE}/test_secrets.py::test_no_canary_is_seen_anywhere_but_in_its_secret",
    f"{HERE}/test_secrets.py::test_an_export_of_the_sandbox_holds_no_value_even_of_what_was_refused",
)
"""Tests that note how many canaries they found where none belongs."""
