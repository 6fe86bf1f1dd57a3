import datetime

from google.api import annotations_pb2 as _annotations_pb2
from google.api import httpbody_pb2 as _httpbody_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from podium.browser_session.v1 import profile_pb2 as _profile_pb2
from podium.browser_session.v1 import settings_pb2 as _settings_pb2
from podium.common.v1 import call_pb2 as _call_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SessionState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SESSION_STATE_UNSPECIFIED: _ClassVar[SessionState]
    SESSION_STATE_QUEUED: _ClassVar[SessionState]
    SESSION_STATE_PROVISIONING: _ClassVar[SessionState]
    SESSION_STATE_READY: _ClassVar[SessionState]
    SESSION_STATE_OCCUPIED: _ClassVar[SessionState]
    SESSION_STATE_CLOSED: _ClassVar[SessionState]
    SESSION_STATE_FAILED: _ClassVar[SessionState]
    SESSION_STATE_CRASHED: _ClassVar[SessionState]
    SESSION_STATE_DRAINING: _ClassVar[SessionState]
    SESSION_STATE_TIMED_OUT: _ClassVar[SessionState]

class Right(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RIGHT_UNSPECIFIED: _ClassVar[Right]
    RIGHT_DRIVE: _ClassVar[Right]
    RIGHT_VIEW: _ClassVar[Right]
SESSION_STATE_UNSPECIFIED: SessionState
SESSION_STATE_QUEUED: SessionState
SESSION_STATE_PROVISIONING: SessionState
SESSION_STATE_READY: SessionState
SESSION_STATE_OCCUPIED: SessionState
SESSION_STATE_CLOSED: SessionState
SESSION_STATE_FAILED: SessionState
SESSION_STATE_CRASHED: SessionState
SESSION_STATE_DRAINING: SessionState
SESSION_STATE_TIMED_OUT: SessionState
RIGHT_UNSPECIFIED: Right
RIGHT_DRIVE: Right
RIGHT_VIEW: Right

class SessionOptions(_message.Message):
    __slots__ = ("viewport_width", "viewport_height", "locale", "max_life", "idle_timeout", "time_zone", "user_agent", "geolocation", "proxy", "extra_headers", "block", "egress", "first_connect_timeout", "profile")
    VIEWPORT_WIDTH_FIELD_NUMBER: _ClassVar[int]
    VIEWPORT_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    LOCALE_FIELD_NUMBER: _ClassVar[int]
    MAX_LIFE_FIELD_NUMBER: _ClassVar[int]
    IDLE_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    TIME_ZONE_FIELD_NUMBER: _ClassVar[int]
    USER_AGENT_FIELD_NUMBER: _ClassVar[int]
    GEOLOCATION_FIELD_NUMBER: _ClassVar[int]
    PROXY_FIELD_NUMBER: _ClassVar[int]
    EXTRA_HEADERS_FIELD_NUMBER: _ClassVar[int]
    BLOCK_FIELD_NUMBER: _ClassVar[int]
    EGRESS_FIELD_NUMBER: _ClassVar[int]
    FIRST_CONNECT_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    viewport_width: int
    viewport_height: int
    locale: str
    max_life: _duration_pb2.Duration
    idle_timeout: _duration_pb2.Duration
    time_zone: str
    user_agent: str
    geolocation: _settings_pb2.Geolocation
    proxy: _settings_pb2.UpstreamProxy
    extra_headers: _containers.RepeatedCompositeFieldContainer[_settings_pb2.ExtraHeader]
    block: _settings_pb2.ResourceBlocking
    egress: _settings_pb2.EgressPolicy
    first_connect_timeout: _duration_pb2.Duration
    profile: _settings_pb2.ProfileUse
    def __init__(self, viewport_width: _Optional[int] = ..., viewport_height: _Optional[int] = ..., locale: _Optional[str] = ..., max_life: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., idle_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., time_zone: _Optional[str] = ..., user_agent: _Optional[str] = ..., geolocation: _Optional[_Union[_settings_pb2.Geolocation, _Mapping]] = ..., proxy: _Optional[_Union[_settings_pb2.UpstreamProxy, _Mapping]] = ..., extra_headers: _Optional[_Iterable[_Union[_settings_pb2.ExtraHeader, _Mapping]]] = ..., block: _Optional[_Union[_settings_pb2.ResourceBlocking, _Mapping]] = ..., egress: _Optional[_Union[_settings_pb2.EgressPolicy, _Mapping]] = ..., first_connect_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., profile: _Optional[_Union[_settings_pb2.ProfileUse, _Mapping]] = ...) -> None: ...

class Session(_message.Message):
    __slots__ = ("browser_session_id", "state", "close_reason", "run_id", "options", "warnings", "create_time", "ready_time", "end_time", "queue_position", "queue_expire_time", "expire_time", "reuse_key")
    BROWSER_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CLOSE_REASON_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    READY_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    QUEUE_POSITION_FIELD_NUMBER: _ClassVar[int]
    QUEUE_EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    REUSE_KEY_FIELD_NUMBER: _ClassVar[int]
    browser_session_id: str
    state: SessionState
    close_reason: str
    run_id: str
    options: SessionOptions
    warnings: _containers.RepeatedScalarFieldContainer[str]
    create_time: _timestamp_pb2.Timestamp
    ready_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    queue_position: int
    queue_expire_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    reuse_key: str
    def __init__(self, browser_session_id: _Optional[str] = ..., state: _Optional[_Union[SessionState, str]] = ..., close_reason: _Optional[str] = ..., run_id: _Optional[str] = ..., options: _Optional[_Union[SessionOptions, _Mapping]] = ..., warnings: _Optional[_Iterable[str]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ready_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., queue_position: _Optional[int] = ..., queue_expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reuse_key: _Optional[str] = ...) -> None: ...

class Artifact(_message.Message):
    __slots__ = ("artifact_id", "kind", "name", "content_type", "size_bytes", "sha256", "browser_session_id", "run_id", "create_time", "expire_time")
    ARTIFACT_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    CONTENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    BROWSER_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    artifact_id: str
    kind: str
    name: str
    content_type: str
    size_bytes: int
    sha256: str
    browser_session_id: str
    run_id: str
    create_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    def __init__(self, artifact_id: _Optional[str] = ..., kind: _Optional[str] = ..., name: _Optional[str] = ..., content_type: _Optional[str] = ..., size_bytes: _Optional[int] = ..., sha256: _Optional[str] = ..., browser_session_id: _Optional[str] = ..., run_id: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class CreateSessionRequest(_message.Message):
    __slots__ = ("request_id", "options", "return_at_once", "queue_timeout")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    RETURN_AT_ONCE_FIELD_NUMBER: _ClassVar[int]
    QUEUE_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    options: SessionOptions
    return_at_once: bool
    queue_timeout: _duration_pb2.Duration
    def __init__(self, request_id: _Optional[str] = ..., options: _Optional[_Union[SessionOptions, _Mapping]] = ..., return_at_once: _Optional[bool] = ..., queue_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class CreateSessionResponse(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: Session
    def __init__(self, session: _Optional[_Union[Session, _Mapping]] = ...) -> None: ...

class GetSessionRequest(_message.Message):
    __slots__ = ("browser_session_id",)
    BROWSER_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    browser_session_id: str
    def __init__(self, browser_session_id: _Optional[str] = ...) -> None: ...

class GetSessionResponse(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: Session
    def __init__(self, session: _Optional[_Union[Session, _Mapping]] = ...) -> None: ...

class ListSessionsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "states")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    states: _containers.RepeatedScalarFieldContainer[SessionState]
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., states: _Optional[_Iterable[_Union[SessionState, str]]] = ...) -> None: ...

class ListSessionsResponse(_message.Message):
    __slots__ = ("sessions", "next_page_token")
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    sessions: _containers.RepeatedCompositeFieldContainer[Session]
    next_page_token: str
    def __init__(self, sessions: _Optional[_Iterable[_Union[Session, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class RenewSessionRequest(_message.Message):
    __slots__ = ("browser_session_id", "life")
    BROWSER_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    LIFE_FIELD_NUMBER: _ClassVar[int]
    browser_session_id: str
    life: _duration_pb2.Duration
    def __init__(self, browser_session_id: _Optional[str] = ..., life: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class RenewSessionResponse(_message.Message):
    __slots__ = ("session", "warnings")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    session: Session
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, session: _Optional[_Union[Session, _Mapping]] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class CloseSessionRequest(_message.Message):
    __slots__ = ("browser_session_id",)
    BROWSER_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    browser_session_id: str
    def __init__(self, browser_session_id: _Optional[str] = ...) -> None: ...

class CloseSessionResponse(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: Session
    def __init__(self, session: _Optional[_Union[Session, _Mapping]] = ...) -> None: ...

class CheckOptionsRequest(_message.Message):
    __slots__ = ("options", "reuse")
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    REUSE_FIELD_NUMBER: _ClassVar[int]
    options: SessionOptions
    reuse: _settings_pb2.ReusePolicy
    def __init__(self, options: _Optional[_Union[SessionOptions, _Mapping]] = ..., reuse: _Optional[_Union[_settings_pb2.ReusePolicy, _Mapping]] = ...) -> None: ...

class CheckOptionsResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class AcquireSessionRequest(_message.Message):
    __slots__ = ("run_id", "browser_session_id", "options", "saga_fence", "reuse")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    BROWSER_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    SAGA_FENCE_FIELD_NUMBER: _ClassVar[int]
    REUSE_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    browser_session_id: str
    options: SessionOptions
    saga_fence: int
    reuse: _settings_pb2.ReusePolicy
    def __init__(self, run_id: _Optional[str] = ..., browser_session_id: _Optional[str] = ..., options: _Optional[_Union[SessionOptions, _Mapping]] = ..., saga_fence: _Optional[int] = ..., reuse: _Optional[_Union[_settings_pb2.ReusePolicy, _Mapping]] = ...) -> None: ...

class AcquireSessionResponse(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: Session
    def __init__(self, session: _Optional[_Union[Session, _Mapping]] = ...) -> None: ...

class ReleaseSessionRequest(_message.Message):
    __slots__ = ("browser_session_id", "run_id")
    BROWSER_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    browser_session_id: str
    run_id: str
    def __init__(self, browser_session_id: _Optional[str] = ..., run_id: _Optional[str] = ...) -> None: ...

class ReleaseSessionResponse(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: Session
    def __init__(self, session: _Optional[_Union[Session, _Mapping]] = ...) -> None: ...

class AttachSessionRequest(_message.Message):
    __slots__ = ("browser_session_id", "run_id", "control_id")
    BROWSER_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    CONTROL_ID_FIELD_NUMBER: _ClassVar[int]
    browser_session_id: str
    run_id: str
    control_id: str
    def __init__(self, browser_session_id: _Optional[str] = ..., run_id: _Optional[str] = ..., control_id: _Optional[str] = ...) -> None: ...

class AttachSessionResponse(_message.Message):
    __slots__ = ("cdp_url", "token", "last_artifact_id", "generation")
    CDP_URL_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    LAST_ARTIFACT_ID_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    cdp_url: str
    token: str
    last_artifact_id: str
    generation: int
    def __init__(self, cdp_url: _Optional[str] = ..., token: _Optional[str] = ..., last_artifact_id: _Optional[str] = ..., generation: _Optional[int] = ...) -> None: ...

class CaptureScreenshotRequest(_message.Message):
    __slots__ = ("browser_session_id", "name", "full_page")
    BROWSER_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    FULL_PAGE_FIELD_NUMBER: _ClassVar[int]
    browser_session_id: str
    name: str
    full_page: bool
    def __init__(self, browser_session_id: _Optional[str] = ..., name: _Optional[str] = ..., full_page: _Optional[bool] = ...) -> None: ...

class CaptureScreenshotResponse(_message.Message):
    __slots__ = ("artifact",)
    ARTIFACT_FIELD_NUMBER: _ClassVar[int]
    artifact: Artifact
    def __init__(self, artifact: _Optional[_Union[Artifact, _Mapping]] = ...) -> None: ...

class AwaitDownloadRequest(_message.Message):
    __slots__ = ("browser_session_id", "after_artifact_id", "wait")
    BROWSER_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_ARTIFACT_ID_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    browser_session_id: str
    after_artifact_id: str
    wait: _duration_pb2.Duration
    def __init__(self, browser_session_id: _Optional[str] = ..., after_artifact_id: _Optional[str] = ..., wait: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class AwaitDownloadResponse(_message.Message):
    __slots__ = ("artifact",)
    ARTIFACT_FIELD_NUMBER: _ClassVar[int]
    artifact: Artifact
    def __init__(self, artifact: _Optional[_Union[Artifact, _Mapping]] = ...) -> None: ...

class ListArtifactsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "run_id", "browser_session_id")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    BROWSER_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    run_id: str
    browser_session_id: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., run_id: _Optional[str] = ..., browser_session_id: _Optional[str] = ...) -> None: ...

class ListArtifactsResponse(_message.Message):
    __slots__ = ("artifacts", "next_page_token")
    ARTIFACTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    artifacts: _containers.RepeatedCompositeFieldContainer[Artifact]
    next_page_token: str
    def __init__(self, artifacts: _Optional[_Iterable[_Union[Artifact, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetArtifactRequest(_message.Message):
    __slots__ = ("artifact_id",)
    ARTIFACT_ID_FIELD_NUMBER: _ClassVar[int]
    artifact_id: str
    def __init__(self, artifact_id: _Optional[str] = ...) -> None: ...

class GetArtifactResponse(_message.Message):
    __slots__ = ("artifact",)
    ARTIFACT_FIELD_NUMBER: _ClassVar[int]
    artifact: Artifact
    def __init__(self, artifact: _Optional[_Union[Artifact, _Mapping]] = ...) -> None: ...

class GetArtifactContentRequest(_message.Message):
    __slots__ = ("artifact_id",)
    ARTIFACT_ID_FIELD_NUMBER: _ClassVar[int]
    artifact_id: str
    def __init__(self, artifact_id: _Optional[str] = ...) -> None: ...

class CreateLinkRequest(_message.Message):
    __slots__ = ("browser_session_id", "right", "ttl", "control_id")
    BROWSER_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    RIGHT_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    CONTROL_ID_FIELD_NUMBER: _ClassVar[int]
    browser_session_id: str
    right: Right
    ttl: _duration_pb2.Duration
    control_id: str
    def __init__(self, browser_session_id: _Optional[str] = ..., right: _Optional[_Union[Right, str]] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., control_id: _Optional[str] = ...) -> None: ...

class CreateLinkResponse(_message.Message):
    __slots__ = ("cdp_url", "live_url", "expire_time", "link_id")
    CDP_URL_FIELD_NUMBER: _ClassVar[int]
    LIVE_URL_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    LINK_ID_FIELD_NUMBER: _ClassVar[int]
    cdp_url: str
    live_url: str
    expire_time: _timestamp_pb2.Timestamp
    link_id: str
    def __init__(self, cdp_url: _Optional[str] = ..., live_url: _Optional[str] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., link_id: _Optional[str] = ...) -> None: ...

class RevokeLinkRequest(_message.Message):
    __slots__ = ("browser_session_id", "link_id")
    BROWSER_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    LINK_ID_FIELD_NUMBER: _ClassVar[int]
    browser_session_id: str
    link_id: str
    def __init__(self, browser_session_id: _Optional[str] = ..., link_id: _Optional[str] = ...) -> None: ...

class RevokeLinkResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RevokeLinksRequest(_message.Message):
    __slots__ = ("browser_session_id",)
    BROWSER_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    browser_session_id: str
    def __init__(self, browser_session_id: _Optional[str] = ...) -> None: ...

class RevokeLinksResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class LocateSessionRequest(_message.Message):
    __slots__ = ("browser_session_id", "token")
    BROWSER_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    browser_session_id: str
    token: str
    def __init__(self, browser_session_id: _Optional[str] = ..., token: _Optional[str] = ...) -> None: ...

class LocateSessionResponse(_message.Message):
    __slots__ = ("url",)
    URL_FIELD_NUMBER: _ClassVar[int]
    url: str
    def __init__(self, url: _Optional[str] = ...) -> None: ...

class GetActivityRequest(_message.Message):
    __slots__ = ("browser_session_id",)
    BROWSER_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    browser_session_id: str
    def __init__(self, browser_session_id: _Optional[str] = ...) -> None: ...

class GetActivityResponse(_message.Message):
    __slots__ = ("usage", "control")
    USAGE_FIELD_NUMBER: _ClassVar[int]
    CONTROL_FIELD_NUMBER: _ClassVar[int]
    usage: Usage
    control: Control
    def __init__(self, usage: _Optional[_Union[Usage, _Mapping]] = ..., control: _Optional[_Union[Control, _Mapping]] = ...) -> None: ...

class Usage(_message.Message):
    __slots__ = ("commands", "refused_commands", "bytes_in", "bytes_out")
    COMMANDS_FIELD_NUMBER: _ClassVar[int]
    REFUSED_COMMANDS_FIELD_NUMBER: _ClassVar[int]
    BYTES_IN_FIELD_NUMBER: _ClassVar[int]
    BYTES_OUT_FIELD_NUMBER: _ClassVar[int]
    commands: int
    refused_commands: int
    bytes_in: int
    bytes_out: int
    def __init__(self, commands: _Optional[int] = ..., refused_commands: _Optional[int] = ..., bytes_in: _Optional[int] = ..., bytes_out: _Optional[int] = ...) -> None: ...

class Control(_message.Message):
    __slots__ = ("control_id", "holder", "take_time", "expire_time", "agent_rests")
    CONTROL_ID_FIELD_NUMBER: _ClassVar[int]
    HOLDER_FIELD_NUMBER: _ClassVar[int]
    TAKE_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    AGENT_RESTS_FIELD_NUMBER: _ClassVar[int]
    control_id: str
    holder: str
    take_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    agent_rests: bool
    def __init__(self, control_id: _Optional[str] = ..., holder: _Optional[str] = ..., take_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., agent_rests: _Optional[bool] = ...) -> None: ...

class OpenPageRequest(_message.Message):
    __slots__ = ("browser_session_id", "url", "control_id", "timeout")
    BROWSER_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    CONTROL_ID_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    browser_session_id: str
    url: str
    control_id: str
    timeout: _duration_pb2.Duration
    def __init__(self, browser_session_id: _Optional[str] = ..., url: _Optional[str] = ..., control_id: _Optional[str] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class OpenPageResponse(_message.Message):
    __slots__ = ("url", "title", "status")
    URL_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    url: str
    title: str
    status: int
    def __init__(self, url: _Optional[str] = ..., title: _Optional[str] = ..., status: _Optional[int] = ...) -> None: ...

class GetContentRequest(_message.Message):
    __slots__ = ("browser_session_id",)
    BROWSER_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    browser_session_id: str
    def __init__(self, browser_session_id: _Optional[str] = ...) -> None: ...

class GetContentResponse(_message.Message):
    __slots__ = ("url", "title", "html", "text", "truncated")
    URL_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    HTML_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    url: str
    title: str
    html: str
    text: str
    truncated: bool
    def __init__(self, url: _Optional[str] = ..., title: _Optional[str] = ..., html: _Optional[str] = ..., text: _Optional[str] = ..., truncated: _Optional[bool] = ...) -> None: ...

class PrintPdfRequest(_message.Message):
    __slots__ = ("browser_session_id", "name", "paper", "landscape", "background")
    BROWSER_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PAPER_FIELD_NUMBER: _ClassVar[int]
    LANDSCAPE_FIELD_NUMBER: _ClassVar[int]
    BACKGROUND_FIELD_NUMBER: _ClassVar[int]
    browser_session_id: str
    name: str
    paper: str
    landscape: bool
    background: bool
    def __init__(self, browser_session_id: _Optional[str] = ..., name: _Optional[str] = ..., paper: _Optional[str] = ..., landscape: _Optional[bool] = ..., background: _Optional[bool] = ...) -> None: ...

class PrintPdfResponse(_message.Message):
    __slots__ = ("artifact",)
    ARTIFACT_FIELD_NUMBER: _ClassVar[int]
    artifact: Artifact
    def __init__(self, artifact: _Optional[_Union[Artifact, _Mapping]] = ...) -> None: ...

class EvaluateRequest(_message.Message):
    __slots__ = ("browser_session_id", "expression", "control_id", "timeout")
    BROWSER_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    EXPRESSION_FIELD_NUMBER: _ClassVar[int]
    CONTROL_ID_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    browser_session_id: str
    expression: str
    control_id: str
    timeout: _duration_pb2.Duration
    def __init__(self, browser_session_id: _Optional[str] = ..., expression: _Optional[str] = ..., control_id: _Optional[str] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class EvaluateResponse(_message.Message):
    __slots__ = ("value",)
    VALUE_FIELD_NUMBER: _ClassVar[int]
    value: _struct_pb2.Value
    def __init__(self, value: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ...) -> None: ...

class WatchSessionRequest(_message.Message):
    __slots__ = ("browser_session_id", "max_per_second")
    BROWSER_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    MAX_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    browser_session_id: str
    max_per_second: int
    def __init__(self, browser_session_id: _Optional[str] = ..., max_per_second: _Optional[int] = ...) -> None: ...

class WatchSessionResponse(_message.Message):
    __slots__ = ("sequence", "jpeg", "url", "title", "width", "height")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    JPEG_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    jpeg: bytes
    url: str
    title: str
    width: int
    height: int
    def __init__(self, sequence: _Optional[int] = ..., jpeg: _Optional[bytes] = ..., url: _Optional[str] = ..., title: _Optional[str] = ..., width: _Optional[int] = ..., height: _Optional[int] = ...) -> None: ...

class TakeControlRequest(_message.Message):
    __slots__ = ("browser_session_id", "holder", "ttl", "control_id")
    BROWSER_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    HOLDER_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    CONTROL_ID_FIELD_NUMBER: _ClassVar[int]
    browser_session_id: str
    holder: str
    ttl: _duration_pb2.Duration
    control_id: str
    def __init__(self, browser_session_id: _Optional[str] = ..., holder: _Optional[str] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., control_id: _Optional[str] = ...) -> None: ...

class TakeControlResponse(_message.Message):
    __slots__ = ("control", "live_url")
    CONTROL_FIELD_NUMBER: _ClassVar[int]
    LIVE_URL_FIELD_NUMBER: _ClassVar[int]
    control: Control
    live_url: str
    def __init__(self, control: _Optional[_Union[Control, _Mapping]] = ..., live_url: _Optional[str] = ...) -> None: ...

class ReturnControlRequest(_message.Message):
    __slots__ = ("browser_session_id", "control_id")
    BROWSER_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    CONTROL_ID_FIELD_NUMBER: _ClassVar[int]
    browser_session_id: str
    control_id: str
    def __init__(self, browser_session_id: _Optional[str] = ..., control_id: _Optional[str] = ...) -> None: ...

class ReturnControlResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SendInputRequest(_message.Message):
    __slots__ = ("browser_session_id", "control_id", "events")
    BROWSER_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    CONTROL_ID_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    browser_session_id: str
    control_id: str
    events: _containers.RepeatedCompositeFieldContainer[InputEvent]
    def __init__(self, browser_session_id: _Optional[str] = ..., control_id: _Optional[str] = ..., events: _Optional[_Iterable[_Union[InputEvent, _Mapping]]] = ...) -> None: ...

class InputEvent(_message.Message):
    __slots__ = ("type", "x", "y", "button", "click_count", "delta_x", "delta_y", "key", "text", "url", "modifiers")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    BUTTON_FIELD_NUMBER: _ClassVar[int]
    CLICK_COUNT_FIELD_NUMBER: _ClassVar[int]
    DELTA_X_FIELD_NUMBER: _ClassVar[int]
    DELTA_Y_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    MODIFIERS_FIELD_NUMBER: _ClassVar[int]
    type: str
    x: float
    y: float
    button: str
    click_count: int
    delta_x: float
    delta_y: float
    key: str
    text: str
    url: str
    modifiers: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, type: _Optional[str] = ..., x: _Optional[float] = ..., y: _Optional[float] = ..., button: _Optional[str] = ..., click_count: _Optional[int] = ..., delta_x: _Optional[float] = ..., delta_y: _Optional[float] = ..., key: _Optional[str] = ..., text: _Optional[str] = ..., url: _Optional[str] = ..., modifiers: _Optional[_Iterable[str]] = ...) -> None: ...

class SendInputResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class UploadArtifactRequest(_message.Message):
    __slots__ = ("artifact_id", "name", "content_type", "offset", "data", "more")
    ARTIFACT_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    CONTENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    artifact_id: str
    name: str
    content_type: str
    offset: int
    data: bytes
    more: bool
    def __init__(self, artifact_id: _Optional[str] = ..., name: _Optional[str] = ..., content_type: _Optional[str] = ..., offset: _Optional[int] = ..., data: _Optional[bytes] = ..., more: _Optional[bool] = ...) -> None: ...

class UploadArtifactResponse(_message.Message):
    __slots__ = ("artifact_id", "artifact")
    ARTIFACT_ID_FIELD_NUMBER: _ClassVar[int]
    ARTIFACT_FIELD_NUMBER: _ClassVar[int]
    artifact_id: str
    artifact: Artifact
    def __init__(self, artifact_id: _Optional[str] = ..., artifact: _Optional[_Union[Artifact, _Mapping]] = ...) -> None: ...

class DeleteArtifactRequest(_message.Message):
    __slots__ = ("artifact_id",)
    ARTIFACT_ID_FIELD_NUMBER: _ClassVar[int]
    artifact_id: str
    def __init__(self, artifact_id: _Optional[str] = ...) -> None: ...

class DeleteArtifactResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CreateArtifactLinkRequest(_message.Message):
    __slots__ = ("artifact_id", "ttl")
    ARTIFACT_ID_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    artifact_id: str
    ttl: _duration_pb2.Duration
    def __init__(self, artifact_id: _Optional[str] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class CreateArtifactLinkResponse(_message.Message):
    __slots__ = ("url", "expire_time")
    URL_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    url: str
    expire_time: _timestamp_pb2.Timestamp
    def __init__(self, url: _Optional[str] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class DownloadArtifactRequest(_message.Message):
    __slots__ = ("artifact_id", "token")
    ARTIFACT_ID_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    artifact_id: str
    token: str
    def __init__(self, artifact_id: _Optional[str] = ..., token: _Optional[str] = ...) -> None: ...

class StartRecordingRequest(_message.Message):
    __slots__ = ("browser_session_id", "kinds")
    BROWSER_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    browser_session_id: str
    kinds: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, browser_session_id: _Optional[str] = ..., kinds: _Optional[_Iterable[str]] = ...) -> None: ...

class StartRecordingResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StopRecordingRequest(_message.Message):
    __slots__ = ("browser_session_id",)
    BROWSER_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    browser_session_id: str
    def __init__(self, browser_session_id: _Optional[str] = ...) -> None: ...

class StopRecordingResponse(_message.Message):
    __slots__ = ("artifacts",)
    ARTIFACTS_FIELD_NUMBER: _ClassVar[int]
    artifacts: _containers.RepeatedCompositeFieldContainer[Artifact]
    def __init__(self, artifacts: _Optional[_Iterable[_Union[Artifact, _Mapping]]] = ...) -> None: ...
