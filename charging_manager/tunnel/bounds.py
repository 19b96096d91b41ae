"""How much one end may ask of the other; both ends enforce the same numbers (docs/tunnel.md, "Bounds")."""

from __future__ import annotations

KIB = 1024

KEYS = 16
"""Keys in a box."""
KEY_BYTES = 255
BOX_BYTES = 128 * KIB
BOXES_IN_FLIGHT = 64
"""Questions whose answer has not come, each way."""

BOX_BYTES_BEFORE_LOGIN = 4 * KIB
LOGIN_WITHIN_S = 10.0

AGENT_STREAMS = 48
CLOUD_STREAMS = 16
"""Open streams by who sends on them: together 64."""
SPLICES = 64
"""Connections in end-to-end mode, each a stream there and one back, beside the streams above."""
LANES = 8
"""Connections of their own that an agent has dialled for such, or is dialling, and that carry nothing yet."""
LANE_WITHIN_S = 10.0
"""So long a ticket for one is good."""
LANE_BYTES_WITHIN_S = 1.5
"""So soon after it is told of a browser, the agent has its first bytes; else the connection is dead."""
CARRIED_BYTES = 512 * KIB
"""The receive buffer at each end of such a connection, where the system allows it (which doubles it, and counts more
than what can be read): about so much to twice as much lies unread at most."""
CARRIED_UNSENT_BYTES = 256 * KIB
"""What may lie there unsent; that is how much a reader who does not read makes the cloud hold, with what is unread."""
PIPE_BYTES = 1024 * KIB
"""What is moved at once."""
SHARED_PIPE_BYTES = 64 * KIB
SHARED_PAUSE_S = 0.001
"""While others ask for little: what is moved at once, and how long the pause after that is."""
ASKED_S = 0.25
"""So long after something little was said somebody is asking."""
QUEUED_BYTES = 1024 * KIB
"""What one tunnel may have lying at one end: unread stream data, and apart from that unsent boxes."""
SHARE_BYTES = 16 * KIB
"""A stream's window is never smaller, a new stream may send so much at once, and so much is kept for control."""
WINDOW_BYTES = 256 * KIB
SHARED_CHUNK = 16 * KIB
"""A data box while anything else is going on; on the wire exactly one TLS record."""
ALONE_CHUNK = 60 * KIB
BATCH_BYTES = 64 * KIB - KIB
"""Data boxes written together: above the 64,000 bytes at which Twisted's TLS stops gathering."""
ALONE_BATCH_BYTES = WINDOW_BYTES
"""The same while nothing else is going on: a whole window, so that both ends wake up less often."""
PACE_S = 0.02
"""What is written at once should leave in this time: on a slow line less is written, so that answers need not wait."""
QUICK_BYTES = WINDOW_BYTES // 2
"""A line on which so much leaves in ``PACE_S`` is quick (50 Mbit/s): then the kernel may hold as much unsent."""
STALLED_S = 55.0
"""A stream whose reader does not read is reset after this, looked at every ``STALL_LOOK_S``: within 60 s."""
STALL_LOOK_S = 5.0

NODE_ASKED = 1024
"""Among servers of one cloud: questions whose answer has not come."""
NODE_STREAMS = 2048
"""Among servers: streams each way, beside those above."""
NODE_QUEUED_BYTES = 32 * 1024 * KIB
"""Among servers: what may lie unread or unsent, 16 KiB of each stream."""

INLINE_BODY = 32 * KIB
"""Larger bodies travel as streams."""
REQUEST_BODY = 1024 * KIB
HEADERS = 8

KEEP_ALIVE_S = 15.0
KEEP_ALIVE_MISSES = 3
DRAIN_S = 5.0

ENTER_TIMEOUT_S = 10.0
LOGIN_TIMEOUT_S = 2.5
SPLICE_TIMEOUT_S = 10.0
CARRY_TIMEOUT_S = 4.0
DNS_TIMEOUT_S = 40.0
"""The cloud asks a DNS server meanwhile, perhaps after others."""
REQUEST_TIMEOUT_S = 30.0
LOGOUT_TIMEOUT_S = 5.0
GOODBYE_TIMEOUT_S = 2.0
PUT_OFF_MOST_S = 300
"""An agent that the cloud has no time for comes back within this, whatever it was told."""

MIN_ITERATIONS = 100_000
MAX_ITERATIONS = 1_000_000
