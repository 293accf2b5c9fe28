#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The libraries, headers and .pc files that `make build` and `make install` leave, used by programs of several languages
and compilers as their authors would."""
import glob
import os
import re
import sys

import cases
from cases import TOP, install, need, pkg_config, run, run_with, write

ROOT = None  # the folder where the product is installed
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Wconversion", "-Wsign-conversion", "-Wshadow", "-Wcast-qual", "-Wundef"]
COMPILERS = [("gcc", "-xc", "-std=c99"), ("gcc", "-xc", "-std=c17"), ("clang", "-xc", "-std=c99"),
             ("g++", "-xc++", "-std=c++17"), ("clang++", "-xc++", "-std=c++17")]
# What each library may need when it runs: the C library and its parts, the loader.
LIBC = {"libc.so", "libm.so", "libpthread.so", "linux-vdso.so", "ld-linux-x86-64.so", "ld-linux-aarch64.so"}


def headers():
    return sorted(os.path.basename(p) for p in glob.glob(os.path.join(TOP, "include/belfry/*.h")))


def libraries():
    return sorted(os.path.basename(p)[:-3] for p in glob.glob(os.path.join(ROOT, "lib/pkgconfig/*.pc")))


def listed(library):
    """The public symbols of a library, data apart."""
    with open(glob.glob(os.path.join(TOP, "src/*/%s.symbols" % library))[0]) as f:
        return [n for n in f.read().split() if n != "belfry_buckets_seconds"]


def case_core_needs_the_c_library_and_nothing_else(cwd):
    lib = os.path.join(ROOT, "lib/libbelfry.so")
    needed = set(re.findall(r"^\s*(?:/\S*/)?([^\s/]+?\.so)", run(["ldd", lib]), re.M))
    assert "libc.so" in needed and needed <= LIBC, needed
    assert "undefined symbol" not in run(["ldd", "-r", lib])


def case_no_library_brings_a_cxx_runtime(cwd):
    for name in libraries():
        out = run(["ldd", os.path.join(ROOT, "lib/lib%s.so" % name)], env={**os.environ, "LD_LIBRARY_PATH": os.path.join(ROOT, "lib")})
        assert "libstdc++" not in out and "not found" not in out, out


def case_shared_libraries_have_a_soname_and_stay_mapped(cwd):
    for name in libraries():
        out = run(["readelf", "-d", os.path.join(ROOT, "lib/lib%s.so" % name)])
        assert "soname: [lib%s.so.0]" % name in out, out
        assert "NODELETE" in out and "TEXTREL" not in out, out
        assert os.path.basename(os.path.realpath(os.path.join(ROOT, "lib/lib%s.so" % name))).count(".") == 4


def case_an_installation_has_the_pages(cwd):
    there = install(cwd + "/usr", "/usr") + "/share/doc/belfry/"
    assert os.path.exists(there + "runbooks/ImgforgeErrorSpike.md") and os.path.exists(there + "operating.md"), os.listdir(there)
    assert not os.path.exists(os.path.join(ROOT, "share/doc")), "a build folder has no copy of docs/"


def case_each_header_stands_alone(cwd):
    sources = [write(cwd, header + ".c", "#include <belfry/%s>\nint main(void) { return 0; }\n" % header) for header in headers()]
    for compiler, language, standard in COMPILERS:
        run([need(compiler), standard, *STRICT, "-fsyntax-only", "-I" + os.path.join(ROOT, "include"), language, *sources])


def case_a_program_compiles_links_and_runs_in_c_and_cxx(cwd):
    flags = pkg_config(ROOT, "--cflags", "--libs", "belfry")
    for compiler, language, standard in COMPILERS:
        run([need(compiler), standard, *STRICT, "-o", "program", language, os.path.join(TOP, "tests/package/program.c"),
             *flags], cwd=cwd)
        out = run_with(ROOT, [os.path.join(cwd, "program")])
        assert 'app_requests_total{path="/a\\"b"} 1\n' in out and out.count('"level":') == 5, out


def case_that_program_uses_every_macro(cwd):
    with open(os.path.join(TOP, "tests/package/program.c")) as f:
        program = f.read()
    for header in headers():
        with open(os.path.join(TOP, "include/belfry", header)) as f:
            for macro in re.findall(r"^#define (\w+[^\W_])\(", f.read(), re.M):
                assert re.search(r"\b%s\(" % macro, program), "tests/package/program.c does not use %s of %s" % (macro, header)


def case_every_public_function_links_from_either_form(cwd):
    for library in libraries():
        names = listed(library)
        source = write(cwd, "all.c", "%s\nstatic void (*const all[])(void) = {%s};\n"
                       "int main(void) { return all[0] ? 0 : 1; }\n" % (
                           "\n".join("#include <belfry/%s>" % h for h in headers()),
                           ", ".join("(void (*)(void))" + n for n in names)))
        for compiler, language, standard in COMPILERS:
            for form in ([], ["--static"]) if standard == "-std=c17" else ([],):  # the archive is the same for all compilers
                flags = pkg_config(ROOT, "--cflags", "--libs", *form, library)
                if form:
                    flags = ["-l:lib%s.a" % f[2:] if f[2:] in libraries() else f for f in flags]
                run([need(compiler), standard, *STRICT, "-o", "all", language, source, "-xnone", *flags], cwd=cwd)
                run_with(ROOT, [os.path.join(cwd, "all")])


def case_static_libraries_need_nothing_that_is_not_named(cwd):
    for library in libraries():
        flags = pkg_config(ROOT, "--libs", "--static", library)
        flags = ["-l:lib%s.a" % f[2:] if f[2:] in libraries() else f for f in flags]
        source = write(cwd, "all.c", "".join("void %s(void);" % n for n in listed(library)) +
                       "int main(void) { %s }\n" % "".join(n + "();" for n in listed(library)))
        run(["gcc", "-fno-builtin", "-w", "-Wl,--no-undefined", "-o", "all", source, *flags], cwd=cwd)
        needed = run(["ldd", os.path.join(cwd, "all")])
        assert "belfry" not in needed, needed


def case_an_executable_without_shared_libraries_is_linked_in_silence(cwd):
    said = run(["gcc", "-static", "-o", "program", os.path.join(TOP, "tests/package/program.c"), "-I" + os.path.join(ROOT, "include"),
                os.path.join(ROOT, "lib/libbelfry.a"), "-lm", "-pthread"], cwd=cwd)
    assert said == "", said
    assert "app_requests_total" in run([os.path.join(cwd, "program")])


def case_internal_names_of_the_library_are_free_for_its_users(cwd):
    out = run(["nm", "--defined-only", "-P", os.path.join(ROOT, "lib/libbelfry.a")])
    internal = sorted({line.split()[0] for line in out.splitlines() if re.match(r"[A-Za-z_]\w* [tdb] ", line)})
    assert any(n.startswith("belfry__") for n in internal), internal
    source = write(cwd, "same.c", "".join("int %s = 1;\n" % n for n in internal) +
                   "void belfry_counter_inc(void *); int main(void) { belfry_counter_inc(0); }\n")
    run(["gcc", "-w", "-fno-builtin", "-o", "same", source, os.path.join(ROOT, "lib/libbelfry.a"), "-lm", "-pthread"], cwd=cwd)
    run([os.path.join(cwd, "same")])


def case_an_installed_copy_is_found_below_any_prefix(cwd):
    for prefix, libdir in (("/usr", "lib/x86_64-linux-gnu"), ("/opt/belfry", "lib"), ("/usr/local", "lib64")):
        dest = os.path.join(cwd, "dest" + prefix.replace("/", "-"))
        install(dest + prefix, prefix, libdir)
        pc = lambda *args, **env: pkg_config(dest + prefix, *args, libdir=libdir, env=env)  # noqa: E731
        for library in libraries():
            assert pc("--variable=prefix", "--dont-define-prefix", library) == [prefix]
            assert pc("--variable=libdir", "--dont-define-prefix", library) == [prefix + "/" + libdir]
        flags = pc("--dont-define-prefix", "--cflags", "--libs", "belfry", PKG_CONFIG_SYSROOT_DIR=dest,
                   PKG_CONFIG_ALLOW_SYSTEM_CFLAGS="1", PKG_CONFIG_ALLOW_SYSTEM_LIBS="1")
        assert "-I%s%s/include" % (dest, prefix) in flags, flags
        run(["gcc", "-o", "program", os.path.join(TOP, "tests/package/program.c"), *flags], cwd=cwd)
        run_with(dest + prefix, [os.path.join(cwd, "program")], libdir=libdir)
        assert run([dest + prefix + "/bin/belfry", "--version"])


if __name__ == "__main__":
    cases.main(sys.modules[__name__])
