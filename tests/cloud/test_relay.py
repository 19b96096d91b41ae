"""A browser's request travels to its installation and back."""

from collections.abc import Callable

from attrs import define, field

from charging_manager.cloud.relay import TokenRefused, carry
from charging_manager.errors import TunnelError
from charging_manager.http.routes import Answer, Problem
from charging_manager.http.table import RawRequest
from charging_manager.tunnel.link import RemoteAnswer, RemoteRequest, RemoteSink, RemoteSource, RemoteStream
from charging_manager.tunnel.reasons import trouble
from tests.cloud.house import CloudTestCase


@define
class Heard:
    """Both ends of a stream in memory: what the browser got, what the agent's source was told."""

    data: list[bytes] = field(factory=list)
    told: list[str] = field(factory=list)
    takes: bool = True
    sink: RemoteSink | None = None

    def write(self, data: bytes) -> bool:
        self.data.append(data)
        return self.takes

    def finish(self) -> None:
        self.told.append("finish")

    def resumed(self) -> None:
        self.told.append("resumed")

    def stopped(self) -> None:
        self.told.append("stopped")

    def start(self, sink: RemoteSink) -> RemoteSource:
        self.sink = sink
        return self


@define
class FakeWay:
    """An installation that answers what the test says."""

    answer: Callable[[str, RemoteRequest], RemoteAnswer | RemoteStream]
    asked: list[tuple[str, RemoteRequest]] = field(factory=list)

    async def request(self, token: str, request: RemoteRequest) -> RemoteAnswer | RemoteStream:
        self.asked.append((token, request))
        return self.answer(token, request)


def raising(error: Exception) -> Callable[[str, RemoteRequest], RemoteAnswer]:
    def answer(token: str, request: RemoteRequest) -> RemoteAnswer:
        raise error

    return answer


STATE = RawRequest("GET", "/api/v1/state")


class CarryTests(CloudTestCase):
    def test_the_request_goes_with_the_token_and_without_cookies_or_addresses(self) -> None:
        way = FakeWay(lambda token, request: RemoteAnswer(200, "application/json", b'{"a":1}'))
        headers = {
            "cookie": "__Host-cloud=secret",
            "authorization": "Bearer x",
            "x-forwarded-for": "10.0.0.1",
            "host": "cloud.example",
            "accept-language": "fr",
            "last-event-id": "12",
        }
        asked = RawRequest("PUT", "/api/v1/site", "a=b", b"{}", "application/json", headers)
        self.assertEqual(self.got(carry(way, "token", asked)), Answer(b'{"a":1}'))
        self.assertEqual(
            way.asked,
            [
                (
                    "token",
                    RemoteRequest(
                        "PUT",
                        "/api/v1/site",
                        "a=b",
                        "application/json",
                        b"{}",
                        {"accept-language": "fr", "last-event-id": "12"},
                    ),
                )
            ],
        )

    def test_a_header_that_could_break_out_of_its_line_stays_here(self) -> None:
        way = FakeWay(lambda token, request: RemoteAnswer(200))
        for value in ("1\r\nx: y", "1\u2028x", "9" * 201):
            self.got(carry(way, "token", RawRequest("GET", "/api/v1/events", headers={"last-event-id": value})))
        self.assertEqual([dict(request.headers) for _, request in way.asked], [{}, {}, {}])

    def test_trouble_with_the_tunnel_becomes_a_problem_with_its_own_code(self) -> None:
        for code, status, problem in (
            ("offline", 503, "agent-offline"),
            ("lost", 503, "agent-offline"),
            ("draining", 503, "agent-offline"),
            ("some-new-code", 503, "agent-offline"),
            ("busy", 503, "agent-busy"),
            ("timeout", 504, "agent-timeout"),
            ("failed", 502, "agent-failed"),
        ):
            error = trouble(code) if code != "some-new-code" else TunnelError(code)
            with self.assertRaises(Problem) as caught:
                self.got(carry(FakeWay(raising(error)), "token", STATE))
            self.assertEqual((caught.exception.status, caught.exception.code), (status, problem), code)

    def test_an_installation_without_a_tunnel_is_offline(self) -> None:
        with self.assertRaises(Problem) as caught:
            self.got(carry(None, "token", STATE))
        self.assertEqual((caught.exception.status, caught.exception.code), (503, "agent-offline"))

    def test_a_token_that_the_agent_does_not_know_is_told_apart(self) -> None:
        way = FakeWay(lambda token, request: RemoteAnswer(401, "application/problem+json", b"{}"))
        with self.assertRaises(TokenRefused):
            self.got(carry(way, "token", STATE))

    def test_a_stream_that_may_not_pass_is_stopped_at_the_agent(self) -> None:
        heard = Heard()
        way = FakeWay(lambda token, request: RemoteStream(heard.start, "text/html"))
        with self.assertRaises(Problem) as caught:
            self.got(carry(way, "token", STATE))
        self.assertEqual((caught.exception.code, heard.told), ("agent-answer-refused", ["stopped"]))
