"""A diagram as SVG."""

from collections.abc import Sequence
from xml.sax.saxutils import escape

from lungmask_cli.networks.diagram.layout import Arrow, Box, Layout, Pen, lay_out
from lungmask_cli.networks.diagram.outline import Outline, explain

PEN = Pen(
    characters=27,
    fewer=20,
    advance=6.2,
    line=16,
    padding=(10, 7),
    gap=28,
    strip=30,
    shift=22,
    across=True,
)
_MARGIN = 24
_HEADING_ADVANCE = 8.5  # width of a character
_HEADING, _FOOT = 34, 30  # heights of what is above and below each network
_COLOURS = {  # of the box and its edge
    "smaller": ("#e8f1fb", "#3b78b8"),
    "larger": ("#fdf0e1", "#c9771c"),
    "branch": ("#f1f1f1", "#8a8a8a"),
}
_CHAIN, _SKIP = "#333333", "#8a8a8a"
_STYLE = """
text { font-family: Helvetica, Arial, 'Liberation Sans', sans-serif; font-size: 11px; fill: #222222; }
.heading { font-size: 15px; font-weight: bold; }
.title { font-size: 12px; font-weight: bold; }
.note { fill: #666666; }
"""


def draw_svg(drawn: Sequence[tuple[str, Outline]]) -> str:
    """One SVG document with these networks below each other, each with a line of text above."""
    layouts = [lay_out(outline, PEN) for _, outline in drawn]
    texts = [len(heading) * _HEADING_ADVANCE for heading, _ in drawn]
    texts += [len(explain(outline)) * PEN.advance for _, outline in drawn]
    width = max([*texts, *(layout.width for layout in layouts)]) + 2 * _MARGIN
    parts, y = [], float(_MARGIN)
    for (heading, outline), layout in zip(drawn, layouts, strict=True):
        parts.append(_text(_MARGIN, y + 14, heading, "heading"))
        parts.append(_network(layout, (width - layout.width) / 2, y + _HEADING))
        y += _HEADING + layout.height + _FOOT
        parts.append(_text(_MARGIN, y - 8, explain(outline), "note"))
        y += _MARGIN
    return "\n".join([_opening(width, y, " | ".join(heading for heading, _ in drawn)), *parts, "</svg>", ""])


def _opening(width: float, height: float, title: str) -> str:
    heads = "".join(
        f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto" '
        f'markerUnits="userSpaceOnUse"><path d="M0 0 L8 4 L0 8 z" fill="{colour}"/></marker>'
        for name, colour in (("chain", _CHAIN), ("skip", _SKIP))
    )
    size = f'width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">\n<title>{escape(title)}</title>\n'
        f"<style>{_STYLE}</style>\n<defs>{heads}</defs>\n"
        f'<rect width="{width:g}" height="{height:g}" fill="#ffffff"/>'
    )


def _network(layout: Layout, x: float, y: float) -> str:
    drawn = [*map(_arrow, layout.arrows), *map(_box, layout.boxes)]
    return "\n".join([f'<g transform="translate({x:g} {y:g})">', *drawn, "</g>"])


def _arrow(arrow: Arrow) -> str:
    path = "M" + " L".join(f"{x:g} {y:g}" for x, y in arrow.points)
    name, colour = ("skip", _SKIP) if arrow.skips else ("chain", _CHAIN)
    return f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.4" marker-end="url(#{name})"/>'


def _box(box: Box) -> str:
    fill, edge = _COLOURS[box.kind]
    across, down = PEN.padding
    frame = f'x="{box.x:g}" y="{box.y:g}" width="{box.width:g}" height="{box.height:g}" rx="5"'
    parts = [f'<rect {frame} fill="{fill}" stroke="{edge}"/>']
    base = box.y + down + 12
    if box.title:
        parts.append(_text(box.x + across, base, box.title, "title"))
        parts.append(_text(box.right - across, base, box.note, "note", "end"))
        base += PEN.line
    parts += [_text(box.x + across, base + place * PEN.line, line) for place, line in enumerate(box.lines)]
    return "\n".join(parts)


def _text(x: float, y: float, text: str, name: str = "", anchor: str = "start") -> str:
    if not text:
        return ""
    kind = f' class="{name}"' if name else ""
    return f'<text x="{x:g}" y="{y:g}"{kind} text-anchor="{anchor}">{escape(text)}</text>'
