"""One-time passwords: RFC 4226 and RFC 6238 codes, and the seeds people paste.

Written here rather than taken from a library because libraries refuse what real sites hand out
(80-bit seeds, long periods) and because their errors tend to quote the seed.
"""

from __future__ import annotations

import hmac
import html
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

ALGORITHMS = ("SHA1", "SHA256", "SHA512")
DEFAULT_DIGITS = 6
DEFAULT_PERIOD_S = 30
MIN_KEY_BYTES = 10
MAX_KEY_BYTES = 512
MAX_PERIOD_S = 3600
STEAM_SCHEME = "steam://"
STEAM_DIGITS = 5
STEAM_ALPHABET = "23456789BCDFGHJKMNPQRTVWXY"
_BASE32 = {letter: value for value, letter in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")}


class SeedError(ValueError):
    """A seed that cannot be used. Its text says why and never repeats any part of the seed."""


@dataclass(frozen=True)
class Seed:
    """A shared secret and how codes are made from it."""

    key: bytes = field(repr=False)
    algorithm: str = "SHA1"
    digits: int = DEFAULT_DIGITS
    period_s: int = DEFAULT_PERIOD_S
    # Letters that codes are written in; empty for decimal digits.
    alphabet: str = ""

    def __post_init__(self) -> None:
        if not MIN_KEY_BYTES <= len(self.key) <= MAX_KEY_BYTES:
            raise SeedError(f"must hold {MIN_KEY_BYTES} to {MAX_KEY_BYTES} bytes of key")
        if self.algorithm not in ALGORITHMS:
            raise SeedError(f"algorithm must be one of {', '.join(ALGORITHMS)}")
        if not 6 <= self.digits <= 8 and not (self.alphabet and self.digits == STEAM_DIGITS):
            raise SeedError("digits must be 6, 7 or 8")
        if not 1 <= self.period_s <= MAX_PERIOD_S:
            raise SeedError(f"period must be 1 to {MAX_PERIOD_S} seconds")

    def step_at(self, unix_s: float) -> int:
        """The number of the time step that contains this moment."""
        return int(unix_s // self.period_s)

    def step_start_s(self, step: int) -> int:
        """The unix time at which a step begins."""
        return step * self.period_s

    def code(self, step: int) -> str:
        """The code of one time step (RFC 6238)."""
        if self.alphabet:
            return _spelled(truncated(self.key, step, self.algorithm), self.digits, self.alphabet)
        return hotp(self.key, step, self.digits, self.algorithm)


def hotp(key: bytes, counter: int, digits: int = DEFAULT_DIGITS, algorithm: str = "SHA1") -> str:
    """The code of one counter value (RFC 4226, with the hashes of RFC 6238)."""
    return str(truncated(key, counter, algorithm) % 10**digits).zfill(digits)


def truncated(key: bytes, counter: int, algorithm: str) -> int:
    """The 31-bit number that codes are written from (RFC 4226, 5.3)."""
    mac = hmac.digest(key, counter.to_bytes(8, "big"), algorithm.lower())
    offset = mac[-1] & 0x0F
    return int.from_bytes(mac[offset : offset + 4], "big") & 0x7FFF_FFFF


def _spelled(number: int, length: int, alphabet: str) -> str:
    letters = []
    for _ in range(length):
        number, letter = divmod(number, len(alphabet))
        letters.append(alphabet[letter])
    return "".join(letters)


def parse_seed(text: str, *, algorithm: str = "", digits: int = 0, period_s: int = 0) -> Seed:
    """Read a seed as a person pastes it: Base32 or an otpauth:// URI.

    What the caller states (algorithm, digits, period) wins over what a URI says.
    """
    text = html.unescape(text.strip())
    stated: dict[str, str] = {}
    if text.lower().startswith(STEAM_SCHEME):
        return _steam(text[len(STEAM_SCHEME) :])
    if "://" in text:
        stated = _uri_parameters(text)
        text = stated["secret"]
        if stated.get("encoder"):
            return _steam(text)
    return Seed(
        key=decode_base32(text),
        algorithm=_algorithm(algorithm or stated.get("algorithm", "")),
        digits=digits or _number(stated, "digits", DEFAULT_DIGITS),
        period_s=period_s or _number(stated, "period", DEFAULT_PERIOD_S),
    )


def _steam(secret: str) -> Seed:
    """Steam Guard: five letters of an alphabet without vowels."""
    return Seed(key=decode_base32(secret), digits=STEAM_DIGITS, alphabet=STEAM_ALPHABET)


def decode_base32(text: str) -> bytes:
    """Base32 in any case, with spaces, dashes and padding ignored.

    Left-over bits are dropped, as authenticator apps do: sites hand out seeds of any length.
    """
    letters = [c for c in text.upper() if not c.isspace() and c not in "-=_"]
    if not letters:
        raise SeedError("must not be empty")
    bits = 0
    for letter in letters:
        if letter not in _BASE32:
            raise SeedError("holds a character that is not Base32 (A-Z and 2-7)")
        bits = bits << 5 | _BASE32[letter]
    size = len(letters) * 5
    return (bits >> size % 8).to_bytes(size // 8, "big")


def _uri_parameters(text: str) -> dict[str, str]:
    try:
        uri = urlsplit(text)
    except ValueError:
        raise SeedError("is not a readable otpauth:// URI") from None
    if uri.scheme.lower() != "otpauth":
        raise SeedError("must be Base32 or an otpauth:// URI")
    if uri.netloc.lower() != "totp":
        raise SeedError("must be a time-based URI (otpauth://totp/...)")
    parameters: dict[str, str] = {}
    for name, value in parse_qsl(uri.query, keep_blank_values=True):
        name = name.strip().lower()
        if parameters.get(name, value) != value and name != "issuer":
            raise SeedError(f"names {_known(name)} twice with different values")
        parameters[name] = value
    if not parameters.get("secret"):
        raise SeedError("is an otpauth:// URI without a secret")
    if parameters.get("encoder", "steam").lower() not in ("", "steam"):
        raise SeedError("asks for an encoder that is not supported")
    return parameters


def _known(name: str) -> str:
    return name if name in ("secret", "algorithm", "digits", "period") else "a parameter"


def _algorithm(text: str) -> str:
    name = text.upper().replace("-", "").replace("_", "").removeprefix("HMAC")
    return name or "SHA1"


def _number(parameters: dict[str, str], name: str, default: int) -> int:
    text = parameters.get(name, "").strip()
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 6:
        raise SeedError(f"has a {name} that is not a whole number")
    return int(text)
