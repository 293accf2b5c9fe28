/* SPDX-License-Identifier: Apache-2.0 */
/* regex_bridge.cc: the only file that sees RE2. */
#include "base/regex_bridge.h"

#include <cstdio>
#include <cstring>
#include <re2/re2.h>
#include <string>

struct re2_program {
    re2_program(re2::StringPiece pattern, const RE2::Options &options) : re(pattern, options)
    {
    }
    RE2 re;
};

static re2::StringPiece piece_from(struct view v)
{
    return re2::StringPiece(v.len ? v.ptr : "", v.len);
}

struct re2_program *re2_program_new(struct view pattern, bool dot_newline, size_t memory_bytes_max,
                                    char *message, size_t message_bytes)
{
    RE2::Options options;
    options.set_dot_nl(dot_newline);
    options.set_log_errors(false);
    options.set_max_mem((int64_t)memory_bytes_max);
    re2_program *program = new re2_program(piece_from(pattern), options);
    if (program->re.ok())
        return program;
    snprintf(message, message_bytes, "%s", program->re.error().c_str());
    delete program;
    return nullptr;
}

void re2_program_free(struct re2_program *program)
{
    delete program;
}

bool re2_program_match(const struct re2_program *program, struct view text)
{
    return program->re.Match(piece_from(text), 0, text.len, RE2::ANCHOR_BOTH, nullptr, 0);
}

static size_t match_groups(const struct re2_program *program, struct view text, size_t start,
                           RE2::Anchor anchor, struct view *groups, size_t groups_max)
{
    re2::StringPiece pieces[RE2_GROUP_COUNT_MAX];
    size_t count = (size_t)program->re.NumberOfCapturingGroups() + 1;
    if (count > groups_max)
        count = groups_max;
    if (count > RE2_GROUP_COUNT_MAX)
        count = RE2_GROUP_COUNT_MAX;
    if (!program->re.Match(piece_from(text), start, text.len, anchor, pieces, (int)count))
        return 0;
    for (size_t i = 0; i < count; i++) {
        groups[i].ptr = pieces[i].data();
        groups[i].len = pieces[i].size();
    }
    return count;
}

size_t re2_program_groups(const struct re2_program *program, struct view text, struct view *groups,
                          size_t groups_max)
{
    return match_groups(program, text, 0, RE2::ANCHOR_BOTH, groups, groups_max);
}

size_t re2_program_search(const struct re2_program *program, struct view text, size_t start,
                          struct view *groups, size_t groups_max)
{
    return match_groups(program, text, start, RE2::UNANCHORED, groups, groups_max);
}

size_t re2_program_group_named(const struct re2_program *program, struct view name)
{
    const auto &names = program->re.NamedCapturingGroups();
    auto found = names.find(std::string(name.ptr, name.len));
    return found == names.end() ? 0 : (size_t)found->second;
}

size_t re2_program_prefix(const struct re2_program *program, char *out, size_t out_bytes)
{
    /* Every match lies between the two in byte order, so it begins with what both begin with. */
    std::string low, high;
    if (!program->re.PossibleMatchRange(&low, &high, (int)out_bytes))
        return 0;
    size_t len = 0;
    while (len < low.size() && len < high.size() && len < out_bytes && low[len] == high[len])
        len++;
    memcpy(out, low.data(), len);
    return len;
}

size_t re2_word_prefix(struct view text)
{
    static const RE2 *const word = new RE2("[\\pL\\p{Nd}_]*"); /* for the life of the process */
    re2::StringPiece found;
    return word->Match(piece_from(text), 0, text.len, RE2::ANCHOR_START, &found, 1) ? found.size()
                                                                                    : 0;
}
