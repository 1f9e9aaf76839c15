# SPDX-License-Identifier: Apache-2.0
"""What the kernel says of a process's memory, and how such figures grow. KiB throughout."""
import dataclasses
import os
import statistics


@dataclasses.dataclass(frozen=True)
class Memory:
    resident: int      # pages present: files' too, which the page cache holds once for all
    anonymous: int     # heap, stacks, relocated data: what the process alone costs
    proportional: int  # resident, shared pages divided among those who map them
    threads: int

    @staticmethod
    def of(pid):
        kib = {}
        with open(f"/proc/{pid}/smaps_rollup") as rollup:
            for line in rollup.readlines()[1:]:
                name, value, _ = line.split()
                kib[name.rstrip(":")] = int(value)
        return Memory(kib["Rss"], kib["Anonymous"], kib["Pss"], len(os.listdir(f"/proc/{pid}/task")))


def slope(points):
    """Of the line closest to (x, y) by least squares; 0 for fewer than two points."""
    if len(points) < 2:
        return 0.0
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0


def slope_error(points):
    """The standard error of slope(points), 0 for fewer than three: how far it is off by chance, two times of three."""
    if len(points) < 3:
        return 0.0
    steep = slope(points)
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    left = sum((y - mean_y - steep * (x - mean_x)) ** 2 for x, y in points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return (left / (len(points) - 2) / spread) ** 0.5 if spread else 0.0


def medians(points, width):
    """One point for each `width` of x: what goes up and down within it, as a heap does between trims, is no growth."""
    windows = {}
    for x, y in points:
        windows.setdefault(int((x - points[0][0]) // width), []).append((x, y))
    return [(sum(x for x, _ in w) / len(w), statistics.median(y for _, y in w)) for w in windows.values()]
