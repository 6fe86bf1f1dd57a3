"""Protobuf to JSON, as ProtoJSON says, with the field names of the contracts."""

from __future__ import annotations

import orjson
from google.protobuf import json_format, message


def as_json(answer: message.Message) -> bytes:
    """One message as JSON text.

    Fields that hold their default are written too, so that a client may read `runs` or `state`
    without asking first whether it is there. 64-bit integers are strings.
    """
    return orjson.dumps(
        json_format.MessageToDict(
            answer, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
    )
