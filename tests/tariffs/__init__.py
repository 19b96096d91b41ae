"""Tests of charging_manager/tariffs."""
