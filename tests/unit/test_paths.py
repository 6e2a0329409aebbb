"""The API paths that are asked for."""

from __future__ import annotations

import pytest

from gitops_run.adapters.cluster.paths import (
    applier_path,
    chart_path,
    collection_path,
    deployments_path,
    lease_path,
    map_path,
    namespace_path,
    object_path,
    owner_path,
    path_of,
    plural_of,
    pod_path,
    release_path,
    secret_path,
    source_path,
    version_path,
)
from gitops_run.model.objects.identity import ObjectRef, Resource

FLUX = "/apis/source.toolkit.fluxcd.io/v1"
NAMESPACED, OF_CLUSTER = (Resource(plural="things", is_namespaced=one) for one in (True, False))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (source_path(), f"{FLUX}/buckets"),
        (source_path("run-web"), f"{FLUX}/namespaces/run-web/buckets"),
        (source_path("run-web", "web"), f"{FLUX}/namespaces/run-web/buckets/web"),
        (chart_path("run-web", "c"), f"{FLUX}/namespaces/run-web/helmcharts/c"),
        (applier_path("n", "a"), "/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/n/kustomizations/a"),
        (release_path("n", "a"), "/apis/helm.toolkit.fluxcd.io/v2/namespaces/n/helmreleases/a"),
        (lease_path("n", "a"), "/apis/coordination.k8s.io/v1/namespaces/n/leases/a"),
        (map_path(), "/api/v1/configmaps"),
        (map_path("n", "a"), "/api/v1/namespaces/n/configmaps/a"),
        (secret_path("n", "a"), "/api/v1/namespaces/n/secrets/a"),
        (pod_path("n"), "/api/v1/namespaces/n/pods"),
        (namespace_path(), "/api/v1/namespaces"),
        (namespace_path("n"), "/api/v1/namespaces/n"),
        (
            owner_path("n"),
            "/apis/rbac.authorization.k8s.io/v1/namespaces/n/rolebindings/session-owner",
        ),
        (deployments_path(), "/apis/apps/v1/deployments"),
        (version_path("v1"), "/api/v1"),
        (version_path("apps/v1"), "/apis/apps/v1"),
        (path_of("v1", "events", name="a/../b"), "/api/v1/events/a%2F..%2Fb"),
    ],
)
def test_each_kind_has_its_path(path: str, expected: str) -> None:
    assert path == expected


@pytest.mark.parametrize(
    ("kind", "plural"),
    [
        ("ConfigMap", "configmaps"),
        ("NetworkPolicy", "networkpolicies"),
        ("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings"),
        ("HelmRelease", "helmreleases"),
    ],
)
def test_kinds_that_are_made_here_have_regular_plurals(kind: str, plural: str) -> None:
    assert plural_of(kind) == plural


@pytest.mark.parametrize(
    ("group", "namespace", "resource", "expected"),
    [
        ("", "own", NAMESPACED, "/api/v1/namespaces/own/things"),
        ("", "", NAMESPACED, "/api/v1/namespaces/run-web/things"),
        ("apps", "own", OF_CLUSTER, "/apis/apps/v1/things"),
        ("a/b", "a b", NAMESPACED, "/apis/a%2Fb/v1/namespaces/a%20b/things"),
    ],
)
def test_an_object_lies_in_its_namespace_or_the_session_s_and_says_nothing_beyond(
    group: str, namespace: str, resource: Resource, expected: str
) -> None:
    ref = ObjectRef(group=group, kind="Thing", namespace=namespace, name="one/two")
    assert collection_path(ref, resource, "run-web") == expected
    assert object_path(ref, resource, "run-web") == f"{expected}/one%2Ftwo"
