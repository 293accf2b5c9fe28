#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the integration tests: run.py [WORD ...] runs those whose name contains a word.

Each test is a function test_* of a file test_*.py beside this one; its name is its claim. Needs build/bin/belfry (or
what BELFRY names). Ends with "N passed, N failed, N skipped"."""
import glob
import importlib.util
import os
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from harness import Skip  # noqa: E402


def load(path):
    spec = importlib.util.spec_from_file_location(os.path.basename(path)[:-3], path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main():
    words = sys.argv[1:]
    passed = failed = skipped = 0
    for path in sorted(glob.glob(os.path.join(HERE, "test_*.py"))):
        module = load(path)
        for name, test in [(n, f) for n, f in vars(module).items() if n.startswith("test_") and callable(f)]:
            if words and not any(w in name or w in module.__name__ for w in words):
                continue
            t0 = time.monotonic()
            try:
                test()
                passed += 1
                what = "ok"
            except Skip as e:
                skipped += 1
                what = "skipped: %s" % e
            except Exception:
                failed += 1
                what = "FAILED\n" + traceback.format_exc()
            print("%s.%s: %s (%.1f s)" % (module.__name__, name, what, time.monotonic() - t0), flush=True)
    print("%d passed, %d failed, %d skipped" % (passed, failed, skipped))
    sys.exit(1 if failed else 0)


main()
