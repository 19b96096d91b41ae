"""How to speak MQTT 3.1.1 as a client: packets (no I/O), and one shared connection to a broker."""
