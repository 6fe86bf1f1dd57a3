"""Signing in to a real page, with one-time codes that are right, wrong and wrong again."""

from __future__ import annotations

from typing import Any

import pytest

from services.task import actions
from services.task.acting.scene import Scene
from services.task.domain import Reason, TaskFailure
from tests.support.sites.office import Office
from tests.support.sites.stage import ListedCodes, Stage

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def arrive(browser: Stage, site: Office, path: str, codes: ListedCodes, **more: Any) -> Scene:
    scene = await browser.scene(codes=codes, credential_id="cred_1", action_key="task_1:1", **more)
    await scene.page.goto(f"{site.url}{path}")
    return scene


async def log_in(scene: Scene, **params: Any) -> Any:
    return await actions.perform(actions.parse({"kind": "login", **params}, "login"), scene)


@pytest.mark.parametrize("kind", ["", "-boxes", "-script"])
async def test_a_login_with_a_code(browser: Stage, site: Office, kind: str) -> None:
    site.good_codes = {"123456"}
    scene = await arrive(browser, site, f"/login{kind}", ListedCodes(["123456"]))
    started = scene.clock.monotonic()
    assert await log_in(scene) == {"signed_in": True, "one_time_code": True}
    assert scene.clock.monotonic() - started < 4
    assert site.codes_seen == ["123456"]


async def test_a_wrong_code_is_tried_once_more_with_a_new_one(browser: Stage, site: Office) -> None:
    site.good_codes = {"222222"}
    scene = await arrive(browser, site, "/login", ListedCodes(["111111", "222222"]))
    await log_in(scene)
    assert site.codes_seen == ["111111", "222222"]


@pytest.mark.parametrize("kind", ["", "-script"])
async def test_two_wrong_codes_are_enough(browser: Stage, site: Office, kind: str) -> None:
    scene = await arrive(browser, site, f"/login{kind}", ListedCodes(["111111", "222222"]))
    with pytest.raises(TaskFailure) as caught:
        await log_in(scene)
    assert caught.value.reason == Reason.CODE_REJECTED
    assert "the site rejected the one-time code" in caught.value.message
    assert "111111" not in caught.value.message
    assert site.codes_seen == ["111111", "222222"]


async def test_a_wrong_password_says_what_the_site_says(browser: Stage, site: Office) -> None:
    scene = await arrive(browser, site, "/login", ListedCodes(password="wrong one"))
    with pytest.raises(TaskFailure) as caught:
        await log_in(scene)
    assert caught.value.reason == Reason.LOGIN_REJECTED
    assert "The user name or password is incorrect." in caught.value.message
    assert "wrong one" not in caught.value.message


async def test_named_fields_and_a_text_that_shows_success(browser: Stage, site: Office) -> None:
    site.good_codes = {"123456"}
    scene = await arrive(browser, site, "/login", ListedCodes(["123456"]))
    await log_in(
        scene,
        username={"selector": "[name=user]"},
        password={"label": "Password"},
        success_text="signed in as ada",
    )
    assert scene.page.url.endswith("/page/orders")


async def test_after_a_take_over_it_goes_on_at_the_code(browser: Stage, site: Office) -> None:
    site.good_codes = {"123456"}
    scene = await arrive(browser, site, "/code", ListedCodes(["123456"]), resumed=True)
    assert await log_in(scene) == {"signed_in": True, "one_time_code": True}


async def test_after_a_take_over_it_sees_that_it_is_in(browser: Stage, site: Office) -> None:
    scene = await arrive(browser, site, "/page/orders", ListedCodes(), resumed=True)
    assert await log_in(scene) == {"signed_in": True, "one_time_code": False}


async def test_a_page_without_a_login_form(
    browser: Stage, site: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.task.acting.signing_in.FORM_APPEARS_S", 0.3)
    scene = await arrive(browser, site, "/page/cards", ListedCodes())
    with pytest.raises(TaskFailure) as caught:
        await log_in(scene)
    assert caught.value.reason == Reason.LOGIN_FIELDS_NOT_FOUND
    scene = await arrive(browser, site, "/page/cards", ListedCodes())
    with pytest.raises(TaskFailure) as caught:
        await actions.perform(actions.parse({"kind": "type_code"}, "a"), scene)
    assert "one-time code field" in caught.value.message


async def test_no_credential(browser: Stage, site: Office) -> None:
    scene = await browser.scene()
    await scene.page.goto(f"{site.url}/login")
    with pytest.raises(TaskFailure) as caught:
        await log_in(scene)
    assert caught.value.reason == Reason.NO_CREDENTIAL
