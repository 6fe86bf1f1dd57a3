"""What may be asked of a session is told before anybody asks for one."""

from __future__ import annotations

import pytest

from libs import errors
from podium.browser_session.v1 import browser_session_pb2 as pb
from podium.browser_session.v1 import settings_pb2
from tests.contract.browser_session.conftest import Sessions
from tests.contract.browser_session.test_profiles import create


async def check(sessions: Sessions, organization: str = "org_a", **fields: object) -> None:
    request = pb.CheckOptionsRequest(**fields)  # type: ignore[arg-type]
    await sessions.as_("run", organization).CheckOptions(request)


async def test_each_wrong_field_is_named(sessions: Sessions):
    options = pb.SessionOptions(
        viewport_width=5,
        time_zone="Moon/Base",
        proxy=settings_pb2.UpstreamProxy(server="gopher://x"),
        extra_headers=[settings_pb2.ExtraHeader(name="host", value="x")],
    )
    with pytest.raises(errors.Invalid) as refused:
        await check(sessions, options=options)
    assert {field for field, _ in refused.value.violations} == {
        "options.viewport_width",
        "options.time_zone",
        "options.proxy.server",
        "options.extra_headers[0].name",
    }
    reuse = settings_pb2.ReusePolicy(mode=settings_pb2.REUSE_MODE_PER_KEY)
    with pytest.raises(errors.Invalid, match=r"reuse\.key"):
        await check(sessions, reuse=reuse)


async def test_a_profile_must_be_there_for_this_organisation(sessions: Sessions):
    profile = await create(sessions, name="shop")
    use = settings_pb2.ProfileUse(browser_profile_id=profile.browser_profile_id)
    options = pb.SessionOptions(profile=use)

    await check(sessions, options=options)
    with pytest.raises(errors.NotFound):
        await check(sessions, "org_b", options=options)
    options.profile.version = 7
    with pytest.raises(errors.Invalid, match=r"options\.profile\.version"):
        await check(sessions, options=options)
