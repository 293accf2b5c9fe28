# SPDX-License-Identifier: Apache-2.0
"""Writes the built-in templates as C arrays: embed.py OUTPUT FILE..."""
import pathlib
import sys

paths = [pathlib.Path(p) for p in sys.argv[2:]]
out = ["/* SPDX-License-Identifier: Apache-2.0 */", "/* Made by src/alerting/templates/embed.py. */",
       '#include "alerting/integrations.h"', ""]
for i, path in enumerate(paths):
    data = path.read_bytes()
    out.append("static const unsigned char text_%d[] = {" % i)
    out += ["    " + ",".join(map(str, data[at:at + 24])) + "," for at in range(0, len(data), 24)]
    out.append("};")
out.append("const struct integrations_template INTEGRATIONS_TEMPLATES[] = {")
out += ['    {"%s", {(const char *)text_%d, sizeof text_%d}},' % (path.name, i, i) for i, path in enumerate(paths)]
out += ["};", "const size_t INTEGRATIONS_TEMPLATE_COUNT = %d;" % len(paths), ""]
pathlib.Path(sys.argv[1]).write_text("\n".join(out))
