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
async def test_when_there_is_no_other_code_the_login_fails(
    browser: Stage, site: Office, kind: str
) -> None:
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


@pytest.mark.parametrize(
    ("kind", "code"), [("", False), ("-confirm", False), ("-code", True)], ids=str
)
async def test_a_mailed_link_is_opened_and_the_login_goes_on(
    browser: Stage, site: Office, kind: str, code: bool
) -> None:
    site.good_codes = {"123456"}
    codes = ListedCodes([site.mail_link(kind), "123456"])
    scene = await arrive(browser, site, f"/magic{kind}", codes)
    done = await log_in(scene, link_hosts=["127.0.0.1"], success_text="signed in as ada")
    assert done == {"signed_in": True, "one_time_code": code, "sign_in_link": True}
    assert scene.page.url.endswith("/page/orders")


async def test_a_link_that_is_used_up_is_followed_by_the_next(browser: Stage, site: Office) -> None:
    old = f"{site.url}/magic/in?token=x1"
    scene = await arrive(browser, site, "/magic", ListedCodes([old, site.mail_link()]))
    assert (await log_in(scene, link_hosts=["127.0.0.1"]))["sign_in_link"]
    assert scene.page.url.endswith("/page/orders")
    scene = await arrive(browser, site, "/magic", ListedCodes([old]))
    with pytest.raises(TaskFailure) as caught:
        await log_in(scene, link_hosts=["127.0.0.1"])
    assert caught.value.reason == Reason.CODE_REJECTED
    assert "This link has expired" in caught.value.message


@pytest.mark.parametrize("host", ["localhost", "evil-127.0.0.1", "user@127.0.0.1"])
async def test_a_link_to_another_host_is_not_opened(
    browser: Stage, site: Office, host: str
) -> None:
    link = site.mail_link(token="abc123abc123").replace("127.0.0.1", host)
    scene = await arrive(browser, site, "/magic", ListedCodes([link]))
    with pytest.raises(TaskFailure) as caught:
        await log_in(scene, link_hosts=["127.0.0.1"])
    assert caught.value.reason == Reason.LINK_NOT_ALLOWED
    assert "abc123abc123" not in caught.value.message
    assert scene.page.url.endswith("/magic")


async def test_nothing_of_a_link_is_recorded(browser: Stage, site: Office) -> None:
    link = site.mail_link(token="abc123abc123")
    scene = await arrive(browser, site, "/magic", ListedCodes([link]))
    await log_in(scene, link_hosts=["127.0.0.1"])
    assert scene.scrub(f"went to {link}, then /in/abc123abc123/x") == "went to ***, then /in/***/x"


async def test_after_a_take_over_it_goes_on_at_the_link(browser: Stage, site: Office) -> None:
    codes = ListedCodes([site.mail_link()])
    scene = await arrive(browser, site, "/magic", codes, resumed=True)
    await scene.page.fill("input", "ada@example.com")
    await scene.page.click("button")
    assert (await log_in(scene, link_hosts=["127.0.0.1"]))["sign_in_link"]
    assert len(site.mailed) == 2
