"""Messages: known bytes, what is believed, what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charging_manager.errors import DeviceNonsense, DeviceRefused
from charging_manager.modbus import pdu


def test_a_read_is_encoded_as_the_standard_shows() -> None:
    request = pdu.read_request(3, 107, 3)  # Modbus Application Protocol 1.1b3, section 6.3
    assert request.pdu.hex() == "03006b0003"
    assert pdu.decode_answer(request, bytes.fromhex("0306022b00000064")) == [555, 0, 100]


def test_coils_come_lowest_bit_first() -> None:
    request = pdu.read_request(1, 19, 19)  # section 6.1
    assert request.pdu.hex() == "0100130013"
    bits = pdu.decode_answer(request, bytes.fromhex("0103cd6b05"))
    assert bits == [1, 0, 1, 1, 0, 0, 1, 1, 1, 1, 0, 1, 0, 1, 1, 0, 1, 0, 1]


def test_writes_are_encoded_as_the_standard_shows() -> None:
    assert pdu.write_request(6, 1, [3]).pdu.hex() == "0600010003"
    assert pdu.write_request(5, 172, [1]).pdu.hex() == "0500acff00"
    assert pdu.write_request(16, 1, [10, 258]).pdu.hex() == "100001000204000a0102"
    assert pdu.write_request(15, 19, [1, 0, 1, 1, 0, 0, 1, 1, 1, 0]).pdu.hex() == "0f0013000a02cd01"


def test_a_write_is_confirmed_only_by_its_own_echo() -> None:
    single, several = pdu.write_request(6, 1, [3]), pdu.write_request(16, 1, [10, 258])
    assert pdu.decode_answer(single, bytes.fromhex("0600010003")) == []
    assert pdu.decode_answer(several, bytes.fromhex("1000010002")) == []
    for request, answer in ((single, "0600010004"), (single, "0600020003"), (several, "1000010001")):
        with pytest.raises(DeviceNonsense):
            pdu.decode_answer(request, bytes.fromhex(answer))


@pytest.mark.parametrize(
    "answer",
    ["03", "0300", "0302022b", "0306022b0000006400", "0406022b00000064", "0308022b00000064", "8302ff", "8402", "81"],
)
def test_what_does_not_fit_the_question_is_nonsense(answer: str) -> None:
    with pytest.raises(DeviceNonsense):
        pdu.decode_answer(pdu.read_request(3, 107, 3), bytes.fromhex(answer))


def test_a_refusal_carries_its_code_and_says_it_in_words() -> None:
    with pytest.raises(DeviceRefused, match="illegal data address") as caught:
        pdu.decode_answer(pdu.read_request(3, 107, 3), b"\x83\x02")
    assert caught.value.code == 2


@pytest.mark.parametrize(
    ("function", "address", "count"),
    [(3, 0, 0), (3, 0, 126), (1, 0, 2001), (3, 65535, 2), (3, -1, 1), (6, 0, 1), (43, 0, 1)],
)
def test_a_read_that_no_device_could_answer_is_our_mistake(function: int, address: int, count: int) -> None:
    with pytest.raises(ValueError, match=r"function|addresses"):
        pdu.read_request(function, address, count)


@pytest.mark.parametrize(
    ("function", "address", "words"),
    [(16, 0, []), (16, 0, [0] * 124), (6, 0, [1, 2]), (6, 0, [65536]), (5, 0, [2]), (3, 0, [1])],
)
def test_a_write_that_no_device_could_obey_is_our_mistake(function: int, address: int, words: list[int]) -> None:
    with pytest.raises(ValueError, match="function"):
        pdu.write_request(function, address, words)


@given(st.sampled_from(pdu.READS), st.integers(0, 60000), st.data())
def test_what_a_server_answers_is_what_the_client_reads(function: int, address: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, pdu.MOST[function]))
    top = 1 if function < 3 else 0xFFFF
    values = [(count * index * 2654435761 >> 7) & top for index in range(count)]
    request = pdu.read_request(function, address, count)
    heard = pdu.decode_request(request.pdu)
    assert (heard.function, heard.address, heard.count) == (function, address, count)
    answer = pdu.encode_answer(heard, values)
    assert len(answer) == request.answer_length <= 253
    assert pdu.decode_answer(request, answer) == values


@given(st.sampled_from(pdu.WRITES), st.integers(0, 60000), st.data())
def test_what_a_client_writes_is_what_the_server_hears(function: int, address: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, pdu.MOST[function]))
    top = 1 if function in (5, 15) else 0xFFFF
    words = [(count * index * 2654435761 >> 7) & top for index in range(count)]
    request = pdu.write_request(function, address, words)
    heard = pdu.decode_request(request.pdu)
    assert (heard.function, heard.address, list(heard.words)) == (function, address, words)
    assert pdu.decode_answer(request, pdu.encode_answer(heard, [])) == []


@given(st.binary(min_size=1, max_size=260))
def test_a_server_understands_a_request_or_names_the_exception(data: bytes) -> None:
    try:
        request = pdu.decode_request(data)
    except pdu.BadRequest as bad:
        assert bad.code in (1, 2, 3)
        assert bad.function == data[0]
    else:
        assert 1 <= request.count <= pdu.MOST[request.function]
        assert request.address + request.count <= 65536


@pytest.mark.parametrize(
    ("request_hex", "code"),
    [
        ("0300000000", 3),
        ("030000007e", 3),
        ("03ffff0002", 2),
        ("0500001234", 3),
        ("100000000102", 3),
        ("2b0e0100", 1),
        ("0f0000001001ff", 3),
    ],
)
def test_a_bad_request_gets_the_exception_of_the_standard(request_hex: str, code: int) -> None:
    with pytest.raises(pdu.BadRequest) as caught:
        pdu.decode_request(bytes.fromhex(request_hex))
    assert caught.value.code == code
