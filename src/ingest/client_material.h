/* SPDX-License-Identifier: Apache-2.0 */
/* client_material.h: certificates and keys that the configuration holds as text, as files: libcurl over GnuTLS takes
 * authorities as a file only, and passes over a certificate in memory without a word. Private to client*.c. */
#ifndef BELFRY_INGEST_CLIENT_MATERIAL_H
#define BELFRY_INGEST_CLIENT_MATERIAL_H

#include "base/attributes.h"
#include "base/error.h"
#include "base/view.h"

#include <stdbool.h>

enum { CLIENT_MATERIAL_PATH_BYTES = 32 };

/* Any thread. */
struct client_material;
struct client_material *client_material_new(void);
void client_material_free(struct client_material *m); /* NULL is fine */

/* The path of a file with this text, in memory and readable by this process only. The same text has the same path,
 * which is no other text's for the life of m: libcurl uses a connection again when the paths are the same.
 * ERROR_IO, ERROR_LIMIT (too many texts since m was made). */
MUST_USE bool client_material_path(struct client_material *m, struct view text,
                                   char out[CLIENT_MATERIAL_PATH_BYTES], struct error *err);

#endif
