#!/usr/bin/env python3
"""Compares findings per detection rule of the two programs: same.py WATCHFIRE.out RSIGMA.out

Correlations are left out: without a time field of its own, the peer counts them by the wall clock.
"""
import collections
import json
import sys


def counts(path, rule_key, is_detection):
    found = collections.Counter()
    for line in open(path):
        finding = json.loads(line)
        if is_detection(finding):
            found[finding[rule_key]] += 1
    return found


ours = counts(sys.argv[1], "rule", lambda finding: "burst" not in finding["title"].lower())
theirs = counts(sys.argv[2], "rule_id", lambda finding: "correlation_type" not in finding)
different = [rule for rule in ours | theirs if ours[rule] != theirs[rule]]
total = sum(ours.values())
print(f"equal ({total} of {len(ours)} rules)" if not different else f"DIFFERENT for {len(different)} rules: {different[:3]}")
