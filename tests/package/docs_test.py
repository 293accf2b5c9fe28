#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The manual pages that are made of the headers, and the headers as doxygen reads them."""
import glob
import os
import re
import sys

import cases
from cases import TOP, need, run

ROOT = None  # the folder where the product is installed
PAGES = ("counter", "gauge", "histogram", "summary", "stateset", "info", "registry", "exposition", "log", "request", "health", "http",
         "push", "collectors")


def pages():
    """name: text of each page that is not an alias."""
    found = {}
    for path in sorted(glob.glob(os.path.join(ROOT, "share/man/man*/*"))):
        if not os.path.islink(path):
            with open(path, encoding="utf-8") as f:
                found[path] = f.read()
    return found


def plain(text):
    """Words of a page or comment without what only the layout put there."""
    text = re.sub(r"\\f[BIP]|\\[:&%]", "", text).replace("\\-", "-").replace("\\(aq", "'").replace("\\(ga", "`").replace("\\e", "\\")
    return " ".join(re.sub(r"`", "", text).split())


def public_functions():
    names = []
    for path in glob.glob(os.path.join(TOP, "src/*/*.symbols")):
        with open(path) as f:
            names += f.read().split()
    return sorted(names)


def case_every_public_name_has_a_page(cwd):
    folder = os.path.join(ROOT, "share/man/man3")
    for name in public_functions():
        path = os.path.join(folder, name + ".3")
        assert os.path.exists(path), name
        with open(path, encoding="utf-8") as f:
            synopsis = plain(f.read().split(".SH SYNOPSIS")[1].split(".SH")[0])
        assert re.search(r"\b%s ?[(\[]" % name, synopsis), "%s is not in the synopsis of its page" % name
    for noun in PAGES:
        assert os.path.isfile(os.path.join(folder, "belfry_%s.3" % noun)), noun


def case_pages_say_what_the_headers_say(cwd):
    """The comment above each prototype, found here by other means than the pages' maker has."""
    checked = 0
    for path in glob.glob(os.path.join(TOP, "include/belfry/*.h")):
        with open(path, encoding="utf-8") as f:
            text = f.read()
        for comment, name in re.findall(r"\n(/\*(?:(?!\*/).)*\*/)\n(?:BELFRY_API)[^;(]*?\b(belfry_\w+)\(", text, re.S):
            if "---" in comment:
                continue
            said = plain(re.sub(r"\n \* ?", "\n", comment[2:-2]).replace("\\", "\\\\"))
            with open(os.path.join(ROOT, "share/man/man3", name + ".3"), encoding="utf-8") as f:
                page = plain(re.sub(r"^\.(IP|PP|EX|EE|TP).*$", "", f.read(), flags=re.M))
            assert said in page, "%s: the page does not say: %s" % (name, said)
            checked += 1
    assert checked >= 30, checked


def case_pages_have_the_usual_sections(cwd):
    for path, text in pages().items():
        sections = re.findall(r"^\.SH (.*)$", text, re.M)
        assert sections[0] == "NAME" and sections[-1] == "SEE ALSO", (path, sections)
        want = {"SYNOPSIS", "DESCRIPTION"}
        if path.endswith(("counter.3", "gauge.3", "histogram.3", "registry.3", "log.3")):
            want |= {"LIBRARY", "RETURN VALUE", "THREADS", "EXAMPLE"}
        assert want <= set(sections), (path, sections)


def case_mandoc_finds_nothing_wrong(cwd):
    run([need("mandoc"), "-Tlint", "-Wwarning", *pages()])


def case_man_finds_nothing_wrong(cwd):
    need("man")
    need("groff")
    for path in pages():
        out = run(["man", "--warnings", "-E", "UTF-8", "-l", path],
                  env={**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "80", "MANPAGER": "cat", "MAN_KEEP_STDERR": "1"})
        assert "warning" not in out.split("NAME")[0] and not re.search(r"^(troff|groff|man|<standard input>):.*", out, re.M), out[:2000]


def case_aliases_lead_to_their_page(cwd):
    for path in glob.glob(os.path.join(ROOT, "share/man/man3/*")):
        assert os.path.isfile(path), path  # no link leads nowhere


def case_doxygen_finds_nothing_wrong(cwd):
    with open(os.path.join(TOP, "docs/Doxyfile")) as f:
        options = f.read() + "\nOUTPUT_DIRECTORY = %s\n" % cwd
    need("doxygen")
    with open(os.path.join(cwd, "Doxyfile"), "w") as f:
        f.write(options)
    run(["doxygen", os.path.join(cwd, "Doxyfile")], cwd=TOP)
    with open(os.path.join(cwd, "html/metrics_8h.html")) as f:
        html = f.read()
    with open(os.path.join(TOP, "include/belfry/metrics.h"), encoding="utf-8") as f:
        comment = re.search(r"/\* (\w[^.*\n]*)[^/]*\*/\nBELFRY_API belfry_status belfry_counter_inc", f.read()).group(1)
    assert comment in html, "doxygen does not see the comments"


if __name__ == "__main__":
    cases.main(sys.modules[__name__])
