"""cm-cloud: tap is the parts list; accounts, sites, downlink, pages, admin."""
