"""Runs one command and prints its seconds, its peak memory in MiB and its exit code; what it prints goes to stderr.

A small process of its own, because on Linux what is started begins with the peak of what starts it: measured from a
process that has Django or matplotlib loaded, nothing would seem smaller than that. The peak is that of the largest
process, where the command has several.
"""

import os
import sys
import time

UNITS_IN_MIB = 2**20 if sys.platform == "darwin" else 2**10


def main(command: list[str]) -> None:
    began = time.perf_counter()
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, 2, 1)])
    _, status, usage = os.wait4(pid, 0)
    seconds = time.perf_counter() - began
    print(seconds, usage.ru_maxrss / UNITS_IN_MIB, os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main(sys.argv[1:])
