"""Make three sessions in three stacks (python three_stacks.py up), and end them (destroy)."""

import sys

from pulumi import automation

from gitops_run import Session, read_spec

for name in ("red", "green", "blue"):
    stack = automation.create_or_select_stack(
        name, project_name="fleet", program=lambda name=name: Session(read_spec(name, target="overlays/dev"))
    )
    getattr(stack, sys.argv[1])(on_output=print)
