// SPDX-License-Identifier: Apache-2.0
/* pool_held_impl: private to the files of pool_held: names in packs/, and the index of one pack. */
#pragma once

#include "pool_held.h"

/* "packs/<16 hex>" and `suffix`: "", ".index", ".dead". */
void held_pack_name(uint64_t pack, const char *suffix, char out[DISK_NAME_MAX + 1]);

struct held_numbers {
    uint64_t *v; /* ascending, each once */
    size_t count, room;
};
/* Lists the packs that have a file with that suffix. The caller releases *ret, also after an
 * error. */
int held_packs_list(struct disk *disk, const char *suffix, struct held_numbers *ret);
bool held_numbers_have(const struct held_numbers *n, uint64_t number);
void held_numbers_release(struct held_numbers *n);
/* The packs, and those that have an index or a dead list, by one list of packs/ for all three. */
struct held_beside {
    struct held_numbers packs, indexes, dead;
};
int held_beside_list(struct disk *disk, struct held_beside *ret); /* the caller releases *ret */
void held_beside_release(struct held_beside *b);
/* The name of the file "ab/<file>" below objects/. NULL: it is not in its directory. */
const char *held_file_below(const char *name);

/* The index of one pack, and which of its records were removed. */
struct held_pack {
    uint64_t number;
    bool whole;             /* the pack had nothing but records and zeros when it was indexed */
    uint64_t size;          /* bytes of the pack file when it was indexed; 0 if not `whole` */
    struct pool_indexed *v; /* ascending by offset, without overlap */
    uint8_t *dead;          /* dead[i]: 1 if record i was removed, else 0 */
    size_t count, live;
};
/* `dead`: the packs that have a dead list, so that nobody asks for that of another one; NULL: it is
 * not known. -ENOENT the pack has no index; -EUCLEAN its index is damaged. */
int held_pack_load(struct disk *disk, uint64_t number, const struct held_numbers *dead,
                   struct held_pack *ret);
void held_pack_release(struct held_pack *k);
/* Record i of the pack, as a sealed entry with count 0; and the key of that record. */
struct entry held_pack_entry(const struct held_pack *k, size_t i);
struct id held_pack_key(const struct held_pack *k, size_t i);
