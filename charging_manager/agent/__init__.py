"""cm-agent: tap is the parts list; config, polling, steering, uplink, pages, records."""
