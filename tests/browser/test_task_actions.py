"""Every kind of action on real pages in real Chromium."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from services.task import actions
from services.task.acting.scene import Scene
from services.task.domain import Reason, TaskFailure
from tests.support.sites.office import PASSWORD, Office
from tests.support.sites.stage import ListedCodes, Stage

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def scene(browser: Stage, site: Office) -> AsyncIterator[Scene]:
    scene = await browser.scene(codes=ListedCodes(), credential_id="cred_1", action_key="task_1:1")
    yield scene
    for page in scene.page.context.pages[1:]:
        await page.close()


FREEZE = "() => { setTimeout(() => { const t = Date.now(); while (Date.now() - t < 3000); }) }"


async def do(scene: Scene, kind: str, **params: Any) -> Any:
    return await actions.perform(actions.parse({"kind": kind, **params}, "action"), scene)


async def fails(scene: Scene, kind: str, **params: Any) -> TaskFailure:
    with pytest.raises(TaskFailure) as caught:
        await do(scene, kind, **params)
    return caught.value


async def at(scene: Scene, site: Office, page: str) -> None:
    await do(scene, "goto", url=f"{site.url}/page/{page}")


async def said(scene: Scene) -> str:
    return await scene.page.evaluate("() => document.querySelector('#said').textContent")


async def test_a_whole_form(scene: Scene, site: Office) -> None:
    await at(scene, site, "form")
    await do(scene, "fill", target="Full name", value="Ada")
    await do(scene, "fill", target={"label": "E-mail"}, value="a@b.example")
    await do(scene, "fill", target={"placeholder": "City of birth"}, value="London")
    await do(scene, "fill", target="the notes field", value=42)
    await do(scene, "select", target="Country", option="austria")
    await do(scene, "select", target="Interests", options=["Maps", "Tools"])
    await do(scene, "select", option="Premium")
    await do(scene, "check", target="Send me news")
    await do(scene, "check", target="Send me news")
    await do(scene, "uncheck", target="I accept the terms")
    await do(scene, "check", target="Dark mode")
    await do(scene, "click", target={"role": "button", "name": "Save"})
    assert scene.page.url.endswith("/submit")
    assert site.posted[-1] == {
        "name": "Ada", "email": "a@b.example", "city": "London", "notes": "42", "country": "at",
        "interest": "Tools", "plan": "premium", "news": "yes", "dark": "yes",
    }  # fmt: skip


async def test_secrets_are_typed_but_never_recorded(scene: Scene, site: Office) -> None:
    await at(scene, site, "form")
    action = actions.parse(
        {"kind": "fill", "target": "Notes", "value": "pw is $credential.password"}, "a"
    )
    await actions.perform(action, scene)
    assert await scene.page.input_value("textarea") == f"pw is {PASSWORD}"
    assert PASSWORD not in repr(actions.dump(action))
    assert scene.scrub({"text": f"x {PASSWORD}"}) == {"text": "x ***"}


async def test_an_ambiguous_name_lists_its_candidates(scene: Scene, site: Office) -> None:
    await at(scene, site, "twins")
    failure = await fails(scene, "click", target="Edit")
    assert failure.reason == Reason.TARGET_AMBIGUOUS
    assert failure.message.count('button "Edit"') == 2
    await do(scene, "click", target={"name": "Edit", "nth": 2})
    assert await said(scene) == "edited Bob"


async def test_a_button_is_preferred_to_a_heading(scene: Scene, site: Office) -> None:
    await at(scene, site, "twins")
    await do(scene, "click", target="Sign in")
    assert await said(scene) == "sign"
    await do(scene, "click", target="Close dialog")
    assert await said(scene) == "closed"
    await do(scene, "click", target={"selector": "a[href='#x']"})
    assert await said(scene) == "link"


async def test_a_missing_element_names_the_nearest(scene: Scene, site: Office) -> None:
    await at(scene, site, "form")
    failure = await fails(scene, "click", target="Save changes", timeout_ms=300)
    assert failure.reason == Reason.TARGET_NOT_FOUND
    assert '"Save changes"' in failure.message
    assert 'button "Save"' in failure.message
    failure = await fails(scene, "fill", target="Street", value="x", timeout_ms=200)
    assert 'textbox "Full name"' in failure.message


async def test_an_element_that_comes_late_is_waited_for(scene: Scene, site: Office) -> None:
    await at(scene, site, "late")
    await do(scene, "click", target="Go on")
    await do(scene, "wait_for", text="done")


async def test_what_covers_or_disables_an_element_is_named(scene: Scene, site: Office) -> None:
    await at(scene, site, "covered")
    failure = await fails(scene, "click", target="Buy", timeout_ms=600)
    assert "covered by <div" in failure.message
    await at(scene, site, "form")
    failure = await fails(scene, "click", target="Delete", timeout_ms=400)
    assert "disabled" in failure.message


async def test_pointer_and_keys(scene: Scene, site: Office) -> None:
    await at(scene, site, "pointer")
    await do(scene, "hover", target="Tools")
    await do(scene, "click", target="Export")
    assert await said(scene) == "exported"
    await do(scene, "click", target="Twice", count=2)
    assert await said(scene) == "double"
    await do(scene, "press", target="Command", key="Escape")
    assert await said(scene) == "Escape"
    await do(scene, "press", key="a")
    assert await said(scene) == "a"
    assert "no such key" in (await fails(scene, "press", key="Entr")).message
    await do(scene, "select", target="Colour", option="Blue")
    assert await said(scene) == "blue"


async def test_a_question_of_the_page_is_declined_unless_accepted(
    scene: Scene, site: Office
) -> None:
    await at(scene, site, "pointer")
    await do(scene, "click", target="Remove")
    assert await said(scene) == "kept"
    await do(scene, "click", target="Remove", accept_dialog=True)
    assert await said(scene) == "removed"
    assert "Really remove?" in scene.notes[0]


async def test_scrolling(scene: Scene, site: Office) -> None:
    await at(scene, site, "pointer")
    for way in ("bottom", "top"):
        await do(scene, "scroll", direction=way)
    await do(scene, "scroll", target="The end of the page")
    assert await scene.page.evaluate("() => scrollY") > 1000


async def test_a_new_tab_becomes_the_page(scene: Scene, site: Office) -> None:
    await at(scene, site, "pointer")
    await do(scene, "click", target="Orders in a new tab")
    await do(scene, "wait_for", url="/page/orders")
    await do(scene, "wait_for", text="Open orders")


async def test_back_and_reload(scene: Scene, site: Office) -> None:
    await at(scene, site, "form")
    await do(scene, "click", target="Orders")
    assert scene.page.url.endswith("/page/orders")
    await do(scene, "go_back")
    await do(scene, "reload")
    assert scene.page.url.endswith("/page/form")


async def test_upload(scene: Scene, site: Office) -> None:
    await at(scene, site, "upload")
    await do(scene, "upload", target="Invoice file", file_name="a.txt", content="hello")
    await do(scene, "click", target="Send file")
    assert site.uploads["a.txt"] == b"hello"


async def test_an_artifact_is_uploaded_by_its_id(scene: Scene, site: Office) -> None:
    artifact_id = f"art_{26 * '0'}"
    for name, fields in (("statement.pdf", {}), ("b.txt", {"file_name": "b.txt"})):
        await at(scene, site, "upload")
        await do(scene, "upload", target="Invoice file", artifact_id=artifact_id, **fields)
        await do(scene, "click", target="Send file")
        assert site.uploads[name] == artifact_id.encode()


async def test_waiting(scene: Scene, site: Office) -> None:
    await at(scene, site, "search")
    await do(scene, "wait_for", text="results are ready")
    await do(scene, "wait_for", target="Nothing of the kind", gone=True)
    await do(scene, "wait_for", url="/page/search")
    failure = await fails(scene, "wait_for", text="never", timeout_ms=200)
    assert failure.reason == Reason.WAIT_TIMED_OUT
    assert '"never" did not appear within 0.2 s' in failure.message


async def test_pages_that_do_not_load(scene: Scene, site: Office) -> None:
    failure = await fails(scene, "goto", url=f"{site.url}/hang?token=1", timeout_ms=400)
    assert failure.reason == Reason.PAGE_NOT_LOADED
    assert "did not load within 0.4 s" in failure.message
    assert "token" not in failure.message
    failure = await fails(scene, "goto", url="http://127.0.0.1:9/")
    assert "connection refused" in failure.message or "refuses this port" in failure.message
    failure = await fails(scene, "goto", url=f"{site.url}/page/none")
    assert "answered 404" in failure.message


async def test_frames_and_shadow_roots(scene: Scene, site: Office) -> None:
    await at(scene, site, "frames")
    await do(scene, "fill", target="Inner field", value="copied")
    await do(scene, "click", target="Copy")
    await do(scene, "wait_for", target={"role": "button", "name": "copied"})
    await do(scene, "click", target="Shadow button")
    await do(scene, "wait_for", target={"role": "button", "name": "pressed"})


async def test_download_and_screenshot(scene: Scene, site: Office) -> None:
    await at(scene, site, "orders")
    kept = await do(scene, "download", target="Download report")
    assert kept["name"] == "report.csv"
    assert kept["size_bytes"] == 23
    kept = await do(scene, "download", url=f"{site.url}/report.csv")
    assert kept["sha256"]
    failure = await fails(scene, "download", url=f"{site.url}/page/form")
    assert "it is a page, not a file" in failure.message
    kept = await do(scene, "screenshot", name="orders.png")
    assert kept["name"] == "orders.png"
    assert kept["size_bytes"] > 1000
    assert len(scene.artifacts) == 3


async def test_cancelling_interrupts_at_once(scene: Scene, site: Office) -> None:
    waiting = asyncio.create_task(do(scene, "goto", url=f"{site.url}/hang"))
    await asyncio.sleep(0.2)
    waiting.cancel()
    started = scene.clock.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert scene.clock.monotonic() - started < 0.5


async def test_a_page_that_hangs_in_a_script_does_not_hang_us(scene: Scene, site: Office) -> None:
    await at(scene, site, "form")
    await scene.page.evaluate(FREEZE)
    failure = await fails(scene, "click", target="Nothing", timeout_ms=100)
    assert failure.reason in {Reason.TARGET_NOT_FOUND, Reason.TARGET_NOT_READY}
