// SPDX-License-Identifier: Apache-2.0
/*
 * replies: rows of one verb are tried in their order, and the first that fits is taken. The result
 * of a job is also the reply of `tally wait JOB`, which does not know the verb: then the rows of
 * all jobs are tried.
 */
#include "replies.h"

#include "fields.h"

#include <string.h>

struct reply_row {
    const char *verb;
    const char *form; /* the keyword of the call, or the option "dry-run"; NULL: none is needed */
    bool is_result;   /* of a job */
    struct sentence sentence;
};

/* Kinds of numbers. Inodes are directories, too. Entries of a tree are its inodes, its names, and
 * the pieces of files. */
#define FILES "n file or directory|files and directories"
#define ENTRIES "n entry of trees|entries of trees"
#define LOST "n piece of a file is lost|pieces of files are lost"

#define MERGED                                                                                     \
    "{inodes:" FILES "} changed[, and {names:n name}][; {decided:n conflict} decided by rule]."
#define UNDONE                                                                                     \
    "change {of} ({op} {ns}[ from {from}][ to {to}][ with {with}][ snapshot {snapshot}]"           \
    "[, which was {was}]), as change {seq}"
#define KEPT ".[ {kept} has what was there.]"
#define ONLY_HERE                                                                                  \
    "[ {only_here:n path of it is|paths of it are} in no other namespace.]"                        \
    "[ At least {only_here_at_least:n path of it is|paths of it are} in no other namespace.]"
#define MOVED                                                                                      \
    "[ {skipped:n object} stayed: already there, or changed meanwhile.]"                           \
    "[ Failed: {failed:n object}.][ {why}.][ Still on the shard: {left:n object}.]"

static const struct reply_row rows[] = {
    /* settings */
    {"set", NULL, false, {"{1} is {2} now.", "seq due"}},
    /* namespaces */
    {"branch",
     NULL,
     false,
     {"{ns} is a branch of {1:dir} as of change {seq}[; it is dropped by itself at "
      "{until:time}].",
      NULL}},
    {"snapshot",
     NULL,
     false,
     {"{1:dir}@{snapshot} keeps {1:dir} as it is now (change {seq}).", NULL}},
    {"digest",
     NULL,
     true,
     {"{1:dir} has the digest\n{digest}\n({inodes:" FILES "}, {bytes:bytes})", NULL}},
    {"digest", NULL, true, {"{digest}\n({inodes:" FILES "}, {bytes:bytes})", NULL}},
    {"merge", NULL, false, {"{1:dir} is merged into {into} as change {seq}: " MERGED, NULL}},
    {"merge",
     NULL,
     false,
     {"{into} has all of {1:dir} already: nothing was changed.", "names inodes decided"}},
    {"commit", NULL, false, {"{1:dir} is committed to {into} as change {seq}: " MERGED, NULL}},
    {"commit",
     NULL,
     false,
     {"{into} has all of {1:dir} already: nothing was changed.", "names inodes decided"}},
    {"undo", NULL, false, {"Undone: " UNDONE ": " MERGED, "into did"}},
    {"undo", NULL, false, {"Undone: " UNDONE KEPT, "did"}},
    {"undo",
     NULL,
     false,
     {"Undone: {op} of change {of}.", "into names inodes decided did ns from"}},
    {"redo", NULL, false, {"Done again: " UNDONE ": " MERGED, "into did"}},
    {"redo", NULL, false, {"Done again: " UNDONE KEPT, "did"}},
    {"redo",
     NULL,
     false,
     {"Done again: {op} of change {of}.", "into names inodes decided did ns from"}},
    {"hold", NULL, false, {"{1} is held: nothing drops it until `tally unhold {1}`.", NULL}},
    {"unhold", NULL, false, {"{1} is not held any more: it can be dropped.", NULL}},
    {"detach", NULL, false, {"{1:dir} has no base any more.", NULL}},
    {"drop",
     NULL,
     false,
     {"{1:dir} is in the trash as {kept} until {until:time}. `tally undrop {1:dir}` takes it "
      "back." ONLY_HERE,
      NULL}},
    {"drop",
     NULL,
     false,
     {"{1:dir} is deleted." ONLY_HERE " Job {job} gives its room back[, {queued_bytes:bytes} of "
      "its tree].",
      NULL}},
    {"undrop", NULL, false, {"{ns} is back.", NULL}},
    {"trash",
     "empty",
     false,
     {"Deleted from the trash: {dropped:n namespace}.[ {busy:n namespace} stays: files in it are "
      "open.]",
      NULL}},
    {"import",
     NULL,
     true,
     {"{ns} has {files:n file} of {1}: {bytes:bytes}, of which {stored:bytes} were not in the "
      "store "
      "before (change {seq}).[ {changed:n file} went on changing.]",
      "inodes absolute passed"}},
    {"export", NULL, true, {"{2} has {files:n file}, {bytes:bytes}.", NULL}},
    {"send",
     NULL,
     true,
     {"Sent {bytes:bytes}[; {skipped:bytes} the other side had already]. The digest is\n{digest}",
      NULL}},
    {"receive",
     NULL,
     true,
     {"{ns} has {files:n file}: {bytes:bytes}, of which {stored:bytes} were not in the store "
      "before "
      "(change {seq}). {arrived:bytes} arrived. The digest is\n{digest}",
      "inodes"}},
    {"diff",
     NULL,
     false,
     {"From {from} to {to}: {deleted:count} deleted, {added:count} new, {modified:count} changed, "
      "{type:count} of another type, {renamed:count} renamed, {attrs:count} with other attributes."
      "[ {unread:n file} could not be read and count as changed.]",
      NULL}},
    {"status",
     NULL,
     false,
     {"state: {state}; change {seq}, on disk up to {durable}.[ {unsealed:n file} not sealed yet.]",
      NULL}},
    /* what is durable */
    {"drain",
     "archive",
     true,
     {"All changes up to number {seq} are in {archives:n archive}[ (waited for {waited_ms:ms})].",
      NULL}},
    {"drain",
     NULL,
     true,
     {"All changes up to number {seq} are on disk[ (waited for {waited_ms:ms})].", NULL}},
    {"flush",
     NULL,
     false,
     {"Flush {ticket} has begun: it makes changes up to number {seq} durable. "
      "`tally wait ticket {ticket}` waits for it.",
      NULL}},
    {"wait",
     "ticket",
     false,
     {"The flush[ {name}] is done: all changes up to number {snapshot} are on disk.", NULL}},
    {"wait",
     "ticket",
     false,
     {"That flush is done: all changes up to number {durable} are on disk.", NULL}},
    {"wait",
     "durable",
     false,
     {"All changes of {2:dir} up to number {seq} are on disk.", "durable"}},
    {"wait", NULL, false, {"Job {1} has ended well.", "ticket durable"}},
    {"cancel", NULL, false, {"Job {1} was asked to end, if it has not ended yet.", NULL}},
    /* objects */
    {"refs",
     NULL,
     false,
     {"It has {refs:n reference}, in {namespaces:n namespace}[, and is pinned{pins:if}].", NULL}},
    {"object",
     NULL,
     false,
     {"Object {id}: {state}[ since {since:time}], {size:bytes}, {shard:shard} in a {stored}"
      "[{nodes:if}], {refs:n reference}.[ Its bytes are lost{lost:if}: see `tally sweep`.]",
      NULL}},
    {"object",
     NULL,
     false,
     {"Object {id}: {state}[ since {since:time}][{nodes:if}][, {refs:n reference}].", NULL}},
    {"resolve", NULL, false, {"It is {shard:shard}.", NULL}},
    {"pin",
     NULL,
     false,
     {"It is pinned: it stays until `tally unpin` (change {seq}). It has {refs:n reference}, one "
      "of them the pin.",
      NULL}},
    {"unpin",
     NULL,
     false,
     {"It is not pinned any more (change {seq}). It has {refs:n reference}.", NULL}},
    /* jobs that look after the store */
    {"rebuild",
     NULL,
     true,
     {"All references were counted anew: {changed:n count} put right.", NULL}},
    {"compact",
     NULL,
     true,
     {"Rewritten: {packs:n pack}. {freed_bytes:bytes} came back; moved: {moved:n object}, "
      "{moved_bytes:bytes}.",
      NULL}},
#define GC_WAITS                                                                                   \
    "[\n{kept_grace:n leak} unneeded for less than the grace period: a later run marks them.]"     \
    "[\n{kept_new_mark:n leak} marked just now: the next run deletes them.]"                       \
    "[\n{kept_stale_node:n leak} named by a member of the pool that is stale.]"                    \
    "[\n{kept_unacknowledged:n leak} marked, but not all members of the pool have said so.]"       \
    "[\n{kept_in_use:n leak} needed again in the last look.]"                                      \
    "[\n{kept_failed:n leak} could not be deleted: the next run tries again.]"                     \
    "[\n{kept_unasked:n leak} on a shard that could not be asked.]"                                \
    "[\n{stale_nodes:n member} of the pool without a report: see `tally node list`.]"              \
    "[\n{shards_unreachable:n shard} could not be searched.]"                                      \
    "[\n{foreign_names:n file} with a name that is none of the store: never deleted.]"             \
    "[\nToo few members of the pool report: nothing was judged{below_minimum:if}.]"
    {"gc",
     "dry-run",
     true,
     {"A run now would delete {collected:n leak} and mark {marked:n leak}. {active:n object} in "
      "use[, {pinned:count} of them pinned]." GC_WAITS,
      "cycle"}},
    {"gc",
     NULL,
     true,
     {"GC cycle {cycle}: {collected:n leak} deleted, {marked:n leak} marked; {active:n object} "
      "in use[, {pinned:count} of them pinned]." GC_WAITS,
      NULL}},
    {"scrub",
     NULL,
     true,
     {"Read {bytes:bytes} of {objects:n object} and {pages:n page}: "
      "[{damaged:n thing is|things are} damaged][nothing is damaged{damaged:not}]."
      "[ {unasked:n object} could not be read, as a shard does not answer.]"
      "[ The scrub went on where one was stopped{resumed:if}.]",
      NULL}},
    {"sweep",
     NULL,
     true,
     {"Asked for {checked:n object} on other shards: {kept:count} there, {lost:count} lost"
      "[, {purged:count} not needed any more][, {inconclusive:count} to be asked again].",
      NULL}},
    /* shards */
    {"shard", "add", false, {"Shard {shard} is {url}: objects can be moved there.", NULL}},
    {"shard", "remove", false, {"Shard {2} is forgotten.", "shard"}},
    {"shard",
     "drain",
     true,
     {"Brought home from shard {2}: {objects:n object}, {bytes:bytes}." MOVED, NULL}},
    {"move", NULL, true, {"Moved: {objects:n object}, {bytes:bytes}." MOVED, NULL}},
    {"recall", NULL, true, {"Brought home: {objects:n object}, {bytes:bytes}." MOVED, NULL}},
    {"node", "retire", false, {"Given up: {retired:n node}.", NULL}},
    {"node", "prune", false, {"Given up: {retired:n node}.", NULL}},
    /* archives */
    {"archive",
     "add",
     false,
     {"Archive {archive} is {url}: everything is shipped there from now on (lineage {lineage}).",
      NULL}},
    {"archive", "ship", false, {"Archive {archive} has all changes up to number {seq}.", NULL}},
    {"archive",
     "fork",
     false,
     {"The store ships to archive {archive} in a history of its own from now on, lineage "
      "{lineage}.",
      NULL}},
    {"archive",
     "remove",
     false,
     {"Nothing is shipped to archive {archive} any more. What is there stays there.", NULL}},
    {"archive", "unpin", false, {"The pin {2} does not count any more.", NULL}},
    {"archive",
     "check",
     true,
     {"Checked {segments:n segment}, {bodies:n state} of single namespaces, {entries:" ENTRIES
      "}, and {places:n pack or file|packs and files} of contents[, of which {read:count} were "
      "read]: [{found:n thing is|things are} wrong][nothing is wrong{found:not}].[ {lost:n piece "
      "of a file|pieces of files} could not be read in the store when it sent them.]",
      NULL}},
    {"archive",
     "drill",
     true,
     {"Restored on trial, as of change {from_seq} at {time:time}: {namespaces:n namespace}. It "
      "works: {inodes:" FILES "}, {entries:" ENTRIES "}; {compared:n namespace} compared"
      "[, {read:n content} read].[ {why}]",
      NULL}},
    {"archive",
     "prune",
     true,
     {"Deleted: {deleted:n thing}, {deleted_bytes:bytes}[, and a part of {thinned:n pack}]. "
      "Marked: "
      "{marked:n thing}, {marked_bytes:bytes}[; they can be deleted in {wait:s}].[ The oldest "
      "state that is kept is of {oldest:time}.][ {why}]",
      "catalogue states"}},
    {"restore",
     "dry-run",
     false,
     {"It would be {1} as of change {from_seq} at {time:time}: {entries:" ENTRIES "}, "
      "{bytes:bytes}, to be read.[ {lost:" LOST "}.][ The last change that the archive has is "
      "{last_seq}.]",
      "archive lineage segment steps requests"}},
    {"restore",
     NULL,
     true,
     {"{ns} is what it was after change {from_seq} at {time:time}: {inodes:" FILES "}"
      "[, with {ghosts:n content} only in the archive][, {recalled:count} brought home]."
      "[ {lost:" LOST "}.][ The last change that the archive has is {last_seq}.][ {why}]",
      "lineage seq entries"}},
    {"clone",
     NULL,
     false,
     {"{store} has {namespaces:n namespace} with {inodes:" FILES "}, as of change {from_seq} at "
      "{time:time}.[ {ghosts:n content is|contents are} read from the archive until `tally "
      "recall`.][ {lost:" LOST "}.]",
      "lineage"}},
    {"promote",
     NULL,
     false,
     {"This store has taken over, with all changes up to {from_seq} at {time:time}, and ships to "
      "archive {archive} in a history of its own (lineage {lineage} behind {parent}).",
      "segment"}},
    {"log",
     "find",
     false,
     {"Change {seq} of {time:time} is in segment {segment} at offset {offset}.", NULL}},
};
#define ROWS (sizeof(rows) / sizeof(*rows))

static const struct sentence begun = {
    "Job {job} has begun. `tally jobs {job}` shows how far it is, `tally wait {job}` waits for it.",
    NULL};

static bool has_argument(const struct sentence *s)
{
    return strstr(s->text, "{1") || strstr(s->text, "{2");
}

/* Is the row one for this call? `waits`: the reply may be the result of any job. */
static bool is_for(const struct reply_row *row, const char *verb, const char *form, bool waits)
{
    if (waits && row->is_result) {
        return !has_argument(&row->sentence) && !(row->form && strcmp(row->form, "dry-run") == 0);
    }
    return strcmp(row->verb, verb) == 0 && (!row->form || (form && strcmp(row->form, form) == 0));
}

/* The fields without the number of the job that made a result. */
static json_t *without_job(const json_t *fields)
{
    json_t *copy = json_copy((json_t *)(uintptr_t)fields);
    (void)json_object_del(copy, "job");
    return copy;
}

bool replies_add(const char *verb, const char *form, const struct sentence_of *of,
                 struct strbuf *out)
{
    const bool waits = strcmp(verb, "wait") == 0 && json_object_size(of->fields) > 0;
    struct sentence_of result = *of;
    bool added = false;
    if (json_object_size(of->fields) == 1 && fields_get(of->fields, "job")) {
        return sentence_add(&begun, of, out);
    }
    json_t *fields = without_job(of->fields);
    result.fields = fields;
    for (size_t i = 0; fields && !added && i < ROWS; i++) {
        const struct reply_row *row = &rows[i];
        added = is_for(row, verb, form, waits) &&
                sentence_add(&row->sentence, row->is_result ? &result : of, out);
    }
    json_decref(fields);
    return added;
}
