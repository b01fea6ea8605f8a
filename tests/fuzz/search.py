"""Looks for inputs that break a promise, guided by the coverage of our Python code (Atheris, which is libFuzzer).

The search runs in a process of its own, since what it feeds may kill it: a crash, a hang or memory without end in
native code ends that process, libFuzzer keeps the input, and the next process goes on with the same corpus. A Python
exception is kept by the place where it was raised, and the search goes on at once.
"""

import argparse
import hashlib
import re
import resource
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

CASE_SECONDS = 60  # of CPU time that one input may take
CASE_MEGABYTES = 4096  # that the whole process may take, some 750 of them before the first input
EXECUTED = re.compile(r"^stat::number_of_executed_units:\s*(\d+)", re.MULTILINE)
PROGRESS = re.compile(r"^#(\d+)\s", re.MULTILINE)  # where it was killed before it could count
COVERED = re.compile(r"cov: (\d+)")


@dataclass(frozen=True)
class Target:
    """What is searched: ``check`` raises where an input breaks the promise; ``seeds`` are good and bad inputs by name.

    ``words`` are put into inputs as they are. ``mutate`` replaces libFuzzer's own mutations: (data, longest, seed).
    """

    check: Callable[[bytes], None]
    seeds: Callable[[], Iterator[tuple[str, bytes]]]
    longest: int  # bytes of an input
    words: Iterable[bytes] = ()
    mutate: Callable[[bytes, int, int], bytes] | None = None


def main(target: Target) -> int:
    """The command line of a target: search for some minutes, or try given inputs once more."""
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long to search")
    parser.add_argument("--out", type=Path, default=Path("fuzz_out"), help="folder of the corpus and the failures")
    parser.add_argument("--replay", type=Path, nargs="+", metavar="PATH", help="only try these inputs, or folders")
    parser.add_argument("--seconds", type=int, help=argparse.SUPPRESS)  # one process of the search, below
    arguments = parser.parse_args()
    if arguments.replay:
        return _replay(target, arguments.replay)
    if arguments.seconds:
        return _search_once(target, arguments.out, arguments.seconds)
    return _search(target, arguments.out, arguments.minutes)


def _replay(target: Target, paths: list[Path]) -> int:
    """Try inputs one by one; the number of those that break the promise, with their traces."""
    inputs = [file for path in paths for file in (sorted(path.iterdir()) if path.is_dir() else [path])]
    failures = 0
    for path in inputs:
        try:
            target.check(path.read_bytes())
        except Exception:
            failures += 1
            print(f"--- {path}\n{traceback.format_exc()}")
    print(f"{len(inputs)} inputs tried again, {failures} failures")
    return min(failures, 1)


def _search(target: Target, out: Path, minutes: float) -> int:
    """Start processes until the time is over, and tell what they found."""
    corpus, failures = out / "corpus", out / "failures"
    for folder in (corpus, failures):
        folder.mkdir(parents=True, exist_ok=True)
    for name, data in target.seeds():
        (corpus / name).write_bytes(data)
    end, tried, processes, covered = time.monotonic() + 60 * minutes, 0, 0, 0
    while (left := int(end - time.monotonic())) > 0:
        command = [sys.executable, sys.argv[0], "--out", str(out), "--seconds", str(left)]
        with (out / f"process_{processes}.log").open("wb") as log:
            ended = subprocess.run(command, stdout=log, stderr=log, check=False).returncode
        if ended < 0:  # killed, by the clock below or from outside: libFuzzer could keep nothing
            data = (out / "current").read_bytes()
            (failures / f"signal_{-ended}_{hashlib.sha1(data).hexdigest()}").write_bytes(data)
        text = Path(log.name).read_text(errors="replace")
        found = EXECUTED.search(text)
        if not found and not PROGRESS.search(text):
            print(f"the search did not start: see {log.name}")
            return 2
        tried += int(found[1] if found else PROGRESS.findall(text)[-1])
        processes += 1
        covered = max([covered, *map(int, COVERED.findall(text))])
    kept = sorted(path.name for path in failures.iterdir())
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = (usage.ru_utime + usage.ru_stime) / 60
    print(f"{tried} inputs tried in {processes} processes and {spent:.1f} minutes of CPU time")
    print(f"{covered} branches seen, {len(kept)} failures")
    print("\n".join(str(failures / name) for name in kept))
    return min(len(kept), 1)


def _search_once(target: Target, out: Path, seconds: int) -> int:
    """One process of the search; does not return."""
    import atheris

    words = out / "words"
    escaped = ("".join(f"\\x{byte:02x}" for byte in word) for word in target.words)
    words.write_text("".join(f'"{word}"\n' for word in escaped))
    flags = [
        f"-max_total_time={seconds}",
        f"-max_len={target.longest}",
        "-timeout=86400",  # real time says nothing on a machine that does other things as well
        "-report_slow_units=86400",
        f"-rss_limit_mb={CASE_MEGABYTES}",
        f"-artifact_prefix={out / 'failures'}/",
        f"-dict={words}",
        "-keep_seed=1",  # native code gives no feedback: only this keeps a seed of every format
        "-print_final_stats=1",
        str(out / "corpus"),
    ]

    current = out / "current"

    def one_input(data: bytes) -> None:
        current.write_bytes(data)
        signal.setitimer(signal.ITIMER_PROF, CASE_SECONDS)  # CPU time; it ends native code as well
        try:
            target.check(data)
        except Exception as error:
            _keep(data, error, out / "failures")

    extra = {"custom_mutator": target.mutate} if target.mutate else {}
    atheris.Setup([sys.argv[0], *flags], one_input, **extra)
    atheris.Fuzz()
    return 0


def _keep(data: bytes, error: Exception, failures: Path) -> None:
    """The shortest input of every kind of failure: an exception and the line of ours that it came through last."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "videozoo" in frame.filename.split("/")] or frames
    place = f"{Path(ours[-1].filename).stem}_{ours[-1].lineno}"
    path = failures / f"{type(error).__name__}_{place}"
    if not path.exists() or path.stat().st_size > len(data):
        path.write_bytes(data)
        print(f"{path.name}: {hashlib.sha1(data).hexdigest()[:8]}, {len(data)} bytes: {error!r}"[:500], flush=True)
