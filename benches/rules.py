#!/usr/bin/env python3
"""Writes Sigma rules for benchmarks: rules.py COUNT FOLDER [SEED]

The rules are over the stream of `watchfire generate`: whole texts, parts of texts, ends, regular expressions,
networks to leave out, and lists of authors, in about the shares in which published packs have them. Every tenth
rule also feeds a correlation that counts its matches per author.
"""
import pathlib
import random
import sys
import uuid

TYPES = """member_created member_updated member_destroyed project_created project_destroyed project_archived
personal_access_token_created add_ssh_key deploy_token_created protected_branch_created ci_variable_updated
merge_request_create merge_request_merged authenticated_with_password user_created project_fork_operation""".split()


def selection(rng):
    """One detection section and the share of rules that look like it."""
    kind, project, person = rng.choice(TYPES), rng.randrange(400), rng.randrange(2, 200)
    group = rng.choice("platform payments mobile data infra web tools".split())
    lists = "".join(f"      - {rng.randrange(2, 200)}\n" for _ in range(10))
    shapes = [
        (40, f"    event_type: {kind}\n    entity_path: {group}/service-{project}\n", "sel"),
        (25, f"    event_type: {kind}\n    entity_path|contains: -{project}\n", "sel"),
        (10, f"    target_details|endswith: '-{project}'\n    author_name|startswith: '{chr(97 + person % 26)}'\n", "sel"),
        (10, f"    author_name|re: '^{chr(65 + person % 26)}[a-z]+ {chr(65 + project % 26)}'\n    event_type: {kind}\n", "sel"),
        (10, f"    event_type:\n      - {kind}\n      - {rng.choice(TYPES)}\n    entity_path|startswith: {group}/\n"
             f"  net:\n    ip_address|cidr: 10.{rng.randrange(20)}.0.0/16\n", "sel and not net"),
        (5, f"    author_id:\n{lists}    event_type: {kind}\n", "sel"),
    ]
    weights = [weight for weight, _, _ in shapes]
    _, body, condition = rng.choices(shapes, weights)[0]
    return f"  sel:\n{body}  condition: {condition}\n"


def main():
    count, folder = int(sys.argv[1]), pathlib.Path(sys.argv[2])
    rng = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 1)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        ids = [uuid.UUID(int=rng.getrandbits(128), version=4) for _ in range(2)]
        text = (f"title: Benchmark {number}\nid: {ids[0]}\nname: benchmark_{number}\nstatus: test\nlevel: medium\n"
                f"logsource: {{product: gitlab, service: audit}}\ndetection:\n{selection(rng)}")
        if number % 10 == 0:
            text += (f"---\ntitle: Benchmark burst {number}\nid: {ids[1]}\nstatus: test\nlevel: high\n"
                     f"correlation:\n  type: event_count\n  rules: [benchmark_{number}]\n  group-by: [author_id]\n"
                     "  timespan: 10m\n  condition: {gte: 5}\n")
        (folder / f"benchmark_{number}.yml").write_text(text)


main()
