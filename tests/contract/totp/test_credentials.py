"""Credentials over real gRPC: what may be seen, by whom, and what never leaves."""

import logging
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from libs import context, errors, ids
from libs.events.streams import PREFIX
from podium.totp.v1 import totp_pb2 as pb
from podium.totp.v1 import totp_pb2_grpc
from tests.support.eventually import eventually
from tests.support.mesh import Running

STUB = totp_pb2_grpc.TotpServiceStub
CANARY_SEED = "CANARYCANARYCANARYCANARYCANARY22"
CANARY_PASSWORD = "canary-password-51b7"
CANARY_CODE = "90417263"
CANARY_TOKEN = "canaryToken0123456789abc"
CANARY_MAIL = "canary-mail-password-77"


async def create(service: Running, organization: str = "org_a", **fields: Any) -> pb.Credential:
    request = pb.CreateCredentialRequest(**{"name": "shop", "username": "jo", **fields})
    stub = service.stub(STUB, organization=organization)
    return (await stub.CreateCredential(request)).credential


async def test_a_credential_comes_back_without_its_secrets(totp: Running) -> None:
    created = await create(totp, password=CANARY_PASSWORD, totp_seed=CANARY_SEED)
    assert created.has_password
    assert created.has_totp_seed
    for name in (created.credential_id, "shop"):
        found = await totp.stub(STUB).GetCredential(pb.GetCredentialRequest(credential_id=name))
        assert found.credential == created


async def test_names_are_unique_in_an_organisation_only(totp: Running) -> None:
    await create(totp)
    with pytest.raises(errors.Conflict):
        await create(totp)
    await create(totp, organization="org_b")


async def test_credentials_are_listed_by_name_in_pages(totp: Running) -> None:
    for name in ("c", "a", "b"):
        await create(totp, name=name)
    stub = totp.stub(STUB)
    first = await stub.ListCredentials(pb.ListCredentialsRequest(page_size=2))
    token = first.next_page_token
    rest = await stub.ListCredentials(pb.ListCredentialsRequest(page_size=2, page_token=token))
    assert [one.name for one in [*first.credentials, *rest.credentials]] == ["a", "b", "c"]
    assert rest.next_page_token == ""
    with pytest.raises(errors.Invalid):
        await stub.ListCredentials(pb.ListCredentialsRequest(page_token="no such token"))


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 129}, "name"),
        ({"name": "cred_x"}, "name"),
        ({"username": "a\x00b"}, "username"),
        ({"totp_seed": "JBSWY3DP1"}, "totp_seed"),
        ({"totp_seed": "otpauth://totp/x?secret=JBSWY3DPEHPK3PXP&digits=12"}, "totp_seed"),
        ({"totp_identifier": "x" * 300}, "totp_identifier"),
    ],
)
async def test_bad_input_names_the_field(totp: Running, fields: dict[str, str], field: str) -> None:
    with pytest.raises(errors.Invalid) as caught:
        await create(totp, **fields)
    assert caught.value.violations[0][0] == field
    assert "JBSWY3DP" not in caught.value.message


async def test_only_the_task_reads_a_password_and_that_is_written_down(totp: Running) -> None:
    created = await create(totp, password=CANARY_PASSWORD, totp_identifier="jo@x.test")
    request = pb.ResolveCredentialRequest(credential_id="shop")
    with context.bind(run_id=ids.new("run")):
        resolved = await totp.stub(STUB, as_="task").ResolveCredential(request)
    assert (resolved.username, resolved.password) == ("jo", CANARY_PASSWORD)
    assert resolved.has_totp
    with pytest.raises(errors.PermissionDenied):
        await totp.stub(STUB, as_="gateway").ResolveCredential(request)
    trail = _rows(totp, "SELECT type, data FROM history ORDER BY sequence")
    assert [type_ for type_, _ in trail] == ["credential.created", "credential.resolved"]
    assert created.credential_id


async def test_another_organisation_finds_nothing(totp: Running) -> None:
    created = await create(totp, password="x", totp_identifier="jo@x.test")
    name = created.credential_id
    theirs = totp.stub(STUB, as_="task", organization="org_b")
    with pytest.raises(errors.NotFound):
        await totp.stub(STUB, organization="org_b").GetCredential(
            pb.GetCredentialRequest(credential_id=name)
        )
    with pytest.raises(errors.NotFound):
        await theirs.ResolveCredential(pb.ResolveCredentialRequest(credential_id=name))
    with pytest.raises(errors.NotFound):
        await theirs.OpenChallenge(pb.OpenChallengeRequest(credential_id=name))
    ours = totp.stub(STUB, as_="task")
    challenge = (await ours.OpenChallenge(pb.OpenChallengeRequest(credential_id=name))).challenge
    with pytest.raises(errors.NotFound):
        await theirs.ClaimCode(pb.ClaimCodeRequest(challenge_id=challenge.challenge_id))
    push = pb.SubmitMessageRequest(content="482913", challenge_id=challenge.challenge_id)
    with pytest.raises(errors.NotFound):
        await totp.stub(STUB, organization="org_b").SubmitMessage(push)
    with context.bind(run_id=ids.new("run")):
        await totp.stub(STUB, organization="org_b").DeleteCredential(
            pb.DeleteCredentialRequest(credential_id=name)
        )
    await totp.stub(STUB).GetCredential(pb.GetCredentialRequest(credential_id=name))


async def test_another_run_does_not_get_the_code(totp: Running) -> None:
    task = totp.stub(STUB, as_="task")
    with context.bind(run_id=ids.new("run")):
        opened = await task.OpenChallenge(pb.OpenChallengeRequest(identifier="jo@x.test"))
    claim = pb.ClaimCodeRequest(challenge_id=opened.challenge.challenge_id)
    with context.bind(run_id=ids.new("run")), pytest.raises(errors.NotFound):
        await task.ClaimCode(claim)


async def test_deleting_twice_changes_nothing(totp: Running) -> None:
    created = await create(totp, password="x")
    request = pb.DeleteCredentialRequest(credential_id=created.credential_id)
    await totp.stub(STUB).DeleteCredential(request)
    await totp.stub(STUB).DeleteCredential(request)
    with pytest.raises(errors.NotFound):
        await totp.stub(STUB).GetCredential(pb.GetCredentialRequest(credential_id="shop"))


def update(service: Running, **fields: Any) -> Any:
    request = pb.UpdateCredentialRequest(**{"credential_id": "shop", **fields})
    return service.stub(STUB).UpdateCredential(request)


async def test_a_credential_is_rotated_and_refiled(totp: Running) -> None:
    created = await create(totp, password="old", totp_seed=CANARY_SEED, folder="shops/eu")
    assert (created.version, created.folder) == (1, "shops/eu")
    moved = (await update(totp, folder="shops/us", username="dana")).credential
    assert (moved.version, moved.folder, moved.username) == (1, "shops/us", "dana")
    rotated = (await update(totp, password="new", version=1)).credential
    assert (rotated.version, rotated.has_password, rotated.has_totp_seed) == (2, True, True)
    assert rotated.rotate_time.ToNanoseconds() > rotated.create_time.ToNanoseconds()
    with pytest.raises(errors.FailedPrecondition) as caught:
        await update(totp, password="newer", version=1)
    assert caught.value.reason == "VERSION_CHANGED"
    task = totp.stub(STUB, as_="task")
    request = pb.ResolveCredentialRequest(credential_id="shop")
    assert (await task.ResolveCredential(request)).password == "new"
    without = (await update(totp, totp_seed="", name="store")).credential
    assert (without.version, without.has_totp_seed, without.name) == (3, False, "store")
    trail = [type_ for (type_,) in _rows(totp, "SELECT type FROM history ORDER BY sequence")]
    assert trail.count("credential.rotated") == 2
    assert trail.count("credential.changed") == 1


async def test_a_change_is_checked_like_a_new_credential(totp: Running) -> None:
    await create(totp)
    await create(totp, name="other")
    with pytest.raises(errors.Conflict):
        await update(totp, name="other")
    with pytest.raises(errors.NotFound):
        await update(totp, credential_id="nobody")
    for fields in ({"name": ""}, {"totp_seed": "JBSWY3DP1"}, {"folder": "a//b"}):
        with pytest.raises(errors.Invalid) as caught:
            await update(totp, **fields)
        assert caught.value.violations[0][0] == next(iter(fields))


async def test_credentials_are_listed_by_folder(totp: Running) -> None:
    for name, folder in (("a", "x"), ("b", "x/y"), ("c", "xy"), ("d", ""), ("e", "x%")):
        await create(totp, name=name, folder=folder)

    async def names(folder: str) -> list[str]:
        request = pb.ListCredentialsRequest(folder=folder)
        found = await totp.stub(STUB).ListCredentials(request)
        return [one.name for one in found.credentials]

    assert await names("x") == ["a", "b"]
    assert await names("/x/y/") == ["b"]
    assert await names("x%") == ["e"]
    assert len(await names("")) == 5


async def test_swapped_secrets_do_not_open(totp: Running) -> None:
    await create(totp, name="one", password="first")
    await create(totp, name="two", password="second")
    with sqlite3.connect(_file(totp)) as database:
        rows = dict(database.execute("SELECT name, password_sealed FROM credentials").fetchall())
        for name, other in (("one", "two"), ("two", "one")):
            swap = "UPDATE credentials SET password_sealed = ? WHERE name = ?"
            database.execute(swap, (rows[other], name))
    for name in ("one", "two"):
        with pytest.raises(errors.Internal):
            await totp.stub(STUB, as_="task").ResolveCredential(
                pb.ResolveCredentialRequest(credential_id=name)
            )


async def test_no_canary_is_found_in_anything_written(
    totp: Running, tmp_path: Path, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await create(totp, password=CANARY_PASSWORD, totp_seed=CANARY_SEED)
    await create(totp, name="mail", totp_identifier="jo@x.test")
    task = totp.stub(STUB, as_="task")
    await task.ResolveCredential(pb.ResolveCredentialRequest(credential_id="shop"))
    codes = [CANARY_CODE]
    for name in ("shop", "mail"):
        opened = await task.OpenChallenge(pb.OpenChallengeRequest(credential_id=name))
        if name == "mail":
            message = f"Your code is {CANARY_CODE}"
            submit = pb.SubmitMessageRequest(identifier="jo@x.test", content=message)
            await totp.stub(STUB).SubmitMessage(submit)
            unsure = pb.SubmitMessageRequest(identifier="q", content=f"{message} or 123455")
            await totp.stub(STUB).SubmitMessage(unsure)
        claim = pb.ClaimCodeRequest(challenge_id=opened.challenge.challenge_id)
        codes.append((await task.ClaimCode(claim)).code)
    link = f"Click to sign in: https://acme.test/magic?token={CANARY_TOKEN}"
    accepting = pb.OpenChallengeRequest(identifier="l@x.test", link_hosts=["acme.test"])
    opened = await task.OpenChallenge(accepting)
    await totp.stub(STUB).SubmitMessage(
        pb.SubmitMessageRequest(identifier="l@x.test", content=link)
    )
    challenge_id = opened.challenge.challenge_id
    got = await task.ClaimCode(pb.ClaimCodeRequest(challenge_id=challenge_id))
    assert got.link.endswith(CANARY_TOKEN)
    await task.RejectCode(pb.RejectCodeRequest(challenge_id=challenge_id))
    mailbox = pb.Mailbox(host="127.0.0.1", port=9, username="jo", password=CANARY_MAIL)
    await totp.stub(STUB).CreateSource(
        pb.CreateSourceRequest(name="box", identifier="jo@x.test", mailbox=mailbox)
    )
    pull = pb.PullUrl(url="http://127.0.0.1:9/codes")
    asked = await totp.stub(STUB).CreateSource(
        pb.CreateSourceRequest(name="url", identifier="jo@x.test", pull=pull)
    )
    await update(totp, password=CANARY_PASSWORD + "!")
    await eventually(lambda: "cannot be reached" in caplog.text, within=20)
    for seed in (CANARY_SEED + "1", "otpauth://hotp/x?secret=" + CANARY_SEED):
        with pytest.raises(errors.Invalid) as caught:
            await create(totp, name="bad", totp_seed=seed)
        assert CANARY_SEED not in caught.value.message
    async with Redis.from_url(redis_url) as redis:
        await eventually(lambda: _published(redis, 7))
        events = repr(await redis.xrange(PREFIX + "totp"))
    written = caplog.text.encode() + events.encode()
    written += b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    secrets = (CANARY_SEED, CANARY_PASSWORD, CANARY_TOKEN, CANARY_MAIL, asked.signing_secret)
    for canary in (*secrets, *codes[:1]):
        assert canary.encode() not in written
    # Six digits may turn up in the bytes of a database by chance; logs and events are text.
    assert all(code not in caplog.text + events for code in codes)
    assert b"totp.required" in written


async def _published(redis: Redis, count: int) -> bool:
    return await redis.xlen(PREFIX + "totp") >= count


def _file(service: Running) -> Path:
    return service.mesh.settings.data / "totp.db"


def _rows(service: Running, query: str) -> list[Any]:
    with sqlite3.connect(_file(service)) as database:
        return database.execute(query).fetchall()
