"""What agent and cloud say to each other: commands (all of AMP on one page), wire, streams, scram, tls, link.

Start with ``link`` (what is carried) and ``commands`` (how it is said); docs/tunnel.md describes the wire.
"""
