# SPDX-License-Identifier: Apache-2.0
"""Makes one page of page.html, page.css and page.js, and writes it as a C array with the policy under which a browser runs just
these two: embed.py OUTPUT FOLDER"""
import base64
import hashlib
import pathlib
import sys

output, folder = sys.argv[1], pathlib.Path(sys.argv[2])
page = (folder / "page.html").read_text()
hashes = {}
for name in ("page.css", "page.js"):
    text = "\n" + (folder / name).read_text()
    assert "</" not in text, name
    page = page.replace("{{%s}}" % name, text)
    hashes[name] = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
data = page.encode()
policy = ("default-src 'none'; script-src 'sha256-%s'; style-src 'sha256-%s'; img-src blob: data:; connect-src 'self'; "
          "form-action 'none'; frame-ancestors 'none'; base-uri 'none'" % (hashes["page.js"], hashes["page.css"]))
out = ["/* SPDX-License-Identifier: Apache-2.0 */", "/* Made by services/imgforge/assets/embed.py. */", '#include "builder_page.h"', "",
       "static const unsigned char bytes[] = {"]
out += ["    " + ",".join(map(str, data[i:i + 24])) + "," for i in range(0, len(data), 24)]
out += ["};", "const struct builder_page BUILDER_PAGE = {", "    {(const char *)bytes, %d}," % len(data),
        '    "\\"%s\\"",' % hashlib.sha256(data).hexdigest()[:32], '    "%s",' % policy, "};", ""]
pathlib.Path(output).write_text("\n".join(out))
