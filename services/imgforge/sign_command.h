/* SPDX-License-Identifier: Apache-2.0 */
/* sign_command.h: "imgforge sign": signs paths with the key that the service has, so that the one who writes URLs needs no program of his own. */
#ifndef IMGFORGE_SIGN_COMMAND_H
#define IMGFORGE_SIGN_COMMAND_H

#include "base/secret.h"

#include <stdint.h>

/* Of the environment: IMGFORGE_KEY, IMGFORGE_SALT, IMGFORGE_SIGNATURE_SIZE; flags go before. */
struct sign_defaults {
    struct secret key, salt;
    int64_t digest_bytes;
};

/* argv is what follows "sign": [--key HEX] [--salt HEX] [--base URL] [--encode] PATH... Prints one signed path (with --base: URL) a line.
 * Returns the exit status: 0; 2: what is wrong is on stderr. */
int sign_command(const struct sign_defaults *defaults, int argc, char **argv);

#endif
