"""Client certificates: read, checked, and made into what a TLS handshake needs."""

from __future__ import annotations

import os
import ssl
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from libs import errors

LONGEST_PEM = 32_768


def facts(certificate_pem: str, private_key_pem: str, now: datetime) -> dict[str, Any]:
    """The public facts of a certificate with its key; Invalid names the one that is wrong."""
    for name, text in (("certificate_pem", certificate_pem), ("private_key_pem", private_key_pem)):
        if len(text) > LONGEST_PEM:
            raise errors.Invalid(name, f"must be at most {LONGEST_PEM} characters")
        if not text:
            raise errors.Invalid(name, "is required; leave both empty to remove the certificate")
    try:
        certificate = x509.load_pem_x509_certificates(certificate_pem.encode())[0]
    except ValueError:
        raise errors.Invalid("certificate_pem", "is not a certificate in PEM form") from None
    try:
        key = serialization.load_pem_private_key(private_key_pem.encode(), None)
    except (ValueError, TypeError):
        why = "is not a private key in PEM form without a passphrase"
        raise errors.Invalid("private_key_pem", why) from None
    if key.public_key() != certificate.public_key():
        raise errors.Invalid("private_key_pem", "does not belong to the certificate")
    if certificate.not_valid_after_utc <= now:
        raise errors.Invalid("certificate_pem", "has expired")
    return {
        "subject": certificate.subject.rfc4514_string()[:500],
        "fingerprint": certificate.fingerprint(hashes.SHA256()).hex(),
        "until": certificate.not_valid_after_utc.timestamp(),
    }


def tls_context(ca_file: str, certificate_pem: str = "", private_key_pem: str = "") -> Any:
    """A context that checks servers, also against `ca_file`, and shows the certificate if any."""
    context = ssl.create_default_context()
    if ca_file:
        context.load_verify_locations(cafile=ca_file)
    if certificate_pem:
        # OpenSSL reads keys from files only; this one is in memory and has no name.
        handle = os.memfd_create("podium-client-certificate", os.MFD_CLOEXEC)
        try:
            os.write(handle, f"{certificate_pem}\n{private_key_pem}\n".encode())
            context.load_cert_chain(f"/proc/self/fd/{handle}")
        finally:
            os.close(handle)
    return context
