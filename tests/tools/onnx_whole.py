"""Lists what `secateur prune --pattern channel` leaves whole in ONNX networks, and why, as Markdown.

    python tests/tools/onnx_whole.py --secateur target/release/secateur MODEL.onnx FOLDER...
"""

import argparse
import json
import pathlib
import subprocess
import sys


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--secateur", required=True)
    parser.add_argument("models", nargs="+", type=pathlib.Path)
    options = parser.parse_args()
    paths = [p for m in options.models for p in (sorted(m.glob("*.onnx")) if m.is_dir() else [m])]
    print("| network | channels that can go | left whole, and why |\n|---|---:|---|")
    for path in paths:
        command = [options.secateur, "prune", path, "--dry-run", "--quiet", "--format", "json"]
        command += ["--pattern", "channel", "--sparsity", "0", "--engine", "cpu"]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"| {path.stem} | 0 | {done.stderr.strip().split('.onnx: ')[-1]} |")
            continue
        classes = json.loads(done.stdout)["classes"]
        free = sum(c["channels"] for c in classes if c["whole"] is None)
        whole = "; ".join(f"{c['name']}: {c['whole']}" for c in classes if c["whole"] is not None)
        print(f"| {path.stem} | {free} of {sum(c['channels'] for c in classes)} | {whole} |".replace("`", ""))
    return 0 if paths else 1


if __name__ == "__main__":
    sys.exit(main())
