/* SPDX-License-Identifier: Apache-2.0 */
/* log_out.h: where a log's lines go: a descriptor of the host's, or a file by its path. One thread at a time. */
#ifndef BELFRY_INSTRUMENT_LOG_OUT_H
#define BELFRY_INSTRUMENT_LOG_OUT_H

#include "base/attributes.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct log_out {
    int fd;
    char *path;   /* NULL: fd is borrowed */
    bool is_file; /* writing never waits for a reader */
    bool is_torn; /* the last line that was written is not whole */
    dev_t device; /* of the file behind path, as it was opened */
    ino_t inode;
    int64_t checked_s; /* monotonic: when path was looked at last */
};

/* Copies path; NULL = write to fd. False with errno. */
MUST_USE bool belfry__log_out_open(struct log_out *o, int fd, const char *path);
void belfry__log_out_close(struct log_out *o);

/* Writes whole lines. Waits for a slow reader until *gave_up. Returns how many lines were not written whole. */
uint64_t belfry__log_out_write(struct log_out *o, const char *bytes, size_t len,
                               const _Atomic bool *gave_up);
/* Is something else, or nothing, found under the path by now? Looks once a second. */
bool belfry__log_out_was_moved(struct log_out *o);
/* Opens path again. On failure the old file stays in use; false with errno. Without path: true. */
MUST_USE bool belfry__log_out_reopen(struct log_out *o);

#endif
