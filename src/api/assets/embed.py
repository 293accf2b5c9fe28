# SPDX-License-Identifier: Apache-2.0
"""Writes the page's files as C arrays: embed.py OUTPUT FILE..."""
import hashlib
import pathlib
import sys

out = ["/* SPDX-License-Identifier: Apache-2.0 */", "/* Made by src/api/assets/embed.py. */",
       '#include "api/page.h"', ""]
names = []
for path in map(pathlib.Path, sys.argv[2:]):
    data = path.read_bytes()
    symbol = "bytes_" + path.name.replace(".", "_")
    names.append((path.name, symbol, len(data), hashlib.sha256(data).hexdigest()[:16]))
    out.append("static const unsigned char %s[] = {" % symbol)
    for i in range(0, len(data), 24):
        out.append("    " + ",".join(map(str, data[i:i + 24])) + ",")
    out.append("};")
out.append("const struct page_asset PAGE_ASSETS[] = {")
for name, symbol, length, digest in names:
    out.append('    {"%s", {(const char *)%s, %d}, "\\"%s\\""},' % (name, symbol, length, digest))
out += ["};", "const size_t PAGE_ASSET_COUNT = %d;" % len(names), ""]
pathlib.Path(sys.argv[1]).write_text("\n".join(out))
