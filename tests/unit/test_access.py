"""What preflight needs of the owner's Role, and no more."""

from __future__ import annotations

from gitops_run.model.names import SessionName
from gitops_run.model.rights.access import owner_rules


def test_the_owner_may_ask_in_the_name_of_one_account_alone() -> None:
    rules = [
        rule
        for rule in owner_rules(SessionName("web"), "run-web", is_helm=True)
        if "impersonate" in rule["verbs"]
    ]
    assert rules == [
        {
            "apiGroups": [""],
            "resources": ["serviceaccounts"],
            "verbs": ["impersonate"],
            "resourceNames": ["flux-run"],
        }
    ]
