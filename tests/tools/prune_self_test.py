"""Does prune_agreement.py see what is wrong? A naive prune must pass, and each of its faults must be noticed.

    python tests/tools/prune_agreement.py --self-test
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import make_ties
import naive_prune

HERE = Path(__file__).resolve().parent
# A case in which each fault shows, and the model for it.
SHOWN = {
    "tie-order": ("uniform 0.5 largest", "ties-bf16.safetensors"), "rounding": ("uniform 0.5 largest", "ties-bf16.safetensors"),
    "nan-cut": ("uniform 0.9 largest", "ties-f16.safetensors"), "negative-zero": ("uniform 0.5 largest", "ties-f32.safetensors"),
    "stray-byte": ("uniform 0 largest", "ties-f16.safetensors"), "mask-padding": ("uniform 0.3 smallest", "ties-f16.safetensors"),
    "mask-inverted": ("2:4 largest", "shapes.safetensors"), "threshold": ("global 0.5 smallest", "ties-f64.safetensors"),
    "zeros": ("1:3 smallest", "shapes.safetensors"), "natural-order": ("global 0.5 largest", "names.safetensors"),
    "axis": ("2:4 largest", "shapes.safetensors"), "ignore-mask": ("4:8 largest", "shapes.safetensors"),
    "shape": ("uniform 0.5 largest", "ties-f8_e5m2.safetensors"), "extra-file": ("uniform 0.5 largest", "shards"),
    "random-by-threads": ("random uniform", "ties-f8_e4m3.safetensors"),
}


def agreement(binary, model, cases, fault=""):
    command = [sys.executable, str(HERE / "prune_agreement.py"), "--secateur", str(binary), str(model)]
    for case in cases:
        command += ["--case", case]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "NAIVE_FAULT": fault})


def main():
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        binary = folder / "naive"
        binary.write_text(f"#!/bin/sh\nexec '{sys.executable}' '{HERE / 'naive_prune.py'}' \"$@\"\n")
        binary.chmod(0o755)
        make_ties.make(folder / "models")
        assert SHOWN.keys() == set(naive_prune.FAULTS)
        bad = 0
        for model in ("ties-bf16.safetensors", "mixed-f64.safetensors", "shapes.safetensors", "names.safetensors", "shards",
                      "none.safetensors"):
            done = agreement(binary, folder / "models" / model, [])
            print(f"{model:28} without a fault: {done.stdout.strip().splitlines()[-1:]}", flush=True)
            if done.returncode:
                bad += 1
                print(done.stdout, done.stderr)
        for fault, (case, model) in SHOWN.items():
            done = agreement(binary, folder / "models" / model, [case], fault)
            seen = done.returncode == 1 and "WRONG" in done.stdout and "exit status" not in done.stdout
            lines = [line.strip() for line in done.stdout.splitlines() if line.startswith("    ")]
            print(f"{fault:20} {'seen' if seen else 'NOT SEEN'}: {lines[:1]}", flush=True)
            if not seen:
                bad += 1
                print(done.stdout, done.stderr)
    print("the comparison sees what it must" if not bad else f"{bad} FAILED")
    return 1 if bad else 0
