"""Codes against the vectors of RFC 4226 and RFC 6238; seeds as people paste them."""

import base64

import pytest

from services.totp.otp import Seed, SeedError, hotp, parse_seed

SHA1_KEY = b"12345678901234567890"
KEYS = {
    "SHA1": SHA1_KEY,
    "SHA256": b"12345678901234567890123456789012",
    "SHA512": b"1234567890123456789012345678901234567890123456789012345678901234",
}
RFC4226_D = [
    "755224", "287082", "359152", "969429", "338314",
    "254676", "287922", "162583", "399871", "520489",
]  # fmt: skip
RFC6238_B = [
    (59, "94287082", "46119246", "90693936"),
    (1111111109, "07081804", "68084774", "25091201"),
    (1111111111, "14050471", "67062674", "99943326"),
    (1234567890, "89005924", "91819424", "93441116"),
    (2000000000, "69279037", "90698825", "38618901"),
    (20000000000, "65353130", "77737706", "47863826"),
]


@pytest.mark.parametrize(("counter", "code"), list(enumerate(RFC4226_D)))
def test_rfc4226_appendix_d(counter: int, code: str) -> None:
    assert hotp(SHA1_KEY, counter) == code


@pytest.mark.parametrize(("unix_s", "sha1", "sha256", "sha512"), RFC6238_B)
def test_rfc6238_appendix_b(unix_s: int, sha1: str, sha256: str, sha512: str) -> None:
    for algorithm, expected in (("SHA1", sha1), ("SHA256", sha256), ("SHA512", sha512)):
        seed = Seed(KEYS[algorithm], algorithm, digits=8)
        assert seed.code(seed.step_at(unix_s)) == expected


def test_seven_digits_and_another_period() -> None:
    seed = Seed(SHA1_KEY, digits=7, period_s=60)
    assert seed.step_at(119.9) == 1
    assert seed.step_start_s(1) == 60
    assert seed.code(1) == "4287082"


def test_base32_as_people_paste_it() -> None:
    expected = parse_seed("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")
    assert expected.key == SHA1_KEY
    for text in (
        "gezd gnbv gy3t qojq gezd gnbv gy3t qojq",
        "  GEZD-GNBV-GY3T-QOJQ-GEZD-GNBV-GY3T-QOJQ\n",
        "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ======",
        "gezd\u00a0gnbvgy3tqojqgezdgnbvgy3tqojq",
    ):
        assert parse_seed(text) == expected


def test_an_eighty_bit_seed_is_accepted() -> None:
    seed = parse_seed("JBSWY3DPEHPK3PXP")
    assert len(seed.key) == 10
    assert seed.code(0) == "282760"


@pytest.mark.parametrize("size", [10, 11, 13, 16, 20, 32, 64])
def test_padding_is_never_needed(size: int) -> None:
    key = bytes(range(size))
    assert parse_seed(base64.b32encode(key).decode().rstrip("=")).key == key


def test_left_over_bits_are_dropped() -> None:
    assert parse_seed("JBSWY3DPEHPK3PXPA").key == parse_seed("JBSWY3DPEHPK3PXP").key


def test_otpauth_uri() -> None:
    seed = parse_seed(
        "otpauth://totp/ACME%20Co:jo@example.com?secret=gezdgnbvgy3tqojqgezdgnbvgy3tqojq"
        "&issuer=ACME%20Co&algorithm=SHA256&digits=8&period=60"
    )
    assert seed == Seed(SHA1_KEY, "SHA256", 8, 60)


@pytest.mark.parametrize(
    "uri",
    [
        "otpauth://totp/x?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
        "OTPAUTH://TOTP/x?Secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
        "otpauth://totp?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=",
        "otpauth://totp/A:b?secret=GEZD+GNBV%20GY3TQOJQGEZDGNBVGY3TQOJQ====&issuer=B",
        "otpauth://totp/A:b?issuer=A&amp;secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&amp;digits=6",
        "otpauth://totp/A?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=A&issuer=B"
        "&algorithm=HmacSHA1",
        "otpauth://totp/A?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&algorithm=sha-1"
        "&image=https%3A%2F%2Fx",
    ],
)
def test_otpauth_quirks(uri: str) -> None:
    assert parse_seed(uri) == Seed(SHA1_KEY)


def test_what_the_caller_states_wins() -> None:
    uri = "otpauth://totp/x?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&digits=6&period=30"
    assert parse_seed(uri, algorithm="sha512", digits=8, period_s=60) == Seed(
        SHA1_KEY, "SHA512", 8, 60
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        (" - ", "empty"),
        ("JBSWY3DP", "bytes of key"),
        ("JBSWY3DPEHPK3PX1", "not Base32"),
        ("otpauth://hotp/x?secret=JBSWY3DPEHPK3PXP&counter=1", "time-based"),
        ("otpauth://totp/x?issuer=a", "without a secret"),
        ("otpauth://totp/x?secret=JBSWY3DPEHPK3PXP&digits=9", "digits"),
        ("otpauth://totp/x?secret=JBSWY3DPEHPK3PXP&digits=six", "digits"),
        ("otpauth://totp/x?secret=JBSWY3DPEHPK3PXP&period=0", "period"),
        ("otpauth://totp/x?secret=JBSWY3DPEHPK3PXP&algorithm=MD5", "algorithm"),
        ("otpauth://totp/x?secret=JBSWY3DPEHPK3PXP&secret=JBSWY3DPEHPK3PXQ", "twice"),
        ("otpauth://totp/x?secret=JBSWY3DPEHPK3PXP&encoder=blizzard", "encoder"),
        ("https://totp/x?secret=JBSWY3DPEHPK3PXP", "otpauth://"),
    ],
)
def test_refusals_say_why_and_never_quote_the_seed(text: str, why: str) -> None:
    with pytest.raises(SeedError, match=why) as caught:
        parse_seed(text)
    assert "JBSWY3DP" not in str(caught.value)


def test_a_seed_never_shows_its_key() -> None:
    assert "1234" not in repr(Seed(SHA1_KEY))


@pytest.mark.parametrize(
    "text",
    [
        "steam://BASE32SECRET3232",
        "otpauth://totp/Steam:jo?secret=BASE32SECRET3232&issuer=Steam&encoder=steam",
    ],
)
def test_steam_guard(text: str) -> None:
    """The examples of pyotp's tests."""
    seed = parse_seed(text)
    assert [seed.code(step) for step in (0, 1, 2)] == ["2TC8B", "YKKK4", "M4HQB"]
