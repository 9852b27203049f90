// SPDX-License-Identifier: Apache-2.0
/*
 * chain_model.h: the parts of chain_model: the world with its store, what must hold in it, states
 * that were seen, and claimants that are not those of the product.
 */
#pragma once

#include "chain.h"


#define LINEAGE 1
#define ACTORS_MAX 3
#define ANSWERS_MAX 64
#define THINGS_MAX 24
#define LATES_MAX 2
#define STEPS_MAX (ACTORS_MAX * ANSWERS_MAX)

extern const char *rule_off; /* the rule of --break, or NULL */

/* ---- the world ---- */

enum fault_kind { FAULT_NONE, FAULT_LATE, FAULT_REPEATED, FAULT_UNREAD, FAULT_KINDS };

/* A name and what has it; both are numbers of texts (text_number_of). */
struct thing {
    uint8_t name, bytes;
};

struct answer {
    int8_t err;    /* 0 or -errno */
    uint8_t bytes; /* what was read */
};

/* What an actor knows before it calls a function of chain.h: all else that it did is forgotten. */
struct known {
    uint8_t answers; /* so many led there */
    uint8_t epoch, serial;
    bool claimed, ready, unknown, ended; /* as in struct chain; `ended`: it calls nothing more */
};

struct world {
    uint8_t things, lates, faults;  /* `faults`: how many more there may be */
    struct thing thing[THINGS_MAX]; /* by name */
    struct thing late[LATES_MAX];
    struct actor {
        bool ended;
        uint8_t answers, acks;
        struct known known; /* this, too */
        struct answer answer[ANSWERS_MAX];
        struct thing ack[8]; /* what was told 0; it follows from the answers */
    } actor[ACTORS_MAX];
};

/* The run of an actor in a step. */
extern struct run {
    struct world *world;
    unsigned actor;
    enum fault_kind fault; /* of the new request */
    unsigned at;           /* answers so far */
    bool asked;            /* the new request was done */
    bool stopped;          /* and there was one more */
    bool refused;          /* the new request cannot have that fault */
    bool quiet;            /* no request may come */
    bool looks;            /* no actor runs: requests are answered, and nothing is noted */
} run;

void run_begin(struct world *w, unsigned actor, enum fault_kind fault);
/* Does a put that is under way. */
void do_late(struct world *w, unsigned i);
/* Forgets puts that are under way to a name that is taken: nothing comes of them. */
void drop_lates(struct world *w);
void put_claim_of(struct world *w, uint64_t epoch, const struct archive_claim *who);
/* Notes what the actor that runs knows. */
void know(const struct chain *c, bool ended);
/* Notes that a put was told 0. */
void acknowledge(unsigned actor, struct segment_pos pos, const char *bytes, size_t len);

/* ---- what must hold ---- */

/* What a name and its bytes are. */
struct sort {
    enum { IS_OTHER, IS_CLAIM, IS_SEGMENT, IS_END } is;
    struct segment_pos pos; /* of a claim the epoch alone */
};
struct sort sort_of(struct thing t);

/* Before `t` is put. */
void check_put(const struct world *w, struct thing t);
void check_claim(uint64_t epoch, struct segment_pos end);
void check_world(struct world *w, unsigned actors);
/* Prints the way, and what is wrong. With a rule off that is what was wanted. */
_Noreturn void fail(const char *what);
/* Notes the request of the last step of the way; the texts stay. `actor`: from 1; 0: a late put. */
void tell(unsigned actor, const char *call, const char *name, const char *answer);

/* ---- states that were seen ---- */

/* The number of ways from that state on; 0: it is new. Valid until the next call. `whole`: all
 * answers count. */
double *seen_find(const struct world *w, unsigned actors, bool whole);
uint64_t seen_count(void);
void seen_clear(void);
void seen_free(void);

/* ---- claimants ---- */

enum claim_way {
    CLAIM_REAL,                /* chain_claim */
    CLAIM_DESCENDING,          /* ends each epoch as it walks down to the first that was begun */
    CLAIM_TRUSTING,            /* walks down to the first terminator, and ends upwards */
    CLAIM_TRUSTING_DESCENDING, /* ends each epoch as it walks down to the first terminator */
    CLAIM_AFTER_ENDS,          /* ends all that it finds, and then claims */
};
int model_claim(struct chain *c, enum claim_way way, struct segment_pos *ret_end,
                char why[SHARD_WHY]);
