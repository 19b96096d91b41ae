"""Simulated chargers, meters and cars, made from the drivers; for the tests and for make demo."""
