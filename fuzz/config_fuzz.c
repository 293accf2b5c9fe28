/* SPDX-License-Identifier: Apache-2.0 */
/* config_fuzz.c: any text loads or is refused with a sentence; what has loaded can be shown. */
#include "base/assert.h"
#include "base/view.h"
#include "ingest/config.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static struct config *load(struct view text)
{
    struct error err = {0};
    struct config *config = NULL;
    bool ok = config_load_text(text, "", "fuzz.yml", &config, &err);
    ASSERT(ok == (config != NULL) && ok == (err.message[0] == '\0'));
    return config;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct view text = {(const char *)bytes, len};
    struct buffer shown;
    struct config *config;
    if (len > 0 &&
        memmem(bytes, len, "scrape_config_files", 19)) /* other files are not the fuzzer's */
        return 0;
    config = load(text);
    if (!config)
        return 0;
    buffer_init(&shown, MEM_OTHER, 64 << 20);
    config_print_yaml(config, &shown);
    ASSERT(!shown.failed);
    config_unref(config);
    buffer_deinit(&shown);
    return 0;
}
