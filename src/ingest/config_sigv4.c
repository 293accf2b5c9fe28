/* SPDX-License-Identifier: Apache-2.0 */
/* config_sigv4.c: the section sigv4: how requests to AWS are signed. */
#include "ingest/config_private.h"

static bool sigv4_check(struct loader *l, const struct yaml_node *node, void *object)
{
    const struct config_sigv4 *s = object;
    if ((s->access_key.len > 0) != secret_is_set(&s->secret_key))
        return yaml_error(l->err, node,
                          "must provide a AWS SigV4 Access key and Secret Key if credentials are "
                          "specified in the SigV4 config");
    return s->external_id.len == 0 || s->role_arn.len > 0 ||
           yaml_error(l->err, node, "external_id can only be used with role_arn");
}

#define F(member, kind)                                                                            \
    {                                                                                              \
#member, kind, offsetof(struct config_sigv4, member)                                       \
    }
static const struct field SIGV4_FIELDS[] = {
    F(region, FIELD_STRING),
    F(access_key, FIELD_STRING),
    F(secret_key, FIELD_SECRET),
    F(profile, FIELD_STRING),
    F(role_arn, FIELD_STRING),
    F(external_id, FIELD_STRING),
    F(use_fips_sts_endpoint, FIELD_BOOL),
    F(service_name, FIELD_STRING),
};
const struct section CONFIG_SIGV4_SECTION = {"sigv4", sizeof(struct config_sigv4), SIGV4_FIELDS,
                                             ARRAY_COUNT(SIGV4_FIELDS), .check = sigv4_check};
