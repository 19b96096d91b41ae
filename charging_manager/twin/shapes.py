"""The few shapes of SVG that a picture is made of."""

from __future__ import annotations

from html import escape


def rect(kind: str, x: float, y: float, width: float, height: float, title: str = "", shade: float = 1.0) -> str:
    """A filled rectangle; ``kind`` is its class."""
    opacity = f' opacity="{shade:.2f}"' if shade < 1.0 else ""
    shape = f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"{opacity}'
    return f"{shape}><title>{escape(title)}</title></rect>" if title else f"{shape}/>"


def across(kind: str, left: float, right: float, y: float) -> str:
    """A level line."""
    return f'<line class="{kind}" x1="{left:.1f}" x2="{right:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'


def upright(kind: str, x: float, top: float, bottom: float) -> str:
    """A line from top to bottom."""
    return f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}"/>'


def label(words: str, x: float, y: float, kind: str = "", *, anchor: str = "start") -> str:
    """A piece of text."""
    rest = f' class="{kind}"' if kind else ""
    rest += f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{rest}>{escape(words)}</text>'


def path(kind: str, steps: str) -> str:
    """A line, or an area where the class fills it."""
    return f'<path class="{kind}" d="{steps}"/>'
