"""A session's own CA, the certificate that it signs, and the keys of three accounts: made, and not kept here.

Keys are P-256: making all of it takes milliseconds. The CA's own key ends with the function that makes it.
"""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
import string
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gitops_run.plugins.gitops_run.credentials import FINGERPRINT, LIFETIME, UNTIL

_CLOCK_SKEW = timedelta(minutes=5)
_ACCESS_KEY_LENGTH = 20
_SECRET_KEY_LENGTH = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class _Signed:
    """Hold a certificate with its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def make(names: Sequence[str], now: datetime) -> dict[str, str]:
    """Make all of it. names: of the server, DNS names or addresses."""
    until = now + LIFETIME
    authority = _make_authority(now, until)
    server = _make_server(authority, names, now, until)
    certificate = _pem(server.certificate)
    return {
        "caCert": _pem(authority.certificate),
        "certificate": certificate,
        "privateKey": server.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode(),
        **_make_account("root"),
        **_make_account("reader"),
        **_make_account("writer"),
        UNTIL: until.isoformat(timespec="seconds"),
        FINGERPRINT: hashlib.sha256(certificate.encode()).hexdigest(),
    }


def _make_authority(now: datetime, until: datetime) -> _Signed:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("gitops-run bucket authority")
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
        _builder(name, name, key, (now, until))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(usage, critical=True)
    )
    return _Signed(certificate=builder.sign(key, hashes.SHA256()), key=key)


def _make_server(authority: _Signed, names: Sequence[str], now: datetime, until: datetime) -> _Signed:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    builder = (
        _builder(_name("gitops-run bucket"), authority.certificate.subject, key, (now, until))
        .add_extension(x509.SubjectAlternativeName([_alternative(name) for name in names]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(issuer, critical=False)
    )
    return _Signed(certificate=builder.sign(authority.key, hashes.SHA256()), key=key)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    validity: tuple[datetime, datetime],
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


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _make_account(role: str) -> dict[str, str]:
    return {
        f"{role}AccessKey": _random(_ACCESS_KEY_LENGTH, string.ascii_uppercase + string.digits),
        f"{role}SecretKey": _random(_SECRET_KEY_LENGTH, string.ascii_letters + string.digits),
    }


def _random(length: int, alphabet: str) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))
