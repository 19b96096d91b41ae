#!/usr/bin/env python3
"""Collect every sentence that people read, and lay it into fr.po and de.po: ``python locale/extract.py``.

English stands in the code. What counts as a sentence for people:

* browser: ``t("…")`` and both forms of ``tn("…", "…", n)`` in web/**/*.js, ``{{t:…}}`` in web/**/*.htm
* Python: the sentence in the calls of ``CALLS``, every string in a constant, table or variable whose name says
  ``sentence``, and what a function returns whose name says so

``--check`` writes nothing; it names what is missing and ends with 1 if something is.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po

HOUSE = Path(__file__).resolve().parent.parent
LANGUAGES = ("de", "fr")
# name of what is called -> position of the sentence among its arguments, and its keyword
CALLS: Mapping[str, tuple[int, str]] = {
    "say": (1, "sentence"),
    "Problem": (2, "sentence"),
    "Sentence": (1, "sentence"),
    "at_row": (1, "sentence"),
    "FetchError": (0, "template"),
    "ConfigError": (1, "sentence"),
    "NoRoom": (1, "sentence"),
    "TunnelError": (1, "sentence"),
    "TestStep": (2, "sentence"),
    "Unfit": (0, "sentence"),
    "_strict": (1, "sentence"),
    "matching": (1, "sentence"),
    "one_for_all": (1, "sentence"),
    "complains": (0, "sentence"),
}
# What only the command line or the log says stays English: a settings file's faults, a folder's, a certificate's.
AT_THE_TERMINAL = (
    "charging_manager/cli/",
    "charging_manager/daemon/",
    "charging_manager/sim/",
    "charging_manager/twin/",
    "charging_manager/agent/tap.py",
    "charging_manager/cloud/tap.py",
    "charging_manager/http/certificates.py",
    "charging_manager/http/listener.py",
    "charging_manager/http/tls.py",
    "charging_manager/storage/files.py",
    "charging_manager/storage/schema.py",
    "charging_manager/storage/pg_schema.py",
    "charging_manager/storage/postgres.py",
    "charging_manager/cloud/cert_client.py",
    "charging_manager/cloud/dns_settings.py",
    "charging_manager/cloud/node_table.py",
    "charging_manager/cloud/stores.py",
    "charging_manager/paths.py",
)
_STRING = r'"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\''
_SENTENCE = rf"(?:{_STRING})(?:\s*\+\s*(?:{_STRING}))*"
_T = re.compile(rf"(?<![\w.$])t\(\s*({_SENTENCE})")
_TN = re.compile(rf"(?<![\w.$])tn\(\s*({_SENTENCE})\s*,\s*({_SENTENCE})")
_SHELL = re.compile(r"\{\{t:([^}]+)\}\}")
# Dates make every run a change, and empty lines help nobody.
_NOISE = re.compile(
    r'^"(?:POT-Creation-Date|PO-Revision-Date|Report-Msgid-Bugs-To|Last-Translator|Language-Team): .*\n', re.M
)
_FIELD = re.compile(r"\{(\w+)(?:[:!][^}]*)?\}")

Found = dict[str, list[tuple[str, int]]]


def fields_of(sentence: str) -> frozenset[str]:
    """The names of its ``{fields}``."""
    return frozenset(_FIELD.findall(sentence))


def in_script(source: str) -> Iterator[tuple[str, int]]:
    """Sentences of a browser module, with their lines."""
    for pattern in (_T, _TN):
        for match in pattern.finditer(source):
            for literal in match.groups():
                parts = [ast.literal_eval(part) for part in re.findall(_STRING, literal)]
                yield "".join(parts), source.count("\n", 0, match.start()) + 1


def in_shell(source: str) -> Iterator[tuple[str, int]]:
    """Sentences of a page's shell, with their lines."""
    for match in _SHELL.finditer(source):
        yield match[1].strip(), source.count("\n", 0, match.start()) + 1


def in_python(source: str) -> Iterator[tuple[str, int]]:
    """Sentences of a Python module, with their lines."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            function = node.func
            name = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
            if name in CALLS:
                position, keyword = CALLS[name]
                given = [node.args[position]] if len(node.args) > position else []
                given += [one.value for one in node.keywords if one.arg == keyword]
                for argument in given:
                    yield from _constants(argument)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if (
                any(isinstance(target, ast.Name) and "sentence" in target.id.lower() for target in targets)
                and node.value
            ):
                yield from _table(node.value)
        elif isinstance(node, ast.FunctionDef) and "sentence" in node.name:
            for inner in ast.walk(node):
                if isinstance(inner, ast.Return) and inner.value is not None:
                    yield from _returned(inner.value)


def _constants(node: ast.expr) -> Iterator[tuple[str, int]]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        if re.search(r"[A-Za-z]", _FIELD.sub("", node.value)):
            yield node.value, node.lineno
    elif isinstance(node, ast.IfExp):
        yield from _constants(node.body)
        yield from _constants(node.orelse)


def _returned(node: ast.expr) -> Iterator[tuple[str, int]]:
    """What a function called ``…sentence…`` gives back: a sentence, or a sentence with its fields."""
    if isinstance(node, ast.IfExp):
        yield from _returned(node.body)
        yield from _returned(node.orelse)
    elif isinstance(node, ast.Tuple) and node.elts:
        yield from _constants(node.elts[0])
    else:
        yield from _constants(node)


def _table(node: ast.expr) -> Iterator[tuple[str, int]]:
    if isinstance(node, ast.Dict):
        for value in node.values:
            yield from _table(value)
    elif isinstance(node, ast.Tuple | ast.List | ast.Set):
        for value in node.elts:
            yield from _table(value)
    else:
        yield from (found for found in _constants(node) if " " in found[0] or found[0].endswith("."))  # no codes


def collect(house: Path = HOUSE) -> Found:
    """Every sentence, with the places where it stands."""
    found: Found = {}
    ways = (("web", "*.js", in_script), ("web", "*.htm", in_shell), ("charging_manager", "*.py", in_python))
    for folder, pattern, read in ways:
        for path in sorted((house / folder).rglob(pattern)):
            if "vendor" in path.parts:
                continue
            place = path.relative_to(house).as_posix()
            if place.startswith(AT_THE_TERMINAL):
                continue
            for sentence, line in read(path.read_text(encoding="utf-8")):
                found.setdefault(sentence, []).append((place, line))
    return found


def wrong(found: Found, language: str, house: Path = HOUSE) -> list[str]:
    """What is missing in that language or has other fields than the English sentence, one line each."""
    with (house / "locale" / f"{language}.po").open("rb") as file:
        known = {str(message.id): message for message in read_po(file, locale=language) if message.id}
    complaints = []
    for sentence, places in sorted(found.items()):
        message = known.get(sentence)
        if message is None or not message.string or message.fuzzy:
            complaints.append(f"{language}: {places[0][0]}:{places[0][1]}: not translated: {sentence}")
        elif fields_of(str(message.string)) != fields_of(sentence):
            complaints.append(f"{language}: other fields than in English: {sentence}")
    return complaints


def lay_in(found: Found, language: str, house: Path = HOUSE) -> None:
    """Write the catalogue anew: what is found, with the translations that are known; nothing else stays."""
    path = house / "locale" / f"{language}.po"
    known: dict[str, str] = {}
    if path.exists():
        with path.open("rb") as file:
            known = {str(message.id): str(message.string) for message in read_po(file, locale=language) if message.id}
    catalog = Catalog(locale=language, project="Charging Manager", version="1", charset="utf-8", fuzzy=False)
    catalog.header_comment = f"# Charging Manager, {language}. Made by locale/extract.py; the translations by people."
    for sentence, places in found.items():
        catalog.add(
            sentence, known.get(sentence, ""), locations=[(place, 0) for place in dict.fromkeys(p for p, _ in places)]
        )
    with path.open("wb") as file:
        write_po(file, catalog, width=0, sort_output=True, omit_header=False, include_lineno=False)
    text = path.read_text(encoding="utf-8")
    path.write_text(_NOISE.sub("", text), encoding="utf-8")


def main(arguments: list[str]) -> int:
    found = collect()
    if "--check" not in arguments:
        for language in LANGUAGES:
            lay_in(found, language)
    complaints = [line for language in LANGUAGES for line in wrong(found, language)]
    sys.stdout.write(("\n".join(complaints) or f"{len(found)} sentences, all in {', '.join(LANGUAGES)}") + "\n")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
