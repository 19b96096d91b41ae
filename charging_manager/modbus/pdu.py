"""Modbus messages without their frames: the one module that imports pymodbus.

Its message classes encode and decode; what an answer must look like to be believed is checked here, against the
request (Modbus Application Protocol 1.1b3, section 6). Lengths are checked before pymodbus sees a byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from attrs import field, frozen
from pymodbus.pdu import ModbusPDU
from pymodbus.pdu import bit_message as bits
from pymodbus.pdu import register_message as registers
from pymodbus.pdu.exceptionresponse import ExceptionResponse

from charging_manager.errors import DeviceNonsense, DeviceRefused

READ_COILS, READ_DISCRETE, READ_HOLDING, READ_INPUT = 1, 2, 3, 4
WRITE_COIL, WRITE_REGISTER, WRITE_COILS, WRITE_REGISTERS = 5, 6, 15, 16
READS = (READ_COILS, READ_DISCRETE, READ_HOLDING, READ_INPUT)
WRITES = (WRITE_COIL, WRITE_REGISTER, WRITE_COILS, WRITE_REGISTERS)

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE, DEVICE_FAILURE = 1, 2, 3, 4
ACKNOWLEDGE, BUSY, NO_PATH, NO_TARGET = 5, 6, 10, 11

MOST = {1: 2000, 2: 2000, 3: 125, 4: 125, 5: 1, 6: 1, 15: 1968, 16: 123}
"""How many coils or registers one request may name."""

REFUSALS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "acknowledged, not done yet",
    6: "device busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target did not respond",
}

_ANSWERS: dict[int, type[ModbusPDU]] = {
    READ_COILS: bits.ReadCoilsResponse,
    READ_DISCRETE: bits.ReadDiscreteInputsResponse,
    READ_HOLDING: registers.ReadHoldingRegistersResponse,
    READ_INPUT: registers.ReadInputRegistersResponse,
    WRITE_COIL: bits.WriteSingleCoilResponse,
    WRITE_REGISTER: registers.WriteSingleRegisterResponse,
    WRITE_COILS: bits.WriteMultipleCoilsResponse,
    WRITE_REGISTERS: registers.WriteMultipleRegistersResponse,
}
_REQUESTS: dict[int, type[ModbusPDU]] = {
    READ_COILS: bits.ReadCoilsRequest,
    READ_DISCRETE: bits.ReadDiscreteInputsRequest,
    READ_HOLDING: registers.ReadHoldingRegistersRequest,
    READ_INPUT: registers.ReadInputRegistersRequest,
    WRITE_COIL: bits.WriteSingleCoilRequest,
    WRITE_REGISTER: registers.WriteSingleRegisterRequest,
    WRITE_COILS: bits.WriteMultipleCoilsRequest,
    WRITE_REGISTERS: registers.WriteMultipleRegistersRequest,
}


@frozen
class Request:
    """What is asked of a device: read ``count`` from ``address`` on, or write ``words`` there. Coils are 0 or 1."""

    function: int
    address: int
    count: int
    words: tuple[int, ...] = ()
    pdu: bytes = field(default=b"", eq=False, repr=False)
    answer_length: int = field(default=0, eq=False, repr=False)
    """Bytes of the PDU of a good answer."""


@lru_cache(maxsize=2048)
def read_request(function: int, address: int, count: int) -> Request:
    """A request to read. Raises: ValueError for what no device could answer; that is a mistake of ours."""
    if function not in READS:
        raise ValueError(f"function {function} reads nothing")
    _check_range(function, address, count)
    if function in (READ_HOLDING, READ_INPUT):
        length = 2 + 2 * count
    else:
        length = 2 + (count + 7) // 8
    pdu = _encode(_REQUESTS[function](address=address, count=count))
    return Request(function, address, count, (), pdu, length)


def write_request(function: int, address: int, words: Sequence[int]) -> Request:
    """A request to write. Raises: ValueError as above."""
    if function not in WRITES:
        raise ValueError(f"function {function} writes nothing")
    _check_range(function, address, len(words))
    top = 1 if function in (WRITE_COIL, WRITE_COILS) else 0xFFFF
    if not all(isinstance(word, int) and 0 <= word <= top for word in words):
        raise ValueError(f"function {function} writes whole numbers from 0 to {top}")
    kind = _REQUESTS[function]
    if top == 1:
        message = kind(address=address, bits=[bool(word) for word in words])
    else:
        message = kind(address=address, registers=list(words))
    return Request(function, address, len(words), tuple(words), _encode(message), 5)


def _check_range(function: int, address: int, count: int) -> None:
    if not 1 <= count <= MOST[function]:
        raise ValueError(f"function {function} takes 1 to {MOST[function]}, not {count}")
    if not (address >= 0 and address + count <= 0x10000):
        raise ValueError(f"addresses go from 0 to 65535, not {address} + {count}")


def _encode(message: ModbusPDU) -> bytes:
    return bytes((message.function_code,)) + message.encode()


def decode_answer(request: Request, pdu: bytes) -> list[int]:
    """The values that were asked for; empty for a write.

    Raises: DeviceRefused for an exception answer, DeviceNonsense for everything that is no answer to this request.
    """
    function = pdu[0]
    if function == request.function and len(pdu) == request.answer_length:
        message = _ANSWERS[function]()
        if function in (READ_HOLDING, READ_INPUT):
            if pdu[1] == 2 * request.count:
                message.decode(pdu[1:])
                return message.registers  # type: ignore[return-value]  # a list after decode
        elif function in (READ_COILS, READ_DISCRETE):
            if pdu[1] == len(pdu) - 2:
                message.decode(pdu[1:])
                return [int(bit) for bit in message.bits[: request.count]]
        elif pdu[:5] == request.pdu[:5]:  # a write's answer repeats address and value, or address and count
            return []
    elif function == request.function | 0x80 and len(pdu) == 2:
        refusal = ExceptionResponse(request.function)
        refusal.decode(pdu[1:])
        code = refusal.exception_code
        raise DeviceRefused(code, f"refused: {REFUSALS.get(code, 'unknown reason')} (exception {code})")
    raise DeviceNonsense(f"the answer {pdu[:12].hex()} does not fit the request {request.pdu[:12].hex()}")


class BadRequest(Exception):
    """A request that a server answers with exception ``code``."""

    def __init__(self, function: int, code: int) -> None:
        super().__init__(f"function {function}: exception {code}")
        self.function = function
        self.code = code


def decode_request(pdu: bytes) -> Request:
    """What a client asks of a server. Raises: BadRequest with the exception code that is due."""
    function = pdu[0]
    kind = _REQUESTS.get(function)
    if kind is None:
        raise BadRequest(function, ILLEGAL_FUNCTION)
    if len(pdu) != (request_length(pdu) or 0):
        raise BadRequest(function, ILLEGAL_VALUE)
    message = kind()
    try:
        message.decode(pdu[1:])
    except ValueError as error:
        raise BadRequest(function, ILLEGAL_VALUE) from error
    words: tuple[int, ...] = ()
    if function in (WRITE_COIL, WRITE_COILS):
        words = tuple(int(bit) for bit in message.bits)
        if function == WRITE_COIL and pdu[3:5] not in (b"\xff\x00", b"\x00\x00"):
            raise BadRequest(function, ILLEGAL_VALUE)
    elif function in (WRITE_REGISTER, WRITE_REGISTERS):
        words = tuple(message.registers)
    count = message.count if function in (*READS, WRITE_COILS, WRITE_REGISTERS) else 1
    if function in (WRITE_COILS, WRITE_REGISTERS) and len(words) != count:
        raise BadRequest(function, ILLEGAL_VALUE)
    if not 1 <= count <= MOST[function]:
        raise BadRequest(function, ILLEGAL_VALUE)
    if message.address + count > 0x10000:
        raise BadRequest(function, ILLEGAL_ADDRESS)
    return Request(function, message.address, count, words, pdu)


def request_length(head: bytes) -> int | None:
    """How long the request PDU that begins so is; None: not known yet; 0: no function of ours."""
    function = head[0]
    if function in (READ_COILS, READ_DISCRETE, READ_HOLDING, READ_INPUT, WRITE_COIL, WRITE_REGISTER):
        return 5
    if function in (WRITE_COILS, WRITE_REGISTERS):
        return 6 + head[5] if len(head) > 5 else None
    return 0


def encode_answer(request: Request, values: Sequence[int]) -> bytes:
    """The PDU of a good answer. Raises: ValueError if a slave gave another number of values than it was asked for."""
    function = request.function
    if function in WRITES:
        return request.pdu[:5]
    if len(values) != request.count:
        raise ValueError(f"{request.count} values were asked for, not {len(values)}")
    kind = _ANSWERS[function]
    if function in (READ_HOLDING, READ_INPUT):
        return _encode(kind(registers=list(values)))
    return _encode(kind(bits=[bool(value) for value in values]))


def encode_exception(function: int, code: int) -> bytes:
    """The PDU of a refusal."""
    return _encode(ExceptionResponse(function & 0x7F, code))
