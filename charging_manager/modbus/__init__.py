"""How to speak Modbus: pdu, frames and transaction do no I/O; bus alone touches a transport."""
