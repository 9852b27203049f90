// SPDX-License-Identifier: Apache-2.0
/* s3_keys: see the header. */
#include "s3_keys.h"

#include "io.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_MAX_ (256 * 1024) /* bytes of a credentials file */

void s3_keys_forget(struct s3_keys *k)
{
    explicit_bzero(k, sizeof *k);
}

/* ---- a file ---- */

/* Cuts spaces off both ends. */
static char *trim(char *text)
{
    char *end;

    text += strspn(text, " \t");
    end = text + strlen(text);
    while (end > text && strchr(" \t\r", end[-1]))
        end--;
    *end = '\0';
    return text;
}

static int copy(const char *value, char *out, size_t cap)
{
    if (strlen(value) >= cap)
        return -E2BIG;
    memcpy(out, value, strlen(value) + 1);
    return 0;
}

/* Takes a line "KEY = VALUE" of the section that is looked for. Other keys are passed over. */
static int take_line(char *line, struct s3_keys *k)
{
    char *equals = strchr(line, '='), *key, *value;

    if (!equals)
        return 0;
    *equals = '\0';
    key = trim(line);
    value = trim(equals + 1);
    if (strcmp(key, "aws_access_key_id") == 0)
        return copy(value, k->id, sizeof k->id);
    if (strcmp(key, "aws_secret_access_key") == 0)
        return copy(value, k->secret, sizeof k->secret);
    if (strcmp(key, "aws_session_token") == 0)
        return copy(value, k->token, sizeof k->token);
    return 0;
}

/* Is the line the head of that section? */
static bool is_section(const char *line, const char *profile)
{
    size_t n = strlen(profile);

    return strncmp(line + 1, profile, n) == 0 && strcmp(line + 1 + n, "]") == 0;
}

int s3_keys_parse(char *text, const char *profile, struct s3_keys *ret)
{
    bool here = false;
    char *next;
    int err = 0;

    *ret = (struct s3_keys){.id = ""};
    for (char *line = text; line && err == 0; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        line = trim(line);
        if (*line == '[')
            here = is_section(line, profile);
        else if (here && *line != '#' && *line != ';')
            err = take_line(line, ret);
    }
    return err == 0 && (!*ret->id || !*ret->secret) ? -ENOENT : err;
}

static int load_file(const char *path, const char *profile, struct s3_keys *ret,
                     char why[SHARD_WHY])
{
    char *text;
    size_t len;
    int err = io_read_file(AT_FDCWD, path, FILE_MAX_, &text, &len);

    if (err < 0) {
        snprintf(why, SHARD_WHY, "the credentials cannot be read from %.150s: %s", path,
                 strerror(-err));
        return -EACCES;
    }
    err = s3_keys_parse(text, profile, ret);
    explicit_bzero(text, len);
    free(text);
    if (err == 0)
        return 0;
    snprintf(why, SHARD_WHY, "%.120s has no %s in its section [%.60s]", path,
             err == -E2BIG ? "valid keys" : "aws_access_key_id and aws_secret_access_key", profile);
    return -EACCES;
}

/* ---- where they are ---- */

/* Reads them from the environment. False: it has none. */
static bool load_environment(struct s3_keys *ret)
{
    const char *id = getenv("AWS_ACCESS_KEY_ID"), *secret = getenv("AWS_SECRET_ACCESS_KEY"),
               *token = getenv("AWS_SESSION_TOKEN");

    *ret = (struct s3_keys){.id = ""};
    return id && *id && secret && *secret && copy(id, ret->id, sizeof ret->id) == 0 &&
           copy(secret, ret->secret, sizeof ret->secret) == 0 &&
           copy(token ? token : "", ret->token, sizeof ret->token) == 0;
}

/* The path of ~/.aws/credentials, or what the environment says instead. */
static int usual_file(char path[PATH_MAX])
{
    const char *given = getenv("AWS_SHARED_CREDENTIALS_FILE"), *home = getenv("HOME");
    struct passwd pw, *found = NULL;
    char room[4096];
    int n;

    if (given && *given)
        return snprintf(path, PATH_MAX, "%s", given) < PATH_MAX ? 0 : -ENAMETOOLONG;
    if ((!home || !*home) && getpwuid_r(geteuid(), &pw, room, sizeof room, &found) == 0 && found)
        home = found->pw_dir;
    if (!home)
        return -ENOENT;
    n = snprintf(path, PATH_MAX, "%s/.aws/credentials", home);
    return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

int s3_keys_load(const char *file, const char *profile, struct s3_keys *ret, char why[SHARD_WHY])
{
    const char *section = *profile ? profile : getenv("AWS_PROFILE");
    char path[PATH_MAX];

    if (!section || !*section)
        section = "default";
    if (*file)
        return load_file(file, section, ret, why);
    if (!*profile && load_environment(ret))
        return 0;
    if (usual_file(path) == 0 && access(path, F_OK) == 0)
        return load_file(path, section, ret, why);
    snprintf(why, SHARD_WHY,
             "there are no credentials: neither AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the "
             "environment, nor ~/.aws/credentials, nor credentials= in the URL");
    return -EACCES;
}
