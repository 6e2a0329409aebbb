"""Certificates with P-256 keys, and the authorities that sign them. Making one takes milliseconds."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_CLOCK_SKEW = timedelta(minutes=5)

Validity = tuple[datetime, datetime]
"""When a certificate begins and ends to be valid. It is good for a clock that is five minutes late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """Hold a certificate with its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def read(cls, certificate: bytes, key: bytes) -> Signed:
        """Read both from PEM."""
        stored = serialization.load_pem_private_key(key, password=None)
        return cls(
            certificate=x509.load_pem_x509_certificate(certificate),
            key=cast("ec.EllipticCurvePrivateKey", stored),
        )

    @property
    def certificate_pem(self) -> str:
        """Write the certificate as PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        """Write the key as PEM, without encryption."""
        return key_pem(self.key)


def make_key() -> ec.EllipticCurvePrivateKey:
    """Make a P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    """Write a key as PEM, without encryption."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def make_authority(name: str, validity: Validity) -> Signed:
    """Make an authority that signs certificates, and no other authority."""
    key = make_key()
    subject = _subject(name)
    usage = x509.KeyUsage(
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
    builder = (
        _builder(subject, subject, key, validity)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(usage, critical=True)
    )
    return Signed(certificate=builder.sign(key, hashes.SHA256()), key=key)


def sign(
    authority: Signed,
    name: str,
    validity: Validity,
    *,
    groups: Sequence[str] | None = None,
    server_names: Sequence[str] = (),
) -> Signed:
    """Make a certificate that an authority signs.

    groups: organizations, which Kubernetes takes for a user's groups; None for what is not a client.
    server_names: DNS names and addresses; none for what is not a server.
    """
    key = make_key()
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH] if groups is not None else []
    usages += [ExtendedKeyUsageOID.SERVER_AUTH] if server_names else []
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    builder = (
        _builder(_subject(name, groups or ()), authority.certificate.subject, key, validity)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(issuer, critical=False)
    )
    if server_names:
        alternatives = x509.SubjectAlternativeName([_alternative(one) for one in server_names])
        builder = builder.add_extension(alternatives, critical=False)
    return Signed(certificate=builder.sign(authority.key, hashes.SHA256()), key=key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, validity: Validity
) -> x509.CertificateBuilder:
    begin, end = validity
    return x509.CertificateBuilder(
        subject_name=subject,
        issuer_name=issuer,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=begin - _CLOCK_SKEW,
        not_valid_after=end,
    )


def _subject(name: str, groups: Sequence[str] = ()) -> x509.Name:
    organizations = (x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups)
    return x509.Name([*organizations, x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
