"""The commands of totp against an edge that remembers what it was asked."""

import json

import pytest

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
def edge(serving):
    with serving(FakeEdge(), totp_pb2_grpc.add_TotpServiceServicer_to_server) as fake:
        yield fake


@pytest.fixture
def totp(podium):
    return lambda *arguments, stdin="": podium("totp", *arguments, stdin=stdin).out


def test_only_what_is_given_is_changed(totp, edge):
    totp("credentials", "update", "shop", "--folder", "shops/eu", "--username", "")
    (asked,) = edge.asked
    assert (asked.credential_id, asked.folder) == ("shop", "shops/eu")
    given = ("folder", "username", "name", "totp_identifier", "password", "totp_seed")
    assert [name for name in given if asked.HasField(name)] == ["folder", "username"]


def test_secrets_are_rotated_from_a_file(totp, edge, tmp_path):
    secrets = tmp_path / "new.env"
    secrets.write_text("PASSWORD=hunter 3\n")
    printed = totp("credentials", "update", "shop", "--secrets-file", str(secrets))
    assert edge.asked[0].password == "hunter 3"
    assert not edge.asked[0].HasField("totp_seed")
    assert "hunter" not in printed


def test_a_mailbox_is_added_with_its_password_from_stdin(totp, edge):
    options = ("--identifier", "jo@x.test", "--host", "imap.x.test", "--security", "starttls")
    printed = totp("sources", "add-mailbox", "inbox", *options, stdin="pass word\n")
    mailbox = edge.asked[0].mailbox
    assert (mailbox.username, mailbox.password) == ("jo@x.test", "pass word")
    assert mailbox.security == pb.MAIL_SECURITY_STARTTLS
    assert "pass word" not in printed


def test_the_signing_secret_of_a_url_is_shown_once(totp, edge):
    url = "https://codes.x.test/ask"
    assert "whsec_x" in totp("sources", "add-url", "codes", url, "--identifier", "jo@x.test")
    assert edge.asked[0].pull.url == url


def test_messages_are_shown_redacted(totp, edge):
    found = json.loads(totp("messages", "--state", "unsure", "--json"))
    assert found["messages"][0]["redacted_text"] == "•• or ••"
    assert edge.asked[0].state == pb.MESSAGE_STATE_UNSURE


def test_a_challenge_is_followed_and_canceled(totp, edge):
    assert totp("watch", "chal_1").split() == "chal_1 is waiting chal_1 is canceled".split()
    totp("cancel", "chal_1")
    assert edge.asked[0].challenge_id == "chal_1"
