from podium.common.v1 import call_pb2 as _call_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ReuseMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REUSE_MODE_UNSPECIFIED: _ClassVar[ReuseMode]
    REUSE_MODE_NEW: _ClassVar[ReuseMode]
    REUSE_MODE_PER_WORKFLOW: _ClassVar[ReuseMode]
    REUSE_MODE_PER_KEY: _ClassVar[ReuseMode]
REUSE_MODE_UNSPECIFIED: ReuseMode
REUSE_MODE_NEW: ReuseMode
REUSE_MODE_PER_WORKFLOW: ReuseMode
REUSE_MODE_PER_KEY: ReuseMode

class Geolocation(_message.Message):
    __slots__ = ("latitude", "longitude", "accuracy_m")
    LATITUDE_FIELD_NUMBER: _ClassVar[int]
    LONGITUDE_FIELD_NUMBER: _ClassVar[int]
    ACCURACY_M_FIELD_NUMBER: _ClassVar[int]
    latitude: float
    longitude: float
    accuracy_m: float
    def __init__(self, latitude: _Optional[float] = ..., longitude: _Optional[float] = ..., accuracy_m: _Optional[float] = ...) -> None: ...

class UpstreamProxy(_message.Message):
    __slots__ = ("server", "username", "password")
    SERVER_FIELD_NUMBER: _ClassVar[int]
    USERNAME_FIELD_NUMBER: _ClassVar[int]
    PASSWORD_FIELD_NUMBER: _ClassVar[int]
    server: str
    username: str
    password: str
    def __init__(self, server: _Optional[str] = ..., username: _Optional[str] = ..., password: _Optional[str] = ...) -> None: ...

class ExtraHeader(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class ResourceBlocking(_message.Message):
    __slots__ = ("types", "urls")
    TYPES_FIELD_NUMBER: _ClassVar[int]
    URLS_FIELD_NUMBER: _ClassVar[int]
    types: _containers.RepeatedScalarFieldContainer[str]
    urls: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, types: _Optional[_Iterable[str]] = ..., urls: _Optional[_Iterable[str]] = ...) -> None: ...

class EgressPolicy(_message.Message):
    __slots__ = ("allow", "deny")
    ALLOW_FIELD_NUMBER: _ClassVar[int]
    DENY_FIELD_NUMBER: _ClassVar[int]
    allow: _containers.RepeatedScalarFieldContainer[str]
    deny: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, allow: _Optional[_Iterable[str]] = ..., deny: _Optional[_Iterable[str]] = ...) -> None: ...

class ProfileUse(_message.Message):
    __slots__ = ("browser_profile_id", "version", "save")
    BROWSER_PROFILE_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SAVE_FIELD_NUMBER: _ClassVar[int]
    browser_profile_id: str
    version: int
    save: bool
    def __init__(self, browser_profile_id: _Optional[str] = ..., version: _Optional[int] = ..., save: _Optional[bool] = ...) -> None: ...

class ReusePolicy(_message.Message):
    __slots__ = ("mode", "key")
    MODE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    mode: ReuseMode
    key: str
    def __init__(self, mode: _Optional[_Union[ReuseMode, str]] = ..., key: _Optional[str] = ...) -> None: ...
