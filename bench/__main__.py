"""`python -m bench [--quick] [name…]`: runs the measurements, one table at the end.

A slow machine is no fault: whatever the numbers are, the exit code is 0. It is 1 when something did not work.
"""

import argparse
import importlib
import sys
import time
import traceback

from bench.table import Row, rendered

MEASUREMENTS = (
    "start",
    "memory",
    "latency",
    "throughput",
    "bulk",
    "discovery",
    "relay",
    "clients",
    "history",
    "flood",
    "nodes",
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a minute in all: shows that it works, not how fast")
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(MEASUREMENTS)}; all without one")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(MEASUREMENTS):
        parser.error(f"no such measurement: {', '.join(sorted(unknown))}")
    rows: list[Row] = []
    broken = []
    for name in arguments.names or MEASUREMENTS:
        started = time.perf_counter()
        try:
            rows += importlib.import_module(f"bench.{name}").measure(quick=arguments.quick)
        except Exception:
            # The others are measured all the same; this one is told of and counts.
            traceback.print_exc()
            broken.append(name)
        print(f"{name}: {time.perf_counter() - started:.1f} s", file=sys.stderr)
    print(rendered(rows))
    if broken:
        print(f"broken: {', '.join(broken)}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
