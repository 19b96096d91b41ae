"""Asking the DNS, and changing it (RFC 2136): dnspython writes and reads the messages, we carry them over TCP."""
