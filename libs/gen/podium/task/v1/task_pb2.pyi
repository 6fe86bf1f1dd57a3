import datetime

from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from podium.common.v1 import call_pb2 as _call_pb2
from podium.common.v1 import failure_pb2 as _failure_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TaskState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TASK_STATE_UNSPECIFIED: _ClassVar[TaskState]
    TASK_STATE_QUEUED: _ClassVar[TaskState]
    TASK_STATE_RUNNING: _ClassVar[TaskState]
    TASK_STATE_COMPLETED: _ClassVar[TaskState]
    TASK_STATE_FAILED: _ClassVar[TaskState]
    TASK_STATE_TERMINATED: _ClassVar[TaskState]
    TASK_STATE_CANCELED: _ClassVar[TaskState]
    TASK_STATE_TIMED_OUT: _ClassVar[TaskState]
TASK_STATE_UNSPECIFIED: TaskState
TASK_STATE_QUEUED: TaskState
TASK_STATE_RUNNING: TaskState
TASK_STATE_COMPLETED: TaskState
TASK_STATE_FAILED: TaskState
TASK_STATE_TERMINATED: TaskState
TASK_STATE_CANCELED: TaskState
TASK_STATE_TIMED_OUT: TaskState

class TaskSpec(_message.Message):
    __slots__ = ("url", "goal", "actions", "login", "extraction", "credential_id", "max_steps", "timeout", "screenshot_name", "screenshot_full_page")
    URL_FIELD_NUMBER: _ClassVar[int]
    GOAL_FIELD_NUMBER: _ClassVar[int]
    ACTIONS_FIELD_NUMBER: _ClassVar[int]
    LOGIN_FIELD_NUMBER: _ClassVar[int]
    EXTRACTION_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_ID_FIELD_NUMBER: _ClassVar[int]
    MAX_STEPS_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    SCREENSHOT_NAME_FIELD_NUMBER: _ClassVar[int]
    SCREENSHOT_FULL_PAGE_FIELD_NUMBER: _ClassVar[int]
    url: str
    goal: str
    actions: _containers.RepeatedCompositeFieldContainer[_struct_pb2.Struct]
    login: Login
    extraction: Extraction
    credential_id: str
    max_steps: int
    timeout: _duration_pb2.Duration
    screenshot_name: str
    screenshot_full_page: bool
    def __init__(self, url: _Optional[str] = ..., goal: _Optional[str] = ..., actions: _Optional[_Iterable[_Union[_struct_pb2.Struct, _Mapping]]] = ..., login: _Optional[_Union[Login, _Mapping]] = ..., extraction: _Optional[_Union[Extraction, _Mapping]] = ..., credential_id: _Optional[str] = ..., max_steps: _Optional[int] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., screenshot_name: _Optional[str] = ..., screenshot_full_page: _Optional[bool] = ...) -> None: ...

class Login(_message.Message):
    __slots__ = ("credential_id", "totp_identifier", "success_text", "link_hosts")
    CREDENTIAL_ID_FIELD_NUMBER: _ClassVar[int]
    TOTP_IDENTIFIER_FIELD_NUMBER: _ClassVar[int]
    SUCCESS_TEXT_FIELD_NUMBER: _ClassVar[int]
    LINK_HOSTS_FIELD_NUMBER: _ClassVar[int]
    credential_id: str
    totp_identifier: str
    success_text: str
    link_hosts: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, credential_id: _Optional[str] = ..., totp_identifier: _Optional[str] = ..., success_text: _Optional[str] = ..., link_hosts: _Optional[_Iterable[str]] = ...) -> None: ...

class Extraction(_message.Message):
    __slots__ = ("instruction", "schema")
    INSTRUCTION_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_FIELD_NUMBER: _ClassVar[int]
    instruction: str
    schema: _struct_pb2.Struct
    def __init__(self, instruction: _Optional[str] = ..., schema: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class Action(_message.Message):
    __slots__ = ("number", "kind", "params", "planner", "succeeded", "output", "failure", "start_time", "duration_ms")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    PLANNER_FIELD_NUMBER: _ClassVar[int]
    SUCCEEDED_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    DURATION_MS_FIELD_NUMBER: _ClassVar[int]
    number: int
    kind: str
    params: _struct_pb2.Struct
    planner: str
    succeeded: bool
    output: _struct_pb2.Value
    failure: _failure_pb2.Failure
    start_time: _timestamp_pb2.Timestamp
    duration_ms: int
    def __init__(self, number: _Optional[int] = ..., kind: _Optional[str] = ..., params: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., planner: _Optional[str] = ..., succeeded: _Optional[bool] = ..., output: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ..., failure: _Optional[_Union[_failure_pb2.Failure, _Mapping]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., duration_ms: _Optional[int] = ...) -> None: ...

class TaskArtifact(_message.Message):
    __slots__ = ("artifact_id", "kind", "name", "size_bytes", "sha256")
    ARTIFACT_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    artifact_id: str
    kind: str
    name: str
    size_bytes: int
    sha256: str
    def __init__(self, artifact_id: _Optional[str] = ..., kind: _Optional[str] = ..., name: _Optional[str] = ..., size_bytes: _Optional[int] = ..., sha256: _Optional[str] = ...) -> None: ...

class Task(_message.Message):
    __slots__ = ("task_id", "run_id", "workflow_run_id", "block_path", "state", "spec", "browser_session_id", "actions", "output", "artifacts", "failure", "create_time", "start_time", "end_time")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    BLOCK_PATH_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    BROWSER_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    ACTIONS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    ARTIFACTS_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    run_id: str
    workflow_run_id: str
    block_path: str
    state: TaskState
    spec: TaskSpec
    browser_session_id: str
    actions: _containers.RepeatedCompositeFieldContainer[Action]
    output: _struct_pb2.Value
    artifacts: _containers.RepeatedCompositeFieldContainer[TaskArtifact]
    failure: _failure_pb2.Failure
    create_time: _timestamp_pb2.Timestamp
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    def __init__(self, task_id: _Optional[str] = ..., run_id: _Optional[str] = ..., workflow_run_id: _Optional[str] = ..., block_path: _Optional[str] = ..., state: _Optional[_Union[TaskState, str]] = ..., spec: _Optional[_Union[TaskSpec, _Mapping]] = ..., browser_session_id: _Optional[str] = ..., actions: _Optional[_Iterable[_Union[Action, _Mapping]]] = ..., output: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ..., artifacts: _Optional[_Iterable[_Union[TaskArtifact, _Mapping]]] = ..., failure: _Optional[_Union[_failure_pb2.Failure, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ActionKind(_message.Message):
    __slots__ = ("kind", "summary", "schema")
    KIND_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_FIELD_NUMBER: _ClassVar[int]
    kind: str
    summary: str
    schema: _struct_pb2.Struct
    def __init__(self, kind: _Optional[str] = ..., summary: _Optional[str] = ..., schema: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class ExecuteTaskRequest(_message.Message):
    __slots__ = ("request_id", "block_path", "spec", "browser_session_id")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    BLOCK_PATH_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    BROWSER_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    block_path: str
    spec: TaskSpec
    browser_session_id: str
    def __init__(self, request_id: _Optional[str] = ..., block_path: _Optional[str] = ..., spec: _Optional[_Union[TaskSpec, _Mapping]] = ..., browser_session_id: _Optional[str] = ...) -> None: ...

class ExecuteTaskResponse(_message.Message):
    __slots__ = ("started", "action", "finished")
    STARTED_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    started: Task
    action: Action
    finished: Task
    def __init__(self, started: _Optional[_Union[Task, _Mapping]] = ..., action: _Optional[_Union[Action, _Mapping]] = ..., finished: _Optional[_Union[Task, _Mapping]] = ...) -> None: ...

class CancelTaskRequest(_message.Message):
    __slots__ = ("task_id", "request_id", "reason")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    request_id: str
    reason: str
    def __init__(self, task_id: _Optional[str] = ..., request_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class CancelTaskResponse(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: Task
    def __init__(self, task: _Optional[_Union[Task, _Mapping]] = ...) -> None: ...

class GetTaskRequest(_message.Message):
    __slots__ = ("task_id",)
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    def __init__(self, task_id: _Optional[str] = ...) -> None: ...

class GetTaskResponse(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: Task
    def __init__(self, task: _Optional[_Union[Task, _Mapping]] = ...) -> None: ...

class ListTasksRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "run_id")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    run_id: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., run_id: _Optional[str] = ...) -> None: ...

class ListTasksResponse(_message.Message):
    __slots__ = ("tasks", "next_page_token")
    TASKS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    tasks: _containers.RepeatedCompositeFieldContainer[Task]
    next_page_token: str
    def __init__(self, tasks: _Optional[_Iterable[_Union[Task, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ExecuteActionsRequest(_message.Message):
    __slots__ = ("browser_session_id", "actions", "control_id", "credential_id", "timeout")
    BROWSER_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    ACTIONS_FIELD_NUMBER: _ClassVar[int]
    CONTROL_ID_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_ID_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    browser_session_id: str
    actions: _containers.RepeatedCompositeFieldContainer[_struct_pb2.Struct]
    control_id: str
    credential_id: str
    timeout: _duration_pb2.Duration
    def __init__(self, browser_session_id: _Optional[str] = ..., actions: _Optional[_Iterable[_Union[_struct_pb2.Struct, _Mapping]]] = ..., control_id: _Optional[str] = ..., credential_id: _Optional[str] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class ExecuteActionsResponse(_message.Message):
    __slots__ = ("actions", "completed", "url", "title")
    ACTIONS_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    actions: _containers.RepeatedCompositeFieldContainer[Action]
    completed: bool
    url: str
    title: str
    def __init__(self, actions: _Optional[_Iterable[_Union[Action, _Mapping]]] = ..., completed: _Optional[bool] = ..., url: _Optional[str] = ..., title: _Optional[str] = ...) -> None: ...

class ListActionKindsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListActionKindsResponse(_message.Message):
    __slots__ = ("action_kinds",)
    ACTION_KINDS_FIELD_NUMBER: _ClassVar[int]
    action_kinds: _containers.RepeatedCompositeFieldContainer[ActionKind]
    def __init__(self, action_kinds: _Optional[_Iterable[_Union[ActionKind, _Mapping]]] = ...) -> None: ...
