"""Every path of the API document, through Envoy, without a good key: nothing opens."""

import asyncio
import json
import re
import urllib.request

import aiohttp
import pytest

WRONG = {
    "none": {},
    "unknown": {"x-api-key": "podium_00000000_" + "0" * 64},
    # What the mesh says to itself is not believed when it comes from outside.
    "pretending": {"podium-organization": "org_default", "podium-certified-caller": "gateway"},
}
OPEN = {"/", "/docs", "/healthz", "/live", "/openapi.json"}


@pytest.fixture(scope="module")
def operations(mesh):
    """Each verb and path of the document that the edge itself serves."""
    with urllib.request.urlopen(f"{mesh.rest}/openapi.json", timeout=10) as answer:
        paths = json.load(answer)["paths"]
    return [
        (verb.upper(), re.sub(r"\{[^}]*\}", "some_id", path))
        for path, its in paths.items()
        for verb in its
        if verb in ("get", "post", "put", "patch", "delete", "head")
    ]


@pytest.mark.parametrize("headers", WRONG.values(), ids=WRONG)
async def test_every_documented_path_answers_401_through_envoy(mesh, operations, headers):
    opened = {}
    async with aiohttp.ClientSession(headers=headers) as http:

        async def ask(verb, path):
            async with http.request(verb, mesh.rest + path) as answer:
                if answer.status != 401:
                    opened[verb, path] = answer.status

        asked = [(verb, path) for verb, path in operations if path not in OPEN]
        assert len(asked) > 60
        for start in range(0, len(asked), 16):
            await asyncio.gather(*(ask(*each) for each in asked[start : start + 16]))
    assert not opened
