"""Does `secateur prune` lose or half-write anything when it is killed, or when the disk does not let it write?

    python tests/tools/crash_test.py --secateur target/release/secateur [--kills 200] [--mib 64] [--log FILE]

Kills: `prune` of a file and of a folder of shards, with and without an old OUT (--force), is killed with SIGKILL at random
moments of its run. After each: MODEL is unchanged; OUT is absent (or the old one), or complete and right, which is the
output of a run that nobody disturbed; there is at most one `.secateur-*` left for each kill. Refusals: a full disk (a tmpfs
is mounted, which takes root), a read-only folder (as nobody, or a read-only mount), OUT that is MODEL (its path, a hard
link, a symbolic link), an existing OUT without --force. After each: exit status 1 or 2, one line on stderr, MODEL
unchanged, no OUT, and nothing left behind. Prints a log; exits with 1 where anything was wrong.
"""

import argparse
import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/data"))
import checkpoint  # noqa: E402


def write_file(path, seed, mib, names):
    """A file of a few BF16 matrices."""
    rng = np.random.default_rng(seed)
    rows = max(4, (mib << 20) // (2 * 1024 * len(names)) // 4 * 4)
    kind = checkpoint.FLOATS["BF16"]
    with open(path, "wb") as file:
        file.write(checkpoint.header_bytes([(name, "BF16", (rows, 1024), rows * 2048) for name in names], {"format": "pt"}))
        for _ in names:
            file.write(rng.standard_normal((rows, 1024), np.float32).astype(kind).tobytes())


def write_folder(folder, mib):
    """Three shards, their index and what lies beside them."""
    folder.mkdir()
    weight_map = {}
    for i in range(3):
        names, shard = [f"layers.{i}.{part}.weight" for part in "abc"], f"model-{i + 1:05}-of-00003.safetensors"
        write_file(folder / shard, i, max(1, mib // 3), names)
        weight_map |= dict.fromkeys(names, shard)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    (folder / "config.json").write_text("{}\n")


def digest(path):
    """Names and contents of a file or of everything in a folder; None where there is nothing."""
    if not path.exists():
        return None
    result = hashlib.sha256()
    for file in [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file()):
        result.update((str(file.relative_to(path)) if path.is_dir() else "").encode() + b"\0")
        with open(file, "rb") as content:
            result.update(hashlib.file_digest(content, "sha256").digest())
    return result.hexdigest()


def left_behind(folder):
    """Temporary files and folders."""
    return list(folder.rglob(".secateur-*"))


def copy(source, target):
    shutil.copytree(source, target) if source.is_dir() else shutil.copyfile(source, target)


def make_old(model, out):
    """An OUT of an earlier run: a model, and not the one that a new run makes."""
    copy(model, out)
    with open(out / "config.json" if out.is_dir() else out, "r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b" ")


class Log:
    """What happened, and how much of it was wrong."""

    def __init__(self, path):
        self.file = open(path, "w") if path else None
        self.wrong = 0

    def say(self, text):
        print(text, flush=True)
        if self.file:
            print(text, file=self.file, flush=True)

    def check(self, label, problems, detail=""):
        self.wrong += bool(problems)
        self.say(f"{label:44} {'WRONG: ' + '; '.join(problems) if problems else 'ok'}  {detail}".rstrip())


def command(args, model, out, *more):
    return [args.secateur, "prune", str(model), "-o", str(out), "--sparsity", "0.5", "--engine", args.engine, "--quiet", *more]


def kills(args, log, model, folder, forced):
    """Kill it at moments spread over its whole run."""
    out, kind = folder / ("out" if model.is_dir() else "out.safetensors"), "folder" if model.is_dir() else "file"
    label = f"kill, {kind}{', old OUT' if forced else ''}"
    more = ["--force"] if forced else []
    before, took = digest(model), []
    for _ in range(3):
        start = time.perf_counter()
        done = subprocess.run(command(args, model, out, *more), capture_output=True, text=True)
        took.append(time.perf_counter() - start)
        if done.returncode or not out.exists():
            log.check(label, [f"undisturbed, it ends with {done.returncode} and OUT is {'' if out.exists() else 'not '}there"],
                      done.stderr.strip()[:200])
            return
        right = digest(out)
        remove(out)
    seconds, old = max(took), None
    if forced:
        make_old(model, out)
        old = digest(out)
    tally, leftovers, killed = {"absent": 0, "old": 0, "set aside": 0, "complete": 0, "wrong": 0}, 0, 0
    for i in range(args.kills):
        # Evenly over the run, with some chance in it; a little beyond its end, too.
        delay = seconds * 1.1 * (i + random.random()) / args.kills
        process = subprocess.Popen(command(args, model, out, *more), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(delay)
        process.send_signal(signal.SIGKILL)
        told = process.communicate()[1].decode().strip()
        was_killed = process.returncode == -signal.SIGKILL
        killed += was_killed
        found, problems, now = digest(out), [], left_behind(folder)
        state = {right: "complete", old: "old"}.get(found, "wrong") if found else "absent"
        # No system call that is everywhere swaps two folders: between two renames the old one has another name.
        if forced and found is None and any(old in (digest(p), *map(digest, p.glob("*"))) for p in now):
            state = "set aside"
        tally[state] += 1
        if state == "wrong":
            problems.append("OUT is neither absent, old nor complete")
        if forced and state == "absent":
            problems.append("the old OUT is gone and no new one is there")
        if not was_killed and process.returncode:
            problems.append(f"exit status {process.returncode}: {told}")
        if not was_killed and state != "complete":
            problems.append(f"it ended well, and OUT is {state}")
        if digest(model) != before:
            problems.append("MODEL has changed")
        leftovers += len(now)
        if len(now) > was_killed:
            problems.append(f"{len(now)} left behind: {[p.name for p in now]}")
        if problems:
            log.check(f"{label}, after {delay:.4f} s", problems)
        for path in now:
            remove(path)
        if state != "old":
            remove(out)
            if forced:
                make_old(model, out)
    remove(out)
    counts = ", ".join(f"{count} {state}" for state, count in tally.items())
    log.check(label, [f"{tally['wrong']} wrong"] if tally["wrong"] else [],
              f"{args.kills} runs of {seconds:.3f} s, {killed} killed: OUT {counts}; {leftovers} temporary left")


def remove(path):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif path.exists() or path.is_symlink():
        path.unlink()


def refused(args, log, label, model, out, watched, before, words, run=(), more=(), keeps=None):
    """A run that must fail cleanly: `keeps` is what OUT must still be."""
    done = subprocess.run([*run, *command(args, model, out, *more)], capture_output=True, text=True)
    told, problems = done.stderr.strip(), []
    if done.returncode not in (1, 2):
        problems.append(f"exit status {done.returncode}")
    if len(told.splitlines()) != 1 or not told.startswith("error:"):
        problems.append(f"stderr is {told[:300]!r}")
    elif not any(word in told.lower() for word in words):
        problems.append(f"no word of {words} in {told!r}")
    if digest(model) != before:
        problems.append("MODEL has changed")
        remove(model)
        copy(args.pristine, model)
    elif digest(out) != keeps:
        problems.append("OUT is not as it was")
    if (now := left_behind(watched)):
        problems.append(f"left behind: {[p.name for p in now]}")
    log.check(label, problems, told[:160])


def refusals(args, log, model, folder):
    """OUT and MODEL the same, an OUT that is there, a full disk, a folder that cannot be written."""
    before, kind = digest(model), "folder" if model.is_dir() else "file"
    same = ("model", "same", "input")
    for more in (), ("--force",):
        with_force = " with --force" if more else ""
        refused(args, log, f"OUT is MODEL, {kind}{with_force}", model, model, folder, before, same + ("exist",), more=more,
                keeps=before)
        link = folder / "link"
        link.symlink_to(model)
        refused(args, log, f"OUT links to MODEL, {kind}{with_force}", model, link, folder, before, same + ("exist", "link"),
                more=more, keeps=before)
        link.unlink()
        if not model.is_dir():
            os.link(model, link)
            refused(args, log, f"OUT is a hard link of MODEL{with_force}", model, link, folder, before, same + ("exist",),
                    more=more, keeps=before)
            link.unlink()
    out = folder / "old"
    if model.is_dir():
        out.mkdir()
        (out / "precious.txt").write_text("precious")
    else:
        out.write_text("precious")
    refused(args, log, f"OUT exists, {kind}", model, out, folder, before, ("--force", "content"), keeps=digest(out))
    remove(out)
    full_disk(args, log, model, folder, before, kind)
    read_only(args, log, model, folder, before, kind)


@contextlib.contextmanager
def mounted(folder, *options):
    """A tmpfs at a new folder; None where it cannot be mounted."""
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", str(folder)], capture_output=True, text=True)
    try:
        yield None if done.returncode else folder
    finally:
        if not done.returncode:
            subprocess.run(["umount", str(folder)], check=True)
        folder.rmdir()


def full_disk(args, log, model, folder, before, kind):
    size = sum(p.stat().st_size for p in ([model] if model.is_file() else model.iterdir()))
    for share in 0.0, 0.5, 0.95:
        with mounted(folder / "small", "-o", f"size={max(4096, int(size * share))}") as small:
            if small is None:
                log.say(f"full disk: skipped, a tmpfs cannot be mounted here (uid {os.getuid()})")
                return
            refused(args, log, f"full disk, room for {share:.0%}, {kind}", model, small / "out", small, before, ("space",))
            if list(small.iterdir()):
                log.check("full disk", [f"left: {[p.name for p in small.iterdir()]}"])


def read_only(args, log, model, folder, before, kind):
    locked = folder / "locked"
    locked.mkdir(mode=0o555)
    as_nobody = ()
    if os.getuid() == 0:
        as_nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
        def works(*words):
            return subprocess.run([*as_nobody, *words], capture_output=True).returncode not in (126, 127)

        if not shutil.which("setpriv") or not works(args.secateur, "--version") or not works("ls", str(model)):
            as_nobody = None
            log.say("read-only folder: skipped, nobody cannot reach the binary or the model")
    if as_nobody is not None:
        refused(args, log, f"folder without permission, {kind}", model, locked / "out", locked, before,
                ("permission", "denied"), run=as_nobody)
    locked.rmdir()
    with mounted(folder / "fixed", "-o", "ro") as fixed:
        if fixed is None:
            log.say("read-only file system: skipped, it cannot be mounted here")
        else:
            refused(args, log, f"read-only file system, {kind}", model, fixed / "out", fixed, before, ("read-only",))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--secateur", required=True)
    parser.add_argument("--engine", default="cpu", choices=["cpu", "gpu"])
    parser.add_argument("--kills", type=int, default=200, help="of each kind")
    parser.add_argument("--mib", type=int, default=64, help="size of the model")
    parser.add_argument("--folder", type=Path, help="where to work (default: the folder for temporary files)")
    parser.add_argument("--log", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.secateur = str(Path(args.secateur).resolve())
    random.seed(args.seed)
    log = Log(args.log)
    log.say(f"{args.secateur}, {args.mib} MiB, {args.kills} kills of each kind, seed {args.seed}")
    with tempfile.TemporaryDirectory(prefix="crash-test-", dir=args.folder) as scratch:
        scratch = Path(scratch)
        # So that nobody can read the model and run the binary.
        scratch.chmod(0o755)
        args.secateur = str(shutil.copy(args.secateur, scratch / "secateur"))
        os.chmod(args.secateur, 0o755)
        for kind in "file", "folder":
            model, work = scratch / (f"m-{kind}" + (".safetensors" if kind == "file" else "")), scratch / f"work-{kind}"
            work.mkdir()
            if kind == "file":
                write_file(model, 0, args.mib, ["a.weight", "b.weight", "c.weight"])
            else:
                write_folder(model, args.mib)
            args.pristine = scratch / f"pristine-{kind}"
            copy(model, args.pristine)
            # A folder with content is never replaced.
            for forced in (False,) if model.is_dir() else (False, True):
                kills(args, log, model, work, forced)
            refusals(args, log, model, work)
            if (there := sorted(work.iterdir())):
                log.check("what is left at the end", [f"{[p.name for p in there]}"])
    log.say("nothing was lost" if not log.wrong else f"{log.wrong} WRONG")
    sys.exit(1 if log.wrong else 0)


if __name__ == "__main__":
    main()
