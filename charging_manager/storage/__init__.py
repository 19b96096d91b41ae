"""Open, create and upgrade an SQLite file; knows no table of ours."""
