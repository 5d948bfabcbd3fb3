"""Negative controls: removes the guard of one invariant after another and expects that a test of that invariant fails.

`make controls` runs the tests whose names begin with the invariant, once without its guard. `make controls ARGS=--all` runs
all integration tests each time, and lists what else fails. `make controls ARGS=i4` looks at one guard. The tests are built once,
with the feature `controls`; which guard is missing is said at run time (shared/src/core/controls.rs).
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONTROLS = ROOT / "shared/src/core/controls.rs"
# A test that waits for ever without the guard is a test that fails, and it must end.
SECONDS = 300
SECONDS_FOR_ALL = 1800
FAILED = re.compile(r"^test (\S+) \.\.\. FAILED$", re.MULTILINE)


def build() -> str:
    """The integration tests' binary, with the commands that the tests start beside it, all in a folder of their own: nothing that
    could be shipped is built from these."""
    environment = os.environ | {"CARGO_TARGET_DIR": str(ROOT / "target/controls")}
    features = ["--locked", "-p", "rollcall-tests", "-p", "rollcall-cli", "--features", "rollcall-tests/controls"]
    subprocess.run(["cargo", "build", *features, "--bins"], cwd=ROOT, env=environment, check=True)
    command = ["cargo", "test", *features, "--test", "it", "--no-run", "--message-format=json"]
    built = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    messages = [json.loads(line) for line in built.stdout.splitlines() if line.startswith("{")]
    found = [message["executable"] for message in messages if message.get("target", {}).get("name") == "it"]
    return next(executable for executable in found if executable)


def failures(binary: str, guard: str, filters: list[str], seconds: int) -> tuple[list[str], str]:
    """The tests that fail without a guard, and how the run ended."""
    # A proptest that fails would look for the smallest history that does: the first one is enough here.
    environment = os.environ | {"ROLLCALL_CONTROL": guard or "none", "PROPTEST_MAX_SHRINK_ITERS": "0", "RUST_BACKTRACE": "0"}
    try:
        run = subprocess.run([binary, *filters], cwd=ROOT / "tests", env=environment, timeout=seconds,
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        printed, ended = run.stdout, "ended"
    except subprocess.TimeoutExpired as stopped:
        printed, ended = (stopped.stdout or b"").decode(errors="replace"), f"stopped after {seconds} s"
    return sorted(FAILED.findall(printed)), ended


def main(arguments: list[str]) -> int:
    every = "--all" in arguments
    asked = [argument for argument in arguments if argument != "--all"]
    guards = [name.lower() for name in re.findall(r"^    (I\d+),$", CONTROLS.read_text(), re.MULTILINE)]
    unknown = [name for name in asked if name not in guards]
    if unknown or not guards:
        print(f"no such guard: {', '.join(unknown)}; there are {', '.join(guards)}")
        return 64
    binary = build()
    # With every guard in its place they pass: else a failure would say nothing.
    filters = [] if every else [f"::{guard}_" for guard in asked or guards]
    failed, ended = failures(binary, "", filters, SECONDS_FOR_ALL)
    print(f"with all guards: {len(failed)} tests fail ({ended})", flush=True)
    if failed or ended != "ended":
        print("\n".join(f"    {name}" for name in failed))
        return 1
    unnoticed = []
    for guard in asked or guards:
        filters, seconds = ([], SECONDS_FOR_ALL) if every else ([f"::{guard}_"], SECONDS)
        failed, ended = failures(binary, guard, filters, seconds)
        own = [name for name in failed if f"::{guard}_" in name]
        print(f"{guard} without its guard: {len(own)} tests of it fail ({ended})", flush=True)
        for name in failed:
            print(f"    {name}", flush=True)
        unnoticed += [] if own else [guard]
    if unnoticed:
        print(f"no test notices that these guards are missing: {', '.join(unnoticed)}")
    total = len(asked or guards)
    print(f"{total - len(unnoticed)} passed, {len(unnoticed)} failed")
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
