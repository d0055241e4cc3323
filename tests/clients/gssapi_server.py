"""The server's half of GSSAPI (RFC 4752) by PyPI's gssapi, line by line.

Reads `ID HEX` (the client's next message in the conversation ID) and answers `ID more HEX`, `ID done HEX USER SERVICE`
or `ID no WHY`. The argument is the mask of security layers that it offers.
"""

import sys

import gssapi
from gssapi.raw import RequirementFlag

LAYERS = int(sys.argv[1])
NO_LAYER = 1
# Without a layer that protects there is nothing to bound (RFC 4752, section 3.3).
MAX_MESSAGE = 0x001000 if LAYERS & ~NO_LAYER else 0


class Conversation:
    def __init__(self):
        self.context = gssapi.SecurityContext(usage="accept")
        self.step = self.take_token

    def take_token(self, message):
        token = self.context.step(message) or b""
        if not self.context.complete:
            return "more", token
        if RequirementFlag.mutual_authentication not in self.context.actual_flags:
            raise ValueError("no mutual authentication was asked for")
        if not token:
            return self.offer(b"")
        self.step = self.offer
        return "more", token

    def offer(self, message):
        if message:
            raise ValueError("the client sent a token after the last one")
        self.step = self.take_choice
        mask = bytes([LAYERS]) + MAX_MESSAGE.to_bytes(3, "big")
        return "more", self.context.wrap(mask, False).message

    def take_choice(self, message):
        choice = self.context.unwrap(message).message
        layer, size, authzid = choice[0], choice[1:4], choice[4:].decode("utf-8")
        if layer != NO_LAYER or not layer & LAYERS or size != b"\0\0\0":
            raise ValueError(f"the client chose layer {layer} with {size.hex()}")
        user, realm = str(self.context.initiator_name).rsplit("@", 1)
        if authzid not in ("", user, f"{user}@{realm}"):
            raise ValueError(f"{user}@{realm} would be {authzid}")
        self.step = self.over
        return "done", b"", f"{user}@{realm}", str(self.context.target_name)

    def over(self, message):
        raise ValueError("the conversation is over")


def main():
    conversations = {}
    print("ready", flush=True)
    for line in sys.stdin:
        number, _, payload = line.rstrip("\n").partition(" ")
        conversation = conversations.setdefault(number, None) or Conversation()
        conversations[number] = conversation
        try:
            state, token, *rest = conversation.step(bytes.fromhex(payload))
            print(number, state, token.hex() or "-", *rest, flush=True)
            if state == "done":
                del conversations[number]
        except Exception as error:
            conversations.pop(number, None)
            print(number, "no", str(error).replace("\n", " "), flush=True)


main()
