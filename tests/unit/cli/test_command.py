"""The command as a process sees it: its words on stderr, its exit codes, its JSON."""

import json
import re
import threading

import click
import grpc
import pytest
from grpc_status import rpc_status

from gateway.cli import exits, root
from libs import errors
from podium.run.v1 import run_pb2, run_pb2_grpc
from podium.totp.v1 import totp_pb2, totp_pb2_grpc


class FakeEdge(run_pb2_grpc.RunServiceServicer, totp_pb2_grpc.TotpServiceServicer):
    """An edge that answers what it is told to, and remembers what it was asked."""

    def __init__(self):
        self.error = None
        self.events = []
        self.asked = []
        self.keys = []
        self.breaks_after = None
        self.hangs = threading.Event()

    def _note(self, request, context):
        self.asked.append(request)
        self.keys.append(dict(context.invocation_metadata()).get("x-api-key"))
        if self.error:
            context.abort_with_status(_AsStatus(errors.to_status(self.error)))

    def GetRun(self, request, context):
        self._note(request, context)
        run = run_pb2.Run(run_id=request.run_id, state=run_pb2.RUN_STATE_COMPLETED, title="t")
        run.output.update({"count": 3})
        return run_pb2.GetRunResponse(run=run)

    def ListRuns(self, request, context):
        self._note(request, context)
        first = int(request.page_token or 0)
        runs = [run_pb2.Run(run_id=f"run_{first + n}") for n in range(min(2, request.page_size))]
        token = str(first + 2) if first < 4 else ""
        return run_pb2.ListRunsResponse(runs=runs, next_page_token=token)

    def WatchRun(self, request, context):
        self._note(request, context)
        for event in self.events[request.after_sequence :]:
            if event.sequence == self.breaks_after:
                self.breaks_after = None
                context.abort(grpc.StatusCode.UNAVAILABLE, "going away")
            yield run_pb2.WatchRunResponse(event=event)

    def CreateCredential(self, request, context):
        self._note(request, context)
        credential = totp_pb2.Credential(credential_id="cred_1", name=request.name)
        return totp_pb2.CreateCredentialResponse(credential=credential)

    def SubmitMessage(self, request, context):
        self._note(request, context)
        return totp_pb2.SubmitMessageResponse(
            message_id="msg_1", state=totp_pb2.MESSAGE_STATE_AVAILABLE
        )


class _AsStatus(grpc.Status):
    def __init__(self, status):
        made = rpc_status.to_status(status)
        self.code, self.details = made.code, made.details
        self.trailing_metadata = made.trailing_metadata


@pytest.fixture
def edge(serving):
    adders = (
        run_pb2_grpc.add_RunServiceServicer_to_server,
        totp_pb2_grpc.add_TotpServiceServicer_to_server,
    )
    with serving(FakeEdge(), *adders) as fake:
        yield fake


def commands(command=root.podium, name="podium"):
    """Every command by its whole name, as a person could give it."""
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for sub_name in command.list_commands(context):
            sub = command.get_command(context, sub_name)
            assert sub is not None
            yield from commands(sub, f"{name} {sub_name}")


def test_json_is_the_only_thing_on_stdout_wherever_the_flag_stands(podium):
    for arguments in (("--json", "runs", "get", "run_1"), ("runs", "get", "run_1", "--json")):
        found = json.loads(podium(*arguments).out)
        assert found["run_id"] == "run_1"
        assert found["output"] == {"count": 3}


def test_whole_numbers_of_a_struct_are_shown_as_whole_numbers(podium):
    assert '"count": 3\n' in podium("runs", "get", "run_1", "--json").out


def test_people_get_words_instead_of_enum_names(podium):
    assert "completed" in podium("runs", "get", "run_1").out


def test_the_api_key_travels_with_each_call(podium, edge):
    podium("runs", "get", "run_1")
    assert edge.keys == ["key-of-the-test"]


def test_the_key_of_the_home_is_used_when_none_is_set(podium, edge, tmp_path, monkeypatch):
    monkeypatch.delenv("PODIUM_API_KEY")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "api-key").write_text("key-of-the-home\n")
    podium("runs", "get", "run_1")
    assert edge.keys == ["key-of-the-home"]


def test_lists_follow_pages_up_to_the_limit(podium):
    runs = json.loads(podium("runs", "list", "--limit", "5", "--json").out)["runs"]
    assert [run["run_id"] for run in runs] == ["run_0", "run_1", "run_2", "run_3", "run_4"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.Invalid("run_id", "must be an id"), exits.USAGE),
        (errors.NotFound("run", "run_1"), exits.NOT_FOUND),
        (errors.Unavailable("the run service does not answer"), exits.UNAVAILABLE),
        (errors.Unauthenticated("no such key"), exits.DENIED),
        (errors.PermissionDenied("not allowed"), exits.DENIED),
        (errors.Conflict("exists"), exits.CONFLICT),
        (errors.Aborted("etag"), exits.CONFLICT),
        (errors.FailedPrecondition("ended"), exits.CONFLICT),
        (errors.Exhausted("full", retry_after_s=2), exits.BUSY),
        (errors.DeadlineExceeded("late"), exits.LATE),
        (errors.Internal("a bug"), exits.INTERNAL),
    ],
)
def test_each_error_has_its_exit_code_and_its_words(podium, edge, error, code):
    edge.error = error
    printed = podium("runs", "get", "run_1", code=code)
    assert error.message in printed.err
    assert printed.out == ""


def test_with_json_an_error_is_json_on_stderr(podium, edge):
    edge.error = errors.Invalid.many([("a", "is wrong"), ("b", "too")])
    printed = podium("runs", "get", "run_1", "--json", code=exits.USAGE)
    assert printed.out == ""
    error = json.loads(printed.err)["error"]
    assert error["reason"] == "INVALID_ARGUMENT"
    assert error["violations"] == [
        {"field": "a", "why": "is wrong"},
        {"field": "b", "why": "too"},
    ]


def test_each_violation_is_a_line_of_its_own(podium, edge):
    edge.error = errors.Invalid.many([("a", "is wrong"), ("b", "is wrong too")])
    assert "  b: is wrong too" in podium("runs", "get", "run_1", code=exits.USAGE).err


def test_when_nothing_answers_the_way_out_is_named(podium, monkeypatch):
    monkeypatch.setenv("PODIUM_ADDRESS", "127.0.0.1:1")
    assert "make up" in podium("runs", "list", code=exits.UNAVAILABLE).err


def test_status_of_a_mesh_that_is_not_up(podium):
    assert "make up" in podium("status", code=exits.UNAVAILABLE).out
    assert json.loads(podium("status", "--json", code=exits.UNAVAILABLE).out) == {"up": False}


@pytest.mark.parametrize(
    "arguments",
    [("runs", "get"), ("nonsense",), ("runs", "list", "--limit", "0"), ("run",), ("--nope",)],
)
def test_wrong_usage_is_exit_code_2_and_names_the_help(podium, arguments):
    assert "--help" in podium(*arguments, code=exits.USAGE).err


def event(sequence, type_, **data):
    made = run_pb2.RunEvent(run_id="run_1", sequence=sequence, type=type_)
    made.occurred_at.FromMilliseconds(1_800_000_000_000 + sequence * 1000)
    made.data.update(data)
    return made


@pytest.fixture
def history(edge):
    block = {"block_path": "sign_in", "kind": "login", "state": "completed"}
    edge.events = [
        event(1, "run.created"),
        event(2, "block.started", **block),
        event(3, "block.finished", **block),
        event(4, "run.finished", state="completed"),
    ]
    return edge.events


def test_watch_tells_block_by_block_with_times(podium, history, monkeypatch):
    monkeypatch.setattr("gateway.cli.runs.artifacts", lambda *_: [])
    printed = podium("watch", "run_1")
    assert re.search(r"✓ sign_in \(login\)\s+1\.00 s", printed.out)


def test_watch_as_json_is_one_event_a_line(podium, history):
    lines = podium("watch", "run_1", "--json").out.splitlines()
    assert [int(json.loads(line)["sequence"]) for line in lines] == [1, 2, 3, 4]


def test_a_broken_stream_is_taken_up_without_gap_or_repeat(podium, edge, history):
    edge.breaks_after = 3
    lines = podium("watch", "run_1", "--json").out.splitlines()
    assert [int(json.loads(line)["sequence"]) for line in lines] == [1, 2, 3, 4]


def test_ctrl_c_lets_go_of_a_watch_and_says_how_to_go_on(podium, history, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("gateway.cli.watching.history", interrupted)
    printed = podium("watch", "run_1", code=exits.INTERRUPTED)
    assert "podium watch run_1" in printed.err
    assert "podium runs cancel run_1" in printed.err


def test_secrets_come_from_a_file_and_never_from_arguments(podium, edge, tmp_path):
    secrets = tmp_path / "acme.env"
    secrets.write_text("# the portal\nPASSWORD='hunter 2'\nTOTP_SEED=JBSWY3DPEHPK3PXP\n")
    printed = podium("totp", "credentials", "create", "acme", "--secrets-file", str(secrets))
    assert edge.asked[0].password == "hunter 2"
    assert edge.asked[0].totp_seed == "JBSWY3DPEHPK3PXP"
    assert "hunter" not in printed.out + printed.err


def test_a_wrong_line_in_a_secrets_file_is_named_without_its_content(podium, tmp_path):
    secrets = tmp_path / "acme.env"
    secrets.write_text("PASSWORD=x\nhunter2\n")
    arguments = ("totp", "credentials", "create", "acme", "--secrets-file", str(secrets))
    printed = podium(*arguments, code=exits.USAGE)
    assert "line 2" in printed.err
    assert "hunter2" not in printed.err


def test_no_option_takes_a_secret():
    found = [name for _, one in commands() for option in one.params for name in option.opts]
    secret = re.compile(r"^--(password|seed|totp-seed|code|api-key|secret)$")
    assert "--params-file" in found
    assert [name for name in found if secret.match(name)] == []


def test_a_code_is_read_from_stdin(podium, edge, monkeypatch):
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("Your code is 123456\n"))
    podium("totp", "submit", "--challenge", "chal_1", "--source", "sms")
    assert edge.asked[0].content == "Your code is 123456"
    assert edge.asked[0].source == totp_pb2.MESSAGE_SOURCE_SMS


def test_the_code_of_a_seed_is_that_of_the_rfc(podium, monkeypatch):
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\n"))
    found = json.loads(podium("totp", "code", "--json").out)
    assert re.fullmatch(r"\d{6}", found["code"])
    assert 0 < found["seconds_left"] <= 30


def test_call_is_dynamic_over_the_contracts(podium, edge):
    answer = json.loads(podium("call", "run.GetRun", '{"run_id": "run_7"}').out)
    assert answer["run"]["run_id"] == "run_7"
    full = podium("call", "podium.run.v1.RunService/GetRun", '{"run_id": "run_8"}')
    assert json.loads(full.out)["run"]["run_id"] == "run_8"


def test_call_of_a_stream_is_one_document_a_line(podium, history):
    lines = podium("call", "run.WatchRun", '{"run_id": "run_1"}').out.splitlines()
    assert [json.loads(line)["event"]["type"] for line in lines][-1] == "run.finished"


def test_call_names_what_is_wrong_with_the_request(podium):
    printed = podium("call", "run.GetRun", '{"runid": 1}', code=exits.USAGE)
    assert "runid" in printed.err


@pytest.mark.parametrize("rpc", ["run.Nonsense", "nonsense.GetRun", "run.Nonsense/x"])
def test_call_of_an_unknown_rpc_lists_those_there_are(podium, rpc):
    printed = podium("call", rpc, code=exits.NOT_FOUND)
    assert "run.GetRun" in printed.err or "podium call" in printed.err


def test_call_alone_lists_every_public_rpc(podium):
    assert re.search(r"run\.CreateRun +POST /v1/runs", podium("call").out)


def test_every_command_has_help_and_json():
    assert "podium runs get" in dict(commands())
    for name, command in commands():
        assert command.help, name
        assert any("--json" in option.opts for option in command.params), name
        assert isinstance(command, click.Command)


def test_the_help_tells_the_exit_codes(podium):
    assert "the mesh is not reachable" in podium("--help").out
