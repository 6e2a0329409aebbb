"""Which flags keep Flux's controllers from reaching beyond a session."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops_run.model.rights.lockdown import (
    COMPONENTS,
    Controller,
    events_go_to,
    lacking_bounds,
    lockdown_of,
    locked_down,
    parse_declared,
    parse_flags,
    write_declared,
)

UPSTREAM = (
    "--events-addr=http://notification-controller.flux-system.svc.cluster.local./",
    "--watch-all-namespaces",
    "--log-level=info",
)
ARGUMENTS = st.lists(
    st.sampled_from(
        [
            *UPSTREAM,
            "--no-cross-namespace-refs=false",
            "--default-service-account=",
            "--feature-gates=OOMWatch=true",
            "--override-manager=a",
            "--override-manager=b",
        ]
    ),
    unique=True,
)


@given(component=st.sampled_from(COMPONENTS), arguments=ARGUMENTS)
def test_whatever_a_controller_had_it_is_locked_down_afterwards(component: str, arguments: list[str]) -> None:
    made = locked_down(component, arguments, "")
    assert all(lockdown_of(component, made).values())
    assert locked_down(component, made, "") == made


@given(component=st.sampled_from(COMPONENTS), arguments=ARGUMENTS)
def test_no_flag_but_those_of_the_lockdown_is_lost(component: str, arguments: list[str]) -> None:
    kept = [one for one in arguments if one.startswith(("--watch", "--log", "--override"))]
    made = locked_down(component, arguments, "")
    assert [one for one in made if one in kept] == kept


def test_feature_gates_that_were_on_stay_on() -> None:
    made = parse_flags(locked_down("helm-controller", ["--feature-gates=OOMWatch=true"], ""))
    assert made["feature-gates"] == "OOMWatch=true,CancelHealthCheckOnNewRevision=true"


@pytest.mark.parametrize("receiver", ["", "http://events.example.com/"])
def test_events_go_to_the_receiver_alone(receiver: str) -> None:
    assert events_go_to(locked_down("source-controller", UPSTREAM, receiver)) == receiver


def test_source_controller_gets_no_account_since_that_would_end_it() -> None:
    assert "--default-service-account=default" not in locked_down("source-controller", UPSTREAM, "")


@pytest.mark.parametrize(
    ("arguments", "is_found"),
    [
        (["--no-remote-bases"], True),
        (["--no-remote-bases=true"], True),
        (["--no-remote-bases=false"], False),
        (["--no-remote-bases=true", "--no-remote-bases=false"], False),
        ([], False),
    ],
)
def test_a_switch_counts_where_it_is_on(arguments: list[str], *, is_found: bool) -> None:
    assert lockdown_of("kustomize-controller", arguments)["--no-remote-bases"] is is_found


def test_any_default_account_locks_down() -> None:
    found = lockdown_of("helm-controller", ["--default-service-account", "tenant"])
    assert found["--default-service-account"]


@given(component=st.sampled_from(COMPONENTS), arguments=ARGUMENTS)
def test_what_is_locked_down_lacks_no_bounds_by_arguments_or_by_declaration(
    component: str, arguments: list[str]
) -> None:
    made = locked_down(component, arguments, "")
    (declared,) = parse_declared(write_declared({component: made}))
    assert declared == Controller(name=component, arguments=tuple(made))
    assert lacking_bounds(declared) == ()


def test_a_controller_that_was_never_locked_down_lacks_each_flag() -> None:
    lacking = lacking_bounds(Controller(name="kustomize-controller", arguments=UPSTREAM))
    assert set(lacking) == {"--no-cross-namespace-refs", "--default-service-account", "--no-remote-bases"}


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"kustomize-controller": "--a"}', "1"])
def test_what_is_not_of_the_declaration_s_form_declares_nothing(text: str) -> None:
    assert parse_declared(text) == ()
