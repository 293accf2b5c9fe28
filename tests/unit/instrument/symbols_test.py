#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""libbelfry lives in other people's programs. Asks nm of its two forms: every global symbol of the static library
begins with belfry_, and the shared one exports none of the internal ones (belfry__)."""
import subprocess
import sys


def symbols(path, *options):
    out = subprocess.run(["nm", "--defined-only", "-P", *options, path], capture_output=True, text=True, check=True).stdout
    names = {line.split()[0] for line in out.splitlines() if line and not line.endswith(":")}
    return {n for n in names if not n.startswith("__")}  # a sanitizer's own


def main():
    static, shared = symbols(sys.argv[1], "-g"), symbols(sys.argv[2], "-D")
    strange = sorted({n for n in static if not n.startswith("belfry_")} |
                     {n for n in shared if not n.startswith("belfry_") or n.startswith("belfry__")})
    missing = sorted({n for n in static if not n.startswith("belfry__")} - shared)
    print("static: %d symbols, shared: %d" % (len(static), len(shared)))
    if not shared or strange or missing:
        print("exported but not ours to export: %s; public but not exported: %s" % (strange, missing))
        sys.exit(1)


main()
