# SPDX-License-Identifier: Apache-2.0
"""Turns itself into a container's program: `python3 kube_container.py SPEC.json`, in a mount namespace of its own.

Does what a container runtime would: a host name, a root file system with the volumes in it, user and groups, the capability bounding set,
no_new_privs; then becomes the program, with the same process id. What it leaves out: a PID namespace, cgroups, seccomp.
"""
import ctypes
import json
import os
import shutil
import signal
import sys

CAPABILITIES = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE "
    "NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT "
    "SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG "
    "WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE").split()
# What a container has when its securityContext says nothing.
DEFAULT_CAPABILITIES = ("CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE "
                        "SYS_CHROOT KILL AUDIT_WRITE").split()
# Where the tree's own programs are in a container that has no image.
PROGRAMS = "/berth/bin"
PATH = f"{PROGRAMS}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

CLONE_NEWUTS = 0x04000000
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
PR_SET_PDEATHSIG, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 24, 38
_libc = ctypes.CDLL(None, use_errno=True)


def _check(result, what):
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")


def _mount(source, target, kind=None, flags=0, data=None):
    encode = lambda text: text.encode() if text is not None else None  # noqa: E731
    _check(_libc.mount(encode(source), encode(target), encode(kind), flags, encode(data)), f"mount {source} on {target}")


def _bind(source, target, read_only=False):
    """Binds a folder or file; makes the place for it."""
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        open(target, "a").close()
    _mount(source, target, flags=MS_BIND | MS_REC)
    if read_only:
        _mount(None, target, flags=MS_BIND | MS_REMOUNT | MS_RDONLY)


def _root_of_this_machine(root):
    """This machine's programs and libraries, and none of its settings."""
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        if os.path.islink(f"/{name}"):
            os.symlink(os.readlink(f"/{name}"), f"{root}/{name}")
        elif os.path.isdir(f"/{name}"):
            _bind(f"/{name}", f"{root}/{name}", read_only=True)
    _bind("/usr", f"{root}/usr", read_only=True)
    for name in ("etc", "run", "var/lib", "root"):
        os.makedirs(f"{root}/{name}")
    os.makedirs(f"{root}/tmp", exist_ok=True)
    os.chmod(f"{root}/tmp", 0o1777)
    for name in ("passwd", "group", "ld.so.cache", "protocols", "services"):
        if os.path.exists(f"/etc/{name}"):
            shutil.copy(f"/etc/{name}", f"{root}/etc/{name}")
    with open(f"{root}/etc/nsswitch.conf", "w") as f:
        f.write("passwd: files\ngroup: files\nhosts: files dns\n")


def _make_root(spec):
    place = spec["place"]
    _mount(None, "/", flags=MS_REC | MS_PRIVATE)
    _mount("tmpfs", place, "tmpfs", data="mode=0755")
    root = f"{place}/root"
    os.mkdir(root)
    if spec.get("image_root"):
        for name in ("upper", "work"):
            os.mkdir(f"{place}/{name}")
        _mount("overlay", root, "overlay", data=f"lowerdir={spec['image_root']},upperdir={place}/upper,workdir={place}/work")
    else:
        _mount("tmpfs", root, "tmpfs", data="mode=0755")
        _root_of_this_machine(root)
        _bind(spec["programs"], root + PROGRAMS, read_only=True)
    for name in ("proc", "sys", "dev"):
        _bind(f"/{name}", f"{root}/{name}")
    for name, text in spec["etc"].items():
        os.makedirs(f"{root}/etc", exist_ok=True)
        with open(f"{root}/etc/{name}", "w") as f:
            f.write(text)
    for mount in sorted(spec["mounts"], key=lambda m: m["target"]):
        _bind(mount["source"], root + mount["target"], mount["read_only"])
    if spec["read_only_root"]:
        _mount(None, root, flags=MS_BIND | MS_REMOUNT | MS_RDONLY)
    os.chroot(root)
    os.chdir(spec.get("folder") or "/")


def _become(spec):
    """User, groups and capabilities; what is given up here never comes back."""
    kept = set(spec["capabilities"])
    for number, name in enumerate(CAPABILITIES):
        if name not in kept:
            _check(_libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0), f"drop {name}")
    os.setgroups(spec["groups"])
    os.setresgid(spec["gid"], spec["gid"], spec["gid"])
    os.setresuid(spec["uid"], spec["uid"], spec["uid"])
    if spec["no_new_privileges"]:
        _check(_libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    # The change of user has cleared it.
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def main():
    with open(sys.argv[1]) as f:
        spec = json.load(f)
    _check(_libc.unshare(CLONE_NEWUTS), "unshare")
    name = spec["etc"]["hostname"].strip().encode()
    _check(_libc.sethostname(name, len(name)), "sethostname")
    _make_root(spec)
    _become(spec)
    env = {"PATH": PATH, **spec["env"]}
    # Not os.execvp: it imports a module, and Python's are not in here.
    folders = [""] if "/" in spec["argv"][0] else [f"{folder}/" for folder in env["PATH"].split(":")]
    failure = None
    for folder in folders:
        try:
            os.execve(folder + spec["argv"][0], spec["argv"], env)
        except OSError as error:
            failure = error
    sys.exit(f"cannot run {spec['argv'][0]}: {failure.strerror}")


if __name__ == "__main__":
    main()
