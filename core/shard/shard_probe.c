// SPDX-License-Identifier: Apache-2.0
/*
 * shard_probe: does a place keep what the fence of a shard rests on? Some stores of objects accept
 * a conditional put and do not decide it: they ignore the condition, or they look first and write
 * later. One writer after the other does not notice the second kind, so the probe has 16 writers
 * who put one name at once.
 *
 * The name is in the folder of fence files. What a probe that died has left there is no obstacle to
 * an addition, and goes with other leftovers of fences.
 */
#include "shard.h"

#include "lock.h"
#include "thread.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define WRITERS 16
#define PROBE_TEXT 64 /* bytes that a writer puts; each puts as many */

struct probe;

struct writer {
    struct probe *probe;
    char text[PROBE_TEXT];
    int result;
};

struct probe {
    struct shard *shard;
    char name[sizeof SHARD_PROBE_DIR + sizeof "/probe-" + 32];
    struct mutex gate; /* "shard probe": held until all writers are started */
    struct writer writer[WRITERS];
};

/* Names the probe, and gives each writer bytes of its own. 0 or -EIO. */
static int prepare(struct probe *p, struct shard *s)
{
    uint64_t random[2];

    if (getrandom(random, sizeof random, 0) != sizeof random)
        return -EIO;
    p->shard = s;
    snprintf(p->name, sizeof p->name, "%s/probe-%016" PRIx64 "%016" PRIx64, SHARD_PROBE_DIR,
             random[0], random[1]);
    for (int i = 0; i < WRITERS; i++) {
        struct writer *w = &p->writer[i];

        w->probe = p;
        memset(w->text, '\n', sizeof w->text);
        (void)snprintf(w->text, sizeof w->text, "tallyfs probe %016" PRIx64 " writer %02d",
                       random[0], i);
    }
    return 0;
}

/* ---- putting ---- */

/* One writer: waits until all of them are there, and puts the name. */
static void *writer_main(void *arg)
{
    struct writer *w = arg;

    mutex_lock(&w->probe->gate);
    mutex_unlock(&w->probe->gate);
    w->result = shard_put_if_absent(w->probe->shard, w->probe->name, w->text, sizeof w->text);
    return NULL;
}

/* Has all writers put the name at once. 0, or -errno if one could not be started; the others have
 * put it then. */
static int put_at_once(struct probe *p)
{
    pthread_t thread[WRITERS];
    int started = 0, err = 0;

    {
        MUTEX_GUARD(&p->gate);
        while (err == 0 && started < WRITERS) {
            err = thread_start(&thread[started], writer_main, &p->writer[started]);
            started += err == 0;
        }
    }
    for (int i = 0; i < started; i++)
        pthread_join(thread[i], NULL);
    return err;
}

/* Puts the sentence into `why`. Always -EOPNOTSUPP. */
static int refuse(char why[SHARD_WHY], const char *sentence)
{
    snprintf(why, SHARD_WHY, "%.200s: it cannot be used as a shard", sentence);
    return -EOPNOTSUPP;
}

/* Finds the one writer who put the name. NULL: each was told -EEXIST, as by a driver that lost the
 * answer to the first one, and sent that put again. -EOPNOTSUPP: there are several. Other errors
 * are those of the puts. */
static int find_winner(const struct probe *p, const struct writer **ret_winner, char why[SHARD_WHY])
{
    char sentence[SHARD_WHY];
    int winners = 0, err = 0;

    for (int i = 0; i < WRITERS; i++) {
        const struct writer *w = &p->writer[i];

        if (w->result == 0) {
            *ret_winner = w;
            winners++;
        } else if (w->result != -EEXIST && err == 0) {
            err = w->result;
        }
    }
    if (winners > 1) {
        snprintf(sentence, sizeof sentence,
                 "it let %d of %d writers put one name, so two stores could both own it", winners,
                 WRITERS);
        return refuse(why, sentence);
    }
    return err;
}

/* ---- looking ---- */

/* Are these the bytes of the winner, or, if it is NULL, of any writer? */
static bool is_of(const struct probe *p, const struct writer *winner, const char *text)
{
    for (int i = 0; i < WRITERS; i++)
        if ((!winner || winner == &p->writer[i]) &&
            memcmp(text, p->writer[i].text, PROBE_TEXT) == 0)
            return true;
    return false;
}

/* Does a get return what the winner put? */
static int check_get(const struct probe *p, const struct writer *winner, char why[SHARD_WHY])
{
    char text[PROBE_TEXT];
    ssize_t n = shard_get(p->shard, p->name, text, sizeof text);

    if (n == -ENOENT)
        return refuse(why, "it does not find a name that was just put");
    if (n < 0 && n != -EFBIG)
        return (int)n;
    if (n != PROBE_TEXT || !is_of(p, winner, text))
        return refuse(why, "it returned other bytes than those that the first writer had put");
    return 0;
}

/* What a list says of the probe. */
struct sighting {
    const char *name;
    unsigned times;
    uint64_t size;
};

static int see(const char *name, uint64_t size, void *ctx)
{
    struct sighting *s = ctx;

    if (strcmp(name, s->name) == 0) {
        s->times++;
        s->size = size;
    }
    return 0;
}

/* Does a list show the name once, with its size? With `deleted` true: does it not? */
static int check_list(const struct probe *p, bool deleted, char why[SHARD_WHY])
{
    struct sighting s = {.name = p->name};
    int err = shard_list(p->shard, SHARD_PROBE_DIR, see, &s);

    if (err < 0)
        return err;
    if (deleted)
        return s.times ? refuse(why, "its lists show a name that was deleted") : 0;
    if (s.times == 0)
        return refuse(why, "its lists lack a name that was just put");
    if (s.times > 1 || s.size != PROBE_TEXT)
        return refuse(why, "its lists show a name twice, or with a wrong size");
    return 0;
}

/* Deletes the name, and looks whether it is gone. A driver that lost the answer of a delete, and
 * deleted again, may say -ENOENT. */
static int check_delete(const struct probe *p, char why[SHARD_WHY])
{
    char text[PROBE_TEXT];
    int err = shard_delete(p->shard, p->name);

    if (err < 0 && err != -ENOENT)
        return err;
    ssize_t n = shard_get(p->shard, p->name, text, sizeof text);

    if (n >= 0 || n == -EFBIG)
        return refuse(why, "it still returns a name that was deleted");
    return n == -ENOENT ? check_list(p, true, why) : (int)n;
}

/* Puts, looks and deletes. After an error the name may still be there. */
static int probe(struct probe *p, char why[SHARD_WHY])
{
    const struct writer *winner = NULL;
    int err = put_at_once(p);

    if (err == 0)
        err = find_winner(p, &winner, why);
    if (err == 0)
        err = check_get(p, winner, why);
    if (err == 0)
        err = check_list(p, false, why);
    return err < 0 ? err : check_delete(p, why);
}

int shard_probe(struct shard *s, char why[SHARD_WHY])
{
    struct probe p;
    int err = prepare(&p, s);

    *why = '\0';
    if (err < 0)
        return err;
    mutex_init(&p.gate, "shard probe");
    err = probe(&p, why);
    if (err < 0)
        (void)shard_delete(s, p.name);
    mutex_destroy(&p.gate);
    return err;
}
