#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""libbelfry lives in other people's programs: every global symbol of the library given begins with belfry_."""
import subprocess
import sys

out = subprocess.run(["nm", "-g", "--defined-only", "-P", sys.argv[1]], capture_output=True, text=True, check=True).stdout
names = [line.split()[0] for line in out.splitlines() if line and not line.endswith(":")]
strange = sorted({n for n in names if not n.startswith("belfry_") and not n.startswith(("__asan", "__odr_asan", "__ubsan", "__tsan"))})
if not names or strange:
    print("symbols that do not begin with belfry_: %s" % (strange or "none at all were found"))
    sys.exit(1)
print("%d symbols, all belfry_" % len(names))
