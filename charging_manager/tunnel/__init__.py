"""What agent and cloud say to each other: commands (all of AMP on one page), link, streams, tls."""
