"""The Pulumi program of this project: one session for each stack."""

from gitops_run.declare.program import main

main()
