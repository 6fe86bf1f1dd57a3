"""Canaries: secrets that go into the mesh are found in nothing that it wrote."""

import asyncio
import json
import urllib.error
import urllib.request

import pytest

from libs import ids
from tests.support.eventually import eventually

SEED = "CANARYCANARYMESHCANARYCANARYMESH"
PASSWORD = "canary-mesh-password-8d41"
MAIL_PASSWORD = "canary-mesh-mailbox-77c2"
CODE = "CNRY904177"
TOKEN = "canaryMeshToken0123456789"
WHERE = "canary@mesh.example"


class _Door:
    """The REST door of the mesh."""

    def __init__(self, mesh):
        self._mesh = mesh

    def ask(self, verb, path, body=None):
        """The answer, or that of the refusal."""
        request = urllib.request.Request(
            self._mesh.rest + path,
            method=verb,
            data=None if body is None else json.dumps(body).encode(),
            headers={"x-api-key": self._mesh.api_key, "content-type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as refused:
            return json.load(refused)


@pytest.fixture(scope="module")
def answers(mesh):
    """Everything a person does with secrets, and what the mesh said to it."""
    door = _Door(mesh)
    name = f"canary-{ids.token(4)}"
    kept = {"name": name, "username": "jo", "password": PASSWORD, "totpSeed": SEED}
    mailbox = {"host": "127.0.0.1", "port": 9, "username": "jo", "password": MAIL_PASSWORD}
    source = {"name": name, "identifier": WHERE, "mailbox": mailbox}
    link = f"Click to sign in: https://acme.example/magic?token={TOKEN}"
    said = [
        door.ask("POST", "/v1/credentials", kept),
        door.ask("POST", "/v1/credentials", kept),
        door.ask("POST", "/v1/credentials", {"name": f"{name}-bad", "totpSeed": SEED + "1"}),
        door.ask("PATCH", f"/v1/credentials/{name}", {"password": PASSWORD + "!"}),
        door.ask("PATCH", f"/v1/credentials/{name}", {"password": [PASSWORD]}),
        door.ask("POST", "/v1/totp/messages", {"identifier": WHERE, "content": f"Code: {CODE}"}),
        door.ask("POST", "/v1/totp/messages", {"identifier": WHERE, "content": link}),
        door.ask(
            "POST",
            "/v1/totp/messages",
            {"identifier": WHERE, "content": f"Code {CODE} or {CODE[::-1]}?"},
        ),
        door.ask("POST", "/v1/totp/sources", source),
        door.ask("GET", "/v1/totp/messages"),
        door.ask("GET", "/v1/credentials"),
    ]

    def fares():
        return [s for s in door.ask("GET", "/v1/totp/sources")["sources"] if s["name"] == name]

    failing = asyncio.run(
        eventually(lambda: [s for s in fares() if s["state"] == "SOURCE_STATE_FAILING"], within=60)
    )
    door.ask("DELETE", f"/v1/totp/sources/{name}")
    return [name, *map(json.dumps, [*said, failing])]


def test_the_mesh_took_them(answers):
    name, *said = answers
    assert name in said[0]
    assert "MESSAGE_STATE_AVAILABLE" in said[5]
    assert "MESSAGE_STATE_LINK" in said[6]
    assert "MESSAGE_STATE_UNSURE" in said[7]
    assert "SOURCE_STATE_FAILING" in said[-1]


@pytest.mark.parametrize("canary", [SEED, PASSWORD, MAIL_PASSWORD, CODE, TOKEN])
def test_no_canary_is_in_an_answer_or_a_file(mesh, answers, canary):
    name, *said = answers
    assert not [text for text in said if canary in text]
    written = {
        path: path.read_bytes()
        for path in mesh.home.rglob("*")
        if path.is_file() and "secrets" not in path.parts
    }
    # Logs, databases with their histories, Redis with its events, and spans: all are there.
    assert any(name.encode() in content for content in written.values())
    assert {path.suffix for path in written} >= {".db", ".log", ".jsonl"}
    assert not [str(path) for path, content in written.items() if canary.encode() in content]
