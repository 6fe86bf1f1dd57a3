"""What tests ask of the run service, in short words."""

from __future__ import annotations

from typing import Any

from google.protobuf import duration_pb2

from podium.run.v1 import run_pb2


def a_request(**more: Any) -> run_pb2.CreateRunRequest:
    return run_pb2.CreateRunRequest(**{"workflow_id": "orders", **more})


async def get(stub: Any, run_id: str) -> run_pb2.Run:
    return (await stub.GetRun(run_pb2.GetRunRequest(run_id=run_id))).run


async def finished(stub: Any, run_id: str) -> run_pb2.Run:
    wait = run_pb2.WaitRunRequest(run_id=run_id, timeout=duration_pb2.Duration(seconds=20))
    answer = await stub.WaitRun(wait)
    assert answer.done, answer
    return answer.run


async def watched(stub: Any, run_id: str, after: int = 0) -> list[run_pb2.RunEvent]:
    request = run_pb2.WatchRunRequest(run_id=run_id, after_sequence=after)
    return [response.event async for response in stub.WatchRun(request, timeout=20)]


async def pause(stub: Any, run_id: str) -> run_pb2.Run:
    return (await stub.PauseRun(run_pb2.PauseRunRequest(run_id=run_id, reason="lunch"))).run


async def resume(stub: Any, run_id: str) -> run_pb2.Run:
    return (await stub.ResumeRun(run_pb2.ResumeRunRequest(run_id=run_id))).run


async def cancel(stub: Any, run_id: str) -> run_pb2.Run:
    return (await stub.CancelRun(run_pb2.CancelRunRequest(run_id=run_id, reason="enough"))).run


async def rebuilt(stub: Any, run_id: str, *, verify: bool = True) -> run_pb2.RebuildRunResponse:
    request = run_pb2.RebuildRunRequest(run_id=run_id, verify_only=verify)
    return await stub.RebuildRun(request)


def step_states(run: run_pb2.Run) -> dict[str, str]:
    name = run_pb2.SagaStepState.Name
    return {s.name: name(s.state).removeprefix("SAGA_STEP_STATE_").lower() for s in run.steps}
