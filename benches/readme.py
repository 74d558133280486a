"""Write the tables of measured results into README.md, out of what `secateur bench --format json` wrote.

    python benches/readme.py [--check]

Between `<!-- bench FILE SIZE -->` and `<!-- end -->` comes a table of the rows of FILE, under benches/results, that are of
about SIZE. --check writes nothing and fails where README.md says something else.
"""

import argparse
import json
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
README = HERE.parent / "README.md"
BLOCK = re.compile(r"(<!-- bench (\S+) (\S+) -->\n).*?(<!-- end -->)", re.S)
UNITS = {"MiB": 1 << 20, "GiB": 1 << 30}
BESIDE = {"sum": "sum", "copy": "copy", "read": "read", "copy-file": "copy and sync"}


def of_size(text):
    number, unit = re.fullmatch(r"(\d+)(MiB|GiB)", text).groups()
    return int(number) * UNITS[unit]


def rate(row):
    value = row["gigabytes_per_second"]
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def table(path, size):
    result = json.loads((HERE / "results" / path).read_text())
    size = of_size(size)
    # An overlay goes over its weights twice.
    passes = lambda row: 2 if row["kernel"] == "overlay" else 1  # noqa: E731
    rows = [row for row in result["rows"] if size / 2 < row["bytes"] / passes(row) <= size]
    machine = result["machine"]
    device = machine["gpu"] or machine["cpu"]
    # Files of several formats each have one: the first stands for them.
    ceilings = {row["kernel"]: rate(row) for row in reversed(rows) if not row["beside"]}
    ceilings = ", ".join(f"{kernel} {ceilings[kernel]} GB/s" for kernel in sorted(ceilings, reverse=True))
    lines = [f"{machine['processor']}, {device}; {size >> 20} MiB. Ceilings: {ceilings}.", ""]
    lines += ["| kernel | F32 | BF16 | F16 | F8_E4M3 | beside |", "|---|---:|---:|---:|---:|---|"]
    kinds = {}
    for row in (row for row in rows if row["beside"]):
        match = re.fullmatch(r"(a )?(f32|bf16|f16|e4m3)(.*)", row["of"])
        if match:
            kind = (row["kernel"], match.group(3).replace(" file", "").strip(" ,"), row["beside"])
            kinds.setdefault(kind, {})[match.group(2)] = f"{rate(row)} ({row['ratio']:.2f})"
    for (kernel, of, beside), found in kinds.items():
        name = f"{kernel} {of}" if of.startswith("by") else f"{kernel}, {of}" if of else kernel
        cells = " | ".join(found.get(dtype, "") for dtype in ("f32", "bf16", "f16", "e4m3"))
        lines.append(f"| {name} | {cells} | {BESIDE[beside]} |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="fail where README.md is not what it would be")
    args = parser.parse_args()
    old = README.read_text()
    new = BLOCK.sub(lambda m: m.group(1) + "\n" + table(m.group(2), m.group(3)) + "\n" + m.group(4), old)
    if args.check:
        if new != old:
            sys.exit("README.md does not say what benches/results does: python benches/readme.py")
    else:
        README.write_text(new)


if __name__ == "__main__":
    main()
