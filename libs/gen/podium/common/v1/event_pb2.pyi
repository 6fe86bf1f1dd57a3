import datetime

from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Event(_message.Message):
    __slots__ = ("event_id", "type", "source", "organization_id", "run_id", "workflow_run_id", "task_id", "request_id", "traceparent", "occurred_at", "data", "previous_event_id")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    ORGANIZATION_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    OCCURRED_AT_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    type: str
    source: str
    organization_id: str
    run_id: str
    workflow_run_id: str
    task_id: str
    request_id: str
    traceparent: str
    occurred_at: _timestamp_pb2.Timestamp
    data: _struct_pb2.Struct
    previous_event_id: str
    def __init__(self, event_id: _Optional[str] = ..., type: _Optional[str] = ..., source: _Optional[str] = ..., organization_id: _Optional[str] = ..., run_id: _Optional[str] = ..., workflow_run_id: _Optional[str] = ..., task_id: _Optional[str] = ..., request_id: _Optional[str] = ..., traceparent: _Optional[str] = ..., occurred_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., data: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., previous_event_id: _Optional[str] = ...) -> None: ...
