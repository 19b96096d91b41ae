"""The server's end of a WebSocket: in any pieces, and with whatever a stranger sends."""

from __future__ import annotations

import base64

from hypothesis import given
from hypothesis import strategies as st
from wsproto import ConnectionType, WSConnection
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, RejectConnection, Request, TextMessage

from charging_manager.ocpp.websocket import MOST_BYTES, Beat, Event, Opening, Over, ServerSocket, Text, last_part

SECRET = base64.b64encode(b"CP1:secret")


class Pair:
    """A client of wsproto's own, and our end."""

    def __init__(self, *, accept: bool = True) -> None:
        self.client, self.server = WSConnection(ConnectionType.CLIENT), ServerSocket()
        asked = Request(
            host="here",
            target="/ocpp/CP1",
            subprotocols=["ocpp1.6"],
            extra_headers=[(b"authorization", b"Basic " + SECRET)],
        )
        self.opening = list(self.server.feed(self.client.send(asked)))
        if accept:
            self.server.accept("ocpp1.6")
            self.client.receive_data(self.server.take())
            list(self.client.events())

    def say(self, event: TextMessage | BytesMessage | Ping | CloseConnection) -> list[Event]:
        return list(self.server.feed(self.client.send(event)))

    def heard(self) -> list[object]:
        self.client.receive_data(self.server.take())
        return list(self.client.events())


def test_a_charge_point_comes_in_with_its_password() -> None:
    assert Pair().opening == [Opening("/ocpp/CP1", ("ocpp1.6",), "CP1", b"secret")]
    assert "secret" not in repr(Pair().opening)


@given(st.text(max_size=300), st.data())
def test_a_message_is_whole_however_its_bytes_arrive(text: str, data: st.DataObject) -> None:
    pair = Pair()
    sent = pair.client.send(TextMessage(data=text))
    cut = data.draw(st.integers(0, len(sent)))
    assert [*pair.server.feed(sent[:cut]), *pair.server.feed(sent[cut:])] == [Text(text)]
    pair.server.text(text)
    (heard,) = pair.heard()
    assert isinstance(heard, TextMessage)
    assert heard.data == text


def test_a_message_of_ten_megabytes_is_not_kept() -> None:
    pair = Pair()
    sent = pair.client.send(TextMessage(data="x" * 10_000_000))
    events: list[Event] = []
    taken = 0
    for at in range(0, len(sent), 16384):
        events += pair.server.feed(sent[at : at + 16384])
        taken = at
        if events:
            break
    assert events == [Over(f"sent a message of more than {MOST_BYTES} bytes")]
    assert taken <= 2 * MOST_BYTES
    assert [one.code for one in pair.heard() if isinstance(one, CloseConnection)] == [1009]
    assert list(pair.server.feed(b"more")) == []


def test_fragments_without_an_end_are_bounded_too() -> None:
    pair = Pair()
    events: list[Event] = []
    for _ in range(MOST_BYTES + 1):
        events += pair.say(TextMessage(data="", message_finished=False))
        if events:
            break
    assert events == [Over(f"sent a message of more than {MOST_BYTES} bytes")]


def test_bytes_pings_and_good_byes() -> None:
    pair = Pair()
    assert pair.say(Ping(payload=b"x")) == [Beat()]
    assert [type(one) for one in pair.heard()] == [Pong]
    pair.server.ping()
    (asked,) = pair.heard()
    assert isinstance(asked, Ping)
    assert list(pair.server.feed(pair.client.send(asked.response()))) == [Beat()]
    assert pair.say(CloseConnection(code=1000)) == [Over("closed the connection (1000)")]
    assert Pair().say(BytesMessage(data=b"x")) == [Over("sent bytes instead of text")]


def test_who_is_refused_hears_why_by_http() -> None:
    pair = Pair(accept=False)
    pair.server.refuse(401, "Not you.", ((b"www-authenticate", b"Basic"),))
    pair.client.receive_data(pair.server.take())
    (said, *_) = pair.client.events()
    assert isinstance(said, RejectConnection)
    assert said.status_code == 401
    assert list(pair.server.feed(b"more")) == []


def test_requests_that_are_none_are_answered_and_end() -> None:
    for sent in (
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /CP1 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n",
        b"\x16\x03\x01 a hello of TLS\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: \xff\xfe\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"x" * 100_000,
    ):
        socket = ServerSocket()
        (over,) = socket.feed(sent)
        assert isinstance(over, Over)


@given(st.binary(max_size=400))
def test_a_stranger_may_send_anything(data: bytes) -> None:
    list(ServerSocket().feed(data))
    pair = Pair()
    events = list(pair.server.feed(data))
    assert all(isinstance(one, Text | Beat | Over) for one in events)
    pair.server.take()


def test_the_identity_is_what_the_address_ends_with() -> None:
    assert last_part("/ocpp/CP1") == "CP1"
    assert last_part("/CP%7C1/") == "CP|1"
    assert last_part("/") == ""
