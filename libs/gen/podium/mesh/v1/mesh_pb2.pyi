import datetime

from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from podium.common.v1 import call_pb2 as _call_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListSettingsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListSettingsResponse(_message.Message):
    __slots__ = ("version", "settings")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    version: int
    settings: _containers.RepeatedCompositeFieldContainer[Setting]
    def __init__(self, version: _Optional[int] = ..., settings: _Optional[_Iterable[_Union[Setting, _Mapping]]] = ...) -> None: ...

class Setting(_message.Message):
    __slots__ = ("name", "description", "values")
    class ValuesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    values: _containers.ScalarMap[str, str]
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., values: _Optional[_Mapping[str, str]] = ...) -> None: ...

class ChangeSettingRequest(_message.Message):
    __slots__ = ("name", "scope", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    scope: str
    value: str
    def __init__(self, name: _Optional[str] = ..., scope: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class ChangeSettingResponse(_message.Message):
    __slots__ = ("version", "before", "after")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    version: int
    before: str
    after: str
    def __init__(self, version: _Optional[int] = ..., before: _Optional[str] = ..., after: _Optional[str] = ...) -> None: ...

class ListSettingChangesRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListSettingChangesResponse(_message.Message):
    __slots__ = ("changes", "next_page_token")
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    changes: _containers.RepeatedCompositeFieldContainer[SettingChange]
    next_page_token: str
    def __init__(self, changes: _Optional[_Iterable[_Union[SettingChange, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class SettingChange(_message.Message):
    __slots__ = ("version", "setting", "before", "after", "key_id", "request_id", "change_time")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SETTING_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CHANGE_TIME_FIELD_NUMBER: _ClassVar[int]
    version: int
    setting: str
    before: str
    after: str
    key_id: str
    request_id: str
    change_time: _timestamp_pb2.Timestamp
    def __init__(self, version: _Optional[int] = ..., setting: _Optional[str] = ..., before: _Optional[str] = ..., after: _Optional[str] = ..., key_id: _Optional[str] = ..., request_id: _Optional[str] = ..., change_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetMeshRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetMeshResponse(_message.Message):
    __slots__ = ("upstreams", "replicas", "registry_answers")
    class UpstreamsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Upstream
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Upstream, _Mapping]] = ...) -> None: ...
    UPSTREAMS_FIELD_NUMBER: _ClassVar[int]
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    REGISTRY_ANSWERS_FIELD_NUMBER: _ClassVar[int]
    upstreams: _containers.MessageMap[str, Upstream]
    replicas: _containers.RepeatedCompositeFieldContainer[Replica]
    registry_answers: bool
    def __init__(self, upstreams: _Optional[_Mapping[str, Upstream]] = ..., replicas: _Optional[_Iterable[_Union[Replica, _Mapping]]] = ..., registry_answers: _Optional[bool] = ...) -> None: ...

class Replica(_message.Message):
    __slots__ = ("replica", "service", "address", "stage", "version", "started_at", "health", "calls", "work", "room", "settings_version", "settings")
    class SettingsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    REPLICA_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    HEALTH_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    WORK_FIELD_NUMBER: _ClassVar[int]
    ROOM_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_VERSION_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    replica: str
    service: str
    address: str
    stage: str
    version: str
    started_at: _timestamp_pb2.Timestamp
    health: str
    calls: int
    work: int
    room: int
    settings_version: int
    settings: _containers.ScalarMap[str, str]
    def __init__(self, replica: _Optional[str] = ..., service: _Optional[str] = ..., address: _Optional[str] = ..., stage: _Optional[str] = ..., version: _Optional[str] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., health: _Optional[str] = ..., calls: _Optional[int] = ..., work: _Optional[int] = ..., room: _Optional[int] = ..., settings_version: _Optional[int] = ..., settings: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Upstream(_message.Message):
    __slots__ = ("breaker", "bulkhead")
    BREAKER_FIELD_NUMBER: _ClassVar[int]
    BULKHEAD_FIELD_NUMBER: _ClassVar[int]
    breaker: Breaker
    bulkhead: Bulkhead
    def __init__(self, breaker: _Optional[_Union[Breaker, _Mapping]] = ..., bulkhead: _Optional[_Union[Bulkhead, _Mapping]] = ...) -> None: ...

class Breaker(_message.Message):
    __slots__ = ("state", "failures_in_a_row", "threshold", "reset_s", "retry_after_s")
    STATE_FIELD_NUMBER: _ClassVar[int]
    FAILURES_IN_A_ROW_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    RESET_S_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_S_FIELD_NUMBER: _ClassVar[int]
    state: str
    failures_in_a_row: int
    threshold: int
    reset_s: float
    retry_after_s: float
    def __init__(self, state: _Optional[str] = ..., failures_in_a_row: _Optional[int] = ..., threshold: _Optional[int] = ..., reset_s: _Optional[float] = ..., retry_after_s: _Optional[float] = ...) -> None: ...

class Bulkhead(_message.Message):
    __slots__ = ("running", "most_running", "queued", "most_queued", "long_lived", "most_long_lived", "refused")
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    MOST_RUNNING_FIELD_NUMBER: _ClassVar[int]
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    MOST_QUEUED_FIELD_NUMBER: _ClassVar[int]
    LONG_LIVED_FIELD_NUMBER: _ClassVar[int]
    MOST_LONG_LIVED_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    running: int
    most_running: int
    queued: int
    most_queued: int
    long_lived: int
    most_long_lived: int
    refused: int
    def __init__(self, running: _Optional[int] = ..., most_running: _Optional[int] = ..., queued: _Optional[int] = ..., most_queued: _Optional[int] = ..., long_lived: _Optional[int] = ..., most_long_lived: _Optional[int] = ..., refused: _Optional[int] = ...) -> None: ...
