"""The Pulumi program of this project: one cluster's platform for each stack."""

from gitops_run.declare.platform_program import main

main()
