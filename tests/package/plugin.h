/* SPDX-License-Identifier: Apache-2.0 */
/* plugin.h: a shared object that has a copy of libbelfry in itself, as its host sees it. */
#ifndef BELFRY_TEST_PLUGIN_H
#define BELFRY_TEST_PLUGIN_H

struct plugin {
    void (*begin)(int is_private); /* first: in a registry of its own, or in its default one */
    void (*end)(void);             /* last: frees the registry that it made */
    void (*count)(unsigned times); /* adds to plugin_total of the registry */
    double (*value)(void);         /* what that stands at */
    char *(*text)(void);           /* the registry in the text format; give it back */
    void (*text_free)(char *text); /* takes it */
};

/* What stands under the symbol of each such object. */
typedef const struct plugin *plugin_fn(void);
#define PLUGIN_SYMBOL "plugin_get"

#endif
