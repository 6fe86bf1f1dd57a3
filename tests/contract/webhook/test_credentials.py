"""Secrets that rotate, v1a, headers that nobody sees, and client certificates."""

from __future__ import annotations

import base64
import datetime as dt
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.x509.oid import NameOID
from google.protobuf.duration_pb2 import Duration
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from libs import errors
from podium.webhook.v1 import webhook_pb2 as pb
from tests.contract.webhook.conftest import Received, Sink, World
from tests.support.eventually import eventually


async def tried(world: World, sink: Sink, endpoint: pb.Endpoint) -> Received:
    """What arrives when the endpoint is tested now."""
    before = len(sink.received)
    await world.stub().TestEndpoint(pb.TestEndpointRequest(endpoint_id=endpoint.endpoint_id))
    await eventually(lambda: len(sink.received) > before)
    return sink.received[-1]


def verifies(secret: str, message: Received) -> bool:
    try:
        Webhook(secret).verify(message.body, message.headers)
    except WebhookVerificationError:
        return False
    return True


async def test_a_rotated_secret_overlaps_with_the_one_before(world: World, sink: Sink) -> None:
    endpoint, old = await world.endpoint(sink.url + "/hook")
    rotate = pb.RotateEndpointSecretRequest(endpoint_id=endpoint.endpoint_id)
    rotated = await world.stub().RotateEndpointSecret(rotate)
    assert rotated.secret.startswith("whsec_")
    assert rotated.secret != old
    lasts_s = rotated.endpoint.previous_secret_expire_time.ToSeconds() - _now().timestamp()
    assert 86_300 < lasts_s <= 86_401
    message = await tried(world, sink, endpoint)
    assert verifies(old, message)
    assert verifies(rotated.secret, message)

    rotate.overlap.CopyFrom(Duration())
    last = await world.stub().RotateEndpointSecret(rotate)
    assert not last.endpoint.HasField("previous_secret_expire_time")
    message = await tried(world, sink, endpoint)
    assert [verifies(each, message) for each in (old, rotated.secret, last.secret)] == [
        False, False, True,
    ]  # fmt: skip
    told = await eventually(world.told)
    assert {one.type for one in told} == {"webhook.endpoint.secret_rotated"}
    assert last.secret.removeprefix("whsec_") not in str(told)


@pytest.mark.parametrize("seconds", [-1, 8 * 86_400])
async def test_an_overlap_has_its_bounds(world: World, sink: Sink, seconds: int) -> None:
    endpoint, _ = await world.endpoint(sink.url)
    request = pb.RotateEndpointSecretRequest(
        endpoint_id=endpoint.endpoint_id, overlap=Duration(seconds=seconds)
    )
    with pytest.raises(errors.Invalid) as refusal:
        await world.stub().RotateEndpointSecret(request)
    assert refusal.value.violations[0][0] == "overlap"


async def test_v1a_signatures_are_checked_with_published_keys(world: World, sink: Sink) -> None:
    request = pb.CreateEndpointRequest(url=sink.url + "/hook", sign_v1a=True)
    made = await world.stub().CreateEndpoint(request)
    await world.endpoint(sink.url + "/without")
    message = await tried(world, sink, made.endpoint)
    assert verifies(made.secret, message)
    published = (await world.stub().ListSigningKeys(pb.ListSigningKeysRequest())).keys
    assert [key.endpoint_id for key in published] == [made.endpoint.endpoint_id]
    assert published[0].public_key == made.endpoint.signing_keys[0].public_key
    raw = base64.b64decode(published[0].public_key.removeprefix("whpk_"))
    headers = message.headers
    (signature,) = [s[4:] for s in headers["webhook-signature"].split() if s.startswith("v1a,")]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + message.body
    Ed25519PublicKey.from_public_bytes(raw).verify(base64.b64decode(signature), signed)

    rotate = pb.RotateEndpointSecretRequest(endpoint_id=made.endpoint.endpoint_id)
    await world.stub().RotateEndpointSecret(rotate)
    published = (await world.stub().ListSigningKeys(pb.ListSigningKeysRequest())).keys
    assert [key.HasField("expire_time") for key in published] == [False, True]


async def test_headers_are_sent_and_never_shown(
    world: World, sink: Sink, home: Path, caplog: Any
) -> None:
    caplog.set_level("DEBUG")
    token = "Bearer canary-5d1f"
    request = pb.CreateEndpointRequest(url=sink.url, headers={"Authorization": token, "X-A": "1"})
    endpoint = (await world.stub().CreateEndpoint(request)).endpoint
    assert list(endpoint.header_names) == ["authorization", "x-a"]
    message = await tried(world, sink, endpoint)
    assert (message.headers["Authorization"], message.headers["x-a"]) == (token, "1")
    change = pb.SetEndpointHeadersRequest(
        endpoint_id=endpoint.endpoint_id, headers={"X-B": "canary-9"}
    )
    changed = (await world.stub().SetEndpointHeaders(change)).endpoint
    assert list(changed.header_names) == ["x-b"]
    message = await tried(world, sink, endpoint)
    assert "Authorization" not in message.headers
    with pytest.raises(errors.Invalid) as refusal:
        change.headers["Webhook-Id"] = "canary-0"
        await world.stub().SetEndpointHeaders(change)
    assert refusal.value.violations[0][0] == "headers['Webhook-Id']"
    stored = b"".join(file.read_bytes() for file in (home / "data").iterdir())
    get = pb.GetEndpointRequest(endpoint_id=endpoint.endpoint_id)
    shown = str(await world.stub().GetEndpoint(get)) + str(await world.told()) + caplog.text
    assert b"canary" not in stored
    assert "canary" not in shown


@asynccontextmanager
async def asking_for_certificates(folder: Path, authority: Authority) -> AsyncIterator[Any]:
    """A server that lets in whom the authority knows: its URL, and the names it was shown."""
    (folder / "ca.pem").write_text(authority.pem)
    (folder / "server.pem").write_text("".join(authority.issue("localhost")))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=folder / "ca.pem")
    context.load_cert_chain(folder / "server.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    seen: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        shown = request.get_extra_info("peercert")
        seen.append(dict(pair[0] for pair in shown["subject"])["commonName"])
        return web.Response()

    app = web.Application()
    app.router.add_post("/hook", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    yield f"https://localhost:{runner.addresses[0][1]}/hook", seen
    await runner.cleanup()


async def test_an_endpoint_that_asks_for_it_is_shown_a_client_certificate(
    open_world: Any, tmp_path: Path
) -> None:
    authority = Authority()
    async with (
        asking_for_certificates(tmp_path, authority) as (url, seen),
        open_world(webhook_ca_file=str(tmp_path / "ca.pem")) as world,
    ):
        endpoint, _ = await world.endpoint(url)
        test = pb.TestEndpointRequest(endpoint_id=endpoint.endpoint_id)
        refused = (await world.stub().TestEndpoint(test)).delivery
        await eventually(lambda: _is(world, refused, pb.DELIVERY_STATE_DEAD), within=10)
        attempts = (await world.delivery(refused.delivery_id)).attempts
        assert {one.error_class for one in attempts} <= {"tls", "connect"}

        certificate, key = authority.issue("podium")
        change = pb.SetEndpointCertificateRequest(
            endpoint_id=endpoint.endpoint_id, certificate_pem=certificate, private_key_pem=key
        )
        facts = (await world.stub().SetEndpointCertificate(change)).endpoint.certificate
        assert (facts.subject, len(facts.fingerprint_sha256)) == ("CN=podium", 64)
        accepted = (await world.stub().TestEndpoint(test)).delivery
        await eventually(lambda: _is(world, accepted, pb.DELIVERY_STATE_DELIVERED))
        assert seen == ["podium"]
        gone = pb.SetEndpointCertificateRequest(endpoint_id=endpoint.endpoint_id)
        without = (await world.stub().SetEndpointCertificate(gone)).endpoint
        assert not without.HasField("certificate")


async def test_a_wrong_certificate_is_named(world: World, sink: Sink) -> None:
    endpoint, _ = await world.endpoint(sink.url)
    authority = Authority()
    certificate, key = authority.issue("podium")
    _, another = authority.issue("podium")
    expired, its_key = authority.issue("podium", days=-1)
    for given, field in (
        ((certificate, ""), "private_key_pem"),
        (("", key), "certificate_pem"),
        (("nonsense", key), "certificate_pem"),
        ((certificate, "nonsense"), "private_key_pem"),
        ((certificate, another), "private_key_pem"),
        ((expired, its_key), "certificate_pem"),
        ((certificate * 100, key), "certificate_pem"),
    ):
        request = pb.SetEndpointCertificateRequest(
            endpoint_id=endpoint.endpoint_id, certificate_pem=given[0], private_key_pem=given[1]
        )
        with pytest.raises(errors.Invalid) as refusal:
            await world.stub().SetEndpointCertificate(request)
        assert refusal.value.violations[0][0] == field


async def _is(world: World, wanted: pb.Delivery, state: int) -> bool:
    return (await world.delivery(wanted.delivery_id)).state == state


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class Authority:
    """A certificate authority of this test's own."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        certificate = self._signed(self._name, self._key.public_key(), 1, authority=True)
        self.pem = _pem(certificate)

    def issue(self, name: str, days: int = 1) -> tuple[str, str]:
        """A certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._signed(subject, key.public_key(), days)
        plain = serialization.NoEncryption()
        form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain
        return _pem(certificate), key.private_bytes(*form).decode()

    def _signed(
        self, subject: x509.Name, key: Any, days: int, *, authority: bool = False
    ) -> x509.Certificate:
        name = subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(_now() - dt.timedelta(days=2))
            .not_valid_after(_now() + dt.timedelta(days=days))
            .add_extension(x509.BasicConstraints(authority, None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(str(name))]), critical=False)
            .sign(self._key, hashes.SHA256())
        )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
