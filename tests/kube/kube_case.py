# SPDX-License-Identifier: Apache-2.0
"""What the tests on a real control plane share: a cluster for all classes of a file, and a namespace for each test.

A test file does `from kube_case import *`, has classes derived from KubeTest with a promise as docstring and one method `test`,
and ends with `main()`. Its own docstring, one line, is the ctest name of the file.
"""
import itertools
import json
import os
import signal
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tools/lib"))
from kube import ApiError, Cluster, Image, core, resource, wait_for  # noqa: E402
from netns import run  # noqa: E402

_cluster = None
_failure = None
_numbers = itertools.count(1)


def shared_cluster(**kwargs):
    """The cluster of this file, started when it is first asked for; `kwargs` are those of the first caller."""
    global _cluster, _failure
    if _failure:
        raise _failure
    if _cluster is None:
        began = time.monotonic()
        try:
            _cluster = Cluster(**kwargs)
        except Exception as error:
            _failure = error
            raise
        print(f"a cluster in {time.monotonic() - began:.1f} s", file=sys.stderr)
        unittest.addModuleCleanup(_close)
    return _cluster


def _close():
    global _cluster
    if _cluster is not None:
        _cluster, closing = None, _cluster
        if os.environ.get("BERTH_KEEP_LOGS"):
            closing.save_logs(os.environ["BERTH_KEEP_LOGS"])
        closing.close()


class KubeTest(unittest.TestCase):
    """`self.cluster` is the file's, `self.namespace` a new namespace of the test's own, deleted when the test ends."""

    CLUSTER = {"nodes": 3}
    _failed = False

    def setUp(self):
        self.cluster = shared_cluster(**self.CLUSTER)
        self.namespace = self.cluster.new_namespace(f"test-{next(_numbers)}")
        self.addCleanup(self._delete_namespace)
        self.addCleanup(self._show_logs)

    def _delete_namespace(self):
        self.cluster.api.delete(core("namespaces", name=self.namespace))

    def _callTestMethod(self, method):
        try:
            method()
        except BaseException:
            self._failed = True
            raise

    def _show_logs(self):
        if not self._failed:
            return
        for name in sorted(os.listdir(self.cluster.folder)):
            if name.endswith(".log") and not name.startswith(("audit", "etcd")):
                with open(os.path.join(self.cluster.folder, name), errors="replace") as f:
                    print(f"--- {name}, its end", "".join(line[:400] for line in f.readlines()[-15:]), sep="\n", file=sys.stderr)


def main():
    unittest.main(verbosity=2)


__all__ = ["ApiError", "Image", "KubeTest", "core", "json", "main", "os", "resource", "run", "shared_cluster", "signal", "threading",
           "time", "unittest", "wait_for"]
