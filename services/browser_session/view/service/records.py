"""The part of the door that is about recordings."""

from __future__ import annotations

from collections.abc import Callable

import grpc

from libs import errors
from libs.db import Tx
from podium.browser_session.v1 import browser_session_pb2 as pb
from services.browser_session import store as sessions_store
from services.browser_session import wire as sessions_wire
from services.browser_session.domain import Session, check_usable
from services.browser_session.view import store, wire
from services.browser_session.view.service.outside import LOOK_AGAIN_S, Outside
from services.browser_session.view.store import Recording, wheel_topic

WITHIN_S = 9.0


class RecordingRpcs:
    """Recordings begin and end."""

    _outside: Outside

    async def StartRecording(
        self, request: pb.StartRecordingRequest, context: grpc.aio.ServicerContext
    ) -> pb.StartRecordingResponse:
        kinds = wire.recorded(request.kinds)
        row = await self._outside.session(request.browser_session_id)
        check_usable(row)

        def unit(tx: Tx) -> None:
            present = store.recordings(tx, [row.session_id]).get(row.session_id)
            if present is not None and present.artifact_ids is None:
                raise errors.FailedPrecondition(
                    "the session is being recorded already", reason="RECORDING"
                )
            store.begin_recording(tx, row.organization_id, row.session_id, kinds)
            tx.notify(wheel_topic(row.owner))

        await self._outside.db.write(unit)
        await self._when(row, lambda found: found.has_begun, "the recording has not begun yet")
        return pb.StartRecordingResponse()

    async def StopRecording(
        self, request: pb.StopRecordingRequest, context: grpc.aio.ServicerContext
    ) -> pb.StopRecordingResponse:
        outside = self._outside
        row = await outside.session(request.browser_session_id)

        def unit(tx: Tx) -> None:
            store.stop_recording(tx, row.session_id)
            tx.notify(wheel_topic(row.owner))

        await outside.db.write(unit)
        kept = await self._when(
            row, lambda one: one.artifact_ids is not None, "the recording is not kept yet"
        )
        found = [
            await outside.artifacts.get(row.organization_id, artifact_id)
            for artifact_id in kept.artifact_ids or ()
        ]
        return pb.StopRecordingResponse(artifacts=map(sessions_wire.artifact, found))

    async def _when(
        self, row: Session, is_so: Callable[[Recording], bool], why_not: str
    ) -> Recording:
        """The recording once the owner of the browser has brought it so far."""
        outside = self._outside
        async with outside.signals.subscribe(sessions_store.changed(row.session_id)) as changed:
            deadline = outside.clock.monotonic() + WITHIN_S
            while True:
                listed = await outside.db.read(lambda tx: store.recordings(tx, [row.session_id]))
                found = listed.get(row.session_id)
                if found is None:
                    raise errors.FailedPrecondition(
                        "the session has not been recorded", reason="NOT_RECORDED"
                    )
                if is_so(found):
                    return found
                if outside.clock.monotonic() > deadline:
                    raise errors.Unavailable(why_not, retry_after_s=LOOK_AGAIN_S)
                await changed.wait(LOOK_AGAIN_S)
