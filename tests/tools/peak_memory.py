"""Run a command and fail if it ever had more memory resident than it may.

    python tests/tools/peak_memory.py --limit 320 -- secateur stats model.safetensors --memory 64MiB

The limit is in MiB. Prints the peak of the command and exits with its status, or with 1 beyond the limit.
"""

import argparse
import resource
import subprocess
import sys


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=int, required=True, help="in MiB")
    parser.add_argument("command", nargs="+")
    args = parser.parse_args()

    status = subprocess.run(args.command).returncode
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    peak_mib = peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)  # bytes on macOS, KiB elsewhere
    print(f"peak {peak_mib:.0f} MiB of {args.limit} MiB: {' '.join(args.command)}")
    sys.exit(status or int(peak_mib > args.limit))


if __name__ == "__main__":
    main()
