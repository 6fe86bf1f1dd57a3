import datetime

from google.api import annotations_pb2 as _annotations_pb2
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

class WorkflowRunState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WORKFLOW_RUN_STATE_UNSPECIFIED: _ClassVar[WorkflowRunState]
    WORKFLOW_RUN_STATE_CREATED: _ClassVar[WorkflowRunState]
    WORKFLOW_RUN_STATE_RUNNING: _ClassVar[WorkflowRunState]
    WORKFLOW_RUN_STATE_PAUSED: _ClassVar[WorkflowRunState]
    WORKFLOW_RUN_STATE_COMPLETED: _ClassVar[WorkflowRunState]
    WORKFLOW_RUN_STATE_FAILED: _ClassVar[WorkflowRunState]
    WORKFLOW_RUN_STATE_TERMINATED: _ClassVar[WorkflowRunState]
    WORKFLOW_RUN_STATE_CANCELED: _ClassVar[WorkflowRunState]
    WORKFLOW_RUN_STATE_TIMED_OUT: _ClassVar[WorkflowRunState]

class BlockRunState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BLOCK_RUN_STATE_UNSPECIFIED: _ClassVar[BlockRunState]
    BLOCK_RUN_STATE_RUNNING: _ClassVar[BlockRunState]
    BLOCK_RUN_STATE_COMPLETED: _ClassVar[BlockRunState]
    BLOCK_RUN_STATE_FAILED: _ClassVar[BlockRunState]
    BLOCK_RUN_STATE_SKIPPED: _ClassVar[BlockRunState]
    BLOCK_RUN_STATE_CANCELED: _ClassVar[BlockRunState]
WORKFLOW_RUN_STATE_UNSPECIFIED: WorkflowRunState
WORKFLOW_RUN_STATE_CREATED: WorkflowRunState
WORKFLOW_RUN_STATE_RUNNING: WorkflowRunState
WORKFLOW_RUN_STATE_PAUSED: WorkflowRunState
WORKFLOW_RUN_STATE_COMPLETED: WorkflowRunState
WORKFLOW_RUN_STATE_FAILED: WorkflowRunState
WORKFLOW_RUN_STATE_TERMINATED: WorkflowRunState
WORKFLOW_RUN_STATE_CANCELED: WorkflowRunState
WORKFLOW_RUN_STATE_TIMED_OUT: WorkflowRunState
BLOCK_RUN_STATE_UNSPECIFIED: BlockRunState
BLOCK_RUN_STATE_RUNNING: BlockRunState
BLOCK_RUN_STATE_COMPLETED: BlockRunState
BLOCK_RUN_STATE_FAILED: BlockRunState
BLOCK_RUN_STATE_SKIPPED: BlockRunState
BLOCK_RUN_STATE_CANCELED: BlockRunState

class Workflow(_message.Message):
    __slots__ = ("workflow_id", "name", "title", "description", "version", "document", "parameters_schema", "needs_browser", "etag", "create_time", "update_time")
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    NEEDS_BROWSER_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    workflow_id: str
    name: str
    title: str
    description: str
    version: int
    document: _struct_pb2.Struct
    parameters_schema: _struct_pb2.Struct
    needs_browser: bool
    etag: str
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    def __init__(self, workflow_id: _Optional[str] = ..., name: _Optional[str] = ..., title: _Optional[str] = ..., description: _Optional[str] = ..., version: _Optional[int] = ..., document: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., parameters_schema: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., needs_browser: _Optional[bool] = ..., etag: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class BlockRun(_message.Message):
    __slots__ = ("block_path", "kind", "label", "state", "attempt", "output", "failure", "task_id", "start_time", "end_time")
    BLOCK_PATH_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    block_path: str
    kind: str
    label: str
    state: BlockRunState
    attempt: int
    output: _struct_pb2.Value
    failure: _failure_pb2.Failure
    task_id: str
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    def __init__(self, block_path: _Optional[str] = ..., kind: _Optional[str] = ..., label: _Optional[str] = ..., state: _Optional[_Union[BlockRunState, str]] = ..., attempt: _Optional[int] = ..., output: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ..., failure: _Optional[_Union[_failure_pb2.Failure, _Mapping]] = ..., task_id: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class WorkflowRun(_message.Message):
    __slots__ = ("workflow_run_id", "run_id", "workflow_id", "workflow_version", "title", "state", "needs_browser", "browser_session_id", "blocks", "output", "failure", "create_time", "start_time", "end_time", "pause_requested")
    WORKFLOW_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_VERSION_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    NEEDS_BROWSER_FIELD_NUMBER: _ClassVar[int]
    BROWSER_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    BLOCKS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    PAUSE_REQUESTED_FIELD_NUMBER: _ClassVar[int]
    workflow_run_id: str
    run_id: str
    workflow_id: str
    workflow_version: int
    title: str
    state: WorkflowRunState
    needs_browser: bool
    browser_session_id: str
    blocks: _containers.RepeatedCompositeFieldContainer[BlockRun]
    output: _struct_pb2.Struct
    failure: _failure_pb2.Failure
    create_time: _timestamp_pb2.Timestamp
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    pause_requested: bool
    def __init__(self, workflow_run_id: _Optional[str] = ..., run_id: _Optional[str] = ..., workflow_id: _Optional[str] = ..., workflow_version: _Optional[int] = ..., title: _Optional[str] = ..., state: _Optional[_Union[WorkflowRunState, str]] = ..., needs_browser: _Optional[bool] = ..., browser_session_id: _Optional[str] = ..., blocks: _Optional[_Iterable[_Union[BlockRun, _Mapping]]] = ..., output: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., failure: _Optional[_Union[_failure_pb2.Failure, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., pause_requested: _Optional[bool] = ...) -> None: ...

class BlockKind(_message.Message):
    __slots__ = ("kind", "summary", "needs_browser", "params_schema")
    KIND_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    NEEDS_BROWSER_FIELD_NUMBER: _ClassVar[int]
    PARAMS_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    kind: str
    summary: str
    needs_browser: bool
    params_schema: _struct_pb2.Struct
    def __init__(self, kind: _Optional[str] = ..., summary: _Optional[str] = ..., needs_browser: _Optional[bool] = ..., params_schema: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class CreateWorkflowRequest(_message.Message):
    __slots__ = ("source", "document")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    source: str
    document: _struct_pb2.Struct
    def __init__(self, source: _Optional[str] = ..., document: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class CreateWorkflowResponse(_message.Message):
    __slots__ = ("workflow",)
    WORKFLOW_FIELD_NUMBER: _ClassVar[int]
    workflow: Workflow
    def __init__(self, workflow: _Optional[_Union[Workflow, _Mapping]] = ...) -> None: ...

class UpdateWorkflowRequest(_message.Message):
    __slots__ = ("workflow_id", "source", "document", "etag")
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    workflow_id: str
    source: str
    document: _struct_pb2.Struct
    etag: str
    def __init__(self, workflow_id: _Optional[str] = ..., source: _Optional[str] = ..., document: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., etag: _Optional[str] = ...) -> None: ...

class UpdateWorkflowResponse(_message.Message):
    __slots__ = ("workflow",)
    WORKFLOW_FIELD_NUMBER: _ClassVar[int]
    workflow: Workflow
    def __init__(self, workflow: _Optional[_Union[Workflow, _Mapping]] = ...) -> None: ...

class GetWorkflowRequest(_message.Message):
    __slots__ = ("workflow_id", "version")
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    workflow_id: str
    version: int
    def __init__(self, workflow_id: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class GetWorkflowResponse(_message.Message):
    __slots__ = ("workflow",)
    WORKFLOW_FIELD_NUMBER: _ClassVar[int]
    workflow: Workflow
    def __init__(self, workflow: _Optional[_Union[Workflow, _Mapping]] = ...) -> None: ...

class ListWorkflowsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListWorkflowsResponse(_message.Message):
    __slots__ = ("workflows", "next_page_token")
    WORKFLOWS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    workflows: _containers.RepeatedCompositeFieldContainer[Workflow]
    next_page_token: str
    def __init__(self, workflows: _Optional[_Iterable[_Union[Workflow, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteWorkflowRequest(_message.Message):
    __slots__ = ("workflow_id",)
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    workflow_id: str
    def __init__(self, workflow_id: _Optional[str] = ...) -> None: ...

class DeleteWorkflowResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListBlockKindsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListBlockKindsResponse(_message.Message):
    __slots__ = ("block_kinds",)
    BLOCK_KINDS_FIELD_NUMBER: _ClassVar[int]
    block_kinds: _containers.RepeatedCompositeFieldContainer[BlockKind]
    def __init__(self, block_kinds: _Optional[_Iterable[_Union[BlockKind, _Mapping]]] = ...) -> None: ...

class CreateWorkflowRunRequest(_message.Message):
    __slots__ = ("run_id", "workflow_id", "document", "workflow_version", "parameters")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_VERSION_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    workflow_id: str
    document: _struct_pb2.Struct
    workflow_version: int
    parameters: _struct_pb2.Struct
    def __init__(self, run_id: _Optional[str] = ..., workflow_id: _Optional[str] = ..., document: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., workflow_version: _Optional[int] = ..., parameters: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class CreateWorkflowRunResponse(_message.Message):
    __slots__ = ("workflow_run",)
    WORKFLOW_RUN_FIELD_NUMBER: _ClassVar[int]
    workflow_run: WorkflowRun
    def __init__(self, workflow_run: _Optional[_Union[WorkflowRun, _Mapping]] = ...) -> None: ...

class StartWorkflowRunRequest(_message.Message):
    __slots__ = ("workflow_run_id", "browser_session_id")
    WORKFLOW_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    BROWSER_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    workflow_run_id: str
    browser_session_id: str
    def __init__(self, workflow_run_id: _Optional[str] = ..., browser_session_id: _Optional[str] = ...) -> None: ...

class StartWorkflowRunResponse(_message.Message):
    __slots__ = ("workflow_run",)
    WORKFLOW_RUN_FIELD_NUMBER: _ClassVar[int]
    workflow_run: WorkflowRun
    def __init__(self, workflow_run: _Optional[_Union[WorkflowRun, _Mapping]] = ...) -> None: ...

class CancelWorkflowRunRequest(_message.Message):
    __slots__ = ("workflow_run_id", "reason")
    WORKFLOW_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    workflow_run_id: str
    reason: str
    def __init__(self, workflow_run_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class CancelWorkflowRunResponse(_message.Message):
    __slots__ = ("workflow_run",)
    WORKFLOW_RUN_FIELD_NUMBER: _ClassVar[int]
    workflow_run: WorkflowRun
    def __init__(self, workflow_run: _Optional[_Union[WorkflowRun, _Mapping]] = ...) -> None: ...

class PauseWorkflowRunRequest(_message.Message):
    __slots__ = ("workflow_run_id", "as_of_sequence")
    WORKFLOW_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    AS_OF_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    workflow_run_id: str
    as_of_sequence: int
    def __init__(self, workflow_run_id: _Optional[str] = ..., as_of_sequence: _Optional[int] = ...) -> None: ...

class PauseWorkflowRunResponse(_message.Message):
    __slots__ = ("workflow_run",)
    WORKFLOW_RUN_FIELD_NUMBER: _ClassVar[int]
    workflow_run: WorkflowRun
    def __init__(self, workflow_run: _Optional[_Union[WorkflowRun, _Mapping]] = ...) -> None: ...

class ResumeWorkflowRunRequest(_message.Message):
    __slots__ = ("workflow_run_id", "as_of_sequence")
    WORKFLOW_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    AS_OF_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    workflow_run_id: str
    as_of_sequence: int
    def __init__(self, workflow_run_id: _Optional[str] = ..., as_of_sequence: _Optional[int] = ...) -> None: ...

class ResumeWorkflowRunResponse(_message.Message):
    __slots__ = ("workflow_run",)
    WORKFLOW_RUN_FIELD_NUMBER: _ClassVar[int]
    workflow_run: WorkflowRun
    def __init__(self, workflow_run: _Optional[_Union[WorkflowRun, _Mapping]] = ...) -> None: ...

class GetWorkflowRunRequest(_message.Message):
    __slots__ = ("workflow_run_id",)
    WORKFLOW_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    workflow_run_id: str
    def __init__(self, workflow_run_id: _Optional[str] = ...) -> None: ...

class GetWorkflowRunResponse(_message.Message):
    __slots__ = ("workflow_run",)
    WORKFLOW_RUN_FIELD_NUMBER: _ClassVar[int]
    workflow_run: WorkflowRun
    def __init__(self, workflow_run: _Optional[_Union[WorkflowRun, _Mapping]] = ...) -> None: ...
