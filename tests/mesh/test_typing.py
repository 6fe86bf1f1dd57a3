"""A person types the code that a login waits for: in the page of the run, and by the command."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Page, async_playwright, expect

from services.browser_session.browser import find_binary
from tests.mesh import doors
from tests.mesh.world import USERNAME, world
from tests.support.eventually import eventually

SECONDS = 30_000


async def waiting(acme, run_id, rejected=0):
    """The run's challenge, once it waits and the site has refused this many codes."""

    async def found():
        listed = await acme.door.ask("totp.ListChallenges", {"run_id": run_id})
        every = listed.get("challenges", [])
        assert len(every) <= 1, "a second challenge was opened"
        ready = [c for c in every if c["state"] == "CHALLENGE_STATE_WAITING"]
        return next((c for c in ready if c.get("rejected_count", 0) == rejected), None)

    return await eventually(found, within=20)


@asynccontextmanager
async def opened(mesh) -> AsyncIterator[Page]:
    """A person's browser at the page of runs, which complains of nothing."""
    problems, logged = [], []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=str(find_binary()))
        try:
            page = await browser.new_page()
            page.on("pageerror", lambda error: problems.append(error))
            page.on("console", lambda said: logged.append((said.type, said.text)))
            await page.goto(f"{mesh.rest}/runs")
            await page.get_by_label("API key").fill(mesh.api_key)
            await page.get_by_label("API key").press("Enter")
            yield page
        finally:
            await browser.close()
    assert not problems + [text for kind, text in logged if kind == "error"]


@pytest.mark.timeout(180)
async def test_in_the_page_of_the_run(mesh):
    async with world(mesh, pushed_codes=True) as acme, opened(mesh) as page:
        other = await acme.run()
        run_id = await acme.run()
        acme.portal.customer.sent_code = "482913"
        for each in (other, run_id):
            card = page.locator("form", has_text=each)
            await expect(card).to_contain_text("waiting", timeout=SECONDS)
        await page.locator("#runs").get_by_role("link", name=run_id).click()
        # The page of a run shows what this run waits for.
        code = page.get_by_label("one-time code")
        await expect(code).to_have_count(1)
        await expect(page.locator("#codes")).to_contain_text(f"sent to {USERNAME}")
        first = await waiting(acme, run_id)
        await code.fill("111111")
        await page.get_by_role("button", name="Send").click()
        await expect(page.locator("#codes")).to_contain_text("refused 1", timeout=SECONDS)
        again = await waiting(acme, run_id, rejected=1)
        assert again["challenge_id"] == first["challenge_id"]
        await code.fill("482913")
        await code.press("Enter")
        await expect(page.locator("#state")).to_have_text("completed", timeout=2 * SECONDS)
        await expect(page.locator("#codes")).to_contain_text("claimed")
        await expect(page.locator("#events")).to_contain_text("run.finished")
        assert acme.portal.code_attempts == 2
        await acme.door.ask("run.CancelRun", {"run_id": other})
        await acme.has_ended(other, "CANCELED")
        await acme.has_ended(run_id, "COMPLETED")


@pytest.mark.timeout(180)
async def test_by_the_command(mesh):
    async with world(mesh, pushed_codes=True) as acme:
        cli = doors.CliDoor(mesh.home, mesh.address)
        acme.portal.customer.sent_code = "482913"
        run_id = await acme.run()
        await waiting(acme, run_id)
        _, out, _ = await cli.podium("totp", "challenges", "--run", run_id)
        (listed,) = json.loads(out)["challenges"]
        assert listed["run_id"] == run_id
        with pytest.raises(doors.Refused) as refused:
            await cli.podium("totp", "type", run_id, stdin="that is no code")
        assert "no code" in refused.value.message
        await cli.podium("totp", "type", listed["challenge_id"], stdin="111111\n")
        await waiting(acme, run_id, rejected=1)
        _, out, _ = await cli.podium("totp", "type", run_id, stdin="482913\n")
        assert json.loads(out)["challenge_id"] == listed["challenge_id"]
        run = await acme.has_ended(run_id, "COMPLETED")
        with pytest.raises(doors.Refused) as refused:
            await cli.podium("totp", "type", run_id, stdin="482913\n")
        assert refused.value.reason == "NOBODY_WAITS"
        history = await acme.door.watch(run["run_id"])
        assert [e["data"].get("rejected") for e in history if e["type"] == "totp.required"] == [
            None,
            "1",
        ]
