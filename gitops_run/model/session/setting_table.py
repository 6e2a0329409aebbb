"""The settings' table: every key with its type, default, range and meaning.

Knows nothing of where values come from: model/session/settings.py chooses them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from gitops_run.model.rights.pod_security import LEVELS, RESTRICTED
from gitops_run.model.session.limits import DURATION_OR_NEVER

ENVIRONMENT_PREFIX = "GITOPS_RUN_"

Kind = Literal["string", "integer", "boolean", "array"]
Value = str | int | bool | tuple[str, ...]

_HTTPS = r"https://[^/?#\s]+"
_DNS_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"


def to_attribute(key: str) -> str:
    """Write a key as Python does: readerAccessKey, reader_access_key."""
    return re.sub(r"(?<!^)([A-Z])", r"_\1", key).lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Describe one key.

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

    @property
    def attribute(self) -> str:
        """Name the field of Settings that holds it."""
        return to_attribute(self.key)

    @property
    def is_store_key(self) -> bool:
        """Say whether it is a key of the store, which the tool never writes into a stack's file."""
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
"""The keys of one session's bucket. What the session's own stack file says of them wins over all else."""

STORE_IMAGE: Final = "ghcr.io/versity/versitygw:v1.8.0"

SETTINGS: tuple[Setting, ...] = (
    Setting(
        key="target",
        description="The directory that is applied, as a path within root; . for root itself.",
        is_pinned=True,
    ),
    Setting(
        key="applier",
        description="Who applies the target: kustomize, or helm where it is a chart; seen from its files.",
        default="kustomize",
        allowed=("kustomize", "helm"),
        is_pinned=True,
    ),
    Setting(
        key="substitute",
        description="Variables of a kustomization, as NAME=VALUE: Flux puts them in for ${NAME}.",
        kind="array",
        default=(),
        pattern=r"[A-Za-z_][A-Za-z0-9_]*=[^\0]*",
        example="REPLICAS=2",
    ),
    Setting(
        key="substituteFrom",
        description="ConfigMaps and Secrets of the session's namespace that hold more such variables.",
        kind="array",
        default=(),
        pattern=rf"(ConfigMap|Secret)/{_DNS_LABEL}(\.{_DNS_LABEL})*",
        example="ConfigMap/settings",
    ),
    Setting(
        key="substituteFile",
        description="The file with variables that are secret, one NAME=VALUE a line: they become a Secret.",
        is_path=True,
    ),
    Setting(
        key="decryptionKeyFile",
        description="The file with the age key by which Flux decrypts what SOPS has encrypted.",
        is_path=True,
    ),
    Setting(key="valuesFiles", description="A chart's values files, within root.", kind="array", default=()),
    Setting(
        key="releaseName",
        description="A chart's release name; else the session's name.",
        pattern=r"[a-z0-9]([a-z0-9-]{0,51}[a-z0-9])?",
        example="web",
    ),
    Setting(
        key="root",
        description="The directory that is watched. The cluster learns its last name alone.",
        is_path=True,
    ),
    Setting(
        key="owner",
        description="The Kubernetes user who may save in this session; else whoever makes it.",
        is_pinned=True,
    ),
    Setting(key="context", description="The context of the kubeconfig, by name.", is_pinned=True),
    Setting(
        key="kubeconfig",
        description="The kubeconfig file; else the one that KUBECONFIG names, or ~/.kube/config.",
        is_pinned=True,
        is_path=True,
    ),
    Setting(
        key="cluster",
        description="The UID of the cluster's kube-system namespace; written when a session is made.",
        is_pinned=True,
    ),
    Setting(
        key="namespace",
        description="The session's own namespace; else run- and the session's name.",
        pattern=_DNS_LABEL,
        example="team-a-web",
        is_pinned=True,
    ),
    Setting(
        key="allowContexts",
        description="Contexts that sessions may use, besides those that are known as local.",
        kind="array",
        default=(),
    ),
    Setting(
        key="allowUnlockedFlux",
        description="Make sessions on a Flux that isn't locked down for many tenants, or can't be checked.",
        kind="boolean",
        default=False,
    ),
    Setting(
        key="podSecurity",
        description="The Pod Security of the session's namespace: restricted, or baseline where the platform "
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
            "Where the session's bucket is: in-cluster, beside the session; s3, at an endpoint of one's own; "
            "or aws. Else s3 where an endpoint is set, and in-cluster where none is."
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
        description="The image of the S3 server that store in-cluster runs, with its registry.",
        default=STORE_IMAGE,
        pattern=r"[^\s/]+(/[^\s/]+)*[:@][^\s/]+",
        example="registry.example.com/versitygw:v1.8.0",
    ),
    Setting(key="region", description="The bucket's region.", default="us-east-1", is_pinned=True),
    Setting(
        key="caFile",
        description="The file with the CA of the S3 endpoint (PEM), where it isn't a public one.",
        is_path=True,
    ),
    Setting(
        key="accessKey",
        description="The access key that makes and removes buckets and, if the store can, sessions' keys.",
    ),
    Setting(key="secretKey", description="The secret of accessKey.", is_secret=True),
    Setting(
        key="readerAccessKey",
        description="The access key with which Flux reads the bucket, where the store makes no keys.",
    ),
    Setting(key="readerSecretKey", description="The secret of readerAccessKey.", is_secret=True),
    Setting(
        key="writerAccessKey",
        description="The access key with which saves are written, where the store makes no keys.",
    ),
    Setting(key="writerSecretKey", description="The secret of writerAccessKey.", is_secret=True),
    Setting(
        key="keysFile",
        description="The file with this session's readerAccessKey, readerSecretKey, writerAccessKey and "
        "writerSecretKey, where the store makes no keys.",
        is_path=True,
    ),
    Setting(
        key="sharedKeys",
        description="Whether keys may be used that also open other sessions' buckets: the owner of any such "
        "session can then write all of these buckets.",
        kind="boolean",
        default=False,
    ),
    Setting(
        key="settleMs",
        description="Milliseconds without another change that end a save.",
        kind="integer",
        default=80,
        minimum=0,
        maximum=60_000,
        is_for_loop=True,
    ),
    Setting(
        key="settleCapMs",
        description="Milliseconds after which a save is made while changes still come.",
        kind="integer",
        default=2_000,
        minimum=0,
        maximum=600_000,
        is_for_loop=True,
    ),
    Setting(
        key="pruneLimitPercent",
        description="The share of applied objects that one save may remove unasked.",
        kind="integer",
        default=50,
        minimum=0,
        maximum=100,
        is_for_loop=True,
    ),
    Setting(
        key="renderTimeoutS",
        description="Seconds that rendering a save (kubectl kustomize, helm template) may take.",
        kind="integer",
        default=60,
        minimum=1,
        maximum=3_600,
        is_for_loop=True,
    ),
    Setting(
        key="renderMemoryMb",
        description="MiB of memory that rendering a save may use, on Linux.",
        kind="integer",
        default=1_024,
        minimum=128,
        maximum=1_048_576,
        is_for_loop=True,
    ),
    Setting(
        key="renderOutputMb",
        description="MiB of YAML that a save may render to.",
        kind="integer",
        default=32,
        minimum=1,
        maximum=1_024,
        is_for_loop=True,
    ),
)
