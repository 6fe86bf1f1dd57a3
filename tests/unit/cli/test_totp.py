"""The commands of totp against an edge that remembers what it was asked."""

import json

import pytest

from podium.totp.v1 import totp_pb2 as pb
from podium.totp.v1 import totp_pb2_grpc


class FakeEdge(totp_pb2_grpc.TotpServiceServicer):
    """Answers the shortest thing that is well-formed."""

    def __init__(self):
        self.asked = []
        self.waiting = []
        self.ends = pb.CHALLENGE_STATE_CANCELED

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

    def ListChallenges(self, request, context):
        self.asked.append(request)
        found = [c for c in self.waiting if request.run_id in ("", c.run_id)]
        return pb.ListChallengesResponse(challenges=found)

    def SubmitMessage(self, request, context):
        self.asked.append(request)
        unsure = pb.MESSAGE_STATE_UNSURE, pb.MESSAGE_STATE_AVAILABLE
        return pb.SubmitMessageResponse(state=unsure["code" not in request.content])

    def WatchChallenge(self, request, context):
        for state in (pb.CHALLENGE_STATE_WAITING, self.ends):
            seen = pb.Challenge(challenge_id=request.challenge_id, state=state)
            yield pb.WatchChallengeResponse(challenge=seen)

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


def challenge(number, run="run_1"):
    return pb.Challenge(challenge_id=f"chal_{number}", run_id=run, identifier="jo@x.test")


def test_a_code_is_typed_for_the_login_that_waits(totp, edge):
    edge.waiting, edge.ends = [challenge(1)], pb.CHALLENGE_STATE_CLAIMED
    assert "The login has the code (chal_1)." in " ".join(totp("type", stdin="482913\n").split())
    listed, submitted = edge.asked
    assert (listed.state, listed.run_id) == (pb.CHALLENGE_STATE_WAITING, "")
    assert (submitted.challenge_id, submitted.content) == ("chal_1", "482913")
    assert submitted.source == pb.MESSAGE_SOURCE_MANUAL


def test_of_several_logins_the_one_is_named(podium, edge):
    edge.waiting = [challenge(1), challenge(2), challenge(3, "run_2")]
    edge.ends = pb.CHALLENGE_STATE_CLAIMED
    refused = podium("totp", "type", "run_1", code=2, stdin="482913")
    assert "chal_1, chal_2" in refused.err
    assert "chal_3" in podium("totp", "type", "run_2", stdin="482913").out


@pytest.mark.parametrize(
    ("run", "typed", "code", "why"),
    [
        ("run_9", "482913", 6, "no login of run_9 waits"),
        ("run_1", "no code here", 2, "no code could be told"),
        ("run_1", "482913", 6, "canceled before the code was taken"),
    ],
)
def test_a_code_that_is_not_taken_is_an_error(podium, edge, run, typed, code, why):
    edge.waiting = [challenge(1)]
    refused = podium("totp", "type", run, code=code, stdin=typed)
    assert why in " ".join(refused.err.split())
    assert typed not in refused.out
