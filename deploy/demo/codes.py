"""RFC 6238 as the *other* side sees it: a site that checks codes, a phone that shows them.

Kept apart from the totp service on purpose: the demo proves that Podium's codes are right, which
it could not do with Podium's own arithmetic.
"""

from __future__ import annotations

import base64
import hmac
import struct
from dataclasses import dataclass
from urllib.parse import parse_qs, quote, urlsplit


@dataclass(frozen=True)
class Authenticator:
    """One shared secret and the length of its time step."""

    secret: str
    period_s: int = 30
    digits: int = 6

    @classmethod
    def read(cls, text: str) -> Authenticator:
        """From Base32 or an otpauth:// URI; ValueError says what is wrong, never the secret."""
        text = text.strip()
        period_s, digits = 30, 6
        if text.startswith("otpauth://"):
            query = parse_qs(urlsplit(text).query)
            if query.get("algorithm", ["SHA1"])[0].upper() != "SHA1":
                raise ValueError("only SHA1 seeds are understood here")
            period_s = int(query.get("period", ["30"])[0])
            digits = int(query.get("digits", ["6"])[0])
            text = query.get("secret", [""])[0]
        secret = "".join(text.split()).replace("-", "").upper().rstrip("=")
        try:
            key = _key(secret)
        except ValueError:
            raise ValueError("the seed is neither Base32 nor an otpauth:// URI") from None
        if not key or period_s < 1 or not 6 <= digits <= 8:
            raise ValueError("the seed is empty, or its period or number of digits is absurd")
        return cls(secret, period_s, digits)

    def uri(self, account: str, issuer: str) -> str:
        """The otpauth:// URI that a site shows as a QR code."""
        label = quote(f"{issuer}:{account}")
        return (
            f"otpauth://totp/{label}?secret={self.secret}&issuer={quote(issuer)}"
            f"&period={self.period_s}&digits={self.digits}"
        )

    def code(self, unix_s: float) -> str:
        """The code that is good at this moment."""
        return self._code_of(int(unix_s // self.period_s))

    def step_of(self, code: str, unix_s: float) -> int | None:
        """The time step this code belongs to, one step of drift either way; None: a wrong code."""
        now = int(unix_s // self.period_s)
        for step in (now, now - 1, now + 1):
            if hmac.compare_digest(self._code_of(step).encode(), code.encode()):
                return step
        return None

    def _code_of(self, step: int) -> str:
        digest = hmac.digest(_key(self.secret), struct.pack(">Q", step), "sha1")
        offset = digest[-1] & 0x0F
        (number,) = struct.unpack(">I", digest[offset : offset + 4])
        return str((number & 0x7FFFFFFF) % 10**self.digits).zfill(self.digits)


def _key(secret: str) -> bytes:
    return base64.b32decode(secret + "=" * (-len(secret) % 8))
