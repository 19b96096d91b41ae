"""How many requests came in, how many were sent away at the door, and how many went through the tunnel.

The two daemons count each for itself, so that whoever watches both can see that nothing is lost or doubled between
them: what the cloud carried is what the agent was brought.
"""

from __future__ import annotations

from attrs import define


@define
class Tally:
    """Counts since the start of this process; they only grow."""

    heard: int = 0
    """Requests that passed the hardening layer, whatever was answered."""
    refused: int = 0
    """What the hardening layer sent away: malformed, too large or too slow."""
    relayed: int = 0
    """At the cloud: handed to a tunnel. At the agent: come out of it."""
