"""Logins whose codes and links come from a real totp service, as messages that are pushed to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from podium.totp.v1 import totp_pb2 as pb
from podium.totp.v1.totp_pb2_grpc import TotpServiceStub
from services.task import actions
from services.task.acting.scene import Scene
from services.task.domain import Reason, TaskFailure
from services.task.neighbours import MeshCodes
from services.task.ports import Wanted
from services.totp.service import TotpService
from tests.support.eventually import eventually
from tests.support.mesh import running
from tests.support.sites.office import PASSWORD, USERNAME, Office
from tests.support.sites.stage import Stage

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Desk:
    """A totp service with one credential, and a login that uses it."""

    def __init__(self, stubs: Any, browser: Stage, site: Office) -> None:
        self.codes = MeshCodes(stubs("task"))
        self.outside = stubs("gateway")
        self._browser = browser
        self._site = site

    async def log_in(self, path: str, **params: Any) -> tuple[Scene, asyncio.Task[Any]]:
        more = {"credential_id": "office", "action_key": "t:1"}
        scene = await self._browser.scene(codes=self.codes, **more)
        await scene.page.goto(f"{self._site.url}{path}")
        action = actions.parse({"kind": "login", "timeout_ms": 20_000, **params}, "login")
        return scene, asyncio.create_task(actions.perform(action, scene))

    async def challenges(self) -> list[pb.Challenge]:
        return list((await self.outside.ListChallenges(pb.ListChallengesRequest())).challenges)

    async def waiting(self, rejected: int = 0) -> pb.Challenge:
        """The one challenge there is, once it waits and this many codes were refused."""

        async def found() -> pb.Challenge | None:
            every = await self.challenges()
            assert len(every) <= 1, "a second challenge was opened"
            ready = [one for one in every if one.state == pb.CHALLENGE_STATE_WAITING]
            return next((one for one in ready if one.rejected_count == rejected), None)

        return await eventually(found, within=20)

    async def push(self, content: str) -> None:
        request = pb.SubmitMessageRequest(identifier=USERNAME, content=content)
        await self.outside.SubmitMessage(request)


@asynccontextmanager
async def desk(browser: Stage, site: Office, home: Path, redis_url: str) -> AsyncIterator[Desk]:
    async with running(TotpService, home, redis_url) as totp:
        found = Desk(lambda name: totp.stub(TotpServiceStub, as_=name), browser, site)
        whole = {"name": "office", "username": USERNAME, "password": PASSWORD}
        await found.outside.CreateCredential(
            pb.CreateCredentialRequest(**whole, totp_identifier=USERNAME)
        )
        yield found


async def test_a_refused_code_is_followed_by_the_next_of_the_same_challenge(
    browser: Stage, site: Office, tmp_path: Path, redis_url: str
) -> None:
    site.good_codes = {"482913"}
    async with desk(browser, site, tmp_path, redis_url) as office:
        scene, login = await office.log_in("/login")
        await office.waiting()
        await office.push("Your code is 111111")
        again = await office.waiting(rejected=1)
        await office.push("Your code is 482913")
        assert await login == {"signed_in": True, "one_time_code": True}
        assert site.codes_seen == ["111111", "482913"]
        (challenge,) = await office.challenges()
        assert challenge.challenge_id == again.challenge_id
        assert challenge.state == pb.CHALLENGE_STATE_CLAIMED
        assert scene.page.url.endswith("/page/orders")


async def test_the_third_refusal_is_the_last(
    browser: Stage, site: Office, tmp_path: Path, redis_url: str
) -> None:
    async with desk(browser, site, tmp_path, redis_url) as office:
        _, login = await office.log_in("/login")
        for refused, code in enumerate(("111111", "222222", "333333")):
            await office.waiting(rejected=refused)
            await office.push(f"Your code is {code}")
        with pytest.raises(TaskFailure) as caught:
            await login
        assert caught.value.reason == Reason.CODE_REJECTED
        assert site.codes_seen == ["111111", "222222", "333333"]
        assert len(await office.challenges()) == 1


async def test_a_link_that_the_site_mails_signs_in(
    browser: Stage, site: Office, tmp_path: Path, redis_url: str
) -> None:
    async with desk(browser, site, tmp_path, redis_url) as office:
        scene, login = await office.log_in("/magic", link_hosts=["127.0.0.1"])
        await eventually(lambda: site.mailed, within=20)
        mail = "From: office@example.com\nSubject: Sign in\n\nSign in to Office: {}\n"
        # A stranger's link is for nobody.
        await office.push(mail.format("https://evil.example/magic/in?token=a1b2c3d4e5f6a7b8"))
        await office.push(mail.format(site.mailed[0]))
        done = await login
        assert done == {"signed_in": True, "one_time_code": False, "sign_in_link": True}
        assert scene.page.url.endswith("/page/orders")
        assert not site.good_links


async def test_without_link_hosts_no_link_is_opened(
    browser: Stage, site: Office, tmp_path: Path, redis_url: str, monkeypatch: Any
) -> None:
    monkeypatch.setattr("services.task.acting.signing_in.FORM_APPEARS_S", 0.3)
    async with desk(browser, site, tmp_path, redis_url) as office:
        _, login = await office.log_in("/magic")
        with pytest.raises(TaskFailure) as caught:
            await login
        assert caught.value.reason == Reason.LOGIN_FIELDS_NOT_FOUND
        assert not await office.challenges()


async def test_a_canceled_challenge_fails_the_login(
    browser: Stage, site: Office, tmp_path: Path, redis_url: str
) -> None:
    async with desk(browser, site, tmp_path, redis_url) as office:
        _, login = await office.log_in("/login")
        challenge = await office.waiting()
        request = pb.CancelChallengeRequest(challenge_id=challenge.challenge_id)
        await office.outside.CancelChallenge(request)
        with pytest.raises(TaskFailure) as caught:
            await login
        assert caught.value.reason == Reason.CODE_NOT_AVAILABLE


async def test_a_code_that_ran_out_in_the_hands_of_a_dead_agent_is_followed_by_the_next(
    browser: Stage, site: Office, tmp_path: Path, redis_url: str
) -> None:
    async with desk(browser, site, tmp_path, redis_url) as office:
        uri = "otpauth://totp/x?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&period=1"
        kept = pb.CreateCredentialRequest(name="quick", totp_seed=uri)
        await office.outside.CreateCredential(kept)
        wanted = Wanted("quick", "", "t:1:code1", timeout_s=20)
        first = await office.codes.code(wanted)

        async def other() -> bool:
            return (await office.codes.code(wanted)).code != first.code

        await eventually(other, within=10)
        (challenge,) = await office.challenges()
        assert challenge.rejected_count == 1
