from __future__ import annotations

import json

import pytest

from services.browser_session.cdp_policy import attached_page, judge


def frame(method: str, **params: object) -> str:
    return json.dumps({"id": 7, "sessionId": "S", "method": method, "params": params})


@pytest.mark.parametrize(
    "method",
    [
        "Browser.close",
        "Browser.crash",
        "Page.crash",
        "Target.exposeDevToolsProtocol",
        "Target.sendMessageToTarget",
    ],
)
def test_what_would_end_or_get_around_is_refused_to_the_asker(method: str) -> None:
    verdict = judge(frame(method), "/d")
    assert verdict.forward is None
    reply = json.loads(verdict.reply or "")
    assert (reply["id"], reply["sessionId"]) == (7, "S")
    assert method in reply["error"]["message"]


def test_a_method_cannot_be_hidden() -> None:
    assert judge('{"id":1,"method":"\\u0042rowser.close"}', "/d").forward is None
    twice = judge('{"id":1,"method":"Browser.close","method":"Page.enable"}', "/d").forward
    assert json.loads(twice or "") == {"id": 1, "method": "Page.enable"}


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', '{"id":1}', '{"method":5}', "[" * 100_000])
def test_what_is_not_a_command_goes_no_further(text: str) -> None:
    verdict = judge(text, "/d")
    assert verdict.forward is None
    assert "error" in json.loads(verdict.reply or "")


def test_downloads_land_where_we_say() -> None:
    asked = frame(
        "Browser.setDownloadBehavior",
        behavior="deny",
        downloadPath="/etc",
        eventsEnabled=False,
        browserContextId="C",
    )
    sent = json.loads(judge(asked, "/d").forward or "")
    assert sent["params"] == {
        "behavior": "allowAndName",
        "downloadPath": "/d",
        "eventsEnabled": True,
        "browserContextId": "C",
    }
    old = judge(frame("Page.setDownloadBehavior", downloadPath="/etc"), "/d")
    assert json.loads(old.reply or "")["result"] == {}


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://example.test/", True),
        ("about:blank", True),
        ("data:text/html,x", True),
        ("file:///etc/passwd", False),
        (" \tFILE:/etc/passwd", False),
        ("f\nile:///etc/passwd", False),
        ("view-source:file:///etc/passwd", False),
        ("chrome://settings", False),
    ],
)
def test_only_pages_of_the_web_are_opened(url: str, allowed: bool) -> None:
    for method in ("Page.navigate", "Target.createTarget"):
        assert (judge(frame(method, url=url), "/d").forward is not None) is allowed


def test_acting_on_a_page_tells_which() -> None:
    assert judge(frame("Input.dispatchMouseEvent"), "/d").drives == "S"
    assert judge(frame("Runtime.evaluate"), "/d").drives == ""
    told = judge(frame("Podium.activePage"), "/d", active_page="T")
    assert json.loads(told.reply or "")["result"] == {"targetId": "T"}
    event = {
        "method": "Target.attachedToTarget",
        "params": {"sessionId": "S", "targetInfo": {"type": "page", "targetId": "T"}},
    }
    assert attached_page(json.dumps(event, separators=(",", ":"))) == ("S", "T")
    event["params"]["targetInfo"]["type"] = "iframe"  # type: ignore[index]
    assert attached_page(json.dumps(event, separators=(",", ":"))) is None


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("Network.loadNetworkResource", {"url": "file:///etc/passwd"}),
        ("Fetch.continueRequest", {"requestId": "1", "url": "file:///etc/passwd"}),
        ("Target.createBrowserContext", {"proxyServer": "http://elsewhere:1"}),
        ("DOM.setFileInputFiles", {"files": ["/etc/passwd"]}),
        ("Input.dispatchDragEvent", {"data": {"items": [], "files": ["/etc/passwd"]}}),
    ],
)
def test_no_side_door_leads_to_files_or_past_the_proxy(
    method: str, params: dict[str, object]
) -> None:
    verdict = judge(frame(method, **params), "/d")
    assert verdict.forward is None
    assert verdict.refused


def test_a_right_may_be_narrower_than_a_drivers() -> None:
    only = frozenset({"Target.getTargets"})
    assert judge(frame("Target.getTargets"), "/d", only=only).forward
    verdict = judge(frame("Runtime.evaluate", expression="1"), "/d", only=only)
    assert verdict.refused
    assert "not allowed with this right" in (verdict.reply or "")
