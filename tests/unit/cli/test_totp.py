"""The commands of totp against an edge that remembers what it was asked."""

import io
import json
from concurrent import futures

import grpc
import pytest

from gateway.cli import root
from podium.totp.v1 import totp_pb2 as pb
from podium.totp.v1 import totp_pb2_grpc


class FakeEdge(totp_pb2_grpc.TotpServiceServicer):
    """Answers the shortest thing that is well-formed."""

    def __init__(self):
        self.asked = []

    def UpdateCredential(self, request, context):
        self.asked.append(request)
        kept = pb.Credential(credential_id="cred_1", name="shop", version=2)
        return pb.UpdateCredentialResponse(credential=kept)

    def CreateSource(self, request, context):
        self.asked.append(request)
        source = pb.Source(source_id="src_1", name=request.name)
        secret = "whsec_x" if request.WhichOneof("kind") == "pull" else ""
        return pb.CreateSourceResponse(source=source, signing_secret=secret)

    def ListMessages(self, request, context):
        self.asked.append(request)
        unsure = pb.Message(message_id="msg_1", state=request.state, redacted_text="•• or ••")
        return pb.ListMessagesResponse(messages=[unsure])

    def WatchChallenge(self, request, context):
        for state in (pb.CHALLENGE_STATE_WAITING, pb.CHALLENGE_STATE_CANCELED):
            yield pb.WatchChallengeResponse(challenge=pb.Challenge(state=state))

    def CancelChallenge(self, request, context):
        self.asked.append(request)
        state = pb.CHALLENGE_STATE_CANCELED
        return pb.CancelChallengeResponse(challenge=pb.Challenge(challenge_id="c", state=state))


@pytest.fixture
def edge():
    server = grpc.server(futures.ThreadPoolExecutor(2))
    fake = FakeEdge()
    totp_pb2_grpc.add_TotpServiceServicer_to_server(fake, server)
    fake.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield fake
    server.stop(0)


@pytest.fixture
def podium(edge, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PODIUM_API_KEY", "key-of-the-test")
    monkeypatch.setenv("PODIUM_HOME", str(tmp_path))
    monkeypatch.setenv("PODIUM_ADDRESS", edge.address)

    def invoke(*arguments, stdin=""):
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        with pytest.raises(SystemExit) as ended:
            root.main(("totp", *arguments))
        printed = capsys.readouterr()
        assert ended.value.code == 0, printed.err
        return printed.out

    return invoke


def test_only_what_is_given_is_changed(podium, edge):
    podium("credentials", "update", "shop", "--folder", "shops/eu", "--username", "")
    (asked,) = edge.asked
    assert (asked.credential_id, asked.folder) == ("shop", "shops/eu")
    given = ("folder", "username", "name", "totp_identifier", "password", "totp_seed")
    assert [name for name in given if asked.HasField(name)] == ["folder", "username"]


def test_secrets_are_rotated_from_a_file(podium, edge, tmp_path):
    secrets = tmp_path / "new.env"
    secrets.write_text("PASSWORD=hunter 3\n")
    printed = podium("credentials", "update", "shop", "--secrets-file", str(secrets))
    assert edge.asked[0].password == "hunter 3"
    assert not edge.asked[0].HasField("totp_seed")
    assert "hunter" not in printed


def test_a_mailbox_is_added_with_its_password_from_stdin(podium, edge):
    options = ("--identifier", "jo@x.test", "--host", "imap.x.test", "--security", "starttls")
    printed = podium("sources", "add-mailbox", "inbox", *options, stdin="pass word\n")
    mailbox = edge.asked[0].mailbox
    assert (mailbox.username, mailbox.password) == ("jo@x.test", "pass word")
    assert mailbox.security == pb.MAIL_SECURITY_STARTTLS
    assert "pass word" not in printed


def test_the_signing_secret_of_a_url_is_shown_once(podium, edge):
    url = "https://codes.x.test/ask"
    assert "whsec_x" in podium("sources", "add-url", "codes", url, "--identifier", "jo@x.test")
    assert edge.asked[0].pull.url == url


def test_messages_are_shown_redacted(podium, edge):
    found = json.loads(podium("messages", "--state", "unsure", "--json"))
    assert found["messages"][0]["redacted_text"] == "•• or ••"
    assert edge.asked[0].state == pb.MESSAGE_STATE_UNSURE


def test_a_challenge_is_followed_and_canceled(podium, edge):
    assert podium("watch", "chal_1").split() == "chal_1 is waiting chal_1 is canceled".split()
    podium("cancel", "chal_1")
    assert edge.asked[0].challenge_id == "chal_1"
