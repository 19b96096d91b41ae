"""Getting a certificate of an authority by ACME (RFC 8555), proved by DNS-01; how bytes travel is handed in."""
