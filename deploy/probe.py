"""`python -I deploy/probe.py [FOLDER] 50051`: does the gRPC server at this port say that it serves?

With a folder, over mutual TLS, by the certificate of the part itself.

A container engine asks this every few seconds in every container, so it is one file without imports
that cost time: HTTP/2 by hand, a few milliseconds instead of a second for grpcio's.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import sys

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS, GOAWAY = 0x0, 0x1, 0x4, 0x7
END_STREAM, END_HEADERS, ACK = 0x1, 0x4, 0x1
STREAM = 1
TIMEOUT_S = 2.0
# HPACK: indexed fields of the static table, then literals that are not to be indexed.
POST, HTTP = b"\x83", b"\x86"
PATH, AUTHORITY, CONTENT_TYPE = b"\x04", b"\x01", b"\x0f\x10"
# grpc.health.v1.HealthCheckRequest with no service name, behind gRPC's five bytes.
REQUEST = b"\x00\x00\x00\x00\x00"
# HealthCheckResponse{status: SERVING}, likewise.
SERVING = b"\x00\x00\x00\x00\x02\x08\x01"


def is_serving(host: str, port: int, folder: str = "") -> bool:
    """Ask once; False for every other answer, and for none."""
    try:
        with contextlib.ExitStack() as stack:
            line = stack.enter_context(socket.create_connection((host, port), TIMEOUT_S))
            if folder:
                line = stack.enter_context(_secured(line, folder))
            line.sendall(_question())
            return _answer(line) == SERVING
    except OSError:
        return False


def _secured(line: socket.socket, folder: str) -> ssl.SSLSocket:
    """The same connection with TLS; a certificate of ours also stands for "localhost"."""
    context = ssl.create_default_context(cafile=f"{folder}/ca.crt")
    context.load_cert_chain(f"{folder}/tls.crt", f"{folder}/tls.key")
    context.set_alpn_protocols(["h2"])
    return context.wrap_socket(line, server_hostname="localhost")


def _question() -> bytes:
    fields = (
        POST + HTTP + PATH + _text(b"/grpc.health.v1.Health/Check") + AUTHORITY + _text(b"probe")
    )
    fields += CONTENT_TYPE + _text(b"application/grpc")
    fields += b"\x00" + _text(b"te") + _text(b"trailers")
    return (
        PREFACE
        + _frame(SETTINGS, 0, 0, b"")
        + _frame(HEADERS, END_HEADERS, STREAM, fields)
        + _frame(DATA, END_STREAM, STREAM, REQUEST)
    )


def _answer(line: socket.socket) -> bytes:
    """The message of the answer; empty when the stream or the connection ends without one."""
    message = b""
    with line.makefile("rb") as incoming:
        while len(head := incoming.read(9)) == 9:
            length, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
            payload = incoming.read(length)
            if kind == SETTINGS and not flags & ACK:
                line.sendall(_frame(SETTINGS, ACK, 0, b""))
            if kind == DATA:
                message += payload
            if kind == GOAWAY or (kind in (DATA, HEADERS) and flags & END_STREAM):
                break
    return message


def _text(value: bytes) -> bytes:
    return bytes([len(value)]) + value


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big")
    return head + payload


if __name__ == "__main__":
    sys.exit(0 if is_serving("127.0.0.1", int(sys.argv[-1]), *sys.argv[1:-1]) else 1)
