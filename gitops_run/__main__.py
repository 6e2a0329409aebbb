"""`python -m gitops_run` is `gitops-run`."""

from gitops_run.cli.app import main

if __name__ == "__main__":
    main()
