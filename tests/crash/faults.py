"""Faults that are made from outside: system calls that kill or fail (strace), file systems that fill up or fall over.

`Traced` puts an agent under strace; `Volume` is a small file system of its own, mounted for one test. Both need root, or
what their `missing` names.
"""

import contextlib
import os
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

CHANGES = (
    "mkdir,mkdirat,open,openat,creat,write,pwrite64,writev,pwritev,ftruncate,fallocate,rename,renameat,renameat2,link,"
    "linkat,unlink,unlinkat,fchmod,fsync,fdatasync"
)
"""Calls by which a program changes files or folders, or makes them durable; `open` since it creates."""
_CALL = re.compile(r"^(\d+)\s+(\w+)\((.*)")


def strace_missing():
    """Why there is no strace, with what to install; "" where there is one that may trace."""
    if shutil.which("strace") is None:
        return "no strace (hint: apt-get install strace)"
    done = subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, check=False)
    return "" if done.returncode == 0 else "strace may not trace here (hint: run as root, or allow ptrace)"


class Traced:
    """Prefixes for `Place.once` and `Place.start` that trace the agent; what was traced is in the file `log`."""

    def __init__(self, log):
        self.log = Path(log)

    def prefix(self, *, calls=CHANGES, inject="", paths=()):
        """`inject`: as strace takes it, for example `fdatasync:error=EIO:when=2`; calls are counted per thread.

        `paths`: only calls on these files and folders count.
        """
        words = ["strace", "-f", "-qq", "-y", "-o", str(self.log), "-e", f"trace={calls}", "-e", "signal=none"]
        for path in paths:
            words += ["-P", str(path)]
        if inject:
            words += ["-e", f"inject={inject}"]
        return tuple(words)

    def calls(self):
        """[(thread, call, arguments)] in the order in which they began."""
        found = []
        for one in self.log.read_text(errors="replace").splitlines():
            match = _CALL.match(one)
            if match:
                found.append((int(match[1]), match[2], match[3]))
        return found

    def most(self):
        """How many of the traced calls the thread with the most of them made."""
        return max(Counter(thread for thread, _, _ in self.calls()).values(), default=0)


def mount_missing():
    """Why no file system can be mounted here; "" where one can."""
    if os.geteuid() != 0:
        return "file systems are mounted by root only (hint: sudo make test)"
    for program in ("mount", "mkfs.ext4"):
        if shutil.which(program) is None:
            return f"no {program} (hint: apt-get install mount e2fsprogs)"
    return ""


def loop_missing():
    """Why an image cannot be mounted here; "" where it can."""
    if reason := mount_missing():
        return reason
    done = _run("losetup", "--find", check=False)
    return "" if done.returncode == 0 else "no loop devices (hint: modprobe loop)"


def _run(*words, check=True):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, f"{' '.join(map(str, words))}: {done.stderr.strip()}"
    return done


class Volume:
    """A file system mounted at `path`: tmpfs, or ext4 or XFS in a file. A context; nothing of it is left."""

    def __init__(self, path):
        self.path = Path(path)
        self.path.mkdir(parents=True, exist_ok=True)
        self.device = ""

    @classmethod
    def tmpfs(cls, path, options):
        volume = cls(path)
        _run("mount", "-t", "tmpfs", "-o", options, "tmpfs", path)
        return volume

    @classmethod
    def image(cls, path, image, size="", *, kind="ext4", make=(), options="", device=""):
        """Made anew where `size` is given. `device`: the loop device to use, for one that was used before."""
        volume = cls(path)
        if size:
            _run("truncate", "-s", size, image)
            _run(f"mkfs.{kind}", "-q", *(("-m", "0") if kind == "ext4" else ()), *make, image)
        if device:
            _run("losetup", device, image)
            volume.device = device
        else:
            volume.device = _run("losetup", "--find", "--show", image).stdout.strip()
        try:
            _run("mount", "-t", kind, *(("-o", options) if options else ()), volume.device, path)
        except AssertionError:
            volume.close()
            raise
        return volume

    def close(self):
        """Unmount, by force if something still holds it; may be called twice."""
        if os.path.ismount(self.path) and _run("umount", self.path, check=False).returncode:
            _run("umount", "--lazy", self.path)
        if self.device:
            _run("losetup", "--detach", self.device, check=False)
            self.device = ""

    def free(self):
        """Bytes that a program could still write."""
        told = os.statvfs(self.path)
        return told.f_bavail * told.f_frsize

    def fill(self, leave=0):
        """Take all space but so many bytes; returns the ballast, which gives it back when it is removed."""
        ballast = self.path / "ballast"
        with ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while (more := min(1 << 20, self.free() - leave)) > 0:
                if file.write(bytes(more)) == 0:
                    break
            # What is left are parts of a block.
            while leave == 0:
                file.write(bytes(512))
        return ballast

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
