#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Lays out the root file systems of the images: image_root.py BIN OUT

OUT/controller and OUT/agent get the stripped programs, the shared libraries that ldd finds for them, and the few files that libc
and programs ask for; OUT/debug gets the symbols, which gdb finds by name. Each root tells whose files it holds as Debian does
(os-release, dpkg's status of the packages and their copyright files), so that scanners see the libraries that are loaded. What is
linked statically is named in usr/share/doc/berth/static-libraries.
"""
import os
import re
import shutil
import subprocess
import sys

ROOTS = {"controller": ["berth-controller", "berthctl"], "agent": ["berth-agent"]}
FOLDERS = {"controller": ["var/lib/berth/controller"], "agent": ["var/lib/berth/agent", "etc/berth/ca", "var/run/secrets/berth"]}
FILES = {
    "etc/passwd": "root:x:0:0:root:/:/sbin/nologin\nberth:x:65532:65532:berth:/:/sbin/nologin\n",
    "etc/group": "root:x:0:\nberth:x:65532:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
}
# Packages whose archives cmake/BerthStatic.cmake links, and headers that leave code behind.
STATIC = ["libgrpc++-dev", "libprotobuf-dev", "libabsl-dev", "libssl-dev", "libc-ares-dev", "libre2-dev", "zlib1g-dev",
          "libnl-3-dev", "libnl-route-3-dev", "libnftnl-dev", "libxxhash-dev", "libyaml-cpp-dev", "nlohmann-json3-dev",
          "libcli11-dev"]


def out(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)


def libraries(program):
    """Paths of the shared libraries and of the loader, as ldd found them."""
    text = out("ldd", program)
    if "not found" in text:
        raise SystemExit(f"image_root: {program}: a library is missing\n{text}")
    return re.findall(r"(/\S+) \(0x", text)


def owner(path):
    """The package that a file is of. Where / and /usr are one, dpkg knows either name."""
    real = os.path.realpath(path)
    for name in {real, path, real.removeprefix("/usr"), path.removeprefix("/usr")}:
        try:
            return out("dpkg-query", "-S", name).split(": ")[0].split(",")[0]
        except subprocess.CalledProcessError:
            continue
    raise SystemExit(f"image_root: no package has {path}")


def strip(program, root, debug):
    """A stripped copy that names its symbols' file."""
    name = os.path.basename(program)
    symbols, copy = os.path.join(debug, name + ".debug"), os.path.join(root, "usr/bin", name)
    out("objcopy", "--only-keep-debug", "--compress-debug-sections", program, symbols)
    out("objcopy", "--strip-all", f"--add-gnu-debuglink={symbols}", program, copy)
    os.chmod(copy, 0o755)


def describe(root, packages):
    """What Debian's packages leave behind of themselves, for the packages that files come from."""
    for package in sorted(packages):
        name = package.split(":")[0]
        write(os.path.join(root, "var/lib/dpkg/status.d", name), out("dpkg-query", "-s", package))
        notice = f"/usr/share/doc/{name}/copyright"
        if os.path.exists(notice):  # slim images leave them out
            target = os.path.join(root, notice.lstrip("/"))
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copyfile(notice, target)
    versions = [line for p in STATIC for line in _version(p)]
    write(os.path.join(root, "usr/share/doc/berth/static-libraries"), "".join(versions))


def _version(package):
    try:
        return [out("dpkg-query", "-W", "-f=${source:Package} ${source:Version}\n", package)]
    except subprocess.CalledProcessError:
        return []


def lay_out(name, programs, bin_folder, target):
    root, debug = os.path.join(target, name), os.path.join(target, "debug")
    shutil.rmtree(root, ignore_errors=True)
    for folder in ["usr/bin", "usr/lib", "usr/lib64", "dev", "proc", "sys", "run", *FOLDERS[name]]:
        os.makedirs(os.path.join(root, folder))
    os.makedirs(debug, exist_ok=True)
    for link in ("lib", "lib64", "bin"):
        os.symlink(f"usr/{link}", os.path.join(root, link))
    packages = set()
    for program in programs:
        source = os.path.join(bin_folder, program)
        strip(source, root, debug)
        for library in libraries(source):
            place = os.path.join(root, library.lstrip("/"))
            os.makedirs(os.path.dirname(place), exist_ok=True)
            if not os.path.exists(place):
                shutil.copyfile(os.path.realpath(library), place)
                os.chmod(place, 0o755)
                packages.add(owner(library))
    for path, text in FILES.items():
        write(os.path.join(root, path), text)
    shutil.copyfile("/etc/os-release", os.path.join(root, "etc/os-release"))
    licence = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../LICENSE")
    os.makedirs(os.path.join(root, "usr/share/doc/berth"))
    shutil.copyfile(licence, os.path.join(root, "usr/share/doc/berth/copyright"))
    describe(root, packages)


def main():
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    os.umask(0o022)
    for name, programs in ROOTS.items():
        lay_out(name, programs, sys.argv[1], sys.argv[2])


if __name__ == "__main__":
    main()
