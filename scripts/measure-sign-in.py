#!/usr/bin/env python3
"""Measures whether a wrong password can be told from an unknown role by the time that the refusal takes.

    scripts/measure-sign-in.py HOST:PORT ROLE [TRIES]

Tries both in turn, TRIES times each (1000), and prints medians, means and their ratios. ROLE must have a password. Refusals are
throttled after a few; a throttled one does the same work.
"""
import random
import socket
import statistics
import struct
import sys
import time


def read_exactly(stream, count):
    data = b""
    while len(data) < count:
        part = stream.recv(count - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def message(stream):
    tag = read_exactly(stream, 1)
    (length,) = struct.unpack(">I", read_exactly(stream, 4))
    return tag, read_exactly(stream, length - 4)


def refusal(address, user):
    """Seconds from the password to the refusal."""
    with socket.create_connection(address) as stream:
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        body = b"user\0" + user.encode() + b"\0database\0locus\0\0"
        begin = time.perf_counter()
        stream.sendall(struct.pack(">II", len(body) + 8, 3 << 16) + body)
        tag, body = message(stream)
        if tag != b"R" or struct.unpack(">I", body[:4])[0] != 3:
            sys.exit(f"no password was asked for: {tag} {body}")
        password = b"wrong wrong wrong\0"
        stream.sendall(b"p" + struct.pack(">I", len(password) + 4) + password)
        tag, body = message(stream)
        seconds = time.perf_counter() - begin
        if tag != b"E" or b"C28P01\0" not in body:
            sys.exit(f"not refused as expected: {tag} {body}")
        return seconds


def main():
    host, port = sys.argv[1].rsplit(":", 1)
    role, tries = sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 1000
    kinds = {"wrong password": role, "unknown role": "nobody_" + role}
    times = {kind: [] for kind in kinds}
    for kind in kinds:
        for _ in range(5):
            refusal((host, int(port)), kinds[kind])
    for _ in range(tries):
        # In random order, so that nothing periodic falls on one of them.
        for kind in random.sample(list(kinds), 2):
            times[kind].append(refusal((host, int(port)), kinds[kind]))
    for kind, seconds in times.items():
        median, mean = statistics.median(seconds) * 1000, statistics.fmean(seconds) * 1000
        print(f"{kind:15} {len(seconds)} tries  median {median:.2f} ms  mean {mean:.2f} ms")
    first, second = times.values()
    print(f"ratio of medians {statistics.median(first) / statistics.median(second):.3f}, "
          f"of means {statistics.fmean(first) / statistics.fmean(second):.3f}")


main()
