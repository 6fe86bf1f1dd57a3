"""The registry's entries and the gateway's guards as messages."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from gateway.mesh.store import Change
from gateway.upstreams import Guard
from libs import tuning, wire
from libs.registry import Replica
from libs.tuning import Knob
from podium.mesh.v1 import mesh_pb2


def replica(known: Replica) -> mesh_pb2.Replica:
    """One replica as it last told of itself."""
    told = mesh_pb2.Replica(
        replica=known.replica,
        service=known.service,
        address=known.address,
        stage=known.stage,
        version=known.version,
        health=known.health,
        calls=known.calls,
        work=known.work,
        room=known.room,
        settings_version=known.settings_version,
        settings=known.settings,
    )
    if known.started_at:
        told.started_at.CopyFrom(wire.timestamp(datetime.fromisoformat(known.started_at)))
    return told


def setting(knob: Knob, values: Mapping[str, str]) -> mesh_pb2.Setting:
    """A setting, with what was said about it."""
    said = {
        scope: text
        for name, _, scope in (key.partition("/") for key in values)
        if name == knob.name and (text := values[tuning.key(name, scope)])
    }
    return mesh_pb2.Setting(name=knob.name, description=knob.description, values=said)


def change(made: Change) -> mesh_pb2.SettingChange:
    """One line of the audit."""
    return mesh_pb2.SettingChange(
        version=made.version,
        setting=made.setting,
        before=made.before,
        after=made.after,
        key_id=made.key_id,
        request_id=made.request_id,
        change_time=wire.timestamp(made.change_time),
    )


def upstream(guard: Guard) -> mesh_pb2.Upstream:
    """A breaker and a bulkhead as they are now."""
    breaker, bulkhead = guard.breaker, guard.bulkhead
    return mesh_pb2.Upstream(
        breaker=mesh_pb2.Breaker(
            state=breaker.state,
            failures_in_a_row=breaker.failures,
            threshold=breaker.threshold,
            reset_s=breaker.reset_s,
            retry_after_s=round(breaker.retry_after_s, 3),
        ),
        bulkhead=mesh_pb2.Bulkhead(
            running=bulkhead.running,
            most_running=bulkhead.room.concurrent,
            queued=bulkhead.queued,
            most_queued=bulkhead.room.queued,
            long_lived=bulkhead.long_lived,
            most_long_lived=bulkhead.room.long_lived,
            refused=bulkhead.refused,
        ),
    )
