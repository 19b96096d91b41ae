"""Mirrors charging_manager; support/ holds what tests share."""
