"""What a session is: its name, and the names of everything that belongs to it.

This module knows how one session's objects are called in the cluster and in the store, so that the program
that declares them and the loop that finds them again agree. It knows nothing of how either is reached.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from gitops_run.errors import UsageError

SESSION_LABEL = "gitops-run.dev/session"
TEAM_LABEL = "gitops-run.dev/team"
"""Stands on the namespace and the ResourceQuota of a session that names a team."""
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
PART_OF_LABEL = "app.kubernetes.io/part-of"
MANAGER = "gitops-run"

OWNER_ANNOTATION = "gitops-run.dev/owner"
TARGET_ANNOTATION = "gitops-run.dev/target"
ROOT_ANNOTATION = "gitops-run.dev/root"
ISOLATION_ANNOTATION = "gitops-run.dev/isolation"
"""Stands on the Flux Bucket of a session whose namespace is bounded: namespace or cluster."""
CREATED_ANNOTATION = "gitops-run.dev/created"
TTL_ANNOTATION = "gitops-run.dev/ttl"
IDLE_LIMIT_ANNOTATION = "gitops-run.dev/idle-limit"
EXPIRES_ANNOTATION = "gitops-run.dev/expires"
"""When the session ends, as its stack says: created and ttl together."""
EXTENDED_ANNOTATION = "gitops-run.dev/extended"
"""When it ends instead, if that is later: `gitops-run extend` writes it, and no stack does."""
SUSPENDED_BY_ANNOTATION = "gitops-run.dev/suspended-by"
SUSPENDED_REASON_ANNOTATION = "gitops-run.dev/suspended-reason"
SUSPENDED_AT_ANNOTATION = "gitops-run.dev/suspended-at"
RESUMED_AT_ANNOTATION = "gitops-run.dev/resumed-at"
"""On what applies the session: idle time starts again when it is resumed."""
STACK_ANNOTATION = "gitops-run.dev/stack"
"""Stands on the namespace: the stack that declares the session, as PROJECT/STACK."""
REQUEST_ANNOTATION = "gitops-run.dev/request"
REQUESTED_BY_ANNOTATION = "gitops-run.dev/requested-by"
"""These stand on the Flux Bucket: what somebody asks of the session, and the Kubernetes user who asks."""
FENCE_ANNOTATION = "gitops-run.dev/fence"
ENDING_ANNOTATION = "gitops-run.dev/ending"
"""Stands on the Lease of a session that is being ended: since when, RFC 3339."""
RECONCILE_ANNOTATION = "reconcile.fluxcd.io/requestedAt"
FORCE_ANNOTATION = "reconcile.fluxcd.io/forceAt"
RESET_ANNOTATION = "reconcile.fluxcd.io/resetAt"
"""What `flux reconcile helmrelease` writes with --force and --reset."""
STATE_MAP = "gitops-run-state"
"""ConfigMap with what a table's row shows of a session; RECORD_MAP has what its loop has done."""
RECORD_MAP = "gitops-run-record"
LOOP_KEY = "loop"
"""The key of both that the loop writes."""

ACCOUNT = "flux-run"
"""ServiceAccount, Role and RoleBinding under which Flux applies the session."""
OWNER_ROLE = "session-owner"
"""Role and RoleBinding of the session's owner; the latter's subject is who that is."""
READER_SECRET = "bucket-reader"  # noqa: S105 - the name of a Secret, not its content
WRITER_SECRET = "bucket-writer"  # noqa: S105 - the name of a Secret, not its content
DECRYPTION_SECRET = "sops-age"  # noqa: S105 - the name of a Secret, not its content
VARIABLES_SECRET = "gitops-run-variables"  # noqa: S105 - the name of a Secret, not its content
TOKEN_TYPE = "kubernetes.io/service-account-token"  # noqa: S105 - a Secret's type, not its content
TOKEN_ACCOUNT = "kubernetes.io/service-account.name"  # noqa: S105 - an annotation's name
FLUX_NAMESPACE = "flux-system"
"""Where Flux's own installer puts it; facts of a cluster may say otherwise."""
QUOTA = "gitops-run-quota"
"""ResourceQuota of the session's namespace."""
REQUEST_DEFAULTS = "gitops-run-defaults"
"""LimitRange: what a container requests that says nothing."""
INGRESS_POLICY = "gitops-run-ingress"
"""NetworkPolicy: who may connect to the session's pods."""
STORE_SERVER = "gitops-run-bucket"
"""StatefulSet, Service, Secret and NetworkPolicy of the S3 server, if it runs in the session's namespace."""
STORE_SERVER_PORT = 9000
STORE_PREFIX = "src/"
"""Every object of a session lies under this prefix, so that an emptied store never prunes."""


_NAME = re.compile(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?")
NAME_MAX = 40


def applied_path(target: str) -> str:
    """Write the path that the Kustomization applies. target: relative to the root, "." for the root."""
    return f"./{STORE_PREFIX.rstrip('/')}" + ("" if target == "." else f"/{target}")


def target_of(path: str) -> str:
    """Read the target back from the path that Flux applies."""
    return path.removeprefix(applied_path(".")).removeprefix("/") or "."


def cluster_binding_name(namespace: str) -> str:
    """Name the ClusterRoleBinding of a session with isolation cluster. namespace: the session's."""
    return f"gitops-run-{namespace}"


def chart_name(namespace: str, name: str) -> str:
    """Name the HelmChart that helm-controller makes for a HelmRelease, in its namespace."""
    return f"{namespace}-{name}"


@dataclass(frozen=True, slots=True)
class SessionName:
    """Hold a session's name: at most 40 characters of a-z, 0-9 and "-", legal in DNS and in S3."""

    text: str

    @classmethod
    def parse(cls, text: str) -> SessionName:
        """Parse a name that a person typed. Raises UsageError with a legal name as its hint."""
        if _NAME.fullmatch(text):
            return cls(text)
        suggestion = _legal(text)
        hint = f"try: {suggestion}" if suggestion else "try a short word, such as: web"
        raise UsageError(
            f"session name {text!r} is not allowed: use at most {NAME_MAX} of a-z, 0-9 and '-', "
            "beginning with a letter and not ending with '-'",
            hint=hint,
        )

    @property
    def namespace(self) -> str:
        """Name the session's own namespace."""
        return f"run-{self.text}"

    def bucket(self, cluster_uid: str) -> str:
        """Name the S3 bucket: distinct for each session of each cluster, 60 characters at most.

        cluster_uid: the UID of the cluster's kube-system namespace.
        """
        digest = hashlib.sha256(f"{cluster_uid}/{self.text}".encode()).hexdigest()[:8]
        return f"gitops-run-{self.text}-{digest}"

    def __str__(self) -> str:
        return self.text


def suggest_name(text: str) -> str:
    """Turn a directory's or branch's name into a legal session name; "session" where nothing is left."""
    return _legal(text) or "session"


def _legal(text: str) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", text.lower()).lstrip("-0123456789")
    return words[:NAME_MAX].strip("-")
