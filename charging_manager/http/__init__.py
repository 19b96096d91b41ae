"""What both web sides share: listener, hardening, login sessions, typed routes, static files."""
