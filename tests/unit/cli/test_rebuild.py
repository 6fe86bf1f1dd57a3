"""podium admin rebuild, podium alerts, podium runs pause|resume against a small edge."""

import json

import pytest

from podium.run.v1 import run_pb2, run_pb2_grpc


class FakeEdge(run_pb2_grpc.RunServiceServicer):
    """Has five runs; `results` says which of them are not what their history says."""

    def __init__(self):
        self.results = {}
        self.asked = []

    def ListRuns(self, request, context):
        first = int(request.page_token or 0)
        runs = [run_pb2.Run(run_id=f"run_{n}") for n in range(first, min(first + 2, 5))]
        token = str(first + 2) if first + 2 < 5 else ""
        return run_pb2.ListRunsResponse(runs=runs, next_page_token=token)

    def RebuildRun(self, request, context):
        self.asked.append(request)
        result = self.results.get(request.run_id, run_pb2.REBUILD_RESULT_IDENTICAL)
        answer = run_pb2.RebuildRunResponse(run_id=request.run_id, result=result, event_count=10)
        if result != run_pb2.REBUILD_RESULT_IDENTICAL:
            answer.difference.place = "run.state"
            answer.difference.stored = '"failed"'
            answer.difference.rebuilt = '"completed"'
        return answer

    def ListAlerts(self, request, context):
        self.asked.append(request)
        alert = run_pb2.Alert(alert_id="alrt_1", reason="COMPENSATION_FAILED", message="stuck")
        return run_pb2.ListAlertsResponse(alerts=[alert])

    def PauseRun(self, request, context):
        self.asked.append(request)
        running = run_pb2.RUN_STATE_RUNNING
        run = run_pb2.Run(run_id=request.run_id, state=running, pause_requested=True)
        return run_pb2.PauseRunResponse(run=run)

    def ResumeRun(self, request, context):
        self.asked.append(request)
        run = run_pb2.Run(run_id=request.run_id, state=run_pb2.RUN_STATE_RUNNING)
        return run_pb2.ResumeRunResponse(run=run)


@pytest.fixture
def edge(serving):
    with serving(FakeEdge(), run_pb2_grpc.add_RunServiceServicer_to_server) as fake:
        yield fake


def test_all_runs_are_gone_through_page_by_page(podium, edge):
    assert "5 runs with 50 events: 5 identical" in podium("admin", "rebuild", "--verify").out
    assert [request.run_id for request in edge.asked] == [f"run_{n}" for n in range(5)]
    assert all(request.verify_only for request in edge.asked)


def test_a_difference_is_named_and_ends_in_its_own_exit_code(podium, edge):
    edge.results["run_3"] = run_pb2.REBUILD_RESULT_DIFFERENT
    out = podium("admin", "rebuild", "--verify", code=6).out
    assert 'run_3  different at run.state: stored "failed", by its history "completed"' in out
    assert "4 identical, 1 different" in out


def test_what_was_repaired_is_in_order_again(podium, edge):
    edge.results["run_3"] = run_pb2.REBUILD_RESULT_REPAIRED
    assert "1 repaired" in podium("admin", "rebuild").out
    assert not any(request.verify_only for request in edge.asked)


def test_one_run_as_json(podium, edge):
    edge.results["run_1"] = run_pb2.REBUILD_RESULT_HISTORY_BROKEN
    found = json.loads(podium("admin", "rebuild", "--run", "run_1", "--json", code=6).out)
    assert (found["runs"], found["history_broken"]) == (1, 1)
    (wrong,) = found["not_identical"]
    assert (wrong["result"], wrong["difference"]["place"]) == ("history_broken", "run.state")
    assert [request.run_id for request in edge.asked] == ["run_1"]


def test_alerts_are_listed(podium, edge):
    assert "stuck" in podium("alerts", "--run", "run_1").out
    assert edge.asked[0].run_id == "run_1"


def test_a_run_is_paused_and_resumed(podium, edge):
    assert "to pause" in podium("runs", "pause", "run_1", "--reason", "lunch").out
    assert "running" in podium("runs", "resume", "run_1").out
    assert [request.run_id for request in edge.asked] == ["run_1", "run_1"]
    assert edge.asked[0].reason == "lunch"
