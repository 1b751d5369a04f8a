"""One run as a page that needs nothing else: a lane for each pole, drawn as SVG here, and what happened in a list.

Vietnamese first, English beside. A lane shows what sounded and how loud, when the amplifier had power, and when the
pole was in trouble; presses, all-clears and findings stand across all lanes. Colours carry nothing alone: each kind has
its own height or hatching, and its name in the legend.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Final

from protocol.units import NS_PER_S
from simulator.checkers.evidence import Evidence, Heard, PoleFacts
from simulator.evidence.report import events
from simulator.runs.runner import Performance, clock_of

WIDTH: Final = 1_000
LABEL: Final = 74
LANE: Final = 44
TOP: Final = 30
POLES_MAX: Final = 60
"""Lanes of one page; a province of thousands is shown by its first poles and those with findings."""
EVENTS_MAX: Final = 300
TICKS: Final = 5
_HEIGHT_MIN: Final = 7

_STYLE: Final = """
:root{color-scheme:light;--ink:#1b2430;--soft:#5b6776;--line:#d7dde4;--media:#1f6feb;--stream:#12805c;--emergency:#c62828}
*{box-sizing:border-box}body{margin:0;font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:#f5f7f9}
main{max-width:1100px;margin:0 auto;padding:20px 16px 48px}h1{font-size:1.5rem;line-height:1.25;margin:0}
h2{font-size:1.1rem;margin:28px 0 8px}small,.en{color:var(--soft);font-weight:400}
.en{display:block;font-size:.95rem}.about{max-width:70ch}.verdict{display:inline-block;margin:12px 0;padding:6px 14px;
border-radius:6px;font-weight:600;background:#e3f4ea;color:#0b5a36}.verdict.bad{background:#fde8e6;color:#8e1515}
.facts{display:flex;flex-wrap:wrap;gap:4px 24px;margin:0;padding:0;list-style:none;color:var(--soft);font-size:.9rem}
.lanes{overflow-x:auto;background:#fff;border:1px solid var(--line);border-radius:8px}
.lanes svg{display:block;min-width:720px;width:100%;height:auto}.legend{display:flex;flex-wrap:wrap;gap:6px 18px;
padding:0;list-style:none;font-size:.9rem}.legend svg{vertical-align:-3px;margin-right:6px}
table{border-collapse:collapse;width:100%;background:#fff;border:1px solid var(--line);font-size:.92rem}
td,th{padding:6px 10px;border-top:1px solid var(--line);text-align:left;vertical-align:top;overflow-wrap:anywhere}
td:first-child{white-space:nowrap;font-variant-numeric:tabular-nums}tr.finding td{background:#fff1f0}
code{font-size:.85rem;overflow-wrap:anywhere}
@media(max-width:560px){table,tbody,tr,td{display:block}thead{display:none}td{border:0;padding:2px 12px}
tr{border-top:1px solid var(--line);display:block;padding:8px 0}}
"""


def page(performance: Performance) -> str:
    """The whole document."""
    scenario, verdict = performance.scenario, performance.verdict
    state = "Đạt · nothing found" if verdict.is_good else f"{len(verdict.violations)} lỗi · findings"
    begins, ends = (_clock(performance, at) for at in (performance.evidence.begins_ns, performance.evidence.ends_ns))
    return f"""<!doctype html>
<html lang="vi"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>{escape(scenario.title_vi)}</title><style>{_STYLE}</style></head><body><main>
<h1>{escape(scenario.title_vi)}<span class="en" lang="en">{escape(scenario.title)}</span></h1>
<p class="verdict{"" if verdict.is_good else " bad"}">{state}</p>
<ul class="facts"><li>{begins} - {ends}</li><li>hạt giống / seed {verdict.seed}</li>
<li>{verdict.events} sự kiện / events</li>
<li><code>loaxa-sim run {escape(verdict.name)} --seed {verdict.seed}</code></li></ul>
<p class="about" lang="en"><small>{escape(scenario.about)}</small></p>
<h2>Các cụm loa <small lang="en">Poles</small></h2>
{_legend()}
<div class="lanes" tabindex="0" role="region" aria-label="Dòng thời gian / timeline">{_lanes(performance)}</div>
<h2>Diễn biến <small lang="en">What happened</small></h2>
{_table(performance)}
</main></body></html>
"""


def _clock(performance: Performance, at_ns: int) -> str:
    return clock_of(at_ns, performance.verdict.time_zone).rpartition(".")[0]


def _legend() -> str:
    def sign(shape: str, text: str, english: str) -> str:
        swatch = f'<svg width="22" height="14" aria-hidden="true">{shape}</svg>'
        return f'<li>{swatch}{text} <small lang="en">{english}</small></li>'

    return (
        '<ul class="legend">'
        + "".join(
            (
                sign('<rect y="4" width="22" height="10" fill="var(--media)"/>', "tệp", "file"),
                sign('<rect y="4" width="22" height="10" fill="var(--stream)"/>', "tiếp âm", "relay"),
                sign('<rect y="1" width="22" height="13" fill="var(--emergency)"/>', "khẩn cấp", "emergency"),
                sign('<rect y="10" width="22" height="3" fill="#e0a100"/>', "âm ly có điện", "amplifier powered"),
                sign('<rect width="22" height="14" fill="#dfe4ea"/>', "sự cố", "trouble"),
                sign('<path d="M11 0v14" stroke="#8e1515" stroke-width="3"/>', "lỗi", "finding"),
            )
        )
        + "</ul>"
    )


def _lanes(performance: Performance) -> str:
    evidence = performance.evidence
    found = {violation.pole for violation in performance.verdict.violations}
    shown = sorted(evidence.poles.values(), key=lambda each: (each.name not in found, each.name))[:POLES_MAX]
    shown.sort(key=lambda each: each.name)
    height = TOP + LANE * len(shown) + 8
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" font-family="system-ui,sans-serif" font-size="13">',
        "<title>Mỗi hàng một cụm loa / one row for each pole</title>",
        *_ticks(performance, height),
    ]
    for row, facts in enumerate(shown):
        parts += list(_lane(evidence, facts, TOP + row * LANE))
    parts += list(_marks(performance, shown, height))
    parts.append("</svg>")
    if len(shown) < len(evidence.poles):
        parts.append(f"<p>{len(shown)} / {len(evidence.poles)} cụm loa <small>poles are shown</small></p>")
    return "".join(parts)


def _x(evidence: Evidence, at_ns: int) -> float:
    share = (at_ns - evidence.begins_ns) / max(1, evidence.ends_ns - evidence.begins_ns)
    return round(LABEL + min(1.0, max(0.0, share)) * (WIDTH - LABEL - 12), 2)


def _ticks(performance: Performance, height: int) -> Iterator[str]:
    evidence = performance.evidence
    length_ns = evidence.ends_ns - evidence.begins_ns
    has_days = length_ns > 2 * 86_400 * NS_PER_S
    for tick in range(TICKS + 1):
        at_ns = evidence.begins_ns + length_ns * tick // TICKS
        date, time = _clock(performance, at_ns).split(" ")
        anchor = "start" if tick == 0 else "end" if tick == TICKS else "middle"
        x = _x(evidence, at_ns)
        yield f'<path d="M{x} {TOP - 6}V{height - 4}" stroke="#e6eaee"/>'
        text = f"{date[5:]} {time[:5]}" if has_days else time
        yield f'<text x="{x}" y="17" text-anchor="{anchor}" fill="#5b6776">{text}</text>'


def _lane(evidence: Evidence, facts: PoleFacts, y: int) -> Iterator[str]:
    base = y + LANE - 10
    yield f'<text x="8" y="{base - 8}" font-weight="600">{escape(facts.name)}</text>'
    for trouble in evidence.troubles_of(facts.name):
        x, until = _x(evidence, trouble.begins_ns), _x(evidence, trouble.ends_ns)
        shape = f'x="{x}" y="{y + 3}" width="{max(1.0, until - x):.2f}" height="{LANE - 8}"'
        yield f'<rect {shape} fill="#dfe4ea"><title>{escape(trouble.what)}</title></rect>'
    yield f'<path d="M{LABEL} {base}H{WIDTH - 12}" stroke="#c3cbd4"/>'
    for heard in facts.heard:
        yield _sound(evidence, heard, base)
    since_ns: int | None = None
    for at_ns, is_on in [*facts.power, (evidence.ends_ns, False)]:
        if is_on and since_ns is None:
            since_ns = at_ns
        elif not is_on and since_ns is not None:
            x, until = _x(evidence, since_ns), _x(evidence, at_ns)
            yield f'<rect x="{x}" y="{base + 1}" width="{max(0.6, until - x):.2f}" height="3" fill="#e0a100"/>'
            since_ns = None


def _sound(evidence: Evidence, heard: Heard, base: int) -> str:
    """A bar whose height is the level, logarithmic as ears are: 6 dB less is a step lower."""
    is_emergency = any(permit.repeat_every_ns is not None for permit in evidence.permits_of(heard))
    colour = "emergency" if is_emergency else "stream" if heard.source.startswith("stream:") else "media"
    height = _HEIGHT_MIN + max(0, heard.amplitude.bit_length() - 4) * (LANE - 18 - _HEIGHT_MIN) / 11
    if is_emergency:
        height = LANE - 16
    x, until = _x(evidence, heard.begins_ns), _x(evidence, heard.ends_ns)
    look = f'fill="var(--{colour})"' if heard.is_powered else f'fill="none" stroke="var(--{colour})"'
    title = f"<title>{escape(heard.source)}</title>"
    return (
        f'<rect x="{x}" y="{base - height:.1f}" width="{max(1.5, until - x):.2f}" height="{height:.1f}" {look}>'
        f"{title}</rect>"
    )


def _marks(performance: Performance, shown: list[PoleFacts], height: int) -> Iterator[str]:
    evidence = performance.evidence
    rows = {facts.name: index for index, facts in enumerate(shown)}
    for fact in evidence.emergencies:
        for at_ns, dash in ((fact.raised_ns, ""), (fact.cleared_ns, ' stroke-dasharray="4 3"')):
            if at_ns is not None:
                x = _x(evidence, at_ns)
                yield f'<path d="M{x} {TOP - 4}V{height - 4}" stroke="var(--emergency)" stroke-width="1.4"{dash}/>'
    for violation in performance.verdict.violations:
        x, row = _x(evidence, violation.at_ns), rows.get(violation.pole)
        top, bottom = (TOP, height - 4) if row is None else (TOP + row * LANE + 2, TOP + (row + 1) * LANE - 4)
        title = f"<title>{escape(violation.evidence)}</title>"
        yield f'<path d="M{x} {top}V{bottom}" stroke="#8e1515" stroke-width="4">{title}</path>'


def _table(performance: Performance) -> str:
    listed = events(performance)
    rows = []
    for at_ns, pole, text in listed[:EVENTS_MAX]:
        mark = ' class="finding"' if text.startswith("LỖI") else ""
        where = escape(pole) or "tất cả <small>all</small>"
        rows.append(f"<tr{mark}><td>{_clock(performance, at_ns)}</td><td>{where}</td><td>{escape(text)}</td></tr>")
    if not rows:
        return '<p>Không có sự kiện <small lang="en">nothing happened but the plan</small></p>'
    more = len(listed) - EVENTS_MAX
    tail = f"<p>+ {more}</p>" if more > 0 else ""
    heads = (("Lúc", "when"), ("Ở đâu", "where"), ("Việc", "what"))
    head = "".join(f"<th>{word} <small>{english}</small></th>" for word, english in heads)
    head = f"<thead><tr>{head}</tr></thead>"
    return f"<table>{head}<tbody>{''.join(rows)}</tbody></table>{tail}"
