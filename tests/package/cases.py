# SPDX-License-Identifier: Apache-2.0
"""What the tests of this folder share: each function case_* of a file is a case, named as its claim; the lines that are
printed for it are those that scripts/test counts. BUILD names the build folder."""
import contextlib
import os
import subprocess
import sys
import tempfile
import traceback

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("BUILD", os.path.join(TOP, "build/release"))
os.environ["BELFRY"] = os.path.join(BUILD, "src/cli/belfry")
sys.path.insert(0, os.path.join(TOP, "tests/integration"))
from harness import Skip, folder, need, wait_for  # noqa: E402,F401


def run(argv, **options):
    """The output of a program that must succeed."""
    p = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=120,
                       **options)
    assert p.returncode == 0, "%s\nexit code %d\n%s" % (" ".join(argv), p.returncode, p.stdout[-4000:])
    return p.stdout


def install(to, prefix="", libdir="lib"):
    """What `make build` (prefix "") or `make install` leaves, from the build folder, in `to`."""
    run([os.path.join(TOP, "scripts/install"), to, prefix, libdir], env={**os.environ, "BUILD": BUILD})
    return to


def pkg_config(root, *args, libdir="lib", env=None):
    environ = {k: v for k, v in os.environ.items() if not k.startswith("PKG_CONFIG")}
    environ["PKG_CONFIG_PATH"] = os.path.join(root, libdir, "pkgconfig")
    return run([need("pkg-config"), *args], env={**environ, **(env or {})}).split()


def write(cwd, name, text):
    path = os.path.join(cwd, name)
    with open(path, "w") as f:
        f.write(text)
    return path


def run_with(root, argv, cwd=None, libdir="lib"):
    return run(argv, cwd=cwd, env={**os.environ, "LD_LIBRARY_PATH": os.path.join(root, libdir)})


def main(module):
    words, failed = sys.argv[1:], 0
    with tempfile.TemporaryDirectory(prefix="belfry-test-") as root:
        module.ROOT = install(os.path.join(root, "product"))
        for name, case in [(n[5:], f) for n, f in vars(module).items() if n.startswith("case_")]:
            if words and not any(w in name for w in words):
                continue
            try:
                with tempfile.TemporaryDirectory(dir=root) as cwd:
                    case(cwd)
                what = "[       OK ] %s" % name
            except Skip as e:
                what = "[  SKIPPED ] %s: %s" % (name, e)
            except Exception:
                failed += 1
                what = traceback.format_exc() + "[   FAILED ] %s" % name
            print(what, flush=True)
    sys.exit(1 if failed else 0)
