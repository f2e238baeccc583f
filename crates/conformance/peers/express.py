"""The express tap of specs/express-tap.md in both roles, written from that page alone.

Only AES-GCM, HMAC and SHA-256 come from a library, PyPI cryptography.
"""
import hashlib
import hmac
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from lines import serve

APPLICATION = bytes.fromhex("F04C494D454E01")
VERSION = bytes.fromhex("0100")
SELECT, OPEN, PROVE, COMMIT = b"\x00\xa4\x04\x00", b"\x80\x50\0\0", b"\x80\x52\0\0", b"\x80\x54\0\0"
OK = b"\x90\x00"


class Refused(Exception):
    pass


# Key schedule.

def expand(key, info):
    return hmac.new(key, info + b"\x01", hashlib.sha256).digest()


def tag_of(what, code, size):
    return hashlib.sha256(what.encode() + b"\0" + code.encode()).digest()[:size]


def scope_identifier(operator, zone):
    text = b"limen express scope 1\0" + operator.encode() + b"\0" + (zone or "").encode()
    return hashlib.sha256(text).digest()[:8]


class EpochKeys:
    def __init__(self, key, scope, epoch):
        self.context = scope + struct.pack(">I", epoch)
        self.seal = expand(key, b"limen express 1 seal" + self.context)
        self.hold = expand(key, b"limen express 1 hold" + self.context)
        self.label = b"limen express 1 handle" + self.context

    def make(self, nonce, content):
        return nonce + AESGCM(self.seal).encrypt(nonce, content, self.label)

    def open(self, handle):
        return AESGCM(self.seal).decrypt(handle[:12], handle[12:], self.label)

    def tap_key(self, handle):
        return expand(self.hold, b"limen express 1 tap" + handle)


class Channel:
    """The keys of one tap; each direction counts from 1."""

    def __init__(self, tap_key, transport, proprietary, data_of_open, handle, n_h):
        text = b"limen express 1" + bytes([transport, len(proprietary)]) + proprietary
        self.transcript = hashlib.sha256(text + data_of_open + handle + n_h).digest()
        self.keys = {end: expand(tap_key, f"limen express 1 {end}".encode() + self.transcript)
                     for end in ("reader", "holder")}
        self.counters = {"reader": 0, "holder": 0}

    def nonce(self, end):
        self.counters[end] += 1
        return bytes(8) + struct.pack(">I", self.counters[end])

    def seal(self, end, plain):
        return AESGCM(self.keys[end]).encrypt(self.nonce(end), plain, self.transcript)

    def open(self, end, sealed):
        return AESGCM(self.keys[end]).decrypt(self.nonce(end), sealed, self.transcript)


CONTENT = ">BB8s4s4sIIIH"
CONTENT_NAMES = ("format", "conditions", "product", "class", "list", "index", "from", "until", "number")


def content_bytes(fields):
    return struct.pack(CONTENT, *(bytes.fromhex(fields[name]) if isinstance(fields[name], str) else fields[name]
                                  for name in CONTENT_NAMES))


def content_fields(content):
    values = struct.unpack(CONTENT, content)
    return {name: value.hex() if isinstance(value, bytes) else value
            for name, value in zip(CONTENT_NAMES, values)}


# The holder.

class Holder:
    def __init__(self, transport, handles=(), n_h="", noise="", presence=0, mail=0, taps=0, state=None):
        self.transport = transport
        # Fresh handles by scope identifier and epoch, each with its tap key.
        self.handles = {}
        for one in handles:
            where = (bytes.fromhex(one["scope"]), one["epoch"])
            pair = (bytes.fromhex(one["handle"]), bytes.fromhex(one["tap_key"]))
            self.handles.setdefault(where, []).append(pair)
        self.n_h, self.noise = bytes.fromhex(n_h), bytes.fromhex(noise)
        self.presence, self.mail, self.taps = presence, mail, taps
        self.state = state and (state["sequence"], state["value"], state["last"])
        self.proprietary = b"\x5c" + bytes([len(VERSION)]) + VERSION
        self.stage, self.channel = "idle", None

    def answer(self, command):
        try:
            return self.judge(command) + OK
        except Refused as refused:
            self.channel = None
            if self.stage != "idle":
                self.stage = "selected"
            return bytes.fromhex(str(refused))

    def judge(self, command):
        if len(command) < 5:
            raise Refused("6700")
        head, data = command[:4], command[5:5 + command[4]]
        if len(data) != command[4] or len(command) > 6 + command[4]:
            raise Refused("6700")
        if head == SELECT:
            return self.select(data)
        if self.stage == "idle":
            raise Refused("6985")
        if head[0] != 0x80:
            raise Refused("6E00")
        steps = {OPEN[1]: (self.open, 30, None), PROVE[1]: (self.prove, 36, "opened"),
                 COMMIT[1]: (self.commit, 28, "proved")}
        if head[1] not in steps:
            raise Refused("6D00")
        if head[2:] != b"\0\0":
            raise Refused("6A86")
        step, size, stage = steps[head[1]]
        if stage not in (None, self.stage):
            raise Refused("6985")
        if len(data) != size:
            raise Refused("6700")
        return step(data)

    def select(self, data):
        if data != APPLICATION:
            raise Refused("6A82")
        self.stage, self.channel = "selected", None
        inner = b"\x84" + bytes([len(APPLICATION)]) + APPLICATION
        inner += b"\xa5" + bytes([len(self.proprietary)]) + self.proprietary
        return b"\x6f" + bytes([len(inner)]) + inner

    def open(self, data):
        if data[:2] != VERSION:
            raise Refused("6984")
        self.stage, self.channel = "opened", None
        fresh = self.handles.get((data[2:10], int.from_bytes(data[10:14], "big")))
        if not fresh:
            return self.noise
        handle, tap_key = fresh.pop(0)
        self.channel = Channel(tap_key, self.transport, self.proprietary, data, handle, self.n_h)
        return handle + self.n_h

    def prove(self, data):
        try:
            plain = self.channel and self.channel.open("reader", data)
        except InvalidTag:
            plain = None
        if plain is None:
            raise Refused("6982")
        self.reader, self.at = plain[:16], int.from_bytes(plain[16:], "big")
        self.taps += 1
        self.stage = "proved"
        return self.channel.seal("holder", struct.pack(">IBBIII", self.taps, self.presence, self.mail,
                                                       *(self.state or (0, 0, 0))))

    def commit(self, data):
        try:
            plain = self.channel.open("reader", data)
        except InvalidTag:
            raise Refused("6982")
        sequence, value, mark = struct.unpack(">III", plain)
        if self.state is None or sequence != self.state[0] + 1:
            raise Refused("6985")
        self.state = (sequence, value, mark)
        self.stage = "selected"
        channel, self.channel = self.channel, None
        return channel.seal("holder", struct.pack(">I", sequence))


# The gate, up to its judgement.

class Gate:
    def __init__(self, key, operator, zone, epoch, n_r, transport, reader, at, commit=None):
        scope = scope_identifier(operator, zone)
        self.keys = EpochKeys(bytes.fromhex(key), scope, epoch)
        self.data_of_open = VERSION + self.keys.context + bytes.fromhex(n_r)
        self.transport = transport
        self.who = bytes.fromhex(reader) + struct.pack(">I", at)
        self.write = commit
        self.steps = iter(())
        self.result = {}

    def run(self):
        """Yields commands, is sent answers, leaves what it learned in `result`."""
        answer = yield SELECT + bytes([len(APPLICATION)]) + APPLICATION + b"\0"
        proprietary = self.versions(self.good(answer))
        answer = self.good((yield OPEN + bytes([30]) + self.data_of_open + b"\0"), 76)
        handle, n_h = answer[:60], answer[60:]
        try:
            content = self.keys.open(handle)
        except InvalidTag:
            raise Refused("handle")
        if content[0] != 1 or content[1] & ~3:
            raise Refused("format")
        channel = Channel(self.keys.tap_key(handle), self.transport, proprietary, self.data_of_open, handle, n_h)
        answer = self.good((yield PROVE + bytes([36]) + channel.seal("reader", self.who) + b"\0"), 34)
        said = struct.unpack(">IBBIII", self.opened(channel, answer))
        if said[1] > 2:
            raise Refused("presence")
        self.result = dict(zip(("taps", "presence", "mail", "sequence", "value", "last"), said))
        self.result["content"] = content_fields(content)
        if content[1] & 2 and self.write:
            sequence = self.write["sequence"]
            plain = struct.pack(">III", sequence, self.write["value"], self.write["mark"])
            answer = self.good((yield COMMIT + bytes([28]) + channel.seal("reader", plain) + b"\0"), 20)
            if self.opened(channel, answer) != struct.pack(">I", sequence):
                raise Refused("sequence")
            self.result["committed"] = sequence

    @staticmethod
    def good(answer, size=None):
        if answer[-2:] != OK:
            raise Refused(f"status {answer[-2:].hex()}")
        if size not in (None, len(answer) - 2):
            raise Refused("length")
        return answer[:-2]

    @staticmethod
    def opened(channel, sealed):
        try:
            return channel.open("holder", sealed)
        except InvalidTag:
            raise Refused("proof")

    @staticmethod
    def versions(answer):
        """The value of A5 as it came; the gate speaks one version and looks for it there."""
        def field(data, tag, word="answer to SELECT"):
            if len(data) < 2 or data[0] & 31 == 31 or data[1] > 127 or len(data) < 2 + data[1]:
                raise Refused(word)
            if tag not in (None, data[0]):
                raise Refused(word)
            return data[2:2 + data[1]], data[2 + data[1]:]

        template, rest = field(answer, 0x6f)
        name, template = field(template, 0x84)
        proprietary, after = field(template, 0xa5)
        if rest or after or name != APPLICATION or len(proprietary) > 32:
            raise Refused("answer to SELECT")
        objects = proprietary
        while objects[:1] != b"\x5c":
            _, objects = field(objects, None, "version")
        offered, _ = field(objects, 0x5c, "version")
        if len(offered) % 2 or VERSION not in (offered[i:i + 2] for i in range(0, len(offered), 2)):
            raise Refused("version")
        return proprietary

    def next(self, answer):
        """The next command, or what came of the tap."""
        try:
            if answer is None:
                self.steps = self.run()
                return next(self.steps).hex()
            return self.steps.send(bytes.fromhex(answer)).hex()
        except StopIteration:
            return self.result
        except Refused as refused:
            return {"refused": str(refused)}


# Jobs. Many taps go side by side, one step of all of them per job.

taps = []


def make(requests):
    """Handles as the key service makes them, with their tap keys."""
    made = []
    for one in requests:
        scope = scope_identifier(one["operator"], one["zone"])
        keys = EpochKeys(bytes.fromhex(one["key"]), scope, one["epoch"])
        handle = keys.make(bytes.fromhex(one["nonce"]), content_bytes(one["content"]))
        made.append({"handle": handle.hex(), "tap_key": keys.tap_key(handle).hex(), "scope": scope.hex()})
    return {"made": made}


def gates(sessions):
    taps[:] = [Gate(**session) for session in sessions]
    return {"said": [gate.next(None) for gate in taps]}


def hear_answers(answers):
    """One answer for each gate; none for a gate that is through."""
    return {"said": [gate.next(answer) if answer else None for gate, answer in zip(taps, answers)]}


def holders(sessions):
    taps[:] = [Holder(**session) for session in sessions]
    return {"holders": len(taps)}


def hear_commands(commands):
    return {"said": [holder.answer(bytes.fromhex(command)).hex() if command else None
                     for holder, command in zip(taps, commands)]}


def states():
    """What each holder has after its tap."""
    return {"states": [{"taps": holder.taps, "state": holder.state, "fresh": sum(map(len, holder.handles.values()))}
                       for holder in taps]}


def run(gate, holder):
    """A whole tap between two ends of this file, and what went over the link."""
    log, command = [], gate.next(None)
    while isinstance(command, str):
        answer = holder.answer(bytes.fromhex(command)).hex()
        log.append({"command": command, "answer": answer})
        command = gate.next(answer)
    return log


def vectors(sessions):
    """Every value between and every APDU, from the inputs of the published vectors alone."""
    def state(one):
        return one and {**one, "mark": int(one["mark"], 16), "last": int(one["mark"], 16)}

    def one(given):
        keys = EpochKeys(bytes.fromhex(given["epoch_key"]), scope_identifier(given["operator"], given["zone"]),
                         given["epoch"])
        handle = keys.make(bytes.fromhex(given["nonce"]), content_bytes({"format": 1, **given["content"]}))
        tap_key, standing = keys.tap_key(handle), given["standing"]
        scope = keys.context[:8].hex()
        made = {"scope": scope, "epoch": given["epoch"], "handle": handle.hex(), "tap_key": tap_key.hex()}
        transport = int(given["transport"], 16)
        holder = Holder(transport, [made] if given["has_handle"] else [], given["holder_fresh"],
                        given["noise"] + given["holder_fresh"], standing["presence"], standing["mail"],
                        standing["taps"] - 1, state(standing["state"]))
        gate = Gate(given["epoch_key"], given["operator"], given["zone"], given["epoch"], given["reader_fresh"],
                    transport, given["reader"], given["at"], state(given["commit"]))
        channel = Channel(tap_key, transport, holder.proprietary, gate.data_of_open, handle, holder.n_h)
        return {
            "between": {
                "scope": scope, "context": keys.context.hex(), "K_seal": keys.seal.hex(), "K_hold": keys.hold.hex(),
                "handle": handle.hex(), "K_tap": tap_key.hex(), "proprietary": holder.proprietary.hex(),
                "T": channel.transcript.hex(), "K_R": channel.keys["reader"].hex(),
                "K_H": channel.keys["holder"].hex(),
            },
            "apdus": run(gate, holder),
        }

    return {"computed": [one(session["input"]) for session in sessions]}


if __name__ == "__main__":
    serve({"vectors": vectors, "make": make, "gates": gates, "hear_answers": hear_answers, "holders": holders,
           "hear_commands": hear_commands, "states": states})
