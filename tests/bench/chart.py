"""The comparison as a chart: requests per second relative to taskapi, in light and dark mode."""

from __future__ import annotations

from typing import Any

from bench.compare import OURS

_STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #24292f }
  .value { font-size: 11px; fill: #57606a }
  .ours { fill: #0969da } .theirs { fill: #9aa4af } .one { stroke: #0969da; stroke-dasharray: 3 3 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .value { fill: #9198a1 }
    .ours { fill: #4493f8 } .theirs { fill: #57606a } .one { stroke: #4493f8 }
  }
"""
_ROW, _BAR, _GAP = 17, 12, 14
_NAMES, _BARS, _VALUES = 180, 400, 110


def svg(figures: dict[str, Any]) -> str:
    """Return an SVG of bars: for each operation, each peer's requests per second, taskapi's = 1."""
    rates = {
        operation: {peer: figure["per_second"] for peer, figure in peers.items()}
        for operation, peers in figures["operations"].items()
    }
    ours = {operation: peers[OURS] for operation, peers in rates.items()}
    longest = max(rate / ours[op] for op, peers in rates.items() for rate in peers.values())
    scale = _BARS / longest
    parts, y = [], 34
    for operation, peers in rates.items():
        parts.append(f'<text x="8" y="{y + _BAR - 2}" font-weight="600">{operation}</text>')
        for peer, rate in peers.items():
            relative = rate / ours[operation]
            kind = "ours" if peer == OURS else "theirs"
            width = max(1, relative * scale)
            parts.append(
                f'<text x="{_NAMES - 8}" y="{y + _BAR - 2}" text-anchor="end">{peer}</text>'
                f'<rect class="{kind}" x="{_NAMES}" y="{y}" width="{width:.1f}" '
                f'height="{_BAR}" rx="2"/>'
                f'<text class="value" x="{_NAMES + width + 6:.1f}" y="{y + _BAR - 2}">'
                f"{relative:.2f}</text>"
            )
            y += _ROW
        y += _GAP
    one = _NAMES + scale
    size = f'width="{_NAMES + _BARS + _VALUES}" height="{y}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">\n'
        f"<title>Requests per second, {OURS} being 1</title>\n<style>{_STYLE}</style>\n"
        f'<text x="8" y="18" font-weight="600">Requests per second, {OURS} = 1</text>\n'
        f'<line class="one" x1="{one:.1f}" x2="{one:.1f}" y1="28" y2="{y - _GAP}"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )
