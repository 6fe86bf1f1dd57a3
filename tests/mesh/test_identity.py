"""Mutual TLS and the interaction matrix, by real calls through a real Envoy."""

import asyncio
import contextlib
import itertools
import ssl
from datetime import UTC, datetime, timedelta

import aiohttp
import grpc
import pytest

from deploy import keys
from deploy.certs import files
from deploy.certs.authority import Authority, Issued
from deploy.certs.issuer import Issuer
from deploy.layout import Layout
from libs import errors
from libs.rpc import client, https, identity, policy, spiffe
from libs.rpc.certificates import Certificates, is_local
from podium.browser_session.v1.browser_session_pb2 import LocateSessionRequest
from podium.browser_session.v1.browser_session_pb2_grpc import BrowserSessionServiceStub
from tests.mesh import doors
from tests.mesh.conftest import brought_up
from tests.mesh.world import world
from tests.support.eventually import eventually
from tests.support.rpcs import refusal

PARTS = ("gateway", *policy.SERVICES)
GET_RUN = policy.rpcs()["/podium.run.v1.RunService/GetRun"]


@pytest.fixture(scope="module")
def secured(tmp_path_factory):
    """A mesh whose parts speak TCP with mutual TLS."""
    with brought_up(tmp_path_factory.mktemp("tls"), tls=True) as running:
        yield running


@pytest.fixture(scope="module")
def issuer(secured):
    """The authority of that mesh."""
    return Issuer.of(Layout(secured.home).certificates)


@contextlib.asynccontextmanager
async def line(mesh, folder):
    """A channel to Envoy's mesh listener with the certificate in a folder."""
    async with client.channel(mesh.status().mesh_target, Certificates(folder)) as channel:
        yield channel


def token(mesh, part):
    return keys.keys_of(Layout(mesh.home)).token(part)


async def asked(mesh, folder, token_of, rpc=GET_RUN, metadata=()):
    """What comes of a call with the certificate in a folder and the token of a part."""
    async with line(mesh, folder) as channel:
        said = [identity.bearer(token(mesh, token_of)), *metadata]
        return await refusal(channel, rpc, said)


def test_the_parts_listen_at_tcp_and_nothing_else(secured):
    status = secured.status()
    assert status.tls
    parts = [p for p in status.processes if p.name.rpartition("-")[0] in PARTS]
    assert len(parts) == len(PARTS)
    assert not [a for p in parts for a in p.addresses if is_local(a)]
    assert not is_local(status.mesh_target)


async def test_a_month_of_orders_comes_home_over_tls(secured):
    async with world(secured) as acme:
        await acme.has_ended(await acme.run(), "COMPLETED")


async def test_every_caller_and_every_rpc(secured, issuer):
    """Without an organisation: whom the matrix lets in is refused by the service for that."""
    wrong = []
    for part in PARTS:
        async with line(secured, issuer.folders[part]) as channel:
            said = [identity.bearer(token(secured, part))]
            for rpc in policy.rpcs().values():
                refused = await refusal(channel, rpc, said)
                if part not in rpc.callers:
                    right = isinstance(refused, errors.PermissionDenied)
                elif rpc.needs_organization:
                    right = getattr(refused, "reason", "") == "NO_ORGANIZATION"
                else:
                    right = not isinstance(refused, errors.PermissionDenied)
                if not right:
                    wrong.append((part, rpc.path, refused))
    assert not wrong


async def test_envoy_itself_denies_what_is_not_in_the_matrix(secured, issuer):
    # The token is good; Envoy does not know tokens.
    refused = await asked(secured, issuer.folders["webhook"], "gateway")
    assert isinstance(refused, errors.PermissionDenied)
    assert "RBAC" in refused.message


@pytest.mark.parametrize("claimed", [(), ((spiffe.CERTIFIED_CALLER, spiffe.uri("gateway")),)])
async def test_a_certificate_with_the_token_of_another_is_refused(secured, issuer, claimed):
    assert {"task", "gateway"} <= GET_RUN.callers
    refused = await asked(secured, issuer.folders["task"], "gateway", metadata=claimed)
    assert isinstance(refused, errors.Unauthenticated)
    assert refused.reason == "CERTIFICATE_OF_ANOTHER"


def one(folder, issued, trusted):
    """A folder with a certificate that no issuer of this mesh would give."""
    content = {"tls.crt": issued.certificate, "tls.key": issued.key, "ca.crt": trusted}
    files.publish(folder, content)
    return folder


def forged(kind, issuer, folder):
    kept = files.read(issuer.authority)
    ours = Authority.read(Issued(kept["tls.crt"], kept["tls.key"]))
    now, day = datetime.now(UTC), timedelta(days=1)
    issued = {
        "expired": lambda: ours.issue("gateway", "", now - 2 * day, day),
        "not yet valid": lambda: ours.issue("gateway", "", now + day, day),
        "of another authority": lambda: Authority.make(now).issue("gateway", "", now, day),
        "of another environment": lambda: ours.issue("gateway", "staging", now, day),
        "of nobody we know": lambda: ours.issue("somebody", "", now, day),
    }[kind]()
    return one(folder, issued, kept["tls.crt"])


KINDS = (
    "expired",
    "not yet valid",
    "of another authority",
    "of another environment",
    "of nobody we know",
)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_certificate_that_is_not_good_does_not_connect(secured, issuer, tmp_path, kind):
    assert await answered(secured, issuer)
    refused = await asked(secured, forged(kind, issuer, tmp_path), "gateway")
    assert isinstance(refused, errors.Unavailable), refused


async def answered(mesh, issuer):
    """Whether a good certificate gets as far as the service."""
    refused = await asked(mesh, issuer.folders["gateway"], "gateway")
    return getattr(refused, "reason", "") == "NO_ORGANIZATION"


@pytest.mark.parametrize("plain", [True, False])
async def test_nobody_connects_without_a_certificate(secured, issuer, plain):
    target = secured.status().mesh_target
    trusted = files.read(issuer.folders["run"])["ca.crt"]
    options = [("grpc.ssl_target_name_override", spiffe.dns_name(spiffe.ENVOY))]
    channel = (
        grpc.aio.insecure_channel(target)
        if plain
        else grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(trusted), options)
    )
    async with channel:
        said = [identity.bearer(token(secured, "gateway"))]
        assert isinstance(await refusal(channel, GET_RUN, said), errors.Unavailable)


def past_envoy(mesh, issuer, name, part):
    """A channel straight to a replica, by somebody who has a certificate of the mesh."""
    mine = files.read(issuer.folders[part])
    credentials = grpc.ssl_channel_credentials(mine["ca.crt"], mine["tls.key"], mine["tls.crt"])
    target = mesh.process(name).addresses[0]
    options = [("grpc.ssl_target_name_override", "localhost")]
    return grpc.aio.secure_channel(target, credentials, options)


@pytest.mark.parametrize("name", ["run-1", "gateway-1"])
async def test_nobody_goes_past_envoy(secured, issuer, name):
    said = [identity.bearer(token(secured, "gateway")), ("x-api-key", secured.api_key)]
    said.append((spiffe.CERTIFIED_CALLER, spiffe.uri("gateway")))
    async with past_envoy(secured, issuer, name, "gateway") as channel:
        refused = await refusal(channel, GET_RUN, said)
    assert isinstance(refused, errors.PermissionDenied)
    assert refused.reason == "NOT_THROUGH_ENVOY"


async def test_the_rest_door_is_open_to_envoy_alone(secured, issuer):
    url = f"https://{secured.process('gateway-1').addresses[1]}/healthz"
    async with aiohttp.ClientSession() as http:

        async def look(part):
            context = client_context(issuer, part)
            async with http.get(url, ssl=context, server_hostname="localhost") as answer:
                return answer.status

        assert await look(spiffe.ENVOY) == 200
        with pytest.raises(aiohttp.ClientError):
            await look("run")


async def test_a_part_speaks_to_nobody_who_is_not_envoy(secured, issuer):
    """Whoever answers in Envoy's place, even with a certificate of the mesh, is not called."""
    address = secured.process("webhook-1").addresses[0]
    async with client.channel(address, Certificates(issuer.folders["gateway"])) as channel:
        said = [identity.bearer(token(secured, "gateway"))]
        assert isinstance(await refusal(channel, GET_RUN, said), errors.Unavailable)


@pytest.fixture
async def session(secured):
    """A session of a browser in the mesh, and a link to drive it."""
    async with doors.opened("rest", secured) as door:
        made = await door.ask("browser_session.CreateSession", {})
        found = {"browser_session_id": made["session"]["browser_session_id"]}
        link = await door.ask("browser_session.CreateLink", {**found, "right": "RIGHT_DRIVE"})
        yield found["browser_session_id"], link["cdp_url"]
        await door.ask("browser_session.CloseSession", found)


async def located(mesh, issuer, session):
    """Where the browser is, for those inside the mesh, and the token of its link."""
    session_id, cdp_url = session
    link = cdp_url.partition("token=")[2]
    async with line(mesh, issuer.folders["gateway"]) as channel:
        stub = client.stub(BrowserSessionServiceStub, channel, token(mesh, "gateway"))
        request = LocateSessionRequest(browser_session_id=session_id, token=link)
        return (await stub.LocateSession(request)).url, {"authorization": f"Bearer {link}"}


async def version_of(socket):
    async with socket:
        await socket.send_json({"id": 1, "method": "Browser.getVersion"})
        return (await socket.receive_json(timeout=10))["result"]["product"]


async def test_a_browser_is_reached_through_the_edge_and_by_its_drivers_over_tls(
    secured, issuer, session
):
    async with aiohttp.ClientSession() as http:
        assert "Chrome" in await version_of(await http.ws_connect(session[1]))
    url, headers = await located(secured, issuer, session)
    assert url.startswith("wss://")
    for part in ("task", "gateway", "browser_session"):
        mine = Certificates(issuer.folders[part])
        async with https.session(mine, "browser_session") as http:
            assert "Chrome" in await version_of(await http.ws_connect(url, headers=headers))


async def test_a_browser_is_not_reached_by_other_parts_or_without_a_certificate(
    secured, issuer, session
):
    url, headers = await located(secured, issuer, session)
    async with https.session(Certificates(issuer.folders["webhook"]), "browser_session") as http:
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await http.ws_connect(url, headers=headers)
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.ClientError):
            await http.ws_connect(url, headers=headers, ssl=False)
        with pytest.raises(aiohttp.ClientError):
            await http.ws_connect(url.replace("wss:", "ws:"), headers=headers)
    # Somebody else of the mesh, in the place of a replica with browsers, is not spoken to.
    async with https.session(Certificates(issuer.folders["task"]), "run") as http:
        with pytest.raises(aiohttp.ClientError):
            await http.ws_connect(url, headers=headers)


def client_context(issuer, part):
    """What a client of HTTPS proves itself with."""
    folder = issuer.folders[part]
    made = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    made.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    return made


class Load:
    """Calls without a pause, on kept connections and on new ones."""

    def __init__(self, mesh, issuer):
        self._mesh = mesh
        self._folder = issuer.folders["gateway"]
        self._token = identity.bearer(token(mesh, "gateway"))
        self.answers = {"kept": 0, "new": 0, "edge": 0}
        self.failures = []

    async def kept(self):
        async with line(self._mesh, self._folder) as channel:
            while True:
                await self._one("kept", channel)

    async def new(self):
        while True:
            async with line(self._mesh, self._folder) as channel:
                await self._one("new", channel)

    async def edge(self):
        async with doors.opened("rest", self._mesh) as door:
            for rpc in itertools.cycle(("run.ListRuns", "totp.ListCredentials")):
                try:
                    await door.ask(rpc, {"page_size": 1})
                    self.answers["edge"] += 1
                except Exception as error:
                    self.failures.append(repr(error))

    async def _one(self, kind, channel):
        refused = await refusal(channel, GET_RUN, [self._token])
        if getattr(refused, "reason", "") == "NO_ORGANIZATION":
            self.answers[kind] += 1
        else:
            self.failures.append((kind, refused))


@contextlib.asynccontextmanager
async def load(mesh, issuer):
    found = Load(mesh, issuer)
    tasks = [asyncio.create_task(work()) for work in (found.kept, found.new, found.edge)]
    try:
        yield found
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def shown_by(mesh, issuer, address, part=spiffe.ENVOY):
    """The serial number of the certificate that a listener shows now."""
    host, _, port = address.rpartition(":")
    context = client_context(issuer, part)
    context.set_alpn_protocols(["h2"])
    _, writer = await asyncio.open_connection(
        host, int(port), ssl=context, server_hostname="localhost"
    )
    found = writer.get_extra_info("peercert")["serialNumber"]
    writer.close()
    return int(found, 16)


def serial(issuer, part):
    return next(int(e.serial, 16) for e in issuer.entries() if e.part == part)


async def test_certificates_are_renewed_without_a_failed_call(secured, issuer):
    places = {
        "envoy": secured.status().mesh_target,
        "run": secured.process("run-1").addresses[0],
        "gateway": secured.process("gateway-1").addresses[0],
    }
    async with load(secured, issuer) as found:
        for renew in (issuer.issue_all, issuer.replace_authority):
            await asyncio.to_thread(renew)

            async def is_taken_up():
                return all(
                    [
                        await shown_by(secured, issuer, where) == serial(issuer, part)
                        for part, where in places.items()
                    ]
                )

            await eventually(is_taken_up, within=10)
            await goes_on(found)
    assert not found.failures


async def goes_on(found):
    """Ten more calls of every kind have been answered."""
    at_least = {kind: count + 10 for kind, count in found.answers.items()}
    await eventually(lambda: all(found.answers[k] >= n for k, n in at_least.items()), within=30)
