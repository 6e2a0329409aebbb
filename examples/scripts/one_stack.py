"""Make three sessions in one stack (python one_stack.py up), and end them (destroy)."""

import sys

from pulumi import automation

from gitops_run import Session, read_spec


def program() -> None:
    for name in ("red", "green", "blue"):
        Session(read_spec(name, target="overlays/dev"))


stack = automation.create_or_select_stack("all", project_name="fleet", program=program)
getattr(stack, sys.argv[1])(on_output=print)
