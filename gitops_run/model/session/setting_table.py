"""The settings' table: every key with its type, default, range and meaning.

This module knows nothing of where values come from: model/session/settings.py chooses them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from gitops_run.model.rights.pod_security import LEVELS, RESTRICTED
from gitops_run.model.session.isolation import AMOUNT, AMOUNT_EXAMPLE, ISOLATIONS
from gitops_run.model.session.limits import DURATION_OR_NEVER

ENVIRONMENT_PREFIX = "GITOPS_RUN_"

Kind = Literal["string", "integer", "boolean", "array"]
Value = str | int | bool | tuple[str, ...]

_HTTPS = r"https://[^/?#\s]+"
DNS_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"


def to_attribute(key: str) -> str:
    """Write a key as Python does: readerAccessKey, reader_access_key."""
    return re.sub(r"(?<!^)([A-Z])", r"_\1", key).lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Describe one key.

    is_keyed: a list of KEY=VALUE; a key that one source doesn't name keeps the value of a weaker one.
    is_pinned: fixed when a session is made. is_for_loop: read by the loop alone, and not kept in the stack.
    """

    key: str
    description: str
    kind: Kind = "string"
    default: Value | None = None
    allowed: tuple[str, ...] = ()
    pattern: str = ""
    example: str = ""
    minimum: int = 0
    maximum: int = 0
    is_secret: bool = False
    is_pinned: bool = False
    is_path: bool = False
    is_for_loop: bool = False
    is_keyed: bool = False

    @property
    def attribute(self) -> str:
        """Name the field of Settings that holds it."""
        return to_attribute(self.key)

    @property
    def is_store_key(self) -> bool:
        """Report whether it is a key of the store, which the tool never writes into a stack's file."""
        return self.key.endswith("Key")

    @property
    def flag(self) -> str:
        """Name the flag of the command line."""
        return "--" + self.attribute.replace("_", "-")

    @property
    def variable(self) -> str:
        """Name the environment variable."""
        return ENVIRONMENT_PREFIX + self.attribute.upper()


SESSION_KEY_SETTINGS: Final = ("readerAccessKey", "readerSecretKey", "writerAccessKey", "writerSecretKey")
"""The keys of one session's bucket. The session's own stack file takes precedence for them."""

STORE_IMAGE: Final = "ghcr.io/versity/versitygw:v1.8.0"

SETTINGS: tuple[Setting, ...] = (
    Setting(
        key="target",
        description="The directory that is applied, as a path within root; . for the root itself.",
        is_pinned=True,
    ),
    Setting(
        key="applier",
        description="The controller that applies the target: kustomize, or helm for a chart; "
        "detected from its files.",
        default="kustomize",
        allowed=("kustomize", "helm"),
        is_pinned=True,
    ),
    Setting(
        key="substitute",
        description="Variables of a kustomization, as NAME=VALUE: Flux substitutes them for ${NAME}.",
        kind="array",
        default=(),
        pattern=r"[A-Za-z_][A-Za-z0-9_]*=[^\0]*",
        example="REPLICAS=2",
    ),
    Setting(
        key="substituteFrom",
        description="ConfigMaps and Secrets of the session's namespace that contain more such variables.",
        kind="array",
        default=(),
        pattern=rf"(ConfigMap|Secret)/{DNS_LABEL}(\.{DNS_LABEL})*",
        example="ConfigMap/settings",
    ),
    Setting(
        key="substituteFile",
        description="The file with secret variables, one NAME=VALUE per line; they are stored in a Secret.",
        is_path=True,
    ),
    Setting(
        key="decryptionKeyFile",
        description="The file with the age key with which Flux decrypts files that SOPS has encrypted.",
        is_path=True,
    ),
    Setting(key="valuesFiles", description="A chart's values files, within root.", kind="array", default=()),
    Setting(
        key="releaseName",
        description="A chart's release name; by default the session's name.",
        pattern=r"[a-z0-9]([a-z0-9-]{0,51}[a-z0-9])?",
        example="web",
    ),
    Setting(
        key="root",
        description="The directory that is watched. Only its last name is stored in the cluster.",
        is_path=True,
    ),
    Setting(
        key="owner",
        description="The Kubernetes user who may save in this session; by default its creator.",
        is_pinned=True,
    ),
    Setting(key="context", description="The context of the kubeconfig, by name.", is_pinned=True),
    Setting(
        key="kubeconfig",
        description="The kubeconfig file; by default that of KUBECONFIG, or ~/.kube/config.",
        is_pinned=True,
        is_path=True,
    ),
    Setting(
        key="cluster",
        description="The UID of the cluster's kube-system namespace; set when a session is created.",
        is_pinned=True,
    ),
    Setting(
        key="namespace",
        description="The session's own namespace; by default run- and the session's name.",
        pattern=DNS_LABEL,
        example="team-a-web",
        is_pinned=True,
    ),
    Setting(
        key="allowContexts",
        description="Contexts that sessions may use, in addition to those known to be local.",
        kind="array",
        default=(),
    ),
    Setting(
        key="allowUnlockedFlux",
        description="Allow sessions on a Flux without multi-tenancy lockdown, or one that can't be checked.",
        kind="boolean",
        default=False,
    ),
    Setting(
        key="isolation",
        description="Where the session applies: namespace, its own and the default, or cluster if the "
        "platform allows that.",
        allowed=ISOLATIONS,
        is_pinned=True,
    ),
    Setting(
        key="quota",
        description="How much the session's objects may take together, as RESOURCE=AMOUNT (cpu, memory, "
        "pods, storage); else as much as the platform says.",
        kind="array",
        default=(),
        pattern=AMOUNT,
        example=AMOUNT_EXAMPLE,
        is_keyed=True,
    ),
    Setting(
        key="team",
        description="The team that the session belongs to, whose quota the platform sets for all of its "
        "sessions together.",
        pattern=DNS_LABEL,
        example="payments",
    ),
    Setting(
        key="podSecurity",
        description="The Pod Security of the session's namespace: restricted, or baseline if the platform "
        "allows that.",
        default=RESTRICTED,
        allowed=LEVELS,
    ),
    Setting(
        key="ttl",
        description="How long the session lives after it is created, such as 8h or 3d, or never; else as "
        "long as the platform says.",
        pattern=DURATION_OR_NEVER,
        example="8h",
    ),
    Setting(
        key="idleLimit",
        description="How long after its last save the session is suspended, such as 90m, or never; else as "
        "the platform says.",
        pattern=DURATION_OR_NEVER,
        example="90m",
    ),
    Setting(
        key="store",
        description=(
            "Where the session's bucket is: in-cluster, in the session's namespace; s3, at your own "
            "endpoint; "
            "or aws. By default s3 with an endpoint, and in-cluster without one."
        ),
        allowed=("in-cluster", "s3", "aws"),
        is_pinned=True,
    ),
    Setting(
        key="endpoint",
        description="The S3 endpoint, reachable from here and from the cluster.",
        pattern=_HTTPS,
        example="https://s3.example.com:9000",
        is_pinned=True,
    ),
    Setting(
        key="storeImage",
        description="The image of the S3 server for store in-cluster, with its registry.",
        default=STORE_IMAGE,
        pattern=r"[^\s/]+(/[^\s/]+)*[:@][^\s/]+",
        example="registry.example.com/versitygw:v1.8.0",
    ),
    Setting(key="region", description="The bucket's region.", default="us-east-1", is_pinned=True),
    Setting(
        key="caFile",
        description="The file with the CA of the S3 endpoint (PEM), unless it is a public one.",
        is_path=True,
    ),
    Setting(
        key="accessKey",
        description="The access key that creates and removes buckets and, if the store can, sessions' keys.",
    ),
    Setting(key="secretKey", description="The secret of accessKey.", is_secret=True),
    Setting(
        key="readerAccessKey",
        description="The access key with which Flux reads the bucket, if the store can't create keys.",
    ),
    Setting(key="readerSecretKey", description="The secret of readerAccessKey.", is_secret=True),
    Setting(
        key="writerAccessKey",
        description="The access key with which saves are written, if the store can't create keys.",
    ),
    Setting(key="writerSecretKey", description="The secret of writerAccessKey.", is_secret=True),
    Setting(
        key="keysFile",
        description="The file with this session's readerAccessKey, readerSecretKey, writerAccessKey and "
        "writerSecretKey, if the store can't create keys.",
        is_path=True,
    ),
    Setting(
        key="sharedKeys",
        description="Allow keys that also open other sessions' buckets: the owner of any such "
        "session can then write all of these buckets.",
        kind="boolean",
        default=False,
    ),
    Setting(
        key="settleMs",
        description="The debounce in ms: a save begins once files stop changing for this long.",
        kind="integer",
        default=80,
        minimum=0,
        maximum=60_000,
        is_for_loop=True,
    ),
    Setting(
        key="settleCapMs",
        description="Longest wait for quiet, in ms, while files keep changing.",
        kind="integer",
        default=2_000,
        minimum=0,
        maximum=600_000,
        is_for_loop=True,
    ),
    Setting(
        key="pruneLimitPercent",
        description="The percentage of applied objects that one save may delete without confirmation.",
        kind="integer",
        default=50,
        minimum=0,
        maximum=100,
        is_for_loop=True,
    ),
    Setting(
        key="renderTimeoutS",
        description="Time limit for rendering a save (kubectl kustomize, helm template), in seconds.",
        kind="integer",
        default=60,
        minimum=1,
        maximum=3_600,
        is_for_loop=True,
    ),
    Setting(
        key="renderMemoryMb",
        description="Memory limit for rendering a save, in MiB; only on Linux.",
        kind="integer",
        default=1_024,
        minimum=128,
        maximum=1_048_576,
        is_for_loop=True,
    ),
    Setting(
        key="renderOutputMb",
        description="Limit for the rendered YAML of a save, in MiB.",
        kind="integer",
        default=32,
        minimum=1,
        maximum=1_024,
        is_for_loop=True,
    ),
)
