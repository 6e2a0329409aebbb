"""A bucket's life at an S3 endpoint: create, read, update, delete.

This module knows in which order the store is asked, and what an interrupted run may have left there. It
doesn't know Pulumi's protocol.

A bucket that exists is taken as one's own only where it is empty and has no policy but the one that
would be written: that is all that an interrupted create can leave. A tag as a mark of ownership would
come a moment after the bucket, and many stores know no tags; emptiness comes with the bucket.
"""

from __future__ import annotations

import time

from gitops_run.adapters.store.admin import StoreAdmin, open_store
from gitops_run.errors import GitOpsRunError, GuardError, NotFound
from gitops_run.model.store.policy import canonical
from gitops_run.plugins.gitops_run.declaration import BucketDeclaration

EMPTYING_S = 30.0
"""How long a bucket is emptied again while a writer still adds to it."""


def create(declared: BucketDeclaration) -> None:
    """Make the bucket with its policy, or nothing. Raises GuardError where one exists that isn't ours."""
    with open_store(declared.access) as store:
        if store.exists(declared.bucket):
            _refuse_foreign(store, declared)
        else:
            store.make(declared.bucket)
        try:
            _write_policy(store, declared)
        except GitOpsRunError:
            store.remove(declared.bucket)
            raise


def read(declared: BucketDeclaration) -> str | None:
    """Read the bucket's policy in its canonical form, "" for none; None where the bucket is gone."""
    with open_store(declared.access) as store:
        try:
            if store.exists(declared.bucket):
                return canonical(store.policy(declared.bucket))
        except NotFound:  # it went between the two questions
            pass
        return None


def update(declared: BucketDeclaration) -> None:
    """Bring the policy to what is declared, with the keys that are declared now."""
    with open_store(declared.access) as store:
        if not store.exists(declared.bucket):
            raise NotFound(
                f"bucket {declared.bucket} at {declared.access.place} is gone",
                hint="run `pulumi refresh`, then `pulumi up`, which recreates it",
            )
        if declared.policy is None:
            store.drop_policy(declared.bucket)
        else:
            store.set_policy(declared.bucket, declared.policy)


def delete(declared: BucketDeclaration, *, timeout_s: float = EMPTYING_S) -> None:
    """Remove the bucket, emptied where that is allowed. Gone already is fine.

    timeout_s: how long to go on where a writer keeps adding objects.
    """
    deadline = time.monotonic() + timeout_s
    with open_store(declared.access) as store:
        while True:
            try:
                if declared.force_destroy:
                    # Closed first: a write during the removal would recreate the bucket.
                    store.drop_policy(declared.bucket)
                    store.empty(declared.bucket)
                store.remove(declared.bucket)
            except NotFound:
                return
            except GuardError as error:
                if not declared.force_destroy:
                    raise _not_empty(declared) from error
                if time.monotonic() >= deadline:
                    raise _still_written(declared) from error
            else:
                return


def _write_policy(store: StoreAdmin, declared: BucketDeclaration) -> None:
    if declared.policy is not None:
        store.set_policy(declared.bucket, declared.policy)


def _refuse_foreign(store: StoreAdmin, declared: BucketDeclaration) -> None:
    place = f"bucket {declared.bucket} at {declared.access.place}"
    if not store.is_empty(declared.bucket):
        raise GuardError(
            f"{place} exists and holds objects: this stack did not create it",
            hint="take down the session that created it, or remove the bucket; nothing was changed",
        )
    if canonical(store.policy(declared.bucket)) not in {"", canonical(declared.policy)}:
        raise GuardError(
            f"{place} exists with a policy that this stack did not write",
            hint="take down the session that created it, or remove the bucket; nothing was changed",
        )


def _not_empty(declared: BucketDeclaration) -> GuardError:
    return GuardError(
        f"bucket {declared.bucket} at {declared.access.place} still holds objects and must not be emptied",
        hint="set force_destroy=True and run `pulumi up` before `pulumi destroy`, or empty it yourself",
    )


def _still_written(declared: BucketDeclaration) -> GuardError:
    return GuardError(
        f"bucket {declared.bucket} at {declared.access.place} gets new objects while it is being emptied",
        hint="stop the sync that writes to it, and run the same command again",
    )
