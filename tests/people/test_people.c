// SPDX-License-Identifier: Apache-2.0
/* Claims of people.h: replies as sentences and tables; what is not known is not shown in part. */
#include "people.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define NOW INT64_C(1795791900) /* 2026-11-27T15:05:00Z */

static struct strbuf reply(struct people_call c, const char *head, const char *body)
{
    struct strbuf out = STRBUF_INIT;
    c.now = NOW;
    if (!people_reply(&c, head, body, &out)) {
        cr_expect_eq(out.len, 0);
    }
    return out;
}

#define EXPECT(call, head, body, text)                                                             \
    do {                                                                                           \
        struct strbuf out = reply(call, head, body);                                               \
        cr_expect_str_eq(out.s, text);                                                             \
        strbuf_release(&out);                                                                      \
    } while (0)

#define CALL(verb, ...)                                                                            \
    ((struct people_call){verb, (char *[]){__VA_ARGS__},                                           \
                          sizeof((char *[]){__VA_ARGS__}) / sizeof(char *), 0, 0, 0, 0})

#define JUST(verb) ((struct people_call){verb, NULL, 0, 0, 0, 0, 0})

static void set_zone(void)
{
    setenv("TZ", "UTC", 1);
}

Test(people, the_form_of_the_reply_chooses_the_sentence, .init = set_zone)
{
    EXPECT(CALL("drop", "dev"), "kept=dev@dropped-7 until=2026-11-28T15:05:00Z only_here=2", "",
           "dev is in the trash as dev@dropped-7 until 2026-11-28 15:05 (in 1 d). `tally undrop "
           "dev` takes it back. 2 paths of it are in no other namespace.\n");
    EXPECT(CALL("drop", "dev"), "queued_bytes=0 job=3 only_here=0", "",
           "dev is deleted. Job 3 gives its room back.\n");
}

Test(people, a_job_that_has_begun_says_how_to_follow_it)
{
    EXPECT(JUST("gc"), "job=3", "",
           "Job 3 has begun. `tally jobs 3` shows how far it is, `tally wait 3` waits for it.\n");
}

Test(people, the_result_of_a_job_is_the_same_sentence_for_whoever_waits)
{
    EXPECT(JUST("compact"), "packs=1 moved=2 moved_bytes=3 freed_bytes=1024 job=9", "",
           "Rewritten: 1 pack. 1 KiB came back; moved: 2 objects, 3 B.\n");
    EXPECT(CALL("wait", "9"), "packs=1 moved=2 moved_bytes=3 freed_bytes=1024", "",
           "Rewritten: 1 pack. 1 KiB came back; moved: 2 objects, 3 B.\n");
}

Test(people, a_key_that_is_not_known_means_that_nothing_is_shown)
{
    EXPECT(JUST("compact"), "packs=1 moved=2 moved_bytes=3 freed_bytes=1024 new=1", "", "");
    EXPECT(JUST("no-verb"), "a=1", "", "");
}

Test(people, du_has_the_largest_gain_first)
{
    EXPECT(JUST("du"), "namespaces=2 trash_frees=1024",
           "ns=a logical=5 shared=5 frees=0 tree=0\nns=b logical=2048 shared=0 frees=2048 tree=0\n",
           "NAMESPACE  FILES  SHARED  ALONE  ITS TREE\n"
           "b          2 KiB     0 B  2 KiB       0 B\n"
           "a            5 B     5 B    0 B       0 B\n"
           "The trash gives back 1 KiB when the disk gets full.\n");
}

Test(people, du_of_one_namespace_is_a_table_too)
{
    EXPECT(CALL("du", "a"), "ns=a logical=5 shared=5 frees=0 tree=0", "",
           "NAMESPACE  FILES  SHARED  ALONE  ITS TREE\n"
           "a            5 B     5 B    0 B       0 B\n");
}

Test(people, a_setting_shows_its_default_only_if_it_differs)
{
    EXPECT(JUST("get"), "",
           "a=5s default=5s min=1s max=9s what it means\nb=1 default=2 min=0 max=3 more\n",
           "SETTING  VALUE  DEFAULT  MEANING\n"
           "a           5s           what it means\n"
           "b            1        2  more\n");
}

Test(people, a_line_that_is_not_known_is_shown_as_it_is)
{
    EXPECT(CALL("why", "x"), "refs=1 namespaces=1", "pinned\nnamespace=main items=1 inodes=7\n",
           "NAMESPACE  REFERENCES  INODES\n"
           "main                1  7\n"
           "pinned\n"
           "It has 1 reference, in 1 namespace.\n");
}

Test(people, the_lines_choose_between_two_tables_of_one_verb, .init = set_zone)
{
    EXPECT(CALL("archive", "status"), "archives=0 seq=7",
           "following=1 state=ok url=dir:/a lineage=1 applied=1-2 from_seq=5 "
           "time=2026-11-27T15:00:00Z asked=2026-11-27T15:00:00Z lag_ms=0 segments=1 entries=2 "
           "afresh=0\n",
           "FOLLOWS  STATE  HAS CHANGE  OF         SEGMENT  PLACE\n"
           "      1  ok              5  5 min ago  1-2      dir:/a\n"
           "The last change of the store is 7.\n");
}

Test(people, what_is_wrong_with_a_line_stands_below_the_table)
{
    EXPECT(CALL("shard", "list"), "shards=1",
           "shard=1 state=unreachable url=dir:/a objects=0 bytes=0 why=\"it is away\" puts=1\n",
           "SHARD  STATE        OBJECTS  SIZE  PLACE\n"
           "    1  unreachable        0   0 B  dir:/a\n"
           "Shard 1: it is away.\n");
}

Test(people, an_empty_list_is_a_sentence)
{
    EXPECT(CALL("shard", "list"), "shards=0", "",
           "There are no other shards: all objects are at home.\n");
}

Test(people, inodes_are_files_and_directories, .init = set_zone)
{
    EXPECT(JUST("restore"),
           "ns=back lineage=1 from_seq=5 time=2026-11-27T15:00:00Z inodes=83735 entries=167525 "
           "ghosts=1 lost=0 seq=9 job=1",
           "",
           "back is what it was after change 5 at 2026-11-27 15:00 (5 min ago): 83,735 files and "
           "directories, with 1 content only in the archive.\n");
    EXPECT(JUST("digest"), "digest=ab inodes=1 bytes=0 job=2", "",
           "ab\n(1 file or directory, 0 B)\n");
}

Test(people, entries_of_trees_are_no_contents, .init = set_zone)
{
    struct people_call dry = CALL("restore", "main", "back");
    dry.dry_run = true;
    EXPECT(dry,
           "archive=1 lineage=1 segment=1-2 from_seq=5 time=2026-11-27T15:00:00Z steps=1 "
           "entries=18221 bytes=980992 requests=4 lost=2",
           "",
           "It would be main as of change 5 at 2026-11-27 15:00 (5 min ago): 18,221 entries of "
           "trees, 958 KiB, to be read. 2 pieces of files are lost.\n");
    EXPECT(CALL("archive", "drill"),
           "namespaces=1 from_seq=5 time=2026-11-27T15:00:00Z inodes=2 entries=783144 compared=1 "
           "read=0",
           "",
           "Restored on trial, as of change 5 at 2026-11-27 15:00 (5 min ago): 1 namespace. It "
           "works: 2 files and directories, 783,144 entries of trees; 1 namespace compared.\n");
}

Test(people, what_a_check_has_read_are_places)
{
    EXPECT(CALL("archive", "check"),
           "found=0 lost=0 segments=3 bodies=1 entries=9 places=60 read=55 job=1", "",
           "Checked 3 segments, 1 state of single namespaces, 9 entries of trees, and 60 packs "
           "and files of contents, of which 55 were read: nothing is wrong.\n");
    EXPECT(CALL("archive", "check"),
           "found=2 lost=1 segments=3 bodies=1 entries=9 places=1 read=0 job=1", "",
           "Checked 3 segments, 1 state of single namespaces, 9 entries of trees, and 1 pack or "
           "file of contents: 2 things are wrong. 1 piece of a file could not be read in the store "
           "when it sent them.\n");
}

Test(people, conflicts_say_what_each_is_about)
{
    struct strbuf out = STRBUF_INIT;
    const struct people_call c = CALL("commit", "dev");
    cr_assert(people_conflicts(&c, "content path=\"a b\"\nno-parent path=d/e\nnew path=f\n", &out));
    cr_expect_str_eq(out.s, "PATH  CONFLICT\n"
                            "a b   both changed the content\n"
                            "d/e   its directory was removed here\n"
                            "f     new\n");
    strbuf_release(&out);
}

Test(people, a_merge_that_moved_no_names_does_not_speak_of_them)
{
    EXPECT(CALL("commit", "dev"), "into=main seq=7 names=0 inodes=1 decided=0", "",
           "dev is committed to main as change 7: 1 file or directory changed.\n");
    EXPECT(CALL("commit", "dev"), "into=main seq=7 names=1 inodes=2 decided=1", "",
           "dev is committed to main as change 7: 2 files and directories changed, and 1 name; 1 "
           "conflict decided by rule.\n");
}
