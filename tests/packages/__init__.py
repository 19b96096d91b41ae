"""The Debian packages, installed in a clean system: only run by .ci/packages, which builds them first."""
