"""cm-cloud. ``tap`` is the parts list; ``front`` decides where a request goes, ``door`` lets browsers in, ``relay`` and
``sieve`` carry to the installations and back, ``sites`` and ``downlink`` hold the tunnels; docs/cloud.md tells why.
"""
