"""Mutual TLS between the containers: what a part cannot do, and certificates renewed under load."""

import json
from pathlib import Path

from tests.compose.containers import COMPOSE, command
from tests.compose.load import load

INTRUDER = (Path(__file__).parent / "intruder.py").read_text()


async def test_a_part_that_was_taken_over_does_nothing_but_its_own(mesh):
    program = ("python", "-c", INTRUDER, "run:50051")
    told = json.loads(await command(*COMPOSE, "exec", "-T", "webhook", *program))
    assert told == {
        "through envoy": "PERMISSION_DENIED",
        "past envoy": "NOT_THROUGH_ENVOY",
        "without a certificate": "UNAVAILABLE",
    }


async def test_certificates_are_renewed_under_load_without_a_failed_request(mesh):
    program = ("python", "-m", "deploy.compose.certificates")
    async with load(mesh) as (found, door):
        for word in ("renew", "replace-authority"):
            await command(*COMPOSE, "exec", "-T", "certs", *program, word)
            await found.goes_on()
        assert found.failures == []
        assert found.refused == []
        await found.all_completed(door)
