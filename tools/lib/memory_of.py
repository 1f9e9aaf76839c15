# SPDX-License-Identifier: Apache-2.0
"""What the kernel says of a process's memory, and how such figures grow. KiB throughout."""
import dataclasses
import os


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
