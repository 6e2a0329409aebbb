"""The foretold revision and every odd key, held to the real source-controller."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

import pytest
import yaml

from gitops_run.adapters.store.admin import StoreAdmin
from gitops_run.adapters.store.objects import BucketStore
from gitops_run.model.store.objects import flux_revision
from tests.contract.conftest import StoreAccounts

pytestmark = pytest.mark.anyio

NAMES = (
    *("Z", "a-b", "a/b", "a b", " a", "a ", "100%", "a%20b", "a#b", "a?b", "a+b", "~a", "a&b=c;d", "a*b"),
    *("'\"", "<a>", "back\\slash", "日本/😀", "...", ".hidden", ".sourceignore", "ä", "a:b"),
    unicodedata.normalize("NFC", "é"),
    unicodedata.normalize("NFD", "é"),
)


async def test_flux_reports_the_revision_that_was_foretold_whatever_the_files_are_called(
    accounts: StoreAccounts, admin_store: StoreAdmin, namespace: str, kubectl: Callable[..., str]
) -> None:
    admin_store.make(namespace)
    store = BucketStore(accounts.admin, namespace)
    await store.put_many({f"src/{name}": name.encode() for name in NAMES})
    access = accounts.admin
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "reader", "namespace": namespace},
        "stringData": {
            "accesskey": access.access_key,
            "secretkey": access.secret_key,
            "ca.crt": access.ca_cert,
        },
    }
    bucket = {
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": "Bucket",
        "metadata": {"name": "bucket", "namespace": namespace},
        "spec": {
            "provider": "generic",
            "bucketName": namespace,
            "endpoint": access.endpoint.removeprefix("https://"),
            "region": access.region,
            "interval": "24h",
            "secretRef": {"name": "reader"},
            "certSecretRef": {"name": "reader"},
        },
    }

    kubectl("apply", "-f", "-", documents=yaml.safe_dump_all([secret, bucket]))
    fetched = ("--for=jsonpath={.status.artifact.revision}", "--timeout=30s")
    kubectl("wait", "bucket/bucket", "-n", namespace, *fetched)

    reported = kubectl("get", "bucket/bucket", "-n", namespace, "-o", "jsonpath={.status.artifact.revision}")
    assert reported == flux_revision(await store.list())
