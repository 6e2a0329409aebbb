"""Certificate authorities of a sandbox's own, and the certificates that they sign.

Two authorities, so that a certificate for a user of the cluster opens no door to etcd. Keys are P-256:
making the whole set takes milliseconds. Certificates are made once and live as long as the sandbox.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gitops_run.sandbox.state import LOOPBACK, NODE, NodeKind, Sandbox, write_private

_LIFETIME = timedelta(days=3650)
_CLOCK_SKEW = timedelta(minutes=5)
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
    ca = x509.load_pem_x509_certificate((folder / f"{authority}.crt").read_bytes())
    stored = serialization.load_pem_private_key((folder / f"{authority}.key").read_bytes(), password=None)
    ca_key = cast("ec.EllipticCurvePrivateKey", stored)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in client.groups]
    subject.append(x509.NameAttribute(NameOID.COMMON_NAME, client.user))
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
    builder = _builder(x509.Name(subject), ca.subject, key.public_key())
    if client.file in ("serving", "etcd"):
        usages.append(ExtendedKeyUsageOID.SERVER_AUTH)
        builder = builder.add_extension(_server_names(address), critical=False)
    builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    builder = builder.add_extension(issuer, critical=False)
    return _write(folder, client.file, builder.sign(ca_key, hashes.SHA256()), key)


def _make_authority(folder: Path, file: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"gitops-run sandbox {file}")])
    builder = _builder(name, name, key.public_key())
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(
        x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
    )
    builder = builder.add_extension(_signing_only(), critical=True)
    _write(folder, file, builder.sign(key, hashes.SHA256()), key)


def _make_signing_key(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    write_private(folder / "service-accounts.key", _pem(key))
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    write_private(folder / "service-accounts.pub", public.decode())


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return x509.CertificateBuilder(
        subject_name=subject,
        issuer_name=issuer,
        public_key=key,
        serial_number=x509.random_serial_number(),
        not_valid_before=now - _CLOCK_SKEW,
        not_valid_after=now + _LIFETIME,
    )


def _server_names(address: str) -> x509.SubjectAlternativeName:
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in _SERVER_NAMES]
    addresses = dict.fromkeys((*_SERVER_ADDRESSES, address))
    names += [x509.IPAddress(ipaddress.ip_address(known)) for known in addresses]
    return x509.SubjectAlternativeName(names)


def _signing_only() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write(folder: Path, file: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
    pair = Pair(certificate=folder / f"{file}.crt", key=folder / f"{file}.key")
    write_private(pair.key, _pem(key))
    write_private(pair.certificate, certificate.public_bytes(serialization.Encoding.PEM).decode())
    return pair


def _pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
