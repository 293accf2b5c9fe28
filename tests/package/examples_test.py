#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The whole programs that the documentation prints (C blocks with a main function) compile as they stand there, with the
command that README.md names, run, and are read by promtool and by our server."""
import os
import re
import shutil
import subprocess
import sys
import urllib.request

import cases
from cases import TOP, pkg_config, run, run_with, wait_for, write
from harness import Belfry, Process, config

ROOT = None  # the folder where the product is installed
PAGES = ("README.md", "docs/instrumenting.md")
COMMAND = r"^cc example\.c \$\(pkg-config --cflags --libs (\S+)\) -o example"


def text_of(page):
    with open(os.path.join(TOP, page), encoding="utf-8") as f:
        return f.read()


def programs():
    """(page, text) of each whole program."""
    found = []
    for page in PAGES:
        for block in re.findall(r"^```c\n(.*?)^```$", text_of(page), re.M | re.S):
            if re.search(r"\bmain\(", block):
                found.append((page, block))
    return found


def build(cwd, number, source):
    library = re.search(COMMAND, text_of("README.md"), re.M).group(1)
    name = os.path.join(cwd, "example%d" % number)
    run(["cc", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter", write(cwd, "example%d.c" % number, source),
         *pkg_config(ROOT, "--cflags", "--libs", library), "-o", name])
    return name


def case_whole_programs_compile_as_printed(cwd):
    assert any(page == "README.md" for page, _ in programs())
    for i, (_, source) in enumerate(programs()):
        build(cwd, i, source)


def case_the_readme_example_has_about_thirty_lines(cwd):
    source = next(text for page, text in programs() if page == "README.md")
    assert source.count("\n") <= 34, source.count("\n")


def check_exposition(text):
    """promtool finds nothing wrong with it, where it is installed."""
    if shutil.which("promtool"):
        check = subprocess.run(["promtool", "check", "metrics"], input=text, text=True, capture_output=True)
        assert check.returncode == 0 and not check.stderr, check.stdout + check.stderr


def case_programs_that_end_end_well(cwd):
    ended = 0
    for i, (page, source) in enumerate(programs()):
        if not re.search(r"for \(;;\)|while \((1|true)\)", source):
            out = run_with(ROOT, [build(cwd, i, source)], cwd=cwd)
            if "# TYPE" in out:
                assert all(n in out for n in names_of(source)), out
                check_exposition(out)
            ended += 1
    assert ended


def scrape(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


def names_of(source):
    return set(re.findall(r'"(app_\w+)"', source))


def case_programs_that_serve_are_scraped(cwd):
    """By promtool, which must find nothing wrong, and by our server, which must know what was counted."""
    served = 0
    for i, (page, source) in enumerate(programs()):
        if "belfry_endpoint_start" not in source:
            continue
        path = build(cwd, i, source)
        with Process([path, "127.0.0.1:0"], cwd, env={"LD_LIBRARY_PATH": os.path.join(ROOT, "lib")}, name="example") as p:
            url = wait_for(lambda: re.search(r"http://(127\.0\.0\.1:\d+)/metrics", p.output()), "address of " + page)
            text = scrape(url.group(0))
            assert names_of(source) and all(n in text for n in names_of(source)), text
            check_exposition(text)
            with Belfry(cwd, config({"app": url.group(1)}), data="data%d" % i) as server:
                for name in names_of(source):
                    wait_for(lambda: server.query('{__name__=~"%s(_count)?",job="app"} > 0' % name), name)
            served += 1
    assert served


if __name__ == "__main__":
    cases.main(sys.modules[__name__])
