"""The linter explains: every planted mistake is found at its line, with the reason and what to write instead."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from charging_manager.cli.main import main
from charging_manager.devices import lint
from charging_manager.devices.driver import Doubt
from charging_manager.devices.loader import LARGEST_FILE
from charging_manager.devices.template import new_driver
from charging_manager.paths import shared
from tests.devices.tables import CHARGER, METER

CLEAN = CHARGER.replace("[tcp]", '[accepted]\nno-energy = "it does not count"\n[tcp]').replace(
    "write = true, volatile = false", "write = true, volatile = true"
)
WATCHDOG = re.search(r"\[watchdog\].*", CLEAN, re.DOTALL)[0]  # type: ignore[index]
FILES = sorted(shared("drivers").glob("*.toml"))


def found(text: str) -> list[lint.Finding]:
    return list(lint.check_upload(text, "acme").findings)


def test_a_clean_table_gives_nothing_and_says_what_it_accepted() -> None:
    checked = lint.check_upload(CLEAN, "acme")
    assert checked.findings == () and checked.accepted == 1
    assert checked.driver is not None and checked.driver.name == "acme"


ERRORS = {
    "overlap": (
        'state = { address = 10, type = "u16"',
        'state = { address = 10, type = "u32"',
        "registers.current_l1_a",
    ),
    "scale-zero": (
        'current_l1_a = { address = 11, type = "u16", scale = 0.1',
        'current_l1_a = { address = 11, type = "u16", scale = 0',
        "registers.current_l1_a.scale",
    ),
    "unknown-word": ("step_a = 0.1", "setp_a = 0.1", "setpoint.setp_a"),
    "wrong-type": ("step_a = 0.1", 'step_a = "0.1"', "setpoint.step_a"),
    "missing": ("highest_a = 32\n", "", "setpoint.highest_a"),
    "illegal-read": ("[identify]", "[bus]\nmax_read = 3\n[identify]", "registers.firmware.count"),
    "wrong-function": ("state = { address = 10,", "state = { address = 10, function = 1,", "registers.state.function"),
    "no-pause": ("pause = { enable = 0 }", "", "setpoint.pause"),
    "no-resume": ("resume = { enable = 1 }", "", "setpoint.resume"),
    "no-register": ("pause = { enable = 0 }", "pause = { enabel = 0 }", "setpoint.pause"),
    "unwritable": ("pause = { enable = 0 }", "pause = { state = 0 }", "setpoint.pause"),
    "late-watchdog": ("timeout_s = 30", "timeout_s = 300", "watchdog.timeout_s"),
    "starved": ("every_s = 10", "every_s = 29", "watchdog.every_s"),
    "flash-cyclic": ('applied = "applied_a"', 'applied = "applied_a"\nkeep_every_s = 10', "setpoint.keep_every_s"),
    "step": ("step_a = 0.1", "step_a = 0.25", "setpoint.step_a"),
    "does-not-fit": ("highest_a = 32", "highest_a = 7000", "setpoint.highest_a"),
    "out-of-range": ("highest_a = 32", "highest_a = 80", "setpoint.highest_a"),
    "no-road": ("[tcp]\nport = 502", "", ""),
    "format-too-new": ('vendor = "Acme"', 'format = 7\nvendor = "Acme"', "format"),
    "not-toml": ('vendor = "Acme"', "vendor = Acme", ""),
    "hook": ('vendor = "Acme"', 'hook = "Evil"\nvendor = "Acme"', "hook"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_is_named_with_its_line_its_reason_and_the_remedy(name: str) -> None:
    good, bad, where = ERRORS[name]
    text = CLEAN
    if name == "flash-cyclic":
        text = text.replace(
            "scale = 0.1, write = true, volatile = true, group", "scale = 0.1, write = true, volatile = false, group"
        )
    if name == "out-of-range":
        text = text.replace(
            "scale = 0.1, write = true, volatile = true, group",
            "scale = 0.1, write = true, volatile = true, max = 32, group",
        )
    assert good in text
    checked = lint.check_upload(text.replace(good, bad, 1), "acme")
    assert checked.driver is None
    finding = next((each for each in checked.findings if each.name == name), None)
    assert finding is not None, checked.findings
    assert finding.level == "error" and finding.where.startswith(where)
    assert len(finding.why) > 20 and len(finding.instead) > 5
    if bad and "." in where:
        assert finding.line is not None
        shown = text.replace(good, bad, 1).splitlines()[finding.line - 1]
        assert where.split(".")[1 if where.startswith("registers") else -1] in shown


def test_an_unknown_word_comes_with_its_nearest_and_what_that_means() -> None:
    (finding,) = found(CLEAN.replace("scale = 0.1, group", "scael = 0.1, group", 1))
    assert finding.what == "there is no such word here; did you mean 'scale'?"
    assert finding.instead.startswith("scale: value = raw")


def test_what_is_not_toml_is_found_at_its_line() -> None:
    (finding,) = found('vendor = "Acme"\nmodel = Wall\n')
    assert finding.line == 2 and "column" in finding.what
    (finding,) = found('vendor = "Acme"\nmodel = [\n')
    assert finding.line and "at its end" in finding.what


@pytest.mark.parametrize(
    ("line", "instead"),
    [
        ("scale = 0,001", "scale = 0.001"),
        ("when = { state = 3, 4 }", "state = [3, 4]"),
        ("vendor = Hardy Barth", 'vendor = "Hardy Barth"'),
        ('state = { type = "u16", group = live }', 'group = "live"'),
        ("model = [ }", 'one "key = value" a line'),
        ("fixed = true true", 'one "key = value" a line'),
    ],
)
def test_the_slips_of_a_first_table_come_with_the_remedy(line: str, instead: str) -> None:
    (finding,) = found(f'kind = "charger"\n{line}\n')
    assert (finding.name, finding.line) == ("not-toml", 2) and instead in finding.instead


def test_what_is_accepted_and_not_so_is_named() -> None:
    (finding,) = found(CLEAN.replace("[accepted]\n", '[accepted]\nodd-current = "it is large"\n'))
    assert (finding.level, finding.name, finding.where) == ("warning", "accepted-in-vain", "accepted.odd-current")
    assert finding.line == CLEAN.splitlines().index("[accepted]") + 2


WARNINGS = {
    Doubt.NO_WATCHDOG: (CLEAN, WATCHDOG, ""),
    Doubt.WATCHDOG_UNSEEN: (CLEAN, WATCHDOG, '[watchdog]\nfed_by = "any-request"\ntimeout_s = 30\n'),
    Doubt.NO_FALLBACK: (CLEAN, 'fallback = "failsafe_a"\n', ""),
    Doubt.NO_READBACK: (CLEAN.replace('applied = "applied_a"', ""), "setpoint_a = { ", "setpoint_a = { read = false, "),
    Doubt.LATE_READBACK: (
        CLEAN,
        'applied_a = { address = 22, type = "u16", scale = 0.1, group = "live" }',
        'applied_a = { address = 22, type = "u16", scale = 0.1 }',
    ),
    Doubt.FLASH_SETPOINT: (CLEAN, "volatile = true, group", "volatile = false, group"),
    Doubt.WEAR_UNKNOWN: (
        CLEAN.replace('fed_by = "any-request"', 'fed_by = "register-write"\nfeed = { hidden = 1 }'),
        "hidden = { address = 40",
        "hidden = { address = 40",
    ),
    Doubt.MINIMUM_CURRENT: (CLEAN, "lowest_a = 6", "lowest_a = 5"),
    Doubt.ODD_CURRENT: (CLEAN, "highest_a = 32", "highest_a = 125"),
    Doubt.ODD_SCALE: (
        CLEAN,
        'current_l1_a = { address = 11, type = "u16", scale = 0.1,',
        'current_l1_a = { address = 11, type = "u16",',
    ),
    Doubt.UNKNOWN_UNIT: (CLEAN, "[[state]]", 'power_kw = { address = 60, type = "u16", scale = 0.1 }\n[[state]]'),
    Doubt.UNKNOWN_NAME: (CLEAN, "current_l2_a", "curent_l2_a"),
    Doubt.GAPS: (CLEAN, "[identify]", "[bus]\ngaps = true\n[identify]"),
    Doubt.SLOW_TURN: (CLEAN, "[identify]", "[bus]\nalone = true\ngap_s = 1\n[identify]"),
    Doubt.NO_IDENTIFY: (CLEAN, "[identify]\nmarker = 0xACE\n", ""),
    Doubt.WEAK_IDENTIFY: (CLEAN, "marker = 0xACE", "marker = { to = 9 }"),
    Doubt.MISSING_STATE: (CLEAN, 'is = "plugged"', 'is = "unknown"'),
    Doubt.NO_CURRENTS: (METER, "current_", "ampere_"),
    Doubt.NO_ENERGY: (CLEAN, 'no-energy = "it does not count"\n', ""),
}


def test_every_warning_has_its_planted_mistake() -> None:
    assert set(WARNINGS) == set(Doubt)


@pytest.mark.parametrize("doubt", WARNINGS)
def test_a_doubt_is_a_warning_with_its_reason_and_the_remedy(doubt: Doubt) -> None:
    text, good, bad = WARNINGS[doubt]
    assert good in text
    wrong = text.replace(good, bad, -1 if doubt is Doubt.NO_CURRENTS else 1)
    checked = lint.check_upload(wrong, "acme")
    assert checked.driver is not None, checked.findings
    finding = next((each for each in checked.findings if each.name == doubt), None)
    assert finding is not None, [each.name for each in checked.findings]
    assert finding.level == "warning" and len(finding.why) > 20 and len(finding.instead) > 5
    if good != bad:
        assert doubt not in {each.name for each in found(text)}
    excuse = f'{doubt} = "so it is"\n'
    accepted = (
        wrong.replace("[accepted]\n", "[accepted]\n" + excuse)
        if "[accepted]" in wrong
        else wrong + "[accepted]\n" + excuse
    )
    quiet = lint.check_upload(accepted, "acme")
    assert doubt not in {each.name for each in quiet.findings} and quiet.accepted > checked.accepted


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('current_l1_a = { address = 50, type = "u32", example = 16000, group = "live" }', "example of 16000 A"),
        ('voltage_l1_v = { address = 50, type = "u16", scale = 0.001 }', "it can show 65.535 V at most"),
        ('voltage_l1_v = { address = 50, type = "u32", example = 230000 }', "example of 230000 V"),
        ('power_w = { address = 50, type = "u16", scale = 0.01 }', "it can show 655.35 W at most"),
        ('energy_wh = { address = 50, type = "u16" }', "it can show 65535 Wh at most"),
        (
            'current_l1_a = { address = 50, type = "i16", scale = 0.0001, group = "live" }',
            "it can show 3.2767 A at most",
        ),
    ],
)
def test_scales_that_cannot_be_are_named_in_numbers(line: str, says: str) -> None:
    name = line.split()[0]
    lines = [each for each in CLEAN.splitlines() if not each.startswith(f"{name} =")]
    lines.insert(lines.index("[registers]") + 1, line)
    assert [says in each.what for each in found("\n".join(lines)) if each.name == Doubt.ODD_SCALE] == [True]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_shipped_driver_has_no_warning_that_it_does_not_explain(path: Path) -> None:
    checked = lint.check(path)
    assert [f"{each.line}: {each.name}: {each.what}" for each in checked.findings] == []
    assert checked.driver is not None
    names = set(
        re.findall(r"^([a-z-]+) = ", path.read_text().partition("[accepted]")[2].partition("\n[")[0], re.MULTILINE)
    )
    assert checked.accepted >= len(names), "nothing is accepted that is not so"


def test_what_drivers_new_writes_is_clean_as_it_is() -> None:
    assert found(new_driver("acme-wall")) == []


def test_for_other_programs_it_is_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "acme.toml"
    path.write_text(CLEAN.replace("step_a = 0.1", "setp_a = 0.1"))
    assert main(["drivers", "check", str(path), "--json"]) == 1
    shown = json.loads(capsys.readouterr().out)
    assert (shown["file"], shown["ok"], shown["errors"]) == ("acme.toml", False, 2)
    assert set(shown["findings"][0]) == {"level", "name", "line", "where", "what", "why", "instead"}
    path.write_text(CLEAN.replace(WATCHDOG, ""))
    assert main(["drivers", "check", str(path), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["ok"], shown["warnings"], shown["accepted"]) == (True, 1, 1)


def test_at_a_terminal_each_finding_is_three_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "acme.toml"
    path.write_text(CLEAN.replace(WATCHDOG, ""))
    assert main(["drivers", "check", str(path)]) == 0
    out, err = capsys.readouterr()
    assert out == "acme.toml: a good driver, 1 warning\n"
    first, why, write = err.splitlines()
    assert first == "acme.toml: warning: watchdog: there is no [watchdog] [no-watchdog]"
    assert why.startswith("    why: ") and write.startswith("    write: [watchdog]")


MANY = 6000


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (CLEAN + "[start]\n" + "".join(f"b{n} = 1\n" for n in range(MANY)), "there is no register 'b0'"),
        (CLEAN + "[bus]\n" + "".join(f"zz{n} = 1\n" for n in range(MANY)), "there is no such word here"),
        (
            CLEAN.replace(
                "[registers]\n",
                "[registers]\n" + "".join(f'a{n} = {{ address = {n + 100}, type = "u16" }}\n' for n in range(MANY)),
            ),
            "at most 500 values",
        ),
        (
            CLEAN + '[[variant]]\nname = "x"\nwhen = { marker = 1 }\nchange = { vendor = "y" }\n' * 3000,
            "at most 20 variants",
        ),
        (
            CLEAN
            + '[[variant]]\nname = "x"\nwhen = { marker = 1 }\n[variant.change.bus]\n'
            + "".join(f"zz{n} = 1\n" for n in range(MANY)),
            "there is no such word here",
        ),
    ],
    ids=["writes", "words", "values", "variants", "words of a variant"],
)
def test_a_file_of_nothing_but_mistakes_is_answered_with_some_of_them(text: str, says: str) -> None:
    assert len(text) < LARGEST_FILE
    findings = found(text)
    assert 1 <= len(findings) <= 100
    assert any(says in each.what for each in findings)
