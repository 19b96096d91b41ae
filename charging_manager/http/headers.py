"""The headers that every answer carries; what a browser may do with it is decided here and nowhere else."""

from __future__ import annotations

import re

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self';"
    " manifest-src 'self'; worker-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none';"
    " object-src 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; sandbox"
HSTS = "max-age=31536000"

_ALWAYS = (
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
_UNSAFE_NAME = re.compile(r"[^A-Za-z0-9._-]+")


def page_headers(hsts: bool) -> list[tuple[str, str]]:
    """Of pages and their files."""
    return [
        *_ALWAYS,
        ("Content-Security-Policy", PAGE_POLICY),
        *_strict_transport(hsts),
    ]


def data_headers(hsts: bool) -> list[tuple[str, str]]:
    """Of everything under ``/api/``: never kept, never shown as a document with rights."""
    return [
        *_ALWAYS,
        ("Content-Security-Policy", DATA_POLICY),
        ("Cache-Control", "no-store"),
        *_strict_transport(hsts),
    ]


def _strict_transport(hsts: bool) -> list[tuple[str, str]]:
    return [("Strict-Transport-Security", HSTS)] if hsts else []


def download_as(name: str) -> tuple[str, str]:
    """Offer the answer as a file of that name."""
    return "Content-Disposition", f'attachment; filename="{_UNSAFE_NAME.sub("_", name)[:100]}"'
