"""Profiles that an organisation keeps, with real browsers and a site that remembers its users."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from playwright.async_api import Page, async_playwright

from libs import errors
from podium.browser_session.v1 import browser_session_pb2 as pb
from podium.browser_session.v1 import profile_pb2, settings_pb2
from services.browser_session.service import BrowserSessionService
from tests.contract.browser_session.conftest import Sessions
from tests.support.eventually import eventually
from tests.support.mesh import running
from tests.support.serving import served

KNOWS = "() => [document.cookie, localStorage.getItem('user')]"


@pytest.fixture
async def shop() -> AsyncIterator[str]:
    async def page(request: web.Request) -> web.Response:
        return web.Response(text="<title>shop</title>", content_type="text/html")

    app = web.Application()
    app.router.add_get("/", page)
    async with served(app) as url:
        yield url


async def create(sessions: Sessions, name: str = "shop", **fields: str) -> profile_pb2.Profile:
    request = profile_pb2.CreateProfileRequest(name=name, **fields)
    return (await sessions.as_("gateway").CreateProfile(request)).profile


async def get(
    sessions: Sessions, profile_id: str, organization: str = "org_a"
) -> profile_pb2.Profile:
    request = profile_pb2.GetProfileRequest(browser_profile_id=profile_id)
    return (await sessions.as_("gateway", organization).GetProfile(request)).profile


async def begin(sessions: Sessions, profile_id: str, **use: Any) -> pb.Session:
    profile = settings_pb2.ProfileUse(browser_profile_id=profile_id, **use)
    return await sessions.acquire(options=pb.SessionOptions(profile=profile))


async def release(sessions: Sessions, session: pb.Session) -> None:
    await sessions.as_("run").ReleaseSession(
        pb.ReleaseSessionRequest(
            browser_session_id=session.browser_session_id, run_id=session.run_id
        )
    )


@asynccontextmanager
async def page_of(sessions: Sessions, session: pb.Session) -> AsyncIterator[Page]:
    way = await sessions.attach(session)
    async with async_playwright() as playwright:
        headers = {"authorization": f"Bearer {way.token}"}
        browser = await playwright.chromium.connect_over_cdp(way.cdp_url, headers=headers)
        yield browser.contexts[0].pages[0]
        await browser.close()


async def sign_in(sessions: Sessions, session: pb.Session, shop: str, user: str) -> None:
    async with page_of(sessions, session) as page:
        await page.goto(shop)
        await page.evaluate(
            "user => { document.cookie = `user=${user}; max-age=9999`;"
            "localStorage.setItem('user', user) }",
            user,
        )


async def known(sessions: Sessions, session: pb.Session, shop: str) -> list[str]:
    async with page_of(sessions, session) as page:
        await page.goto(shop)
        return await page.evaluate(KNOWS)


async def test_what_a_session_learned_is_there_for_the_next(sessions: Sessions, shop: str) -> None:
    made = await create(sessions)
    first = await begin(sessions, made.browser_profile_id, save=True)
    await sign_in(sessions, first, shop, "ada")
    # A driver that comes later has seen no page load: the state must not depend on that.
    async with page_of(sessions, first):
        await release(sessions, first)
    after = await get(sessions, made.browser_profile_id)
    assert [(one.version, one.cookies, one.origins) for one in after.versions] == [(1, 1, 1)]
    assert after.versions[0].browser_session_id == first.browser_session_id
    second = await begin(sessions, made.browser_profile_id)
    assert await known(sessions, second, shop) == ["user=ada", "ada"]
    await release(sessions, second)
    assert (await get(sessions, made.browser_profile_id)).version == 1


async def test_the_last_writer_makes_the_newest_version_and_older_ones_stay(
    sessions: Sessions, shop: str
) -> None:
    made = await create(sessions)
    profile_id = made.browser_profile_id
    one, other = await begin(sessions, profile_id), await begin(sessions, profile_id)
    stub = sessions.as_("gateway")
    for session, user in ((one, "ada"), (other, "bob")):
        await sign_in(sessions, session, shop, user)
        await stub.SaveProfile(
            profile_pb2.SaveProfileRequest(
                browser_profile_id=profile_id, browser_session_id=session.browser_session_id
            )
        )
    with pytest.raises(errors.Aborted):
        await stub.SaveProfile(
            profile_pb2.SaveProfileRequest(
                browser_profile_id=profile_id,
                browser_session_id=one.browser_session_id,
                expected_version=1,
            )
        )
    for version, user in ((0, "bob"), (1, "ada")):
        session = await begin(sessions, profile_id, version=version)
        assert await known(sessions, session, shop) == [f"user={user}", user]


async def test_a_state_from_elsewhere_is_taken_and_nothing_of_it_is_shown(
    sessions: Sessions, shop: str
) -> None:
    state = {
        "cookies": [
            {
                "name": "user",
                "value": "cyd-secret",
                "domain": "127.0.0.1",
                "path": "/",
                "expires": -1,
                "httpOnly": False,
                "secure": False,
                "sameSite": "Lax",
            }
        ],
        "origins": [{"origin": shop, "localStorage": [{"name": "user", "value": "cyd-secret"}]}],
    }
    made = await create(sessions, request_id="one", storage_state=json.dumps(state))
    again = await create(sessions, request_id="one", storage_state=json.dumps(state))
    assert again.browser_profile_id == made.browser_profile_id
    assert "cyd-secret" not in str(made)
    stored = b"".join(path.read_bytes() for path in sessions.mesh.settings.data.iterdir())
    assert b"cyd-secret" not in stored
    session = await begin(sessions, made.browser_profile_id)
    assert await known(sessions, session, shop) == ["user=cyd-secret", "cyd-secret"]


async def test_profiles_are_an_organisations_own(sessions: Sessions) -> None:
    made = await create(sessions)
    with pytest.raises(errors.NotFound):
        await get(sessions, made.browser_profile_id, "org_b")
    with pytest.raises(errors.NotFound):
        await sessions.as_("run", "org_b").AcquireSession(
            pb.AcquireSessionRequest(
                run_id="run_01m835r4n33s5vwymwae0kfqje",
                options=pb.SessionOptions(
                    profile=settings_pb2.ProfileUse(browser_profile_id=made.browser_profile_id)
                ),
            )
        )
    others = sessions.as_("gateway", "org_b")
    await others.DeleteProfile(
        profile_pb2.DeleteProfileRequest(browser_profile_id=made.browser_profile_id)
    )
    assert not (await others.ListProfiles(profile_pb2.ListProfilesRequest())).profiles
    mine = sessions.as_("gateway")
    listed = await mine.ListProfiles(profile_pb2.ListProfilesRequest())
    assert [one.browser_profile_id for one in listed.profiles] == [made.browser_profile_id]
    for _ in range(2):
        await mine.DeleteProfile(
            profile_pb2.DeleteProfileRequest(browser_profile_id=made.browser_profile_id)
        )
    with pytest.raises(errors.NotFound):
        await begin(sessions, made.browser_profile_id)


@pytest.mark.parametrize(
    ("field", "state"),
    [
        ("storage_state", "{"),
        ("storage_state", "[]"),
        ("storage_state.cookies", '{"cookies": 1}'),
        ("storage_state.cookies[0]", '{"cookies": [{"name": "x"}]}'),
        ("storage_state.origins[0]", '{"origins": [{}]}'),
        ("storage_state.origins[0].origin", '{"origins": [{"origin": "file:///x"}]}'),
        ("storage_state.origins[0].localStorage", '{"origins": [{"origin": "http://a"}]}'),
    ],
)
async def test_a_state_that_is_none_is_named(sessions: Sessions, field: str, state: str) -> None:
    with pytest.raises(errors.Invalid) as wrong:
        await create(sessions, storage_state=state)
    assert [name for name, _ in wrong.value.violations] == [field]


async def test_a_profile_is_saved_even_if_the_replica_stopped_first(
    home: Path, redis_url: str, shop: str
) -> None:
    async with running(BrowserSessionService, home, redis_url) as service:
        sessions = Sessions(service)
        made = await create(sessions)
        session = await begin(sessions, made.browser_profile_id, save=True)
        await sign_in(sessions, session, shop, "eve")
    quick: dict[str, Any] = {"browser_sweep_s": 0.2, "browser_recoveries": 0, "max_sessions": 4}
    async with running(BrowserSessionService, home, redis_url, **quick) as service:
        sessions = Sessions(service)
        await release(sessions, session)

        async def saved() -> bool:
            return (await get(sessions, made.browser_profile_id)).version == 1

        await eventually(saved, within=10)
