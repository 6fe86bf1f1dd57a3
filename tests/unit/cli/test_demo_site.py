"""The demo's site and receiver, which everything else relies on being strict."""

import base64
import hashlib
import hmac
import time

import aiohttp
import pytest

from deploy.demo import orders
from deploy.demo.codes import Authenticator
from deploy.demo.receiver import Receiver
from deploy.demo.site import Customer, Portal, serving

RFC_SECRET = base64.b32encode(b"12345678901234567890").decode()


@pytest.mark.parametrize(
    ("at", "code"),
    [
        (59, "94287082"),
        (1111111109, "07081804"),
        (1234567890, "89005924"),
        (20000000000, "65353130"),
    ],
)
def test_codes_are_those_of_rfc_6238(at, code):
    assert Authenticator(RFC_SECRET, digits=8).code(at) == code


def test_a_uri_is_read_back():
    made = Authenticator(RFC_SECRET, 5)
    assert Authenticator.read(made.uri("dana@x.example", "Acme Supplies")) == made


@pytest.mark.parametrize("text", ["", "not base32!", "otpauth://totp/x?issuer=y"])
def test_a_seed_that_is_none_is_refused_without_repeating_it(text):
    with pytest.raises(ValueError, match="seed") as refused:
        Authenticator.read(text)
    assert not text or text not in str(refused.value)


@pytest.fixture
async def portal():
    return Portal(Customer("dana", "secret", Authenticator(RFC_SECRET)))


@pytest.fixture
async def browser(portal):
    jar = aiohttp.CookieJar(unsafe=True)
    async with (
        serving(portal.app()) as url,
        aiohttp.ClientSession(url, cookie_jar=jar) as session,
    ):
        yield session


async def sign_in(browser, code):
    await browser.post("/login", data={"username": "dana", "password": "secret"})
    async with browser.post("/login/code", data={"code": code}) as answer:
        return answer.status, await answer.text()


def now_code():
    return Authenticator(RFC_SECRET).code(time.time())


async def test_a_customer_signs_in_and_sees_the_orders_of_a_month(browser):
    status, text = await sign_in(browser, now_code())
    assert status == 200
    assert "Orders of September 2026" in text
    async with browser.get("/orders", params={"month": "2026-07"}) as page:
        assert "AC-1400" in await page.text()


async def test_a_code_is_good_only_once(browser):
    code = now_code()
    await sign_in(browser, code)
    status, text = await sign_in(browser, code)
    assert status == 401
    assert "used before" in text


async def test_a_wrong_code_or_password_is_refused(browser):
    status, text = await sign_in(browser, "000000" if now_code() != "000000" else "000001")
    assert status == 401
    assert "not valid" in text
    async with browser.post("/login", data={"username": "dana", "password": "x"}) as answer:
        assert answer.status == 401


async def test_the_code_alone_opens_nothing(browser):
    async with browser.get("/orders") as page:
        assert page.url.path == "/login"
    async with browser.post("/login/code", data={"code": now_code()}) as page:
        assert page.url.path == "/login"


async def test_the_statement_is_a_download(browser):
    await sign_in(browser, now_code())
    async with browser.get("/statement", params={"month": "2026-09"}) as file:
        assert "statement-2026-09.csv" in file.headers["content-disposition"]
        assert await file.read() == orders.statement("2026-09")


async def test_after_signing_out_nothing_is_shown(browser):
    await sign_in(browser, now_code())
    await browser.post("/logout")
    async with browser.get("/orders") as page:
        assert page.url.path == "/login"


async def test_the_site_fails_when_told_to(browser, portal):
    await sign_in(browser, now_code())
    portal.faults.broken_orders.add("AC-1416")
    async with browser.get("/orders/AC-1416") as page:
        assert page.status == 500
    portal.faults.hanging_paths.add("/orders")
    with pytest.raises(TimeoutError):
        await browser.get("/orders", timeout=aiohttp.ClientTimeout(total=0.3))


SECRET = "whsec_" + base64.b64encode(b"k" * 24).decode()


def signed(body, at=None, key=b"k" * 24):
    stamp = str(int(at or time.time()))
    mac = hmac.new(key, f"evt_1.{stamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": "evt_1",
        "webhook-timestamp": stamp,
        "webhook-signature": "v1,AAAA v1," + base64.b64encode(mac).decode(),
    }


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (lambda body: signed(body), 204),
        (lambda body: signed(body, key=b"x" * 24), 401),
        (lambda body: signed(body + b" "), 401),
        (lambda body: signed(body, at=time.time() - 3600), 401),
        (lambda body: {}, 401),
    ],
)
async def test_the_receiver_believes_only_what_is_signed(headers, status):
    receiver = Receiver(lambda: SECRET)
    body = b'{"type": "run.finished", "data": {"run_id": "run_1"}}'
    async with (
        serving(receiver.app()) as url,
        aiohttp.ClientSession() as client,
        client.post(f"{url}/hooks", data=body, headers=headers(body)) as answer,
    ):
        assert answer.status == status
    (message,) = receiver.about("run_1")
    assert message.verified == (status == 204)
