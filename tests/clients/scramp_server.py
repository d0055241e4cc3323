"""A MongoDB-like server whose logins are judged by PyPI's scramp, for clients to log in to.

    python scramp_server.py NAME PASSWORD [NAME PASSWORD]...

Every user is in the database `admin` and has both SCRAM mechanisms. Prints its URI as the first line, serves until its
input ends. After a login it answers ping, buildInfo, connectionStatus, listDatabases and endSessions; nothing else.
"""

import hashlib
import socketserver
import struct
import sys
import threading

import bson
import scramp

MECHANISMS = ("SCRAM-SHA-256", "SCRAM-SHA-1")
OP_REPLY, OP_QUERY, OP_MSG = 1, 2004, 2013
MAX_MESSAGE = 48_000_000


class Users:
    """What scramp stores for each user and mechanism. scramp prepares user names, so they are kept prepared."""

    def __init__(self, pairs):
        self.stored = {}
        for name, password in pairs:
            digest = hashlib.md5(f"{name}:mongo:{password}".encode()).hexdigest()
            for mechanism, secret in (("SCRAM-SHA-256", password), ("SCRAM-SHA-1", digest)):
                info = scramp.ScramMechanism(mechanism).make_auth_info(secret, iteration_count=10000)
                self.stored[mechanism, scramp.core.saslprep(name)] = info

    def server(self, mechanism):
        """A scramp server for one conversation, and where the user's name will be found."""
        seen = []

        def find(name):
            seen.append(name)
            return self.stored[mechanism, name]

        return scramp.ScramMechanism(mechanism).make_server(find), seen


class Refused(Exception):
    def __init__(self, code, name, message):
        super().__init__(message)
        self.document = {"ok": 0.0, "errmsg": message, "code": code, "codeName": name}


class Connection(socketserver.BaseRequestHandler):
    def handle(self):
        self.conversation = None
        self.user = None
        while (message := self.read_message()) is not None:
            request_id, op_code = struct.unpack_from("<i4xi", message, 4)
            if op_code == OP_QUERY:
                end = message.index(b"\0", 20)
                command = bson.decode(message[end + 9 :])
            else:
                assert op_code == OP_MSG and message[20] == 0, "only OP_MSG with its body first"
                command = bson.decode(message[21:])
            try:
                answer = self.run(command, command.get("$db", "admin"))
            except Refused as refused:
                answer = refused.document
            body = bson.encode(answer)
            if op_code == OP_QUERY:
                body = struct.pack("<iqii", 8, 0, 0, 1) + body
            else:
                body = struct.pack("<iB", 0, 0) + body
            reply_code = OP_REPLY if op_code == OP_QUERY else OP_MSG
            self.request.sendall(struct.pack("<iiii", 16 + len(body), 1, request_id, reply_code) + body)

    def read_message(self):
        head = self.read_exactly(4)
        if head is None:
            return None
        (length,) = struct.unpack("<i", head)
        assert 16 <= length <= MAX_MESSAGE, f"message of {length} bytes"
        rest = self.read_exactly(length - 4)
        return None if rest is None else head + rest

    def read_exactly(self, count):
        data = b""
        while len(data) < count:
            part = self.request.recv(count - len(data))
            if not part:
                return None
            data += part
        return data

    def run(self, command, database):
        name = next(iter(command))
        if name in ("hello", "isMaster", "ismaster"):
            return self.hello(name, command)
        if name == "saslStart":
            return {**self.sasl_start(command, database), "ok": 1.0}
        if name == "saslContinue":
            return {**self.sasl_continue(command), "ok": 1.0}
        if name == "ping":
            return {"ok": 1.0}
        if name == "buildInfo":
            return {"version": "6.0.0", "versionArray": [6, 0, 0, 0], "ok": 1.0}
        if name not in ("connectionStatus", "listDatabases", "endSessions"):
            raise Refused(59, "CommandNotFound", f"no such command: '{name}'")
        if self.user is None and name != "connectionStatus":
            raise Refused(13, "Unauthorized", f"command {name} requires authentication")
        users = [] if self.user is None else [{"user": self.user, "db": "admin"}]
        return {"databases": [], "authInfo": {"authenticatedUsers": users}, "ok": 1.0}

    def hello(self, name, command):
        answer = {
            "isWritablePrimary" if name == "hello" else "ismaster": True,
            "helloOk": True,
            "maxBsonObjectSize": 16 * 1024 * 1024,
            "maxMessageSizeBytes": MAX_MESSAGE,
            "maxWriteBatchSize": 100000,
            "logicalSessionTimeoutMinutes": 30,
            "minWireVersion": 0,
            "maxWireVersion": 17,
        }
        database, _, user = command.get("saslSupportedMechs", "").partition(".")
        if database == "admin" and ("SCRAM-SHA-256", scramp.core.saslprep(user)) in self.server.users.stored:
            answer["saslSupportedMechs"] = list(MECHANISMS)
        if "speculativeAuthenticate" in command:
            start = command["speculativeAuthenticate"]
            try:
                answer["speculativeAuthenticate"] = self.sasl_start(start, start.get("db"))
            except Refused:
                pass
        return {**answer, "ok": 1.0}

    def sasl_start(self, command, database):
        mechanism = command.get("mechanism")
        if mechanism not in MECHANISMS:
            raise Refused(334, "MechanismUnavailable", f"{mechanism} is not enabled")
        if database != "admin":
            raise Refused(18, "AuthenticationFailed", "Authentication failed.")
        server, seen = self.server.users.server(mechanism)
        self.skip_empty = command.get("options", {}).get("skipEmptyExchange", False)
        self.conversation = (server, seen, "client final")
        first = self.judge(lambda: server.set_client_first(command["payload"].decode()) or server.get_server_first())
        return {"conversationId": 1, "done": False, "payload": first.encode()}

    def sasl_continue(self, command):
        if self.conversation is None or command.get("conversationId") != 1:
            raise Refused(17, "ProtocolError", "No SASL session state found")
        server, seen, state = self.conversation
        payload = command["payload"]
        if state == "empty":
            self.conversation, self.user = None, seen[0]
            return {"conversationId": 1, "done": True, "payload": b""}
        final = self.judge(lambda: server.set_client_final(payload.decode()) or server.get_server_final())
        self.conversation = (server, seen, "empty")
        if self.skip_empty:
            self.conversation, self.user = None, seen[0]
        return {"conversationId": 1, "done": self.skip_empty, "payload": final.encode()}

    def judge(self, step):
        try:
            return step()
        except (scramp.ScramException, LookupError, ValueError):
            self.conversation = None
            raise Refused(18, "AuthenticationFailed", "Authentication failed.") from None


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    users = None


def main():
    arguments = sys.argv[1:]
    with Server(("127.0.0.1", 0), Connection) as server:
        server.users = Users(zip(arguments[::2], arguments[1::2]))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(f"mongodb://127.0.0.1:{server.server_address[1]}/", flush=True)
        sys.stdin.read()
        server.shutdown()


main()
