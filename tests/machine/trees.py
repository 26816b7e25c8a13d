"""Files with the figures of a machine, as they were found: machines of both versions of groups.

Recorded on Debian with Docker (version 2) and in a micro virtual machine (version 1), and cut to
the lines that are read, with others around them.
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


def record(folder: Path, files: dict[str, str]) -> Tree:
    """Write the files of a machine below a folder, over those that are there."""
    for path, text in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return Tree(f"{folder}/".rstrip("/"))
