from google.protobuf import descriptor_pb2 as _descriptor_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor
CALL_FIELD_NUMBER: _ClassVar[int]
call: _descriptor.FieldDescriptor
SECRET_FIELD_NUMBER: _ClassVar[int]
secret: _descriptor.FieldDescriptor

class CallPolicy(_message.Message):
    __slots__ = ("callers", "timeout_ms", "without_organization", "http_status", "signed", "internal")
    CALLERS_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_ORGANIZATION_FIELD_NUMBER: _ClassVar[int]
    HTTP_STATUS_FIELD_NUMBER: _ClassVar[int]
    SIGNED_FIELD_NUMBER: _ClassVar[int]
    INTERNAL_FIELD_NUMBER: _ClassVar[int]
    callers: _containers.RepeatedScalarFieldContainer[str]
    timeout_ms: int
    without_organization: bool
    http_status: int
    signed: bool
    internal: bool
    def __init__(self, callers: _Optional[_Iterable[str]] = ..., timeout_ms: _Optional[int] = ..., without_organization: _Optional[bool] = ..., http_status: _Optional[int] = ..., signed: _Optional[bool] = ..., internal: _Optional[bool] = ...) -> None: ...
