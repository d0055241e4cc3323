"""Runs Linux programs for tests that run under Wine, which can start such programs but not wait for them.

tests/server/src/bin/linux_program.rs is the other half. One connection is one program. The first line is JSON: token, program,
arguments, environment, folder. After it, both sides send frames: one byte for the kind, four bytes (big-endian) for the length,
then that many bytes. Kinds: 0 standard input (empty: its end), 1 standard output, 2 standard error, 3 the exit code as text.

It listens on 127.0.0.1 only, prints `PORT TOKEN`, and ends with its standard input.
"""

import hmac
import json
import os
import secrets
import signal
import socket
import struct
import subprocess
import sys
import threading

STDIN, STDOUT, STDERR, EXIT = range(4)
LONGEST_REQUEST = 1 << 20
LONGEST_FRAME = 1 << 20
# How long a program may take to end after its input has ended because the test process is gone.
GRACE_SECONDS = 10


def main():
    token = secrets.token_hex(16)
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    print(listener.getsockname()[1], token, flush=True)
    threading.Thread(target=accept, args=(listener, token), daemon=True).start()
    sys.stdin.buffer.read()


def accept(listener, token):
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=serve, args=(connection, token), daemon=True).start()


def serve(connection, token):
    with connection, connection.makefile("rb") as received:
        try:
            request = json.loads(received.readline(LONGEST_REQUEST))
            if not hmac.compare_digest(request["token"], token):
                return
            run(connection, received, request)
        except (OSError, ValueError, KeyError, EOFError):
            pass


def run(connection, received, request):
    sending = threading.Lock()

    def send(kind, data):
        with sending:
            connection.sendall(struct.pack(">BI", kind, len(data)) + data)

    try:
        program = subprocess.Popen(
            [request["program"], *request["arguments"]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(request["environment"]),
            cwd=request["folder"],
            start_new_session=True,
        )
    except OSError as error:
        send(STDERR, f"{request['program']}: {error.strerror}\n".encode())
        send(EXIT, b"127")
        return
    threads = [
        threading.Thread(target=copy, args=(stream, kind, send), daemon=True)
        for stream, kind in [(program.stdout, STDOUT), (program.stderr, STDERR)]
    ]
    threads.append(threading.Thread(target=feed, args=(received, program), daemon=True))
    for thread in threads:
        thread.start()
    code = program.wait()
    for thread in threads[:2]:
        # A grandchild may hold the streams open.
        thread.join(1)
    send(EXIT, str(code if code >= 0 else 128 - code).encode())


def environment(given):
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "USER", "LANG") if name in os.environ}
    return {**kept, **given}


def copy(stream, kind, send):
    try:
        while data := stream.read1(65536):
            send(kind, data)
    except (OSError, ValueError):
        pass


def feed(received, program):
    """Copies input until the test process has closed it or is gone; in the second case the program has to end."""
    gone = True
    try:
        while head := received.read(5):
            kind, length = struct.unpack(">BI", head)
            if kind != STDIN or length > LONGEST_FRAME:
                break
            if length == 0:
                gone = False
                break
            program.stdin.write(received.read(length))
            program.stdin.flush()
    except (OSError, ValueError, struct.error):
        pass
    try:
        program.stdin.close()
    except OSError:
        pass
    if not gone:
        try:
            received.read(1)  # Returns when the test process is gone.
        except (OSError, ValueError):
            pass
    try:
        program.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        try:
            os.killpg(program.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


main()
