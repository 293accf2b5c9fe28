/* SPDX-License-Identifier: Apache-2.0 */
/* sandbox.h: what the server cannot do any more once it runs, whoever has taken it over: write outside of the folders
 * it was given, run programs, make processes, or call what it has no use for. Landlock and seccomp, as far as the
 * kernel has them. Nothing can be taken back. docs/access.md says what stays allowed, and why. */
#ifndef BELFRY_SERVER_SANDBOX_H
#define BELFRY_SERVER_SANDBOX_H

#include "base/attributes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum { SANDBOX_TEXT_BYTES = 160 };

struct sandbox {
    bool files, programs, calls;         /* in force */
    char files_text[SANDBOX_TEXT_BYTES]; /* how, or why not */
    char calls_text[SANDBOX_TEXT_BYTES];
};

/* Landlock: from now on this thread, and those it starts, may write only in and below these folders (what is there)
 * and may run no program. Before the first thread is started: it holds for no other. */
void sandbox_files(struct sandbox *s, const char *const *folders, size_t count);
/* Seccomp: from now on no thread of the process may make other system calls than the list in sandbox.c; they fail with
 * ENOSYS. After what is needed for the start only (signals, limits, listening). */
void sandbox_calls(struct sandbox *s);

/* belfry check sandbox: confines this process and says for each promise whether it holds. False when one does not. */
bool sandbox_check(FILE *out);

#endif
