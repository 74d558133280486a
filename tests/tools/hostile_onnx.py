"""Write damaged and hostile ONNX files, and see that secateur refuses them well.

    python tests/tools/hostile_onnx.py -o FOLDER [--secateur target/release/secateur] [--only TEXT]

Without --secateur the files are only written. With it, `stats`, `prune` by element and `prune --pattern channel` run on each.
An error has to be exit status 1, one line on stderr that begins with "error: ", names the file and has no control characters,
nothing on stdout, and no file left; anything else exit status 0. Nothing may say "panicked", take more than 10 s or hold more
than 400 MB. What cannot be read must be refused by all, what is no network by the last. Exits with 1 where that is not so.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import hostile_onnx_graphs  # noqa: F401, adds its cases
from hostile_onnx_files import CASES

SECONDS, BYTES, MESSAGE = 10, 400 << 20, 2000
COMMANDS = {
    "stats": ["stats", "{model}", "--engine", "cpu", "--format", "json"],
    "element": ["prune", "{model}", "-o", "{out}", "--sparsity", "0.5", "--engine", "cpu", "--format", "json"],
    "channel": [
        "prune",
        "{model}",
        "-o",
        "{out}",
        "--pattern",
        "channel",
        "--sparsity",
        "0.5",
        "--engine",
        "cpu",
        "--format",
        "json",
    ],
}


def run(command):
    """Exit status, stdout, stderr, seconds, bytes held at most."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as error:
        start = time.perf_counter()
        # Not subprocess's: what a child held is told to whoever waits for it.
        child = subprocess.Popen(command, stdout=out, stderr=error, preexec_fn=limit)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - start
        out.seek(0)
        error.seek(0)
        return child.returncode, out.read(), error.read().decode("utf-8", "replace"), seconds, used.ru_maxrss * 1024


def limit():
    """A child that never ends is ended, and leaves memory to others."""
    resource.setrlimit(resource.RLIMIT_CPU, (3 * SECONDS, 3 * SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))


def wrongs(name, command, result, must_fail, path, left):
    """What is wrong with a run."""
    status, out, error, seconds, held = result
    found = []
    if "panicked" in error or status not in (0, 1):
        found.append(f"exit status {status}: {error.strip()[:300]!r}")
    elif status == 1:
        lines = error.removesuffix("\n").split("\n")
        if len(lines) != 1 or not error.startswith("error: ") or any(ord(c) < 32 for c in lines[0]):
            found.append(f"not one line of error: {error[:300]!r}")
        if path.name not in error and str(path.parent) not in error:  # that, or one beside it
            found.append(f"the error does not name the file: {error.strip()[:200]!r}")
        if len(error) > MESSAGE:
            found.append(f"the error has {len(error)} characters: {error[:80]!r}")
        if out:
            found.append(f"stdout has {len(out)} bytes beside an error")
        if left:
            found.append(f"left behind: {left}")
    elif must_fail:
        found.append("no error")
    if seconds > SECONDS:
        found.append(f"took {seconds:.1f} s")
    if held > BYTES:
        found.append(f"held {held / 1e6:.0f} MB")
    return [f"{name} {command}: {text}" for text in found]


def check(secateur, name, path, expected, show):
    """All commands on a file; how many were wrong."""
    failures = 0
    for command, arguments in COMMANDS.items():
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "out.onnx"
            result = run([secateur, *(a.format(model=path, out=out) for a in arguments)])
            must_fail = expected == "file" or expected == "graph" and command == "channel"
            found = wrongs(name, command, result, must_fail, path, sorted(p.name for p in Path(folder).iterdir()))
            failures += bool(found)
            print(*found, sep="\n", end="\n" if found else "", flush=True)
            if show:
                print(
                    f"  {name} {command}: {result[0]} {result[2].strip()[:160]!r} {result[3]:.2f} s {result[4] / 1e6:.0f} MB"
                )
    return failures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True, help="a folder, made if it is not there")
    parser.add_argument("--secateur")
    parser.add_argument("--only", default="", help="only cases whose name has this text")
    parser.add_argument("--show", action="store_true", help="print what each run says")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    cases, failures = {name: case for name, case in CASES.items() if args.only in name}, 0
    for name, (content, expected) in cases.items():
        path = args.output / f"{name}.onnx"
        if callable(content):
            # In a process of its own, so that memory of large graphs is not counted as a child's.
            if os.fork() == 0:
                content(path)
                os._exit(0)
            os.wait()
        else:
            path.write_bytes(content)
        if args.secateur:
            failures += check(args.secateur, name, path, expected, args.show)
    print(f"{len(cases)} files" + (f", {failures} of {3 * len(cases)} runs wrong" if args.secateur else ""))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
