"""The same tables for PostgreSQL, in numbered upgrades of their own; a test says that both have the same columns."""
