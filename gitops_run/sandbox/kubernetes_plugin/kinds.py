"""The kinds that the stand-in knows, and what it refuses.

A kind of Kubernetes itself is known from the table below or refused by name; a kind of any other API
group is a custom resource, whose plural and scope the cluster defines. The fields that can't change in
place are those of pulumi-kubernetes 4.34, provider/pkg/provider/diff.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from gitops_run.errors import UsageError

FieldPath = tuple[str, ...]

IDENTITY: tuple[FieldPath, ...] = (("metadata", "name"), ("metadata", "namespace"))
SKIP_AWAIT = "pulumi.com/skipAwait"
WAIT_FOR = "pulumi.com/waitFor"
DELETION_POLICY = "pulumi.com/deletionPropagationPolicy"
_ANNOTATION_PREFIX = "pulumi.com/"
_KNOWN_ANNOTATIONS = frozenset({DELETION_POLICY, SKIP_AWAIT, WAIT_FOR})

_OTHER_THAN_CUSTOM = frozenset(
    {
        "admissionregistration.k8s.io",
        "apiextensions.k8s.io",
        "apiregistration.k8s.io",
        "apps",
        "authentication.k8s.io",
        "authorization.k8s.io",
        "autoscaling",
        "batch",
        "certificates.k8s.io",
        "coordination.k8s.io",
        "core",
        "discovery.k8s.io",
        "events.k8s.io",
        "extensions",
        "flowcontrol.apiserver.k8s.io",
        "helm.sh",
        "internal.apiserver.k8s.io",
        "meta",
        "networking.k8s.io",
        "node.k8s.io",
        "policy",
        "rbac.authorization.k8s.io",
        "resource.k8s.io",
        "scheduling.k8s.io",
        "storage.k8s.io",
        "storagemigration.k8s.io",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of object: how its API is called, and what of it can't change in place."""

    api_version: str
    name: str
    plural: str
    namespaced: bool
    fixed_fields: tuple[FieldPath, ...] = ()

    def collection(self, namespace: str) -> str:
        """Return the path of all objects of this kind, in one namespace where it has any."""
        root = f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"
        inside = f"/namespaces/{namespace or 'default'}" if self.namespaced else ""
        return f"{root}{inside}/{self.plural}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where one object is, or would be."""

    kind: Kind
    namespace: str
    name: str

    @property
    def collection(self) -> str:
        """Return the path of the objects among which this one is."""
        return self.kind.collection(self.namespace)

    @property
    def path(self) -> str:
        """Return the object's own path."""
        return f"{self.collection}/{quote(self.name, safe='')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class KindName:
    """A kind before it is looked up."""

    api_version: str
    name: str

    @property
    def is_custom(self) -> bool:
        """Report whether this is a kind that a custom resource definition brings."""
        group = self.api_version.rpartition("/")[0]
        return bool(group) and group not in _OTHER_THAN_CUSTOM


def _kind(api_version: str, name: str, plural: str, *fixed: str, namespaced: bool = True) -> Kind:
    fields = tuple(tuple(path.split(".")) for path in fixed)
    return Kind(api_version=api_version, name=name, plural=plural, namespaced=namespaced, fixed_fields=fields)


_RBAC = "rbac.authorization.k8s.io/v1"
_ADMISSION = "admissionregistration.k8s.io/v1"
_KINDS: Mapping[KindName, Kind] = {
    KindName(api_version=kind.api_version, name=kind.name): kind
    for kind in (
        _kind("v1", "Namespace", "namespaces", namespaced=False),
        _kind("v1", "ServiceAccount", "serviceaccounts"),
        _kind("v1", "Secret", "secrets", "type"),
        _kind("v1", "ConfigMap", "configmaps", "binaryData", "data"),
        _kind("v1", "ResourceQuota", "resourcequotas", "spec.scopes"),
        _kind("v1", "LimitRange", "limitranges"),
        _kind("v1", "Service", "services", "spec.clusterIP"),
        _kind(
            "v1",
            "PersistentVolumeClaim",
            "persistentvolumeclaims",
            "spec.accessModes",
            "spec.selector",
            "spec.storageClassName",
            "spec.volumeName",
        ),
        _kind("apps/v1", "Deployment", "deployments", "spec.selector"),
        _kind(
            "apps/v1",
            "StatefulSet",
            "statefulsets",
            "spec.podManagementPolicy",
            "spec.revisionHistoryLimit",
            "spec.selector",
            "spec.serviceName",
            "spec.volumeClaimTemplates",
        ),
        _kind("batch/v1", "CronJob", "cronjobs"),
        _kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
        _kind(_RBAC, "Role", "roles"),
        _kind(_RBAC, "RoleBinding", "rolebindings", "roleRef"),
        _kind(_RBAC, "ClusterRole", "clusterroles", namespaced=False),
        _kind(_RBAC, "ClusterRoleBinding", "clusterrolebindings", "roleRef", namespaced=False),
        _kind(
            "apiextensions.k8s.io/v1",
            "CustomResourceDefinition",
            "customresourcedefinitions",
            namespaced=False,
        ),
        _kind(_ADMISSION, "ValidatingAdmissionPolicy", "validatingadmissionpolicies", namespaced=False),
        _kind(
            _ADMISSION,
            "ValidatingAdmissionPolicyBinding",
            "validatingadmissionpolicybindings",
            namespaced=False,
        ),
    )
}


def known(name: KindName) -> Kind | None:
    """Find a kind of Kubernetes itself; None for a custom resource, whose cluster knows more."""
    return None if name.is_custom else _KINDS[name]


def parse_type(token: str) -> KindName:
    """Read a Pulumi type such as kubernetes:apps/v1:Deployment, and refuse what isn't known here."""
    package, _, rest = token.partition(":")
    api_version, _, name = rest.rpartition(":")
    if package != "kubernetes" or "/" not in api_version or not name:
        raise refusal(f"the type {token}")
    kind = KindName(api_version=api_version.removeprefix("core/"), name=name)
    if not kind.is_custom and kind not in _KINDS:
        raise refusal(f"the kind {api_version}/{name}")
    return kind


def check_annotations(annotations: Mapping[str, Any]) -> None:
    """Refuse the annotations that would change what the real plugin does, but not what this one does."""
    for key in annotations:
        if key.startswith(_ANNOTATION_PREFIX) and key not in _KNOWN_ANNOTATIONS:
            raise refusal(f"the annotation {key}")


def fixed_fields(kind: Kind, inputs: Mapping[str, Any], *, secrets_mutable: bool) -> tuple[FieldPath, ...]:
    """List the fields of which a change means a new object.

    secrets_mutable: the provider's enableSecretMutable; a Secret marked immutable stays so.
    """
    is_secret = kind.name == "Secret" and kind.api_version == "v1"
    if is_secret and (not secrets_mutable or inputs.get("immutable") is True):
        return (*IDENTITY, ("type",), ("stringData",), ("data",))
    return (*IDENTITY, *kind.fixed_fields)


def refusal(what: str) -> UsageError:
    """Make the error for something that the real plugin may know, but this one doesn't."""
    return UsageError(
        f"{what} is not known to this stand-in for pulumi-resource-kubernetes",
        hint="install the real plugin: pulumi plugin install resource kubernetes",
    )
