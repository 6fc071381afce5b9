#!/usr/bin/env python3
"""Sum up a report of jmapio/jmap-test-suite, and hold it against a list of expected failures.

summary.py REPORT.json EXPECTED-FAILURES.txt
"""

import collections
import json
import pathlib
import sys

STATUSES = ("pass", "fail", "skip")


def main(report: str, expected_file: str) -> int:
    results = json.loads(pathlib.Path(report).read_text(encoding="utf-8"))["results"]
    lines = pathlib.Path(expected_file).read_text(encoding="utf-8").splitlines()
    expected = {line.strip() for line in lines if line.strip() and not line.startswith("#")}

    counts: dict[str, collections.Counter[str]] = {}
    for result in results:
        category = result["testId"].partition("/")[0]
        counts.setdefault(category, collections.Counter())[result["status"]] += 1
    print(f"{'':20}" + "".join(f"{status:>6}" for status in STATUSES))
    total: collections.Counter[str] = sum(counts.values(), collections.Counter())
    for category, count in [*counts.items(), ("total", total)]:
        print(f"{category:20}" + "".join(f"{count[status]:6}" for status in STATUSES))

    failed = [r for r in results if r["status"] == "fail"]
    unexpected = [r for r in failed if r["testId"] not in expected]
    known = [r for r in failed if r["testId"] in expected]
    passed = [r for r in results if r["status"] == "pass" and r["testId"] in expected]
    if known:
        print(f"\n{len(known)} failed as expected")
    if passed:
        print(f"\npassed, though {expected_file} lists them:")
        for result in passed:
            print(f"  {result['testId']}")
    if unexpected:
        print("\nfailed:")
        for result in unexpected:
            kind = "" if result["required"] else " (recommended)"
            print(f"  {result['testId']}{kind}: {result.get('error') or ''}")
    return 1 if unexpected else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
