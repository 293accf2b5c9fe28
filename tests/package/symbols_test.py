#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""symbols_test.py LIST STATIC SHARED [INTERNAL]: libbelfry lives in other people's programs, so what its two forms export
is written down in LIST, one name a line: a change of the ABI is seen in a diff. Asks nm of both forms. INTERNAL is the
library as our own server links it: what is global there begins with belfry_ too (internal: belfry__).

  symbols_test.py --write LIST SHARED     writes the list anew"""
import subprocess
import sys


def symbols(path, *options):
    out = subprocess.run(["nm", "--defined-only", "-P", *options, path], capture_output=True, text=True, check=True).stdout
    names = {line.split()[0] for line in out.splitlines() if line and not line.endswith(":")}
    return {n for n in names if not n.startswith("__")}  # a sanitizer's own


def write(path, shared):
    names = sorted(symbols(shared, "-D"))
    with open(path, "w") as f:
        f.write("".join(n + "\n" for n in names))


def main():
    if sys.argv[1] == "--write":
        return write(*sys.argv[2:])
    path, static, shared = sys.argv[1:4]
    with open(path) as f:
        listed = set(f.read().split())
    bad = ["%s is listed but %s does not begin with belfry_ or is internal" % (n, n) for n in sorted(listed)
           if not n.startswith("belfry_") or n.startswith("belfry__")]
    for form, found in (("static", symbols(static, "-g")), ("shared", symbols(shared, "-D"))):
        bad += ["the %s library exports %s, which is not in the list" % (form, n) for n in sorted(found - listed)]
        bad += ["the %s library does not export %s, which is in the list" % (form, n) for n in sorted(listed - found)]
    for internal in sys.argv[4:]:
        bad += ["%s is global in %s" % (n, internal) for n in sorted(symbols(internal, "-g")) if not n.startswith("belfry_")]
    print("%s: %d symbols" % (path, len(listed)))
    for line in bad:
        print(line)
    if bad or not listed:
        print("where the change is meant: tests/package/symbols_test.py --write %s %s" % (path, shared))
        sys.exit(1)


main()
