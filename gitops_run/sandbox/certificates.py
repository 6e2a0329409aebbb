"""Certificate authorities of a sandbox's own, and the certificates that they sign.

Two authorities, so that a certificate for a user of the cluster opens no door to etcd.
Certificates are made once and live as long as the sandbox.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from gitops_run.adapters.machine.certificates import Signed, Validity, key_pem, make_authority, make_key, sign
from gitops_run.sandbox.state import LOOPBACK, NODE, NodeKind, Sandbox, write_private

_LIFETIME = timedelta(days=3650)
_SERVER_NAMES = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
_SERVER_ADDRESSES = (LOOPBACK, "10.0.0.1")

ADMINISTRATORS = "system:masters"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Hold a certificate and its private key as PEM files."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Name a certificate of a client of the cluster: its user and the user's groups.

    file: the certificate's name within its folder, without suffix.
    """

    file: str
    user: str
    groups: tuple[str, ...] = ()


CLIENTS = (
    Client(file="admin", user="gitops-run-admin", groups=(ADMINISTRATORS,)),
    Client(file="kube-controller-manager", user="system:kube-controller-manager"),
    Client(file="kube-scheduler", user="system:kube-scheduler"),
    Client(file="kwok", user="kwok", groups=(ADMINISTRATORS,)),
    # Flux's own installation binds its controllers to cluster-admin; they impersonate to apply.
    Client(file="flux", user="flux", groups=(ADMINISTRATORS,)),
)

NODE_CLIENTS = (
    Client(file="kubelet", user=f"system:node:{NODE}", groups=("system:nodes",)),
    Client(file="kube-proxy", user="system:kube-proxy"),
    # As kubeadm has it: what the API server shows to the kubelet, for logs, exec and forwards.
    Client(file="kubelet-client", user="kube-apiserver-kubelet-client", groups=(ADMINISTRATORS,)),
)
"""Those of a real node, in addition to CLIENTS."""


def clients_of(sandbox: Sandbox) -> tuple[Client, ...]:
    """Return the clients that every sandbox's cluster has."""
    return CLIENTS + NODE_CLIENTS if sandbox.node is NodeKind.REAL else CLIENTS


def make_all(sandbox: Sandbox) -> None:
    """Make every certificate of a sandbox that isn't there yet."""
    folder = sandbox.folder / "pki"
    for authority in ("ca", "etcd-ca"):
        if not (folder / f"{authority}.crt").exists():
            _make_authority(folder, authority)
    if not (folder / "service-accounts.key").exists():
        _make_signing_key(folder)
    if not (folder / "serving.crt").exists():
        issue(folder, "ca", Client(file="serving", user="gitops-run-sandbox"), address=sandbox.address)
    for name in ("etcd", "etcd-client"):
        if not (folder / f"{name}.crt").exists():
            issue(folder, "etcd-ca", Client(file=name, user=name), address=sandbox.address)
    for client in clients_of(sandbox):
        if not (folder / f"{client.file}.crt").exists():
            issue(folder, "ca", client)


def issue(folder: Path, authority: str, client: Client, *, address: str = LOOPBACK) -> Pair:
    """Sign a client's certificate; "serving" and "etcd" are good for servers on loopback and address too."""
    ca = Signed.read((folder / f"{authority}.crt").read_bytes(), (folder / f"{authority}.key").read_bytes())
    is_server = client.file in ("serving", "etcd")
    names = tuple(dict.fromkeys((*_SERVER_NAMES, *_SERVER_ADDRESSES, address))) if is_server else ()
    signed = sign(ca, client.user, _validity(), groups=client.groups, server_names=names)
    return _write(folder, client.file, signed)


def _make_authority(folder: Path, file: str) -> None:
    _write(folder, file, make_authority(f"gitops-run sandbox {file}", _validity()))


def _make_signing_key(folder: Path) -> None:
    key = make_key()
    write_private(folder / "service-accounts.key", key_pem(key))
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    write_private(folder / "service-accounts.pub", public.decode())


def _validity() -> Validity:
    now = datetime.now(UTC)
    return now, now + _LIFETIME


def _write(folder: Path, file: str, signed: Signed) -> Pair:
    pair = Pair(certificate=folder / f"{file}.crt", key=folder / f"{file}.key")
    write_private(pair.key, signed.key_pem)
    write_private(pair.certificate, signed.certificate_pem)
    return pair
