"""Challenges and codes over real gRPC, with SQLite and Valkey: each code once, nobody polls."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from libs import context, errors, ids
from podium.totp.v1 import totp_pb2 as pb
from podium.totp.v1 import totp_pb2_grpc
from services.totp.claims import RECHECK_S
from services.totp.otp import hotp
from services.totp.service import TotpService
from tests.support.eventually import eventually
from tests.support.mesh import Running, running

STUB = totp_pb2_grpc.TotpServiceStub
KEY = b"12345678901234567890"
SEED = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
MAILBOX = "Jo@Example.test"


def gateway(service: Running, organization: str = "org_a") -> Any:
    return service.stub(STUB, as_="gateway", organization=organization)


def task(service: Running, organization: str = "org_a") -> Any:
    return service.stub(STUB, as_="task", organization=organization)


async def open_challenge(service: Running, run_id: str = "", **fields: Any) -> pb.Challenge:
    with context.bind(run_id=run_id):
        request = pb.OpenChallengeRequest(**{"identifier": MAILBOX, **fields})
        return (await task(service).OpenChallenge(request)).challenge


async def push(service: Running, content: str, **fields: Any) -> pb.SubmitMessageResponse:
    request = pb.SubmitMessageRequest(**{"identifier": MAILBOX, "content": content, **fields})
    return await gateway(service).SubmitMessage(request)


async def claim(service: Running, challenge: pb.Challenge, wait_s: float = 5) -> str:
    request = pb.ClaimCodeRequest(challenge_id=challenge.challenge_id)
    request.wait.FromTimedelta(timedelta(seconds=wait_s))
    return (await task(service).ClaimCode(request)).code


async def state_of(service: Running, challenge: pb.Challenge) -> int:
    listed = await gateway(service).ListChallenges(pb.ListChallengesRequest())
    return next(
        one.state for one in listed.challenges if one.challenge_id == challenge.challenge_id
    )


async def test_sixteen_waiters_get_sixteen_codes(totp: Running) -> None:
    challenges = [await open_challenge(totp) for _ in range(16)]
    waiting = [asyncio.create_task(claim(totp, one)) for one in challenges]
    codes = [f"{480000 + number}" for number in range(16)]
    await asyncio.gather(*(push(totp, f"Your code is {code}") for code in codes))
    assert sorted(await asyncio.gather(*waiting)) == codes


async def test_the_longest_waiting_is_served_first(totp: Running) -> None:
    first, second = await open_challenge(totp), await open_challenge(totp)
    await push(totp, "111111")
    await push(totp, "222222")
    assert await claim(totp, second) == "222222"
    assert await claim(totp, first) == "111111"


async def test_asking_again_answers_the_same_code(totp: Running) -> None:
    challenge = await open_challenge(totp)
    await push(totp, "482913")
    both = await asyncio.gather(claim(totp, challenge), claim(totp, challenge))
    assert both == ["482913", "482913"]
    other = await open_challenge(totp)
    with pytest.raises(errors.DeadlineExceeded) as caught:
        await claim(totp, other, wait_s=0.2)
    assert caught.value.reason == "NO_CODE_YET"


async def test_a_push_wakes_the_waiter_at_once(totp: Running) -> None:
    delays = []
    for number in range(10):
        challenge = await open_challenge(totp)
        waiting = asyncio.create_task(claim(totp, challenge))
        await eventually(lambda: totp.mesh.signals._subscribers)
        began = time.monotonic()
        await push(totp, f"48291{number}")
        await waiting
        delays.append(time.monotonic() - began)
    assert sorted(delays)[5] < RECHECK_S / 10


async def test_two_replicas_share_one_truth(totp: Running, tmp_path: Path, redis_url: str) -> None:
    async with running(TotpService, tmp_path, redis_url) as other:
        challenges = [await open_challenge(totp) for _ in range(8)]
        waiting = [asyncio.create_task(claim(other, one)) for one in challenges]
        await eventually(lambda: len(other.mesh.signals._subscribers) >= 8)
        began = time.monotonic()
        codes = [f"48000{number}" for number in range(8)]
        services = [totp, other] * 4
        await asyncio.gather(*(push(s, code) for s, code in zip(services, codes, strict=True)))
        assert sorted(await asyncio.gather(*waiting)) == codes
        assert time.monotonic() - began < RECHECK_S / 2


async def test_a_code_that_came_early_counts(totp: Running) -> None:
    await push(totp, "Subject: Sign in\nFrom: a@b.test\n\nYour code: 482913", source=2)
    assert await claim(totp, await open_challenge(totp)) == "482913"


async def test_a_code_from_before_not_before_does_not_count(totp: Running) -> None:
    await push(totp, "111111")
    fields: dict[str, Any] = {"not_before": datetime.now(UTC) + timedelta(seconds=0.2)}
    challenge = await open_challenge(totp, **fields)
    with pytest.raises(errors.DeadlineExceeded):
        await claim(totp, challenge, wait_s=0.4)
    await push(totp, "222222")
    assert await claim(totp, challenge) == "222222"


async def test_the_newest_early_code_wins(totp: Running) -> None:
    await push(totp, "111111")
    await push(totp, "222222")
    assert await claim(totp, await open_challenge(totp)) == "222222"


async def test_a_message_for_a_run_serves_only_that_run(totp: Running) -> None:
    mine, other = ids.new("run"), ids.new("run")
    first = await open_challenge(totp, other)
    second = await open_challenge(totp, mine)
    await push(totp, "482913", run_id=mine)
    assert await claim(totp, second) == "482913"
    assert await state_of(totp, first) == pb.CHALLENGE_STATE_WAITING


async def test_identifiers_are_compared_by_what_they_mean(totp: Running) -> None:
    challenge = await open_challenge(totp, identifier="+1 (555) 010-9999")
    await push(totp, "482913", identifier="0015550109999", source=3)
    assert await claim(totp, challenge) == "482913"
    mail = await open_challenge(totp, identifier="jo@example.test")
    await push(totp, "551327", identifier="Jo Doe <JO@Example.test>")
    assert await claim(totp, mail) == "551327"


async def test_a_person_may_type_the_code_for_one_challenge(totp: Running) -> None:
    first, second = await open_challenge(totp), await open_challenge(totp)
    await push(totp, "482 913", identifier="", challenge_id=second.challenge_id, source=4)
    assert await claim(totp, second) == "482913"
    assert await state_of(totp, first) == pb.CHALLENGE_STATE_WAITING
    with pytest.raises(errors.FailedPrecondition, match="does not wait"):
        await push(totp, "111111", challenge_id=second.challenge_id)


async def test_an_unsure_message_is_kept_from_the_waiter(totp: Running) -> None:
    challenge = await open_challenge(totp)
    answer = await push(totp, "Your codes: 482913 or 551327")
    assert answer.state == pb.MESSAGE_STATE_UNSURE
    assert await state_of(totp, challenge) == pb.CHALLENGE_STATE_WAITING


async def test_the_same_request_opens_one_challenge(totp: Running) -> None:
    first = await open_challenge(totp, request_id="task_1/login")
    again = await open_challenge(totp, request_id="task_1/login")
    assert first.challenge_id == again.challenge_id


async def test_an_expired_challenge_says_so(totp: Running) -> None:
    challenge = await open_challenge(totp, timeout=timedelta(seconds=0.3))
    began = time.monotonic()
    with pytest.raises(errors.FailedPrecondition) as caught:
        await claim(totp, challenge, wait_s=10)
    assert caught.value.reason == "CHALLENGE_EXPIRED"
    assert time.monotonic() - began < 2
    assert await state_of(totp, challenge) == pb.CHALLENGE_STATE_EXPIRED
    await push(totp, "482913")
    with pytest.raises(errors.FailedPrecondition):
        await claim(totp, challenge)


async def test_the_end_of_a_run_cancels_its_challenges(totp: Running) -> None:
    run_id = ids.new("run")
    challenge = await open_challenge(totp, run_id)
    other = await open_challenge(totp, ids.new("run"))
    waiting = asyncio.create_task(claim(totp, challenge, wait_s=20))
    await eventually(lambda: totp.mesh.signals._subscribers)
    event = _event("run.finished", run_id)
    await totp.mesh.bus.publish("run", [event, event])
    with pytest.raises(errors.FailedPrecondition) as caught:
        await waiting
    assert caught.value.reason == "CHALLENGE_CANCELED"
    assert await state_of(totp, other) == pb.CHALLENGE_STATE_WAITING


async def test_a_canceled_challenge_passes_its_code_on(totp: Running) -> None:
    run_id = ids.new("run")
    first = await open_challenge(totp, run_id)
    second = await open_challenge(totp)
    await push(totp, "482913")
    assert await state_of(totp, first) == pb.CHALLENGE_STATE_AVAILABLE
    run = totp.stub(STUB, as_="run")
    answer = await run.CancelChallenges(pb.CancelChallengesRequest(run_id=run_id))
    assert answer.canceled_count == 1
    assert await claim(totp, second) == "482913"
    answer = await run.CancelChallenges(pb.CancelChallengesRequest(run_id=run_id))
    assert answer.canceled_count == 0


def _event(type_: str, run_id: str) -> Any:
    from podium.common.v1 import event_pb2

    return event_pb2.Event(
        event_id=ids.new("evt"), type=type_, source="run", organization_id="org_a", run_id=run_id
    )


async def seeded(service: Running, period_s: int = 30) -> str:
    uri = f"otpauth://totp/x?secret={SEED}&period={period_s}"
    request = pb.CreateCredentialRequest(name=f"site-{period_s}", totp_seed=uri)
    return (await gateway(service).CreateCredential(request)).credential.credential_id


async def test_a_seed_makes_the_code_of_its_window(totp: Running) -> None:
    credential_id = await seeded(totp, 3600)
    challenge = await open_challenge(totp, identifier="", credential_id=credential_id)
    assert challenge.state == pb.CHALLENGE_STATE_AVAILABLE
    step = int(time.time() // 3600)
    code = await claim(totp, challenge)
    assert code in (hotp(KEY, step), hotp(KEY, step + 1))
    assert await claim(totp, challenge) == code


async def test_one_step_is_handed_out_once_across_replicas(
    totp: Running, tmp_path: Path, redis_url: str
) -> None:
    credential_id = await seeded(totp, 1)
    async with running(TotpService, tmp_path, redis_url) as other:
        services = [totp, other, totp, other]
        challenges = [
            await open_challenge(totp, identifier="", credential_id=credential_id) for _ in services
        ]
        claims = (claim(s, one, wait_s=15) for s, one in zip(services, challenges, strict=True))
        codes = await asyncio.gather(*claims)
    assert len(set(codes)) == 4


async def test_waiting_for_the_next_step_ends_with_the_credential(totp: Running) -> None:
    credential_id = await seeded(totp, 3600)
    first = await open_challenge(totp, identifier="", credential_id=credential_id)
    second = await open_challenge(totp, identifier="", credential_id=credential_id)
    await claim(totp, first)
    with pytest.raises(errors.DeadlineExceeded):
        await claim(totp, second, wait_s=0.2)
    waiting = asyncio.create_task(claim(totp, second, wait_s=20))
    await eventually(lambda: totp.mesh.signals._subscribers)
    await gateway(totp).DeleteCredential(pb.DeleteCredentialRequest(credential_id=credential_id))
    with pytest.raises(errors.FailedPrecondition) as caught:
        await waiting
    assert caught.value.reason == "CHALLENGE_CANCELED"
