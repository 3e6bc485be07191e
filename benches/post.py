#!/usr/bin/env python3
"""Posts events over HTTP and says how fast they were taken: post.py URL FILE BATCH CONNECTIONS TOKEN

Every answer must be 200, which Watchfire gives only for events that are on disk.
"""
import collections
import http.client
import itertools
import sys
import threading
import time
import urllib.parse


def main():
    url, path, size, connections, token = sys.argv[1:6]
    target = urllib.parse.urlsplit(url)
    lines = open(path, "rb").read().splitlines()
    size = int(size)
    bodies = [b"\n".join(lines[at:at + size]) for at in range(0, len(lines), size)]
    numbers, latencies, answers = itertools.count(), [], collections.Counter()

    def post():
        connection = http.client.HTTPConnection(target.hostname, target.port)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/x-ndjson"}
        while (number := next(numbers)) < len(bodies):
            began = time.perf_counter()
            connection.request("POST", target.path, bodies[number], headers)
            response = connection.getresponse()
            response.read()
            latencies.append(time.perf_counter() - began)
            answers[response.status] += 1

    began = time.perf_counter()
    threads = [threading.Thread(target=post) for _ in range(int(connections))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - began
    latencies.sort()
    rank = lambda share: latencies[int(len(latencies) * share)] * 1000
    print(f"{len(lines) / took:.0f} events/s, {len(bodies) / took:.0f} requests/s, "
          f"p50 {rank(.5):.1f} ms, p99 {rank(.99):.1f} ms, answers {dict(answers)}")


main()
