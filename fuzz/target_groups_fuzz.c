/* SPDX-License-Identifier: Apache-2.0 */
/* target_groups_fuzz.c: any bytes are a list of target groups or are refused with a sentence, in both formats. The
 * first byte chooses. What was read has labels in order, each name once, and the label that was added. */
#include "base/assert.h"
#include "base/view.h"
#include "ingest/target_groups.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void check(const struct target_groups *g)
{
    size_t targets = 0;
    for (size_t i = 0; i < g->groups.count; i++) {
        const struct config_target_group *group = &g->groups.items[i];
        bool extra = false;
        targets += group->targets.count;
        for (uint32_t l = 0; l < group->labels.count; l++) {
            const struct label *label = &group->labels.items[l];
            ASSERT(label->name.len && label->value.len);
            ASSERT(l == 0 || view_cmp(group->labels.items[l - 1].name, label->name) < 0);
            extra |= view_is(label->name, "__meta_url") && view_is(label->value, "here");
        }
        ASSERT(extra);
    }
    ASSERT(targets == g->target_count && targets <= TARGET_GROUPS_TARGETS_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct error err = {0};
    struct target_groups *groups = NULL;
    if (len == 0)
        return 0;
    bool ok = target_groups_parse((struct view){(const char *)bytes + 1, len - 1},
                                  bytes[0] & 1 ? TARGET_GROUPS_YAML : TARGET_GROUPS_JSON,
                                  (struct label){VIEW("__meta_url"), VIEW("here")}, &groups, &err);
    ASSERT(ok == (groups != NULL) && ok == (err.message[0] == '\0'));
    if (ok)
        check(groups);
    target_groups_unref(groups);
    return 0;
}
