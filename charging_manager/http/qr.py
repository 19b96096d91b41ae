"""QR codes as rows of 0 and 1, for pages that draw them themselves: no image, no inline markup."""

from __future__ import annotations

import segno


def qr_rows(text: str) -> list[str]:
    """The code's modules, 1 is dark, without the quiet zone of four that must surround it."""
    return ["".join(str(module) for module in row) for row in segno.make_qr(text, error="m").matrix]
