# SPDX-License-Identifier: Apache-2.0
"""A remote write 1.0 sender of a few lines, for what a real sender would never say."""
import struct


def varint(n):
    n &= (1 << 64) - 1
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7f | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def field(number, data):
    data = data.encode() if isinstance(data, str) else data
    return varint(number << 3 | 2) + varint(len(data)) + data


def label(name, value):
    return field(1, field(1, name) + field(2, value))


def labels(pairs):
    return b"".join(label(n, v) for n, v in (sorted(pairs.items()) if isinstance(pairs, dict) else pairs))


def sample(timestamp_ms, value):
    bits = value if isinstance(value, bytes) else struct.pack("<d", value)
    return field(2, b"\x09" + bits + b"\x10" + varint(timestamp_ms))


def series(pairs, *samples):
    return field(1, labels(pairs) + b"".join(sample(*s) for s in samples))


def metadata(kind, family, text="", unit=""):
    return field(3, b"\x08" + varint(kind) + field(2, family) + field(4, text) + field(5, unit))


def snappy(raw):
    """Block format, literals only."""
    out = bytearray(varint(len(raw)))
    for at in range(0, len(raw), 65536):
        part = raw[at:at + 65536]
        out += bytes([61 << 2]) + struct.pack("<H", len(part) - 1) + part
    return bytes(out)


HEADERS = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy",
           "X-Prometheus-Remote-Write-Version": "0.1.0"}


def post(server, *messages, headers=None, packed=None):
    """(status, text) of a request of these messages."""
    body = snappy(b"".join(messages)) if packed is None else packed
    status, answer, _ = server.request("POST", "/api/v1/write", body, {**HEADERS, **(headers or {})})
    return status, answer.decode()
