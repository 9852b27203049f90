// SPDX-License-Identifier: Apache-2.0
/* new_store: see the header. */
#include "new_store.h"

#include "clone.h"
#include "follow.h"
#include "identity.h"
#include "label.h"
#include "owner_wait.h"
#include "store.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int new_store_place(const char *store, char made[PATH_MAX], char why[STORE_WHY])
{
    size_t len = strlen(store);
    while (len > 1 && store[len - 1] == '/') {
        len--;
    }
    if (snprintf(made, PATH_MAX, "%.*s.partial", (int)len, store) >= PATH_MAX) {
        snprintf(why, STORE_WHY, "%.200s: %s", store, strerror(ENAMETOOLONG));
        return -ENAMETOOLONG;
    }
    if (access(made, F_OK) == 0) {
        snprintf(why, STORE_WHY, "%.400s is left of one that has failed: remove it first", made);
        return -EEXIST;
    }
    if (rmdir(store) < 0 && errno != ENOENT) {
        int err = -errno;
        snprintf(why, STORE_WHY, "%.400s: %s", store,
                 err == -ENOTEMPTY || err == -EEXIST ? "it is there, and is not empty"
                                                     : strerror(-err));
        return err;
    }
    return 0;
}

int new_store_done(const char *store, const char *made, char why[STORE_WHY])
{
    if (rename(made, store) == 0) {
        return 0;
    }
    int err = -errno;
    snprintf(why, STORE_WHY, "%.200s is whole, and cannot become %.200s: %s", made, store,
             strerror(-err));
    return err;
}

int new_store_make(const char *store, const char *made, const struct archive_lineage *lineage,
                   char why[STORE_WHY])
{
    char label[STORE_LABEL_MAX + 1];
    tally_default_label(store, label, sizeof(label));
    return store_init(made, *lineage->label ? lineage->label : label, NULL, &lineage->key, 0, why);
}

/* Has the open store what the archive has. */
static int fill(struct state *p, const char *url, const struct clone_source *source,
                struct strbuf *why)
{
    struct follow_stats s;
    int err = follow_begin(p, url, source, why);
    if (err == 0) {
        err = follow_step(p);
        if (err < 0 && follow_get_stats(p, &s) == 0) {
            strbuf_adds(why, s.why);
        }
    }
    int end = store_close_told(p, err == 0 ? why : NULL);
    return err < 0 ? err : end;
}

static int open_and_fill(const char *made, const char *url, const struct clone_source *source,
                         struct strbuf *why)
{
    struct state_config config = {.clock = clock_real(), .background = true};
    char reason[STORE_WHY] = "";
    struct store_dir dir;
    struct state *p;
    int err = owner_open(made, 0, "mount", made, &dir, reason);
    if (err < 0) {
        strbuf_adds(why, reason);
        return err;
    }
    config.disk = dir.disk;
    config.kv = dir.kv;
    config.compression = store_get_compression(&dir);
    err = store_open(&config, &p);
    if (err == 0) {
        err = fill(p, url, source, why);
    }
    store_dir_close(&dir);
    return err;
}

int new_store_follow(const char *url, uint32_t lineage, const char *store, char why[STORE_WHY])
{
    CLEANUP_STRBUF struct strbuf said = STRBUF_INIT;
    struct clone_source source;
    char made[PATH_MAX];
    int err = clone_look(url, lineage, &source, &said);
    if (err < 0) {
        snprintf(why, STORE_WHY, "%.200s: %.300s", url, said.len ? said.s : strerror(-err));
        return err;
    }
    err = new_store_place(store, made, why);
    if (err == 0) {
        err = new_store_make(store, made, &source.lineage, why);
    }
    if (err < 0) {
        return err;
    }
    err = open_and_fill(made, url, &source, &said);
    if (err < 0) {
        snprintf(why, STORE_WHY,
                 "%.100s: %.200s; the incomplete store is in %.100s, you can remove it", url,
                 said.len ? said.s : strerror(-err), made);
        return err;
    }
    return new_store_done(store, made, why);
}
