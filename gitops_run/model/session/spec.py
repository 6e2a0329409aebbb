"""What makes one session: where it is, whose it is, what it applies, and where its files lie.

This module knows no Pulumi and no cluster: the program declares from it, the loop and the receipt find things
by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from gitops_run.errors import GuardError, NotFound, UsageError
from gitops_run.model.names import FLUX_NAMESPACE, STORE_SERVER, STORE_SERVER_PORT, SessionName
from gitops_run.model.rights.lockdown import Controller
from gitops_run.model.rights.pod_security import RESTRICTED
from gitops_run.model.session.isolation import (
    DEFAULT_BOUNDS,
    NAMESPACE,
    Bounds,
    IsolationRules,
    choose_quota,
)
from gitops_run.model.session.isolation import NO_RULES as NO_ISOLATION_RULES
from gitops_run.model.session.key import SessionKey
from gitops_run.model.session.limits import NO_LIMITS, NO_RULES, Limits, TimeRules, choose_limits
from gitops_run.model.session.setting_table import SESSION_KEY_SETTINGS, to_attribute
from gitops_run.model.session.settings import PROJECT, Settings
from gitops_run.model.session.teams import TeamSession
from gitops_run.model.session.tombstone import Tombstone
from gitops_run.model.store.keys import GivenKeys, KeyPair, refuse_shared_keys
from gitops_run.model.store.objects import StoreAccess


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterPin:
    """Name one cluster for good.

    kubeconfig: a file. context: in that file. uid: of the cluster's namespace kube-system.
    """

    kubeconfig: str
    context: str
    uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Store:
    """Describe a bucket at an S3 endpoint of one's own.

    endpoint: an https URL. ca: PEM, empty where a public CA signed the endpoint's certificate. admin: the key
    that makes and removes buckets and, where keys is None, each session's keys. keys: those that a person
    provides for this session alone; None where the store makes them.
    """

    endpoint: str
    region: str
    ca: str = ""
    admin: KeyPair
    keys: GivenKeys | None = None

    @property
    def kind(self) -> str:
        """Name the kind of store as the setting does."""
        return "s3"

    @property
    def has_ca(self) -> bool:
        """Report whether Flux needs a CA."""
        return bool(self.ca)

    @property
    def access(self) -> StoreAccess:
        """Describe how to reach the store with the key that makes and removes buckets."""
        return StoreAccess(
            endpoint=self.endpoint,
            region=self.region,
            access_key=self.admin.access_key,
            secret_key=self.admin.secret_key,
            ca_cert=self.ca,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsStore:
    """Describe a bucket on AWS: its keys are made with it."""

    region: str

    @property
    def endpoint(self) -> str:
        """Name AWS's endpoint for the region."""
        return f"https://s3.{self.region}.amazonaws.com"

    @property
    def kind(self) -> str:
        """Name the kind of store as the setting does."""
        return "aws"

    @property
    def has_ca(self) -> bool:
        """AWS's certificate is signed by a public CA."""
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class InClusterStore:
    """Describe a bucket in the cluster: a server in the session's namespace, with keys and a CA of its own.

    namespace: the session's. image: of versitygw. flux_namespace: where the source-controller is that may
    connect.
    """

    namespace: str
    region: str
    image: str
    flux_namespace: str = FLUX_NAMESPACE

    @property
    def kind(self) -> str:
        """Name the kind of store as the setting does."""
        return "in-cluster"

    @property
    def has_ca(self) -> bool:
        """Report whether Flux needs a CA: nobody else knows the server's."""
        return True

    @property
    def endpoint(self) -> str:
        """Name the endpoint within the cluster."""
        return f"https://{STORE_SERVER}.{self.namespace}.svc:{STORE_SERVER_PORT}"


Store = S3Store | AwsStore | InClusterStore


@dataclass(frozen=True, slots=True, kw_only=True)
class KustomizeApplier:
    """Describe how a kustomization is applied.

    substitute: NAME=VALUE. substitute_from: KIND/NAME. secret_variables: what substituteFile holds.
    decryption_key: what the age key's file holds, or "".
    """

    substitute: tuple[str, ...] = field(default=(), repr=False)
    substitute_from: tuple[str, ...] = ()
    secret_variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    decryption_key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class HelmApplier:
    """Describe how a chart is applied. values_files: paths within root; a later one wins."""

    release_name: str
    values_files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSpec:
    """Describe one session completely.

    gitops_run.read_spec fills in what the cluster knows. namespace: the session's own, which it creates;
    name.namespace where there is no reason for another. isolation: where it applies. bounds: None for a
    session of an earlier version, whose namespace has none. owner: the Kubernetes user who may save, as the
    cluster names them. target: a path within root, "." for root itself. root: the watched directory's last
    name. created: RFC 3339 in UTC, such as 2026-11-25T20:46:04Z; the stack keeps the first one.
    """

    name: SessionName
    namespace: str
    owner: str
    target: str
    root: str
    created: str
    cluster: ClusterPin
    store: Store
    applier: KustomizeApplier | HelmApplier = KustomizeApplier()
    pod_security: str = RESTRICTED
    limits: Limits = NO_LIMITS
    isolation: str = NAMESPACE
    bounds: Bounds | None = DEFAULT_BOUNDS
    team: str = ""

    @property
    def bucket(self) -> str:
        """Name the bucket in the store."""
        return self.name.bucket(self.cluster.uid)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOutputs:
    """Hold the outputs of a session's stack: where everything is, and no secret."""

    namespace: str
    bucket: str
    store: str
    endpoint: str
    source: str
    applier: str
    owner: str
    context: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterFacts:
    """Hold a cluster's facts before a session is created in it.

    uid: of its kube-system namespace. user: who asks, by the cluster's own word. flux: the version that
    its installation's labels show, or "". flux_namespace: where it is, or "". controllers: those of Flux
    whose arguments can be seen. has_policies: whether the platform's admission policies are there, None where
    that may not be read. pod_security: the least strict level that sessions may have, or "".
    time: the platform's rules for TTL and idle limit. rules: those for isolation and quota. may_bound:
    whether this user may create quotas. team_sessions: every session that names a team, where the platform
    has quotas of teams; None where this user may not see them. isolation: of the session of that name, ""
    where its namespace has no bounds. created, extended: of the session of that name, RFC
    3339, or "". ended: what gc left word of, where it ended the last session of that name. owner, target: of
    the session of that name, or "" where there is none. stack: that declares the session, PROJECT/STACK, or
    "" where the session's namespace doesn't say. is_whole: whether its Flux Bucket is there, and what
    applies it.
    """

    uid: str
    user: str
    flux: str = ""
    flux_namespace: str = ""
    controllers: tuple[Controller, ...] = ()
    has_policies: bool | None = None
    pod_security: str = ""
    time: TimeRules = NO_RULES
    rules: IsolationRules = NO_ISOLATION_RULES
    may_bound: bool = True
    isolation: str = ""
    team_sessions: tuple[TeamSession, ...] | None = ()
    created: str = ""
    extended: str = ""
    ended: Tombstone | None = None
    owner: str = ""
    target: str = ""
    stack: str = ""
    is_whole: bool = True

    @property
    def is_ended(self) -> bool:
        """Say whether gc has ended the session without its stack."""
        return self.ended is not None and not self.has_session

    @property
    def has_session(self) -> bool:
        """Report whether there is a session of that name, whole or not."""
        return bool(self.target or self.stack)

    def is_of_other_stack(self, name: SessionName) -> bool:
        """Report whether another stack declares the session than the tool's own."""
        return self.stack not in ("", f"{PROJECT}/{name}")


def parse_spec(
    key: SessionKey, settings: Settings, facts: ClusterFacts, *, ca: str, created: str
) -> SessionSpec:
    """Make a spec of settings and the cluster's facts. Raises UsageError on what is missing.

    ca: what caFile holds, otherwise empty. The owner is whoever asks where none is set. Raises GuardError
    where the context leads to another cluster than the one that the session was made in.
    """
    name = key.name
    if settings.cluster and settings.cluster != facts.uid:
        raise GuardError(
            f"session {name} was created in another cluster (kube-system {settings.cluster}) than "
            "the one that "
            f"context {key.context!r} points to now ({facts.uid})",
            hint="if the old cluster is gone for good: gitops-run down NAME --cluster-gone",
        )
    target = settings.target or facts.target
    if not target:
        raise NotFound(f"there is no session {name}", hint="to create it: gitops-run up NAME PATH")
    root = settings.root.rstrip("/").rsplit("/", 1)[-1] if settings.root else ""
    return SessionSpec(
        name=name,
        namespace=key.namespace,
        owner=settings.owner or facts.user,
        target=target,
        root=root or name.text,
        created=facts.created or created,
        cluster=ClusterPin(kubeconfig=key.kubeconfig, context=key.context, uid=facts.uid),
        store=_parse_store(settings, key.namespace, facts, ca),
        applier=_parse_applier(name, settings),
        pod_security=settings.pod_security,
        limits=choose_limits(settings.ttl, settings.idle_limit, facts.time),
        isolation=settings.isolation or facts.isolation or NAMESPACE,
        bounds=_parse_bounds(settings, facts),
        team=settings.team or "",
    )


def _parse_bounds(settings: Settings, facts: ClusterFacts) -> Bounds | None:
    """Choose what bounds the namespace.

    A session that an earlier version created stays without bounds until somebody asks for them: the quota and
    the NetworkPolicy could stop what runs there.
    """
    is_asked_for = settings.isolation or settings.quota or facts.rules.limits_quotas
    if facts.target and not facts.isolation and not is_asked_for:
        return None
    quota = choose_quota(settings.quota, facts.rules)
    return Bounds(quota=quota, ingress_from=facts.rules.ingress_from)


def with_decryption_key(spec: SessionSpec, key: str) -> SessionSpec:
    """Add what decryptionKeyFile holds; "" adds nothing."""
    if not key or isinstance(spec.applier, HelmApplier):
        return spec
    return replace(spec, applier=replace(spec.applier, decryption_key=key))


def with_given_keys(spec: SessionSpec, settings: Settings, elsewhere: Mapping[str, str]) -> SessionSpec:
    """Add the keys of an S3 store that a person provides; without any of them, the store makes them.

    elsewhere: as for refuse_shared_keys. Raises UsageError where a part of them is missing, GuardError where
    they open other sessions' buckets too and sharedKeys isn't set.
    """
    is_given = any(getattr(settings, to_attribute(key)) for key in SESSION_KEY_SETTINGS)
    if not is_given or not isinstance(spec.store, S3Store):
        return spec
    keys = GivenKeys(
        reader=_key_pair(settings, "readerAccessKey", "readerSecretKey"),
        writer=_key_pair(settings, "writerAccessKey", "writerSecretKey"),
    )
    if not settings.shared_keys:
        refuse_shared_keys(spec.name, keys, elsewhere)
    return replace(spec, store=replace(spec.store, keys=keys))


def with_secret_variables(spec: SessionSpec, variables: Mapping[str, str]) -> SessionSpec:
    """Add what substituteFile holds; nothing adds nothing."""
    if not variables or isinstance(spec.applier, HelmApplier):
        return spec
    return replace(spec, applier=replace(spec.applier, secret_variables=variables))


def _parse_applier(name: SessionName, settings: Settings) -> KustomizeApplier | HelmApplier:
    """Choose what applies the target. Raises UsageError on a setting of the other kind."""
    is_helm = settings.applier == "helm"
    others = {
        "substitute": settings.substitute,
        "substituteFrom": settings.substitute_from,
        "substituteFile": settings.substitute_file,
        "decryptionKeyFile": settings.decryption_key_file,
    }
    if not is_helm:
        others = {"valuesFiles": settings.values_files, "releaseName": settings.release_name}
    said = [key for key, value in others.items() if value]
    if said:
        what = "a chart" if is_helm else "a kustomization"
        raise UsageError(
            f"{said[0]} is set, and the target of session {name} is {what}, which does not use it",
            hint=f"leave {said[0]} out",
        )
    if is_helm:
        release_name = settings.release_name or name.text
        return HelmApplier(release_name=release_name, values_files=settings.values_files)
    return KustomizeApplier(substitute=settings.substitute, substitute_from=settings.substitute_from)


def _parse_store(settings: Settings, namespace: str, facts: ClusterFacts, ca: str) -> Store:
    """Choose the store. An endpoint says nothing where the bucket is in the cluster."""
    if settings.store == "in-cluster":
        return InClusterStore(
            namespace=namespace,
            region=settings.region,
            image=settings.store_image,
            flux_namespace=facts.flux_namespace or FLUX_NAMESPACE,
        )
    if settings.store == "aws":
        if settings.endpoint:
            raise UsageError(
                f"endpoint is {settings.endpoint!r}, and store is 'aws', which has its own",
                hint="leave endpoint out, or choose store s3",
            )
        return AwsStore(region=settings.region)
    return parse_s3_store(settings, ca)


def parse_s3_store(settings: Settings, ca: str) -> S3Store:
    """Describe the S3 store without the session's own keys. Raises UsageError on what is missing."""
    return S3Store(
        endpoint=settings.require("endpoint"),
        region=settings.region,
        ca=ca,
        admin=_key_pair(settings, "accessKey", "secretKey"),
    )


def _key_pair(settings: Settings, access_key: str, secret_key: str) -> KeyPair:
    return KeyPair(access_key=settings.require(access_key), secret_key=settings.require(secret_key))
