"""How to speak OCPP-J: no I/O here. Frames, messages, calls and answers, and both versions behind one interface."""
