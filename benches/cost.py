#!/usr/bin/env python3
"""Draws what benches/cost measured: cost.py FIGURES.csv OUT.svg. Both panels have logarithmic axes."""
import csv
import math
import sys

WIDTH, HEIGHT, LEFT, TOP, PANEL, DEEP = 860, 360, 70, 50, 320, 230
WATCHFIRE, PEER = "#c2410c", "#64748b"


def short(number):
    """1000 as 1 k, 1000000 as 1 M."""
    for size, unit in ((10**6, " M"), (10**3, " k")):
        if number >= size:
            return f"{number / size:g}{unit}"
    return f"{number:g}"


def ticks(low, high):
    return [10**power for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]


def panel(at, title, below, lines, says):
    """One panel: `lines` is [(name, colour, [(x, y)])]; `says` writes a value beside its point."""
    xs = [x for _, _, points in lines for x, _ in points]
    ys = [y for _, _, points in lines for _, y in points]
    across, up = ticks(min(xs), max(xs)), ticks(min(ys), max(ys))

    def place(value, marks, length):
        low, high = math.log10(marks[0]), math.log10(marks[-1])
        return (math.log10(value) - low) / (high - low or 1) * length

    def x(value):
        return at + place(value, across, PANEL)

    def y(value):
        return TOP + DEEP - place(value, up, DEEP)

    svg = [f'<text x="{at}" y="{TOP - 18}" class="title">{title}</text>']
    for mark in up:
        svg.append(f'<path d="M{at} {y(mark):.1f}h{PANEL}" class="grid"/>')
        svg.append(f'<text x="{at - 8}" y="{y(mark) + 4:.1f}" class="axis" text-anchor="end">{short(mark)}</text>')
    for mark in across:
        svg.append(f'<text x="{x(mark):.1f}" y="{TOP + DEEP + 18}" class="axis" text-anchor="middle">{short(mark)}</text>')
    svg.append(f'<text x="{at + PANEL / 2}" y="{TOP + DEEP + 40}" class="axis" text-anchor="middle">{below}</text>')
    for name, colour, points in lines:
        path = " L".join(f"{x(a):.1f} {y(b):.1f}" for a, b in points)
        svg.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for number, (a, b) in enumerate(points):
            anchor = "start" if number == 0 else "end" if number == len(points) - 1 else "middle"
            svg.append(f'<circle cx="{x(a):.1f}" cy="{y(b):.1f}" r="3.5" fill="{colour}"/>')
            svg.append(f'<text x="{x(a):.1f}" y="{y(b) - 9:.1f}" class="value" fill="{colour}" text-anchor="{anchor}">{says(b)}</text>')
        middle = points[len(points) // 2]
        svg.append(f'<text x="{x(middle[0]) + 8:.1f}" y="{y(middle[1]) + 20:.1f}" class="name" fill="{colour}">{name}</text>')
    return svg


def main():
    series = {}
    with open(sys.argv[1], newline="") as figures:
        for row in csv.DictReader(figures):
            series.setdefault(row["series"], []).append((int(row["size"]), float(row["seconds"])))
    rates = [("Watchfire", WATCHFIRE, [(size, 1e6 / seconds) for size, seconds in series["rules"]])]
    if "peer" in series:
        rates.append(("rsigma", PEER, [(size, 1e6 / seconds) for size, seconds in series["peer"]]))
    svg = panel(LEFT, "Events per second, one core", "rules", rates, lambda rate: short(round(rate / 1000) * 1000))
    svg += panel(LEFT + PANEL + 110, "Seconds for so many events, 100 rules", "events",
                 [("Watchfire", WATCHFIRE, series["events"])], lambda seconds: f"{seconds:.1f} s")
    style = ("text{font:12px sans-serif;fill:#334155}.title{font-weight:600;font-size:14px}.grid{stroke:#e2e8f0}"
             ".value{font-size:11px}.name{font-weight:600}")
    with open(sys.argv[2], "w") as out:
        out.write(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
                  f"<style>{style}</style><rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>" + "".join(svg) + "</svg>\n")


if __name__ == "__main__":
    main()
