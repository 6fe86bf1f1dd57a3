"""REST against a real gateway: answers, problems, bad input, context, deadlines."""

from __future__ import annotations

import asyncio
import json

import pytest

from podium.run.v1 import run_pb2


@pytest.mark.parametrize("path", ["/v1/runs", "/v1/run/workflows", "/run/workflow"])
async def test_a_run_is_accepted_with_202_and_its_id(front, path):
    status, body, headers = await front.ask("POST", path, json={"workflow_id": "wf_1"})
    assert (status, body["run_id"]) == (202, "run_1")
    assert headers["Content-Type"] == "application/json"
    assert front.runs.requests == [run_pb2.CreateRunRequest(workflow_id="wf_1")]


async def test_defaults_are_written_and_64_bit_integers_are_strings(front):
    status, body, _ = await front.ask("GET", "/v1/runs/run_7")
    assert status == 200
    assert body["run"]["last_sequence"] == str(2**53)
    assert body["run"]["steps"] == []
    assert (await front.ask("GET", "/v1/runs"))[1] == {"runs": [], "next_page_token": ""}


async def test_the_services_own_words_arrive(front):
    status, body, headers = await front.ask("GET", "/v1/runs/missing")
    assert (status, body["code"]) == (404, "NOT_FOUND")
    assert body["detail"] == "there is no run 'missing'"
    assert headers["Content-Type"] == "application/problem+json"
    assert body["request_id"] == headers["x-request-id"]
    status, body, headers = await front.ask("GET", "/v1/runs/busy")
    assert (status, body["retry_after_s"], headers["retry-after"]) == (429, 2.5, "3")


async def test_a_bug_behind_us_shows_an_error_id_and_no_text(front):
    status, body, _ = await front.ask("GET", "/v1/runs/bug")
    assert status == 500
    assert body["error_id"].startswith("err_")
    assert "secret" not in json.dumps(body)
    assert "RuntimeError" not in json.dumps(body)


async def test_a_service_that_is_not_there_is_503_without_its_address(front):
    status, body, headers = await front.ask("GET", "/v1/workflows")
    assert (status, body["detail"]) == (503, "the workflow service cannot be reached now")
    assert "nowhere" not in json.dumps(body)
    assert headers["retry-after"] == "1"


BAD = [
    ({"data": b"x" * (2 * 1024 * 1024)}, 413, "BODY_TOO_LARGE", ""),
    ({"data": b"[" * 1000 + b"]" * 1000}, 400, "NESTED_TOO_DEEPLY", "64 deep"),
    ({"data": b'{"workflow_id": "\xff"}'}, 400, "INVALID_UTF8", "byte 17"),
    ({"data": b'{"workflow_version": NaN}'}, 400, "INVALID_JSON", "line 1 column"),
    ({"data": b"{"}, 400, "INVALID_JSON", "line 1"),
    ({"json": {"who": 1}}, 400, "INVALID_ARGUMENT", "who"),
    ({"json": {"workflow_id": 1}}, 400, "INVALID_ARGUMENT", "workflow_id"),
    ({"json": {"workflow_version": 10**400}}, 400, "INVALID_JSON", ""),
    ({"json": {"workflow_version": 10**15}}, 400, "INVALID_ARGUMENT", "workflow_version"),
    ({"data": b"{}", "headers": {"content-type": "text/plain"}}, 415, "UNSUPPORTED_MEDIA_TYPE", ""),
    ({"data": b"{}", "headers": {"content-encoding": "gzip"}}, 415, "UNSUPPORTED_ENCODING", ""),
    ({"json": {}, "headers": {"x-timeout-ms": "soon"}}, 400, "INVALID_ARGUMENT", "x-timeout-ms"),
]


@pytest.mark.parametrize(("request_", "status", "reason", "says"), BAD)
async def test_bad_input_is_a_clear_problem_and_goes_no_further(
    front, request_, status, reason, says
):
    headers = {"content-type": "application/json", **request_.pop("headers", {})}
    if "json" in request_:
        request_ = {"data": json.dumps(request_["json"])}
    found, body, _ = await front.ask("POST", "/v1/runs", headers=headers, **request_)
    assert (found, body["status"], body["reason"]) == (status, status, reason)
    assert says in json.dumps(body)
    assert front.runs.requests == []


async def test_a_body_of_unknown_length_is_limited_as_well(front):
    async def endless():
        for _ in range(40):
            yield b" " * 65536

    headers = {"content-type": "application/json"}
    status, _, _ = await front.ask("POST", "/v1/runs", data=endless(), headers=headers)
    assert status == 413


async def test_unknown_paths_and_methods(front):
    status, body, _ = await front.ask("GET", "/v2/runs")
    assert (status, body["reason"]) == (404, "NO_SUCH_PATH")
    status, body, headers = await front.ask("DELETE", "/v1/runs")
    assert (status, headers["Allow"]) == (405, "GET, POST")
    status, _, headers = await front.ask("POST", "/healthz")
    assert (status, headers["Allow"]) == (405, "GET, HEAD")


async def test_internal_rpcs_have_no_path(front):
    for path in ("/podium.browser_session.v1.BrowserSessionService/AttachSession", "/v1/attach"):
        assert (await front.ask("POST", path, json={}))[0] == 404


async def test_only_our_own_context_travels_on(front):
    claimed = {
        "podium-organization": "org_of_somebody_else",
        "podium-run-id": "run_9",
        "x-request-id": "my-request",
        "traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01",
    }
    _, _, headers = await front.ask("GET", "/v1/runs/run_1", headers=claimed)
    assert headers["x-request-id"] == "my-request"
    (context,) = front.runs.contexts
    assert context.organization_id.startswith("org_")
    assert context.organization_id != "org_of_somebody_else"
    assert (context.caller, context.request_id, context.run_id) == ("gateway", "my-request", "")
    (metadata,) = front.runs.metadata
    assert front.key not in json.dumps({k: str(v) for k, v in metadata.items()})
    assert metadata["traceparent"].split("-")[1] == "a" * 32


async def test_a_service_that_hangs_is_504_by_the_deadline(front):
    began = asyncio.get_running_loop().time()
    status, body, _ = await front.ask("GET", "/v1/runs/hang", headers={"x-timeout-ms": "300"})
    assert (status, body["code"]) == (504, "DEADLINE_EXCEEDED")
    assert asyncio.get_running_loop().time() - began < 2


async def test_pages_that_need_no_key(front):
    for path in ("/", "/healthz", "/docs", "/live", "/runs", "/openapi.json"):
        async with front.http.get(front.url + path) as answer:
            assert answer.status == 200, path
            assert answer.headers["x-content-type-options"] == "nosniff"
    async with front.http.get(front.url + "/docs") as answer:
        page = await answer.text()
        assert "script-src 'sha256-" in answer.headers["content-security-policy"]
    assert "https://" not in page  # Nothing is loaded from anywhere else.
    assert "http://" not in page
    async with front.http.head(front.url + "/healthz") as answer:
        assert (answer.status, await answer.read()) == (200, b"")


async def test_the_rate_of_a_key_is_limited(tmp_path):
    from tests.contract.gateway.edge import edge

    async with edge(tmp_path, rate_per_s=1, rate_burst=3) as front:
        found = [(await front.ask("GET", "/v1/runs"))[0] for _ in range(5)]
        assert found == [200, 200, 200, 429, 429]
        assert (await front.ask("GET", "/v1/runs"))[1]["reason"] == "RATE_LIMITED"
