"""What kind of browser somebody uses, in two words, for the list of logins: enough to know one's own, no more."""

from __future__ import annotations

_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("HeadlessChrome/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
)
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)
LONGEST = 40


def kind_of(user_agent: str) -> str:
    """``Firefox, Linux`` of a User-Agent header; empty for one that says nothing we know."""
    user_agent = user_agent[:400]
    names = (next((name for mark, name in table if mark in user_agent), "") for table in (_BROWSERS, _SYSTEMS))
    return ", ".join(name for name in names if name)


def clean(kind: str) -> str:
    """What somebody else (a cloud) says that it is: short, and nothing but print."""
    return "".join(letter for letter in kind[:LONGEST] if letter.isprintable())
