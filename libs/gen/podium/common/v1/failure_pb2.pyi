from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class Failure(_message.Message):
    __slots__ = ("reason", "message", "block_path", "screenshot_artifact_id", "category")
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    BLOCK_PATH_FIELD_NUMBER: _ClassVar[int]
    SCREENSHOT_ARTIFACT_ID_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    reason: str
    message: str
    block_path: str
    screenshot_artifact_id: str
    category: str
    def __init__(self, reason: _Optional[str] = ..., message: _Optional[str] = ..., block_path: _Optional[str] = ..., screenshot_artifact_id: _Optional[str] = ..., category: _Optional[str] = ...) -> None: ...
