"""Reports of simulated runs as text: the timeline of one run, the summary of many, their verdicts as JUnit XML."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from protocol.units import NS_PER_S
from simulator.runs.runner import Performance, Verdict, clock_of

if TYPE_CHECKING:
    from simulator.checkers.evidence import Evidence, PoleFacts

COLUMNS: Final = 96
"""Characters of a lane."""
SEEDS_SHOWN: Final = 12
"""Failing seeds of one scenario that the summary names; each finding has its line besides."""
EMERGENCY: Final = "!"
STREAM: Final = "~"
MEDIA: Final = "="
UNPOWERED: Final = "x"
TROUBLE: Final = "."


def timeline(performance: Performance) -> str:
    """One lane of characters for each pole, then emergencies and what is wrong."""
    evidence, verdict = performance.evidence, performance.verdict
    length_ns = max(1, evidence.ends_ns - evidence.begins_ns)
    begins, ends = (clock_of(at_ns, verdict.time_zone) for at_ns in (evidence.begins_ns, evidence.ends_ns))
    lines = [
        f"{performance.scenario.title_vi} / {performance.scenario.title}  (hạt giống / seed {verdict.seed})",
        f"{begins} - {ends}, {length_ns / NS_PER_S / COLUMNS:.1f} s một ô / a character",
    ]
    lines += [f"{facts.name:<8} {_lane(evidence, facts, length_ns)}" for facts in evidence.poles.values()]
    lines.append(
        f"{MEDIA} tệp / file  {STREAM} tiếp âm / relay  {EMERGENCY} khẩn cấp / emergency  "
        f"{UNPOWERED} không điện / unpowered  {TROUBLE} sự cố / trouble"
    )
    lines += list(_events(performance))
    return "\n".join(lines) + "\n"


def events(performance: Performance) -> list[tuple[int, str, str]]:
    """What happened to whom: presses, ends, faults, findings; (true time, pole, text in both languages)."""
    evidence = performance.evidence
    found = []
    for fact in evidence.emergencies:
        found.append((fact.raised_ns, "", f"Báo động / raised: {fact.id} ({fact.source})"))
        if fact.cleared_ns is not None:
            found.append((fact.cleared_ns, "", f"Kết thúc / over: {fact.id}"))
        if fact.missed:
            found.append((fact.raised_ns, "", f"Không phát / did not sound: {', '.join(fact.missed)}"))
    found += [(trouble.begins_ns, trouble.pole, f"Sự cố / trouble: {trouble.what}") for trouble in evidence.troubles]
    found += [
        (violation.at_ns, violation.pole, f"LỖI / FINDING {violation.checker}: {violation.evidence}")
        for violation in performance.verdict.violations
    ]
    return sorted(found)


def junit(verdicts: Sequence[Verdict]) -> str:
    """JUnit XML: a test suite for each scenario, a test case for each seed."""
    root = ET.Element("testsuites", name="loaxa-sim")
    for name, own in _by_name(verdicts).items():
        suite = ET.SubElement(
            root,
            "testsuite",
            name=name,
            tests=str(len(own)),
            failures=str(sum(not each.is_good for each in own)),
            errors="0",
            time=f"{sum(each.took_s for each in own):.3f}",
        )
        for verdict in own:
            _case(suite, verdict)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _case(suite: ET.Element, verdict: Verdict) -> None:
    case = ET.SubElement(
        suite, "testcase", classname=verdict.name, name=f"seed {verdict.seed}", time=f"{verdict.took_s:.3f}"
    )
    if not verdict.is_good:
        first = verdict.violations[0]
        failure = ET.SubElement(case, "failure", type=first.checker, message=_plain(first.evidence))
        failure.text = _plain("\n".join(verdict.line(violation) for violation in verdict.violations))


def summary(verdicts: Sequence[Verdict]) -> str:
    """A line for each scenario (runs, seeds, findings, processor time), and one for all of them."""
    lines = []
    for name, own in _by_name(verdicts).items():
        seeds = sorted(each.seed for each in own)
        failing = sorted(each.seed for each in own if not each.is_good)
        took_s = sum(each.took_s for each in own)
        span = f"{seeds[0]}-{seeds[-1]}" if len(seeds) > 1 else str(seeds[0])
        line = f"{name:<22} {len(own):>5} runs  seeds {span:<9} {took_s:8.1f} s  {took_s / len(own):6.2f} s a run"
        if failing:
            more = "" if len(failing) <= SEEDS_SHOWN else f" and {len(failing) - SEEDS_SHOWN} more"
            line += f"  FOUND by seeds {', '.join(map(str, failing[:SEEDS_SHOWN]))}{more}"
        lines.append(line)
    bad = sum(not verdict.is_good for verdict in verdicts)
    simulated_h = sum(verdict.simulated_s for verdict in verdicts) / 3600
    took_s = sum(verdict.took_s for verdict in verdicts)
    lines = lines if len(verdicts) > 1 else []
    lines.append(
        f"{len(verdicts)} runs, {bad} with findings; {simulated_h:.1f} simulated hours in {took_s:.1f} s of computing"
    )
    return "\n".join(lines) + "\n"


def _by_name(verdicts: Sequence[Verdict]) -> dict[str, list[Verdict]]:
    found: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        found.setdefault(verdict.name, []).append(verdict)
    return found


def _lane(evidence: Evidence, facts: PoleFacts, length_ns: int) -> str:
    cells = [" "] * COLUMNS

    def fill(begins_ns: int, ends_ns: int, sign: str) -> None:
        first = (begins_ns - evidence.begins_ns) * COLUMNS // length_ns
        last = (ends_ns - evidence.begins_ns) * COLUMNS // length_ns
        for index in range(max(0, first), min(COLUMNS - 1, last) + 1):
            cells[index] = sign

    for trouble in evidence.troubles_of(facts.name):
        fill(trouble.begins_ns, trouble.ends_ns, TROUBLE)
    for heard in facts.heard:
        is_emergency = any(permit.repeat_every_ns is not None for permit in evidence.permits_of(heard))
        sign = EMERGENCY if is_emergency else STREAM if heard.source.startswith("stream:") else MEDIA
        fill(heard.begins_ns, heard.ends_ns, sign if heard.is_powered else UNPOWERED)
    return "".join(cells)


def _events(performance: Performance) -> Iterator[str]:
    for at_ns, pole, text in events(performance):
        yield f"{clock_of(at_ns, performance.verdict.time_zone)}  {pole or 'tất cả / all':<14} {text}"


def _plain(text: str) -> str:
    """XML 1.0 has no room for control characters."""
    return "".join(each if each in "\n\t" or each >= " " else "?" for each in text)
