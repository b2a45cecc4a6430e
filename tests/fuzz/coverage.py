"""`python -m fuzz.coverage SECONDS CORPUS [TARGET]`: decoders under atheris, a fuzzer that is guided by coverage.

All of them share the time, two at once, or one has all of it. Each begins with its seeds and with what was found in
earlier runs (kept in CORPUS). Ends with 0, or with 1 and the bytes that broke a target. Nothing else needs atheris.
"""

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

AT_ONCE = 2
LONGEST = 512
"""Bytes. Most decoders have said all that they can by then."""
SLOW = 10
"""Seconds that no input may take."""
_GRACE = 120.0


def main() -> int:
    seconds, corpus = float(sys.argv[1]), Path(sys.argv[2])
    if len(sys.argv) == 4:
        fuzz(sys.argv[3], seconds, corpus / sys.argv[3])
    from fuzz.targets import TARGETS  # here, as in a process that fuzzes they have to be instrumented

    share = seconds * AT_ONCE / len(TARGETS)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = list(pool.map(lambda name: _apart(name, share, corpus), TARGETS))
    return int(not all(outcomes))


def _apart(name: str, seconds: float, corpus: Path) -> bool:
    """One target in a process of its own; whether it held."""
    command = [sys.executable, "-m", "fuzz.coverage", str(seconds), str(corpus), name]
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", timeout=seconds + _GRACE, check=False
    )
    runs = re.findall(r"number_of_executed_units: (\d+)", done.stderr)
    print(f"{name}: {int(runs[-1]) if runs else 0:,} inputs")
    if done.returncode:
        print(done.stdout[-2000:], done.stderr[-4000:], sep="\n")
    return done.returncode == 0


def fuzz(name: str, seconds: float, corpus: Path) -> None:
    """Never returns: libFuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(include=["peatd", "wsproto", "h11", "jwt"], enable_loader_override=False):
        from fuzz.targets import TARGETS
    target = TARGETS[name]
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(seed)

    def run(junk: bytes) -> None:
        try:
            target.run(junk)
        except BaseException:
            print(f"{name} is broken by {junk.hex()}", file=sys.stderr)
            raise

    flags = [f"-max_total_time={max(1, round(seconds))}", f"-max_len={LONGEST}", f"-timeout={SLOW}"]
    flags += ["-verbosity=0", "-print_final_stats=1", f"-artifact_prefix={corpus}-broke-"]
    atheris.Setup([sys.argv[0], *flags, str(corpus)], run)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
