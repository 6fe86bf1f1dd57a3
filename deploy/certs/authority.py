"""X.509: an authority, and certificates that say "I am run" by a SPIFFE id."""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from libs.rpc import spiffe

# Clocks of other machines may be behind.
BACKDATED = timedelta(minutes=5)
AUTHORITY_LASTS = timedelta(days=365)


@dataclass(frozen=True)
class Issued:
    """A certificate and its private key, as PEM."""

    certificate: bytes
    key: bytes


@dataclass(frozen=True)
class Authority:
    """Signs certificates; whoever has its key can be everybody."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def make(cls, now: datetime, lasts: timedelta = AUTHORITY_LASTS) -> Authority:
        """A fresh one, with a name of its own, so that two can be trusted side by side."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(f"{spiffe.TRUST_DOMAIN} authority {secrets.token_hex(4)}")
        builder = _builder(name, name, key, now, lasts)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        builder = builder.add_extension(_usage(signs_certificates=True), True)
        return cls(builder.sign(key, hashes.SHA256()), key)

    @classmethod
    def read(cls, kept: Issued) -> Authority:
        """The authority that was kept."""
        key = serialization.load_pem_private_key(kept.key, None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError("the authority's key is not one of an elliptic curve")
        return cls(x509.load_pem_x509_certificate(kept.certificate), key)

    @property
    def issued(self) -> Issued:
        """Its own certificate and key, to be kept."""
        return Issued(_pem(self.certificate), _key_pem(self.key))

    def issue(self, part: str, environment: str, now: datetime, lasts: timedelta) -> Issued:
        """A certificate for a part, as server and as client, with a key that is used nowhere else.

        It never outlives the authority.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        until_end = self.certificate.not_valid_after_utc - now
        builder = _builder(_name(part), self.certificate.subject, key, now, min(lasts, until_end))
        for extension, critical in _extensions(part, environment, self.key.public_key()):
            builder = builder.add_extension(extension, critical)
        return Issued(_pem(builder.sign(self.key, hashes.SHA256())), _key_pem(key))

    def has_issued(self, certificate: x509.Certificate) -> bool:
        """Whether a certificate is one of ours."""
        try:
            certificate.verify_directly_issued_by(self.certificate)
        except Exception:  # noqa: BLE001 - whatever is wrong with it, it is not ours.
            return False
        return True


def bundle(certificates: Sequence[x509.Certificate]) -> bytes:
    """Several certificates in one file, such as those of all authorities that are trusted."""
    return b"".join(map(_pem, certificates))


def spiffe_id(certificate: x509.Certificate) -> str:
    """The SPIFFE id in a certificate; empty when it has none."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ""
    return next(iter(found.value.get_values_for_type(x509.UniformResourceIdentifier)), "")


def _extensions(
    part: str, environment: str, signer: ec.EllipticCurvePublicKey
) -> list[tuple[x509.ExtensionType, bool]]:
    names = [
        x509.UniformResourceIdentifier(spiffe.uri(part, environment)),
        x509.DNSName(spiffe.dns_name(part, environment)),
        # For the health check, which asks from inside.
        x509.DNSName("localhost"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    ]
    both_ways = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    return [
        (x509.SubjectAlternativeName(names), False),
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_usage(signs_certificates=False), True),
        (x509.ExtendedKeyUsage(both_ways), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(signer), False),
    ]


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    now: datetime,
    lasts: timedelta,
) -> x509.CertificateBuilder:
    own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + lasts)
        .add_extension(own, False)
    )


def _usage(signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
