"""Codes fetched from a real IMAP server and from a real URL."""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import make_msgid
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from libs import errors
from podium.totp.v1 import totp_pb2 as pb
from services.totp.service import TotpService
from services.totp.store.tables import sources as table
from tests.contract.totp.asking import MAILBOX, Asking
from tests.support.eventually import eventually
from tests.support.imap import PASSWORD, USER, MailServer, mail_server
from tests.support.mesh import Running, running

pytestmark = pytest.mark.asyncio(loop_scope="module")
DEADLINE_S = 40.0


@pytest_asyncio.fixture(loop_scope="module")
async def asking(shared: Running) -> Asking:
    return Asking.fresh(shared)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def mails(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[MailServer]:
    async with mail_server(tmp_path_factory.mktemp("mail")) as server:
        yield server


def mail(text: str, to: str = MAILBOX, subject: str = "Sign in") -> str:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "Acme <no-reply@acme.test>", to, subject
    message["Message-ID"] = make_msgid(domain="acme.test")
    message.set_content("See the HTML part.")
    message.add_alternative(f"<html><body><p>{text}</p></body></html>", subtype="html")
    return message.as_string()


def mailbox(port: int, **fields: Any) -> pb.Mailbox:
    whole = {
        "host": "127.0.0.1",
        "port": port,
        "security": pb.MAIL_SECURITY_STARTTLS,
        "username": USER,
        "password": PASSWORD,
    }
    return pb.Mailbox(**{**whole, **fields})


async def create(asking: Asking, **fields: Any) -> pb.CreateSourceResponse:
    whole = {"name": "inbox", "identifier": MAILBOX, **fields}
    return await asking.gateway.CreateSource(pb.CreateSourceRequest(**whole))


async def listed(asking: Asking) -> list[pb.Source]:
    return list((await asking.gateway.ListSources(pb.ListSourcesRequest())).sources)


async def watched(asking: Asking, state: int = pb.SOURCE_STATE_WATCHING) -> pb.Source:
    async def reached() -> pb.Source | None:
        (source,) = await listed(asking)
        return source if source.state == state else None

    return await eventually(reached, within=DEADLINE_S)


async def delete(asking: Asking, source: pb.Source) -> None:
    await asking.gateway.DeleteSource(pb.DeleteSourceRequest(source_id=source.source_id))


async def test_a_code_is_fetched_from_a_mailbox(asking: Asking, mails: MailServer) -> None:
    await mails.deliver(mail("Your code is 111111"))
    created = await create(asking, mailbox=mailbox(mails.port))
    assert created.signing_secret == ""
    assert created.source.mailbox.password == ""
    await watched(asking)
    challenge = await asking.open()
    await mails.deliver(mail("Lunch at 12? Order 88120391 is here."))
    await mails.deliver(mail("Your verification code is <b>482 913</b>"))
    assert await asking.claim(challenge, DEADLINE_S) == "482913"
    # What was there before, and mail that holds no code, is none of our business.
    assert [one.identifier for one in await asking.messages()] == [MAILBOX]
    (source,) = await listed(asking)
    assert source.HasField("receive_time")
    # The mailbox is only read: its owner still sees what is new.
    assert await mails.unseen() == 3
    await delete(asking, created.source)
    assert await listed(asking) == []


async def test_mail_to_a_tagged_address_serves_that_address(
    asking: Asking, mails: MailServer
) -> None:
    created = await create(asking, mailbox=mailbox(mails.port))
    await watched(asking)
    tagged = await asking.open(identifier="jo+run7@mail.test")
    plain = await asking.open()
    await mails.deliver(mail("Your code is 700700", to="Jo <Jo+run7@mail.test>"))
    await mails.deliver(mail("Your code is 800800"))
    assert await asking.claim(tagged, DEADLINE_S) == "700700"
    assert await asking.claim(plain, DEADLINE_S) == "800800"
    await delete(asking, created.source)


async def test_mail_that_came_while_nobody_watched_is_not_missed(
    asking: Asking, mails: MailServer, redis_url: str
) -> None:
    created = await create(asking, mailbox=mailbox(mails.port))
    await watched(asking)
    challenge = await asking.open()
    # The lease is taken away, as when a replica dies; whoever comes next goes on where it ended.
    mesh = asking.service.mesh
    await mesh.db.write(
        lambda tx: tx.execute(
            table.update()
            .where(table.c.source_id == created.source.source_id)
            .values(lease_fence=table.c.lease_fence + 1, lease_until=None)
        )
    )
    await mails.deliver(mail("Your code is 660011"))
    assert await asking.claim(challenge, DEADLINE_S) == "660011"
    await delete(asking, created.source)


async def test_two_replicas_keep_a_mail_once(
    asking: Asking, mails: MailServer, redis_url: str
) -> None:
    async with running(TotpService, asking.service.mesh.settings.home, redis_url):
        created = await create(asking, mailbox=mailbox(mails.port))
        await watched(asking)
        first, second = await asking.open(), await asking.open()
        await mails.deliver(mail("Your code is 550055"))
        assert await asking.claim(first, DEADLINE_S) == "550055"
        await mails.deliver(mail("Your code is 550066"))
        assert await asking.claim(second, DEADLINE_S) == "550066"
        assert len(await asking.messages()) == 2
        await delete(asking, created.source)


async def test_a_refused_password_is_told_without_it(asking: Asking, mails: MailServer) -> None:
    wrong = "not the canary"
    created = await create(asking, mailbox=mailbox(mails.port, password=wrong))
    source = await watched(asking, pb.SOURCE_STATE_FAILING)
    assert source.failure == "the server refused the user name or the password"
    await delete(asking, created.source)


@dataclass
class Answers:
    """A URL that is asked for codes."""

    answer: Callable[[dict[str, Any]], web.Response]
    asked: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""

    async def serve(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.asked.append((dict(request.headers), body))
        return self.answer(json.loads(body))


@asynccontextmanager
async def answering(answer: Callable[[dict[str, Any]], web.Response]) -> AsyncIterator[Answers]:
    answers = Answers(answer)
    app = web.Application()
    app.router.add_post("/codes", answers.serve)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    answers.url = f"http://127.0.0.1:{runner.addresses[0][1]}/codes"
    try:
        yield answers
    finally:
        await runner.cleanup()


async def test_a_code_is_pulled_from_a_url_that_can_check_who_asks(asking: Asking) -> None:
    ready: list[str] = []

    def answer(_asked: dict[str, Any]) -> web.Response:
        return (
            web.json_response({"verification_code": ready[0]})
            if ready
            else web.Response(status=204)
        )

    async with answering(answer) as answers:
        created = await create(asking, pull=pb.PullUrl(url=answers.url))
        assert not answers.asked
        challenge = await asking.open()
        await eventually(lambda: len(answers.asked) >= 2, within=DEADLINE_S)
        ready.append("904182")
        assert await asking.claim(challenge, DEADLINE_S) == "904182"
        headers, body = answers.asked[0]
        key = base64.b64decode(created.signing_secret.removeprefix("whsec_"))
        told = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        mac = base64.b64encode(hmac.new(key, told, hashlib.sha256).digest()).decode()
        assert headers["webhook-signature"] == f"v1,{mac}"
        said = json.loads(body)
        assert said["challenge_id"] == challenge.challenge_id
        assert said["identifier"] == MAILBOX
        # The URL repeats itself: the next challenge waits for a new answer.
        second = await asking.open()
        count = len(answers.asked)
        await eventually(lambda: len(answers.asked) > count + 1, within=DEADLINE_S)
        assert await asking.state(second) == pb.CHALLENGE_STATE_WAITING
        ready[0] = "904183"
        assert await asking.claim(second, DEADLINE_S) == "904183"
        await delete(asking, created.source)


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (lambda _: web.Response(status=500), "the URL answered with status 500"),
        (lambda _: web.Response(status=302, headers={"location": "/x"}), "status 302"),
        (lambda _: web.Response(text="<html>"), "did not answer with JSON"),
        (lambda _: web.json_response({"code": 4182}), "drops leading zeros"),
    ],
)
async def test_a_url_that_fails_says_how(
    asking: Asking, answer: Callable[[dict[str, Any]], web.Response], failure: str
) -> None:
    async with answering(answer) as answers:
        created = await create(asking, pull=pb.PullUrl(url=answers.url))
        await asking.open()
        source = await watched(asking, pb.SOURCE_STATE_FAILING)
        assert failure in source.failure
        await delete(asking, created.source)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"name": ""}, "name"),
        ({"name": "src_x"}, "name"),
        ({"identifier": ""}, "identifier"),
        ({}, "kind"),
        ({"pull": pb.PullUrl(url="ftp://x.test")}, "pull.url"),
        ({"pull": pb.PullUrl(url="http://169.254.169.254/latest")}, "pull.url"),
        ({"pull": pb.PullUrl(url="http://user:pw@x.test/")}, "pull.url"),
        ({"mailbox": mailbox(143, host="")}, "mailbox.host"),
        ({"mailbox": mailbox(143, host="a b")}, "mailbox.host"),
        ({"mailbox": mailbox(143, host="169.254.169.254")}, "mailbox.host"),
        ({"mailbox": mailbox(70000)}, "mailbox.port"),
        ({"mailbox": mailbox(143, username="")}, "mailbox.username"),
        ({"mailbox": mailbox(143, username="a\r\nb")}, "mailbox.username"),
        ({"mailbox": mailbox(143, password="")}, "mailbox.password"),
        ({"mailbox": mailbox(143, security=9)}, "mailbox.security"),
    ],
)
async def test_bad_sources_name_the_field(
    asking: Asking, fields: dict[str, Any], named: str
) -> None:
    with pytest.raises(errors.Invalid) as caught:
        await create(asking, **fields)
    assert caught.value.violations[0][0] == named


async def test_names_are_unique_and_another_organisation_sees_nothing(asking: Asking) -> None:
    created = await create(asking, pull=pb.PullUrl(url="http://127.0.0.1:9/codes"))
    with pytest.raises(errors.Conflict):
        await create(asking, pull=pb.PullUrl(url="http://127.0.0.1:9/codes"))
    other = Asking.fresh(asking.service)
    assert await listed(other) == []
    await delete(other, created.source)
    assert len(await listed(asking)) == 1
    await delete(asking, created.source)
    await delete(asking, created.source)


async def test_away_from_ones_own_machine_nothing_private_is_reached(
    tmp_path: Path, redis_url: str
) -> None:
    strict = running(TotpService, tmp_path, redis_url, allow_private_targets=False)
    async with strict as service:
        asking = Asking.fresh(service)
        refused = [
            {"pull": pb.PullUrl(url="http://127.0.0.1:8080/")},
            {"mailbox": mailbox(993, host="10.0.0.1", security=pb.MAIL_SECURITY_TLS)},
            {"mailbox": mailbox(143, host="mail.example", security=pb.MAIL_SECURITY_PLAIN)},
        ]
        for fields in refused:
            with pytest.raises(errors.Invalid):
                await create(asking, **fields)
        # A name says nothing; what it resolves to does.
        private = mailbox(993, host="localhost.localdomain", security=pb.MAIL_SECURITY_TLS)
        await create(asking, mailbox=private)
        source = await watched(asking, pb.SOURCE_STATE_FAILING)
        assert source.failure in (
            "the server is at an address that may not be reached",
            "the server cannot be reached",
        )
