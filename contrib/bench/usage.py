"""What a server takes of the machine: a process and its descendants, by /proc."""

import os
import pathlib
import re

PROC = pathlib.Path("/proc")


def processes(pid: int) -> list[int]:
    """`pid` and all that it started, and that these did."""
    found = [pid]
    for one in found:
        for task in _entries(PROC / str(one) / "task"):
            found += map(int, _text(PROC / str(one) / "task" / task / "children").split())
    return found


def cpu(pid: int) -> float:
    """Seconds of processor time that they have taken so far, to the nanosecond.

    Other than the time on the clock it does not grow when others use the machine.
    """
    total = 0
    for one in processes(pid):
        for task in _entries(PROC / str(one) / "task"):
            total += int((_text(PROC / str(one) / "task" / task / "schedstat") or "0").split()[0])
    return total / 1e9


def memory(pid: int) -> int:
    """Octets of memory, what several share counted once (PSS)."""
    sizes = (
        re.search(r"^Pss:\s+(\d+)", _text(PROC / str(one) / "smaps_rollup"), re.MULTILINE)
        for one in processes(pid)
    )
    return sum(int(size[1]) * 1024 for size in sizes if size)


def disk(path: pathlib.Path) -> int:
    """Octets of disk below a directory."""
    total = 0
    for directory, _, names in os.walk(path.resolve()):
        for name in names:
            total += (pathlib.Path(directory) / name).lstat().st_blocks * 512
    return total


def _entries(directory: pathlib.Path) -> list[str]:
    try:
        return [entry.name for entry in directory.iterdir()]
    except OSError:  # it has ended meanwhile
        return []


def _text(path: pathlib.Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
