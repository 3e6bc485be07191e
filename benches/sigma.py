#!/usr/bin/env python3
"""Makes published Sigma rules and events of one another's kind: sigma.py RULES_FOLDER OUT_FOLDER OUT_EVENTS COUNT [SEED]

The rules are copied with their product changed to `generic`, so that every program looks at all of them for every
event; one whose whole condition is a negation is left out, since it would match every event then. Events are of 200
kinds, as the log sources of a company are: each has the fields that five rules ask for. In one event of fifty, most
values are what the first of those rules asks for, as rare as published rules are meant to be. Needs PyYAML.
"""
import json
import pathlib
import random
import re
import sys

import yaml


def wanted(detection):
    """The fields of a detection and a text each that may fit."""
    found = {}
    for name, selection in detection.items():
        if name == "condition":
            continue
        for part in selection if isinstance(selection, list) else [selection]:
            for field, value in part.items() if isinstance(part, dict) else []:
                value = value[0] if isinstance(value, list) and value else value
                if isinstance(value, (str, int)) and not isinstance(value, bool):
                    found[field.split("|")[0] or "message"] = re.sub(r"[*?^$()\[\]{}\\+]", "", str(value))
    return found


def put(event, path, value):
    """Sets a dotted field, unless something stands in its way."""
    *parents, last = path.split(".")
    for name in parents:
        event = event.setdefault(name, {})
        if not isinstance(event, dict):
            return
    event.setdefault(last, value)


def main():
    folder, rules, events, count = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    rng = random.Random(int(sys.argv[5]) if len(sys.argv) > 5 else 1)
    rules.mkdir(parents=True, exist_ok=True)
    kinds = []
    for number, path in enumerate(sorted(folder.rglob("*.yml"))):
        text = path.read_text()
        document = next(yaml.safe_load_all(text))
        if str(document.get("detection", {}).get("condition", "")).startswith("not "):
            continue
        text = re.sub(r"(?m)^(\s+)product:.*$", r"\1product: generic", text)
        if "product:" not in text:
            text = text.replace("logsource:\n", "logsource:\n    product: generic\n", 1)
        (rules / f"{number:04}.yml").write_text(text)
        kind = wanted(document.get("detection", {}))
        if kind:
            kinds.append(kind)
    sources = [[rng.choice(kinds) for _ in range(5)] for _ in range(200)]
    with open(events, "w") as out:
        for number in range(count):
            second = number // 20
            event = {"id": f"sigma-{number}", "created_at": f"2026-01-{1 + second // 86400:02}T{second // 3600 % 24:02}:"
                     f"{second // 60 % 60:02}:{second % 60:02}Z", "user": f"user{rng.randrange(500)}"}
            shares = [0.9 if rng.random() < 0.02 else 0.01] + [0.01] * 4
            for kind, share in zip(rng.choice(sources), shares):
                for field, value in kind.items():
                    put(event, field, value if rng.random() < share else f"{rng.choice('abcdefgh')}-{rng.randrange(10**6)}")
            out.write(json.dumps(event, separators=(",", ":")) + "\n")


main()
