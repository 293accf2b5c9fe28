/* SPDX-License-Identifier: Apache-2.0 */
/* command_access.c: belfry user and belfry token: who may use the server. They write state.db in the data folder; a
 * running server sees it at its next request. */
#include "access/access.h"
#include "access/password.h"
#include "access/state_db.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "cli/command.h"
#include "cli/flags.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

struct access_flags {
    const char *data_dir, *role;
    struct flag_list routes;
    int64_t expires_ms;
    bool help;
};

struct verb {
    const char *name;
    int word_count; /* after the verb */
    bool creates;   /* the database, when it is not there */
    bool (*run)(struct state_db *db, const struct access_flags *f, char **words, struct error *err);
};

static const char USER_USAGE[] =
    "Usage: belfry user add NAME         asks for a password; on standard input when that is no "
    "terminal\n"
    "       belfry user list\n"
    "       belfry user passwd NAME      another password; ends the user's sessions\n"
    "       belfry user role NAME        another role, of --role; ends the user's sessions\n"
    "       belfry user revoke NAME\n\n"
    "Roles: view reads; silence also silences alerts; edit also brings data in and edits; admin "
    "may do\n"
    "everything. A running server sees each change at once.\n\nFlags:\n";

static const char TOKEN_USAGE[] =
    "Usage: belfry token add NAME        prints a new token, once; clients send it as\n"
    "                                    \"Authorization: Bearer TOKEN\"\n"
    "       belfry token list\n"
    "       belfry token revoke ID\n\nFlags:\n";

/* ---- passwords ---- */

static bool read_line(char *out, size_t size, size_t *len, struct error *err)
{
    if (fgets(out, (int)size, stdin) == NULL)
        return error_set(err, ERROR_INPUT, "no password was given");
    *len = strcspn(out, "\n");
    if (out[*len] != '\n' && !feof(stdin))
        return error_set(err, ERROR_INPUT, "the password is longer than %zu bytes", size - 2);
    if (*len && out[*len - 1] == '\r')
        (*len)--;
    out[*len] = '\0';
    return true;
}

/* Without echo where there is a terminal. */
static bool ask(const char *question, char *out, size_t size, size_t *len, struct error *err)
{
    struct termios before, quiet;
    bool terminal = tcgetattr(STDIN_FILENO, &before) == 0;
    if (terminal) {
        quiet = before;
        quiet.c_lflag &= ~(tcflag_t)ECHO;
        fputs(question, stderr);
        if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet) != 0)
            return error_set_errno(err, errno, "could not switch the terminal's echo off");
    }
    bool ok = read_line(out, size, len, err);
    if (terminal) {
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before); /* it was so before */
        fputc('\n', stderr);
    }
    return ok;
}

static bool ask_new_hash(char hash[PASSWORD_HASH_BYTES], struct error *err)
{
    char first[PASSWORD_BYTES_MAX + 2], second[PASSWORD_BYTES_MAX + 2];
    size_t len = 0, again = 0;
    bool ok = ask("Password: ", first, sizeof first, &len, err);
    if (ok && isatty(STDIN_FILENO)) {
        ok = ask("Once more: ", second, sizeof second, &again, err);
        if (ok && (len != again || memcmp(first, second, len) != 0))
            ok = error_set(err, ERROR_INPUT, "the two passwords differ");
    }
    ok = ok && password_hash_new((struct view){first, len}, hash, err);
    explicit_bzero(first, sizeof first);
    explicit_bzero(second, sizeof second);
    return ok;
}

static bool parse_role(const struct access_flags *f, enum http_role *role, struct error *err)
{
    if (http_role_parse(view_from(f->role), role) && *role >= HTTP_ROLE_VIEW)
        return true;
    return error_set(err, ERROR_USAGE,
                     "flag \"--role\": \"%s\" is no role, expected view, silence, edit or admin",
                     f->role);
}

/* ---- users ---- */

static bool user_add(struct state_db *db, const struct access_flags *f, char **words,
                     struct error *err)
{
    char hash[PASSWORD_HASH_BYTES];
    enum http_role role;
    if (!parse_role(f, &role, err) || !ask_new_hash(hash, err) ||
        !state_db_user_add(db, view_from(words[0]), view_from(hash), role, err))
        return false;
    printf("user \"%s\" added with the role %s\n", words[0], http_role_name(role));
    return true;
}

static bool user_passwd(struct state_db *db, const struct access_flags *f, char **words,
                        struct error *err)
{
    (void)f;
    char hash[PASSWORD_HASH_BYTES];
    if (!ask_new_hash(hash, err) ||
        !state_db_user_set_hash(db, view_from(words[0]), view_from(hash), err))
        return false;
    printf("user \"%s\" has another password\n", words[0]);
    return true;
}

static bool user_role(struct state_db *db, const struct access_flags *f, char **words,
                      struct error *err)
{
    enum http_role role;
    if (!parse_role(f, &role, err) || !state_db_user_set_role(db, view_from(words[0]), role, err))
        return false;
    printf("user \"%s\" has the role %s\n", words[0], http_role_name(role));
    return true;
}

static void format_time(int64_t ms, char out[32])
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    if (ms == 0 || gmtime_r(&seconds, &tm) == NULL || strftime(out, 32, "%Y-%m-%d %H:%M", &tm) == 0)
        memcpy(out, "never", sizeof "never");
}

static bool user_list(struct state_db *db, const struct access_flags *f, char **words,
                      struct error *err)
{
    (void)f;
    (void)words;
    struct arena arena;
    struct state state;
    arena_init(&arena, MEM_OTHER, 0);
    bool ok = state_db_load(db, &arena, &state, err);
    if (ok)
        printf("%-32s %-8s %s\n", "USER", "ROLE", "CHANGED (UTC)");
    for (size_t i = 0; ok && i < state.user_count; i++) {
        char changed[32];
        format_time(state.users[i].changed_ms, changed);
        printf("%-32.*s %-8s %s\n", VIEW_ARGS(state.users[i].name),
               http_role_name(state.users[i].role), changed);
    }
    arena_deinit(&arena);
    return ok;
}

static bool user_revoke(struct state_db *db, const struct access_flags *f, char **words,
                        struct error *err)
{
    struct arena arena;
    struct state state;
    if (!state_db_user_remove(db, view_from(words[0]), err))
        return false;
    printf("user \"%s\" revoked\n", words[0]);
    arena_init(&arena, MEM_OTHER, 0);
    struct error ignored = {0};
    if (state_db_load(db, &arena, &state, &ignored) && state.user_count == 0)
        command_warn("that was the last user of this folder: unless a web configuration has users, "
                     "local callers may do everything and others what --web.anonymous-role says");
    arena_deinit(&arena);
    (void)f;
    return true;
}

/* ---- tokens ---- */

/* The paths of --route between blanks. */
static bool join_routes(const struct access_flags *f, struct buffer *out, struct error *err)
{
    for (size_t i = 0; i < f->routes.count; i++) {
        const char *path = f->routes.items[i];
        if (path[0] != '/' || strpbrk(path, " ?#%") != NULL)
            return error_set(err, ERROR_USAGE,
                             "flag \"--route\": \"%s\" is not a path such as /api/v1/query", path);
        buffer_printf(out, "%s%s", i ? " " : "", path);
    }
    return !out->failed || error_set(err, ERROR_USAGE, "flag \"--route\": too many paths");
}

static bool token_add(struct state_db *db, const struct access_flags *f, char **words,
                      struct error *err)
{
    char text[TOKEN_TEXT_BYTES];
    struct buffer routes;
    struct state_token token = {.name = view_from(words[0]), .created_ms = clock_wall().ms};
    buffer_init(&routes, MEM_OTHER, STATE_ROUTES_BYTES_MAX);
    access_token_new(text, token.digest);
    token.expires_ms = f->expires_ms ? token.created_ms + f->expires_ms : 0;
    bool ok = parse_role(f, &token.role, err) && join_routes(f, &routes, err);
    token.routes = buffer_view(&routes);
    ok = ok && state_db_token_add(db, &token, err);
    buffer_deinit(&routes);
    if (ok) {
        fprintf(stderr, "token %lld, role %s; it is shown this once:\n", (long long)token.id,
                http_role_name(token.role));
        printf("%s\n", text);
    }
    explicit_bzero(text, sizeof text);
    return ok;
}

static int compare_id(const void *a, const void *b)
{
    int64_t x = ((const struct state_token *)a)->id, y = ((const struct state_token *)b)->id;
    return (x > y) - (x < y);
}

static bool token_list(struct state_db *db, const struct access_flags *f, char **words,
                       struct error *err)
{
    (void)f;
    (void)words;
    struct arena arena;
    struct state state;
    arena_init(&arena, MEM_OTHER, 0);
    bool ok = state_db_load(db, &arena, &state, err);
    if (ok) {
        printf("%-5s %-24s %-8s %-17s %-17s %s\n", "ID", "TOKEN", "ROLE", "CREATED (UTC)",
               "EXPIRES (UTC)", "ROUTES");
        qsort(state.tokens, state.token_count, sizeof *state.tokens, compare_id);
    }
    for (size_t i = 0; ok && i < state.token_count; i++) {
        const struct state_token *t = &state.tokens[i];
        char created[32], expires[32];
        format_time(t->created_ms, created);
        format_time(t->expires_ms, expires);
        printf("%-5lld %-24.*s %-8s %-17s %-17s %.*s\n", (long long)t->id, VIEW_ARGS(t->name),
               http_role_name(t->role), created, expires, t->routes.len ? (int)t->routes.len : 3,
               t->routes.len ? t->routes.ptr : "all");
    }
    arena_deinit(&arena);
    return ok;
}

static bool token_revoke(struct state_db *db, const struct access_flags *f, char **words,
                         struct error *err)
{
    (void)f;
    char *end;
    errno = 0;
    long long id = strtoll(words[0], &end, 10);
    if (errno || end == words[0] || *end)
        return error_set(err, ERROR_USAGE, "\"%s\" is no token's id: see \"belfry token list\"",
                         words[0]);
    if (!state_db_token_remove(db, id, err))
        return false;
    printf("token %lld revoked\n", id);
    return true;
}

/* ---- both ---- */

static bool run(const struct verb *verb, const struct access_flags *f, char **words,
                struct error *err)
{
    struct state_db *db;
    if (verb->creates && !dir_create(f->data_dir, err))
        return false;
    if (!state_db_open(&db, f->data_dir, verb->creates, err)) {
        if (err->kind == ERROR_NOT_FOUND)
            error_hint(err, "--storage.tsdb.path names the data folder of the server");
        return false;
    }
    bool ok = verb->run(db, f, words, err);
    state_db_close(db);
    return ok;
}

static int access_command(const char *usage, const struct verb *verbs, size_t verb_count,
                          bool tokens, int argc, char **argv)
{
    struct error err = {0};
    struct access_flags f = {.data_dir = "data", .role = tokens ? "view" : "admin"};
    struct flag_words words;
    const struct flag flags[] = {
        {"help", 'h', FLAG_SWITCH, &f.help, NULL, "Show this."},
        {"storage.tsdb.path", 0, FLAG_TEXT, &f.data_dir, "FOLDER", "The server's data folder."},
        {"role", 0, FLAG_TEXT, &f.role, "view|silence|edit|admin", "What it may do."},
        {"expires", 0, FLAG_DURATION, &f.expires_ms, "DURATION", "For how long; 0s: for ever."},
        {"route", 0, FLAG_LIST, &f.routes, "PATH",
         "Only this path and what is below it; repeatable."}};
    size_t flag_count = ARRAY_COUNT(flags) - (tokens ? 0 : 2);
    if (!flags_parse(flags, flag_count, argc, argv, &words, command_warn, &err))
        return command_fail(&err);
    for (size_t i = 0; words.count && i < verb_count && !f.help; i++) {
        if (strcmp(words.items[0], verbs[i].name) != 0)
            continue;
        if (words.count - 1 != verbs[i].word_count)
            break;
        return run(&verbs[i], &f, words.items + 1, &err) ? EXIT_OK : command_fail(&err);
    }
    fputs(usage, f.help ? stdout : stderr);
    flags_print_help(f.help ? stdout : stderr, flags, flag_count);
    return f.help ? EXIT_OK : EXIT_USAGE;
}

int command_user(int argc, char **argv)
{
    static const struct verb VERBS[] = {{"add", 1, true, user_add},
                                        {"list", 0, false, user_list},
                                        {"passwd", 1, false, user_passwd},
                                        {"role", 1, false, user_role},
                                        {"revoke", 1, false, user_revoke}};
    return access_command(USER_USAGE, VERBS, ARRAY_COUNT(VERBS), false, argc, argv);
}

int command_token(int argc, char **argv)
{
    static const struct verb VERBS[] = {{"add", 1, true, token_add},
                                        {"list", 0, false, token_list},
                                        {"revoke", 1, false, token_revoke}};
    return access_command(TOKEN_USAGE, VERBS, ARRAY_COUNT(VERBS), true, argc, argv);
}
