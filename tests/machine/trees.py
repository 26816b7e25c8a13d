"""Files with the figures of machines: one as it was recorded, and others with chosen figures.

All are in the formats that Linux writes, with more lines than are read.
"""

from pathlib import Path

from holdfast.machine.tree import Tree

GIB = 1 << 30

# A machine of 16 GiB with 4 processors.
SYSTEM = {
    "proc/self/stat": "4711 (python3) R 1 4711 4711 0 -1 4194560 0 0 0 0 1 1 0 0 20 0 1 0 1 0 0\n",
    "proc/meminfo": """\
MemTotal:       16777216 kB
MemFree:         1048576 kB
MemAvailable:   12582912 kB
Buffers:          524288 kB
Cached:          8388608 kB
HugePages_Total:       0
""",
    "proc/stat": """\
cpu  4000 100 900 90000 1000 0 0 0 50 0
cpu0 1000 25 225 22500 250 0 0 0 50 0
cpu1 3000 75 675 67500 750 0 0 0 0 0
intr 8885917 17 0 0
ctxt 1990473
""",
}

# The path of a container as its host sees it; the container has its own group as the root.
IN_CONTAINER_V2 = SYSTEM | {
    "proc/self/cgroup": "0::/\n",
    "sys/fs/cgroup/memory.max": f"{4 * GIB}\n",
    "sys/fs/cgroup/memory.current": f"{3 * GIB}\n",
    "sys/fs/cgroup/memory.stat": f"anon {GIB}\nfile {2 * GIB}\nactive_file {GIB}\n"
    f"inactive_file {GIB}\nslab_reclaimable 4096\n",
    "sys/fs/cgroup/cpu.max": "50000 100000\n",
    "sys/fs/cgroup/cpu.stat": "usage_usec 7000000\nuser_usec 5000000\nsystem_usec 2000000\n",
}
# A service in a slice: the slice has the limit, the service has none.
IN_SLICE_V2 = SYSTEM | {
    "proc/self/cgroup": "0::/app.slice/app.service\n",
    "sys/fs/cgroup/app.slice/memory.max": f"{2 * GIB}\n",
    "sys/fs/cgroup/app.slice/memory.current": f"{GIB}\n",
    "sys/fs/cgroup/app.slice/memory.stat": "inactive_file 0\n",
    "sys/fs/cgroup/app.slice/cpu.max": "max 100000\n",
    "sys/fs/cgroup/app.slice/cpu.stat": "usage_usec 7000000\n",
    "sys/fs/cgroup/app.slice/app.service/memory.max": "max\n",
    "sys/fs/cgroup/app.slice/app.service/memory.current": f"{GIB}\n",
    "sys/fs/cgroup/app.slice/app.service/memory.stat": "inactive_file 0\n",
}
IN_CONTAINER_V1 = SYSTEM | {
    "proc/self/cgroup": "9:name=systemd:/\n4:memory:/docker/7f\n2:cpu,cpuacct:/docker/7f\n0::/\n",
    "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{2**63 - 4096}\n",
    "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{9 * GIB}\n",
    "sys/fs/cgroup/memory/memory.stat": "inactive_file 1\ntotal_inactive_file 1\n",
    "sys/fs/cgroup/memory/docker/7f/memory.limit_in_bytes": f"{4 * GIB}\n",
    "sys/fs/cgroup/memory/docker/7f/memory.usage_in_bytes": f"{3 * GIB}\n",
    "sys/fs/cgroup/memory/docker/7f/memory.stat": f"inactive_file 1\ntotal_inactive_file {GIB}\n",
    "sys/fs/cgroup/cpu,cpuacct/docker/7f/cpu.cfs_quota_us": "50000\n",
    "sys/fs/cgroup/cpu,cpuacct/docker/7f/cpu.cfs_period_us": "100000\n",
    "sys/fs/cgroup/cpu,cpuacct/docker/7f/cpuacct.usage": "7000000000\n",
}


# A micro virtual machine with groups of version 1 without limits, and an empty tree of version 2,
# as it was on Linux 6.18; the name of the group was replaced.
RECORDED_V1 = {
    "proc/self/stat": SYSTEM["proc/self/stat"],
    "proc/self/cgroup": """\
9:name=systemd:/
8:pids:/
7:blkio:/
6:freezer:/
5:devices:/
4:memory:/jobs/a3f7
3:cpuset:/
2:cpuacct:/
1:cpu:/
0::/
""",
    "proc/meminfo": """\
MemTotal:       24683656 kB
MemFree:        19508780 kB
MemAvailable:   23782488 kB
Buffers:          142696 kB
Cached:          3560304 kB
SwapCached:            0 kB
""",
    "proc/stat": """\
cpu  509870 5606 69383 52111 1616 0 2437 7000 0 0
cpu0 244534 2981 32682 39092 654 0 623 3404 0 0
cpu1 265336 2624 36700 13019 962 0 1814 3595 0 0
intr 4247992 0 0 0
""",
    "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
    "sys/fs/cgroup/memory/memory.usage_in_bytes": "4191145984\n",
    "sys/fs/cgroup/memory/jobs/a3f7/memory.limit_in_bytes": "9223372036854771712\n",
    "sys/fs/cgroup/memory/jobs/a3f7/memory.usage_in_bytes": "325021696\n",
    "sys/fs/cgroup/memory/jobs/a3f7/memory.stat": """\
cache 316850176
rss 2449408
inactive_anon 2342912
active_anon 12288
inactive_file 163926016
active_file 152924160
hierarchical_memory_limit 9223372036854771712
total_cache 316850176
total_inactive_file 163926016
total_active_file 152924160
""",
    "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
    "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
    "sys/fs/cgroup/cpuacct/cpuacct.usage": "5878844981817\n",
    "sys/fs/cgroup/unified/cgroup.controllers": "hugetlb\n",
    "sys/fs/cgroup/unified/cpu.stat": "usage_usec 5878844981\nuser_usec 1\nsystem_usec 1\n",
}


def record(folder: Path, files: dict[str, str]) -> Tree:
    """Write the files of a machine below a folder, over those that are there."""
    for path, text in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return Tree(f"{folder}/".rstrip("/"))
