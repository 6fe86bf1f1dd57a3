"""One client for everything: the generated stubs over one channel to the edge.

    edge.ask(edge.run.GetRun, run_pb2.GetRunRequest(run_id=…))      one answer
    for message in edge.stream(edge.run.WatchRun, request): …        many

A call that fails raises the same word of `libs.errors` that the service raised.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import grpc
from google.protobuf.message import Message

from libs import errors
from podium.browser_session.v1.browser_session_pb2_grpc import BrowserSessionServiceStub
from podium.mesh.v1.mesh_pb2_grpc import MeshServiceStub
from podium.run.v1.run_pb2_grpc import RunServiceStub
from podium.task.v1.task_pb2_grpc import TaskServiceStub
from podium.totp.v1.totp_pb2_grpc import TotpServiceStub
from podium.webhook.v1.webhook_pb2_grpc import WebhookServiceStub
from podium.workflow.v1.workflow_pb2_grpc import WorkflowServiceStub

CALL_TIMEOUT_S = 30.0
_OPTIONS = [
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),
    # A mesh that is coming up is tried again soon, not after gRPC's minute-long back-off.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 1000),
]


class Edge:
    """The edge of a mesh as the holder of one API key sees it."""

    def __init__(self, address: str, api_key: str) -> None:
        self.address = address
        self.channel = grpc.insecure_channel(address, options=_OPTIONS)
        self._metadata = [("x-api-key", api_key)] if api_key else []

    @cached_property
    def run(self) -> RunServiceStub:
        """Runs."""
        return RunServiceStub(self.channel)

    @cached_property
    def workflow(self) -> WorkflowServiceStub:
        """Workflows."""
        return WorkflowServiceStub(self.channel)

    @cached_property
    def task(self) -> TaskServiceStub:
        """Tasks."""
        return TaskServiceStub(self.channel)

    @cached_property
    def totp(self) -> TotpServiceStub:
        """Credentials and one-time codes."""
        return TotpServiceStub(self.channel)

    @cached_property
    def browser_session(self) -> BrowserSessionServiceStub:
        """Browser sessions and artifacts."""
        return BrowserSessionServiceStub(self.channel)

    @cached_property
    def webhook(self) -> WebhookServiceStub:
        """Webhooks."""
        return WebhookServiceStub(self.channel)

    @cached_property
    def mesh(self) -> MeshServiceStub:
        """The mesh itself."""
        return MeshServiceStub(self.channel)

    def ask(self, method: Any, request: Message, timeout_s: float = CALL_TIMEOUT_S) -> Any:
        """Make a call with one answer."""
        try:
            return method(request, timeout=timeout_s, metadata=self._metadata)
        except grpc.RpcError as failed:
            raise errors.from_rpc(failed) from None

    def stream(self, method: Any, request: Message, timeout_s: float | None = None) -> Iterator:
        """Make a call with a stream of answers; leaving the loop ends the call."""
        call = method(request, timeout=timeout_s, metadata=self._metadata)
        try:
            yield from call
        except grpc.RpcError as failed:
            raise errors.from_rpc(failed) from None
        finally:
            call.cancel()

    def pages(self, method: Any, request: Any, field: str, limit: int) -> list[Any]:
        """The entries of a list, following its pages up to `limit`."""
        found: list[Any] = []
        while len(found) < limit:
            request.page_size = min(200, limit - len(found))
            page = self.ask(method, request)
            found.extend(getattr(page, field))
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
        return found[:limit]

    def close(self) -> None:
        """Close the channel."""
        self.channel.close()
