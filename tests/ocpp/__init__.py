"""Tests of the room that speaks OCPP."""
