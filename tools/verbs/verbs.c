// SPDX-License-Identifier: Apache-2.0
#include "verbs.h"

#include "say.h"

#include <stdbool.h>
#include <string.h>

/* Columns of `tally --help`. */
#define HELP_WIDTH 80
#define HELP_CALL 6     /* where a call goes on */
#define HELP_SUMMARY 36 /* where what it does begins */

static const struct verb verbs[] = {
    {"init", OF_STORES, cmd_init_run, 0, NULL,
     "[--label ORG/PROJECT] [--pool URL] [--foreign-store] STORE",
     "make a new store in an empty directory",
     "  --label ORG/PROJECT  its name, for people; local/ and the directory's name if left out\n"
     "  --pool URL           keep its objects there, where several stores share them: dir:PATH,\n"
     "                       a directory, or the URL of a shard, for stores on several machines;\n"
     "                       it is made a pool if it is missing or empty\n"
     "  --foreign-store      the directory, or the pool, may be somebody else's, or written by\n"
     "                       others: they are trusted\n"},
    {"mount", OF_STORES, cmd_mount_run, 0, NULL, "[--create] [-f] [-o OPTIONS] STORE MNT",
     "serve a store at a directory",
     "  --create        make the store if there is none, and the namespace of ns=\n"
     "  -f              stay in the foreground; reports go to standard error\n"
     "  -o OPTIONS      a list with commas:\n"
     "    ns=NAME          mount one namespace, not the whole\n"
     "    nocontrol        no .tally in namespaces, which ns= mounts\n"
     "    ctl_mode=OCTAL   mode of .tally/control (0600)\n"
     "    ctl_group=GROUP  its group, a name or a number\n"
     "    showctl          list .tally in the mount's root\n"
     "    transport=auto|uring|threads\n"
     "                     how requests come from the kernel\n"
     "    threads=N        how many threads read them where io_uring does not bring them\n"
     "    passthrough=auto|all|off\n"
     "                     which large files the kernel reads by itself: what nobody may\n"
     "                     write, all, none\n"
     "    nlink=refs       link counts show references to the content\n"
     "    noxattr          no extended attributes, ACLs or file capabilities: fewer requests\n"
     "    shard_cache_dir=PATH\n"
     "                     keep what is read from far shards there, not in the store\n"
     "    follow=URL       the store follows an archive: it is what another store ships\n"
     "                     there, and is read-only; it is made if it is missing. Without\n"
     "                     =URL it goes on with the archive that it has followed\n"
     "    follow_lineage=N\n"
     "                     which history of the archive, if there are several\n"
     "    foreign_store    the store, its pool and its shards may be somebody else's, or\n"
     "                     written by others: they are trusted\n"
     "    allow_other      other users may look in (always when root mounts)\n"
     "    noatime, nodiratime, strictatime\n"
     "                     reading moves no access times, none of directories, always (else\n"
     "                     as relatime)\n"
     "    ro               nothing can be changed through the mount\n"
     "    nosuid, nodev, noexec and all others that mount(8) knows for any filesystem\n"},
    {"umount", OF_STORES, cmd_umount_run, 0, NULL, "[-f] [-l] MNT",
     "make everything durable, then unmount",
     "  -f, --force  also when not everything could be made durable: that is lost\n"
     "  -l, --lazy   also when busy: it disappears now and ends with its last user\n"},
    {"check", OF_STORES, cmd_check_run, 0, NULL,
     "[--all-bytes] [--foreign-store] [--json] "
     "[--repair [--dry-run] [--remove-dangling] [--free-leaks]] STORE",
     "verify every byte of a store that is not mounted, and repair it",
     "One line for each thing that is damaged: what, where, and how. Nothing is\n"
     "changed unless asked to. Of a store that was not unmounted the last commit is\n"
     "looked at, and it is told how many changes the log has for the next mount.\n"
     "  --all-bytes        also read all bytes on other shards, instead of asking only\n"
     "                     whether they are there\n"
     "  --foreign-store    the store may be somebody else's: they are trusted\n"
     "  --repair           put right what can be: counts, link counts, directories;\n"
     "                     files without a name appear in lost+found. Deletes nothing;\n"
     "                     first makes the changes that the log has\n"
     "  --dry-run          report what --repair would do first, and write nothing\n"
     "  --remove-dangling  with --repair: remove names that lead nowhere, or to a\n"
     "                     directory that has another\n"
     "  --free-leaks       with --repair: delete what takes space and is needed by\n"
     "                     nothing\n"
     "  --json             one object with the findings and the counts\n"
     "Exit code 0: sound, or all is repaired, 1: damage is left, 2: could not check.\n"},
    {"clone", OF_STORES, cmd_clone_run, 0, NULL,
     "[--at SEQ|TIME] [--full] [--lineage N] URL STORE [NS...]",
     "make a store of what an archive has, on any machine",
     "  URL          of the archive: dir:PATH, s3://BUCKET or rados:POOL\n"
     "  STORE        an empty directory, or a new one\n"
     "  NS...        only these namespaces, not all that there were\n"
     "  --at         as it was after that change, or at a time as 2026-01-31T23:59:59Z; without\n"
     "               it as it is last\n"
     "  --full       bring home all bytes, too\n"
     "  --lineage N  which history, if the archive has several: they are listed\n"
     "The names and attributes are there at once; contents are read from the archive until\n"
     "`tally recall` brings them home.\n"},
    {"log", OF_STORES, cmd_log_run, 2, "knt",
     "[--json] [--foreign-store] STORE | "
     "list [--archive URL] [--lineage N] [--until SEQ] NS | "
     "find [--archive URL] [--lineage N] NS SEQ|TIME | "
     "fetch [--archive URL] [--data] [--index] KEY",
     "list the log of a store that is not mounted, of a mount, or of an archive",
     "One line for each frame: offset, sequence number, time, state, and what it\n"
     "changes. A frame is committed when the store has it without the log, pending\n"
     "when the next mount will replay it, torn when it will not. A store that was\n"
     "unmounted has no log.\n"
     "  list         of a mount: the changes of the namespace NS that its log has\n"
     "  find         the last one up to a sequence number or a time such as\n"
     "               2026-01-31T23:59:59Z\n"
     "  --until SEQ  only changes up to that number\n"
     "  --archive URL\n"
     "               the states of the namespace that an archive has, newest first,\n"
     "               or which one has that moment; no mount is needed\n"
     "  --lineage N  which history of the archive, if it has several\n"
     "  fetch        of the segment KEY of an archive: what is in it and where\n"
     "               (--index), or the bytes themselves (--data)\n"
     "  --json       of a store: one object a line\n"
     "  --foreign-store  the store may be somebody else's: they are trusted\n"
     "Exit code 0, or 1 with a sentence: the log is damaged, or could not be read.\n"},
    {"help", IN_MOUNT, cmd_help_run, 0, "t", "[VERB]", "how the verbs are called, and what they do",
     NULL},
    {"status", IN_MOUNT, cmd_control_run, 0, "", "[--all]", "how the store is",
     "  --all    all that is known of it, with the names that scripts read\n"},
    {"get", IN_MOUNT, cmd_control_run, 0, "t", "[KEY]", "settings, with their ranges and defaults",
     NULL},
    {"set", IN_MOUNT, cmd_control_run, 2, "tt", "KEY VALUE",
     "change a setting; it stays with the store",
     "ns:NAME.KEY is the setting KEY of the namespace NAME.\n"},
    {"branch", IN_MOUNT, cmd_control_run, 2, "nn", "[--ttl DUR] NS NEW",
     "a new namespace with the content of another, at once",
     "  --ttl DUR  it is dropped when that time is over\n"},
    {"diff", IN_MOUNT, cmd_diff_run, 0, NULL,
     "[--path PATH] [--stat] [--name-only] [--patch] [-z] NS [NS2]",
     "what changed from one namespace to another",
     "A line for each path: D deleted, A new, M its content differs, T it is of another\n"
     "type, R renamed (RM: and its content differs), a only attributes differ. Of NS\n"
     "alone: what changed in it since it was branched, or merged last.\n"
     "  --path PATH  only this path within the namespaces, and what is below it\n"
     "  --stat       only how many there are of each kind\n"
     "  --name-only  only the paths\n"
     "  --patch      also the lines that differ, by diff(1), or the command in TALLY_DIFF\n"
     "  -z           fields end with a NUL, and paths are as they are, not quoted\n"},
    {"digest", IN_MOUNT, cmd_control_run, 1, "n", "NS[@NAME][/PATH] [--wait]",
     "one sha256 of a tree, the same on any machine for equal trees, as a job",
     "  --wait   return when the job has ended, and print the sum\n"},
    {"commit", IN_MOUNT, cmd_merge_run, 1, "nkn",
     "[--conflicts fail|ours|theirs|both] [--set PATTERN=RULE]... [--with CMD] [--base NS@NAME] "
     "NS [into NS2]",
     "merge a branch into what it was made of",
     "A line for each conflict: its reason and path. Conflicts change nothing.\n"
     "  --conflicts       fail, or what becomes of them: ours, theirs, both (two files of one\n"
     "                    name stay, one as NAME.variant-NUMBER)\n"
     "  --set PATTERN=RULE\n"
     "                    another rule for paths that match; the last pattern counts\n"
     "  --with CMD        merges texts that both changed: CMD OURS BASE THEIRS prints the result\n"
     "  --base NS@NAME    what both were made of, where it is not known\n"},
    {"merge", IN_MOUNT, cmd_merge_run, 3, "nkn",
     "[--conflicts fail|ours|theirs|both] [--set PATTERN=RULE]... [--with CMD] [--base NS@NAME] "
     "NS into NS2",
     "give one namespace what another has changed",
     "A line for each conflict: its reason and path. Conflicts change nothing.\n"
     "  --conflicts       fail, or what becomes of them: ours, theirs, both (two files of one\n"
     "                    name stay, one as NAME.variant-NUMBER)\n"
     "  --set PATTERN=RULE\n"
     "                    another rule for paths that match; the last pattern counts\n"
     "  --with CMD        merges texts that both changed: CMD OURS BASE THEIRS prints the result\n"
     "  --base NS@NAME    what both were made of, where it is not known\n"},
    {"history", IN_MOUNT, cmd_control_run, 0, "n", "[--last N] [NS]",
     "what was done to namespaces, when and by whom",
     "A line for each operation, the newest first: of one namespace, or of all. state= is\n"
     "done, undone, or final: it cannot be undone any more.\n"
     "  --last N    only so many (-n N is the same)\n"},
    {"growth", IN_MOUNT, cmd_control_run, 0, "", "[--since DUR]",
     "how the store has grown: samples of a few numbers, the oldest first",
     "A line for each sample, and one for now. Samples are taken with a commit, and are 15\n"
     "minutes apart at least; after two days one an hour stays, after 60 days one a day,\n"
     "after ten years none. tally graph history draws them.\n"
     "  --since DUR  only those of the last time, as 30d or 12h\n"},
    {"undo", IN_MOUNT, cmd_control_run, 0, "n",
     "[--ns NS] [--conflicts fail|ours|theirs|both] [SEQ|NS]",
     "take back an operation on namespaces",
     "The newest one; with SEQ the one of that number in `tally history`; with\n"
     "NS what was merged into that namespace last. What was written since stays.\n"
     "  --ns NS           a namespace whose name is a number\n"
     "  --conflicts       fail, or what becomes of them: ours, theirs, both (two files of one\n"
     "                    name stay, one as NAME.variant-NUMBER)\n"},
    {"redo", IN_MOUNT, cmd_control_run, 0, "n",
     "[--ns NS] [--conflicts fail|ours|theirs|both] [SEQ|NS]", "do again what was undone",
     "What was undone last, or the operation SEQ, or the last merge that was undone in NS.\n"
     "  --ns NS           a namespace whose name is a number\n"
     "  --conflicts       fail, or what becomes of them: ours, theirs, both (two files of one\n"
     "                    name stay, one as NAME.variant-NUMBER)\n"},
    {"snapshot", IN_MOUNT, cmd_control_run, 1, "kt", "NS [NAME] | list [NS]",
     "keep a namespace as it is at this instant",
     "It is read as NS@NAME, and cannot be changed. Without NAME it is called by the time.\n"},
    {"hold", IN_MOUNT, cmd_control_run, 1, "n", "NS@NAME", "let nothing drop a snapshot", NULL},
    {"unhold", IN_MOUNT, cmd_control_run, 1, "n", "NS@NAME", "take that protection away", NULL},
    {"detach", IN_MOUNT, cmd_control_run, 1, "n", "NS",
     "give up what a branch was made of, and what only that holds", NULL},
    {"drop", IN_MOUNT, cmd_control_run, 1, "n", "[--force] [--now] NS",
     "move a namespace into the trash, or delete a snapshot",
     "  --force  also when files are open in it, or it is mounted by itself\n"
     "  --now    delete it at once: nothing brings it back\n"},
    {"undrop", IN_MOUNT, cmd_control_run, 1, "n", "[--as NEW] NS",
     "take back a namespace that was dropped", "  --as NEW  under another name\n"},
    {"trash", IN_MOUNT, cmd_control_run, 1, "k", "list | empty",
     "what was dropped and can be taken back", NULL},
    {"exec", IN_MOUNT, cmd_exec_run, 0, NULL,
     "[--branch[=NAME]] [--discard] [--commit-on-success] NS [CMD...]",
     "run a command in NS, or in a branch that stands at its path",
     "  --branch[=NAME]      in a new branch of NS, which is kept\n"
     "  --discard            in a new branch, which is deleted when the command has ended\n"
     "  --commit-on-success  in a new branch; if the command succeeds it is committed to NS\n"
     "                       and dropped, else it is kept\n"
     "  CMD...               the command and its options, which begins in the current\n"
     "                       directory; $SHELL\n"
     "Only the command sees the branch there. Without any of the three it sees NS itself.\n"
     "Exit code: that of the command; 128 and its number after a signal; 1 with a sentence\n"
     "if it was not run, or what comes after it failed.\n"},
    {"import", IN_MOUNT, cmd_import_run, 0, NULL, "[--oci] SOURCE NS[/PATH]",
     "an archive or a directory as a namespace, or into one",
     "  SOURCE  a directory; or an archive, compressed or not: tar, cpio, zip; -: standard\n"
     "          input. It is read with your rights, an archive by a process without rights\n"
     "  NS      a new namespace; or one that is there, or a directory of it, which is made\n"
     "          if it is missing: directories are merged, other files take the place of what\n"
     "          has their name. tally undo takes that back\n"
     "  --oci   the archive is a layer of a container image: names .wh.NAME are whiteouts\n"
     "All of it appears at one instant, when it is durable. Contents that are in the store\n"
     "already are not stored again. Owners are kept if root imports, else they are you.\n"},
    {"export", IN_MOUNT, cmd_export_run, 0, NULL, "NS[@NAME][/PATH] DEST",
     "a namespace, or a directory in one, as an archive or a directory elsewhere",
     "  DEST  a new directory; or a tar archive, compressed as its name says: .tar, .tar.gz,\n"
     "        .tar.bz2, .tar.xz, .tar.zst; -: a tar archive on standard output\n"
     "DEST gets its name when it is whole; an export that fails says where its part is.\n"},
    {"send", IN_MOUNT, cmd_send_run, 0, NULL, "[--to FILE] [--have FILE] NS[@A..B]",
     "a namespace, or what it has changed, as a stream for another store",
     "  NS           all of it, as it is now; NS@NAME: of that moment\n"
     "  NS@A..B      what NS@B has that NS@A has not; NS@A..: up to now\n"
     "  --to FILE    write the stream to this file; without it, or if it is -, to standard output\n"
     "  --have FILE  leave out what the other side has: its tally receive --have printed FILE\n"},
    {"receive", IN_MOUNT, cmd_receive_run, 0, NULL, "[--from FILE] [--base NS@NAME] NEW | [--have]",
     "a new namespace from a stream that another store sent",
     "  --from FILE     read the stream from this file; without it, or if it is -, from standard\n"
     "                  input\n"
     "  --base NS@NAME  what a difference is to be applied to; without it, what has the digest of\n"
     "                  its base and was received or sent here\n"
     "  --have          say what is here, for tally send --have\n"
     "NEW appears when all of it is durable and has the digest of what was sent. NEW@received\n"
     "keeps it as the base of the next difference.\n"},
    {"drain", IN_MOUNT, cmd_control_run, 0, "kt", "[--idle] [DUR] | archive [DUR]",
     "wait until everything is on disk, or in the archives",
     "  archive  until every archive of the store has what was changed before\n"
     "  --idle   until nothing at all is pending, not only what came before\n"
     "  DUR      wait at most this long, as 30s or 5m\n"},
    {"durable", IN_MOUNT, cmd_control_run, 0, "n", "[--archive] [NS]",
     "up to which change all, or a namespace, is on disk and in each archive",
     "  --archive  ask the archives themselves\n"},
    {"flush", IN_MOUNT, cmd_control_run, 0, "t", "[NAME]", "begin to make durable what is there",
     "  NAME     a name for the flush, kept in .tally/flushes and shown by tally wait ticket T\n"},
    {"du", IN_MOUNT, cmd_control_run, 0, "n*", "[--bytes] [NS...]",
     "what namespaces take, and what dropping one gives back",
     "  --bytes  sizes in the table exactly, in bytes\n"},
    {"graph", IN_MOUNT, cmd_graph_run, 0, NULL,
     "branches [--all] [--svg] [--dot] [--text] [--out FILE] [NS] | "
     "space [--all] [--svg] [--text] [--out FILE] | "
     "history [--since DUR] [--svg] [--text] [--out FILE]",
     "pictures of what is there: branches, space, and how both have grown",
     "  branches    how namespaces descend from each other, and what each holds alone and\n"
     "              shares; with NS only its family\n"
     "  space       what takes how much room, the largest first\n"
     "  history     how the store has grown (tally growth)\n"
     "  --all       also draw those singly that would share a line (\"and 312 more\")\n"
     "  --since DUR only the last time, as 30d or 12h\n"
     "  --svg       a picture for any browser; so it is unless the output is a terminal\n"
     "  --dot       a graph for dot(1) of Graphviz\n"
     "  --text      lines; so it is on a terminal\n"
     "  --out FILE  write there (-o FILE is the same); a FILE that ends in .dot is --dot\n"},
    {"refs", IN_MOUNT, cmd_control_run, 1, "p", "ID|PATH", "how many references an object has",
     NULL},
    {"object", IN_MOUNT, cmd_control_run, 1, "i", "ID|PATH", "what is known of an object", NULL},
    {"why", IN_MOUNT, cmd_control_run, 1, "i", "ID|PATH", "why an object is still there", NULL},
    {"pin", IN_MOUNT, cmd_control_run, 1, "i", "ID|PATH", "keep an object, whoever else needs it",
     NULL},
    {"unpin", IN_MOUNT, cmd_control_run, 1, "i", "ID|PATH", "take the pin away again", NULL},
    {"rebuild", IN_MOUNT, cmd_control_run, 0, "", "[--wait]", "count all references anew, as a job",
     "  --wait   return when the job has ended\n"},
    {"compact", IN_MOUNT, cmd_control_run, 0, "", "[--wait]",
     "rewrite packs of which much is dead, as a job", "  --wait   return when the job has ended\n"},
    {"gc", IN_MOUNT, cmd_control_run, 0, "", "[--dry-run] [--grace DUR] [--wait]",
     "delete what nothing needs, found by an earlier run, as a job",
     "  --dry-run    report what would happen, and change nothing\n"
     "  --grace DUR  how long a thing must have been unneeded; without it grace_period\n"
     "  --wait       return when the job has ended\n"},
    {"shard", IN_MOUNT, cmd_control_run, 1, "ktu", "list | add N URL | drain N [--wait] | remove N",
     "other places for objects: a second disk",
     "  add N URL  from now on objects can be moved there; URL: dir:PATH, s3://BUCKET or\n"
     "             rados:POOL (man tallyfs-engines), N: 1 to 65535\n"
     "  drain N    bring all home from there, as a job; nothing is moved there any more\n"
     "  remove N   forget the shard; nothing of the store may be on it\n"
     "  --wait     return when the drain has ended\n"},
    {"move", IN_MOUNT, cmd_control_run, 1, "p*t",
     "[PATH|ID...] [--idle DUR] [--larger SIZE] N [--wait]", "move objects to shard N, as a job",
     "  --idle DUR     only what was not opened for so long: 30d\n"
     "  --larger SIZE  only what is larger: 1G\n"
     "  --wait         return when the job has ended\n"},
    {"recall", IN_MOUNT, cmd_control_run, 1, "p*", "PATH|ID... [--wait]",
     "bring objects home from other shards, as a job",
     "  --wait   return when the job has ended\n"},
    {"archive", IN_MOUNT, cmd_control_run, 1, "kut*",
     "add URL | status | ship [URL] [DUR] | check [--read PERCENT] [URL] [--wait] | "
     "drill [--archive URL] [--read PERCENT] [NS[@SEQ|@TIME]...] [--wait] | prune [URL] [--with "
     "URL] [--wait] | "
     "pins [URL] | unpin TOKEN [URL] | fork [URL] | remove [URL]",
     "every change is shipped to an object store",
     "  add URL  from now on; URL: dir:PATH, s3://BUCKET or rados:POOL (man tallyfs-engines)\n"
     "  status   how far each archive of the store is\n"
     "  ship     send what is left now, and wait for it, DUR at most, as 30s\n"
     "  check    is all there? as a job; with --read a part of the contents is read, too\n"
     "  drill    restore all namespaces, or these, to see whether that works; nothing of it is\n"
     "           left; --read: so many of their objects are read there, too\n"
     "  prune    mark what the settings archive_keep, archive_keep_hourly and archive_keep_daily "
     "do\n"
     "           not keep, and delete what an earlier run has marked, archive_grace ago at least, "
     "as\n"
     "           a job; --with: by other credentials\n"
     "  pins     what clones, and restores of other stores, keep there; unpin TOKEN ends one\n"
     "  fork     go on in a history of its own, where the archive has another one\n"
     "  remove   ship no more; what is there stays there\n"},
    {"restore", IN_MOUNT, cmd_control_run, 1, "nn",
     "[--archive URL] [--dry-run] [--full] [--lineage N] NS[@SEQ|@TIME] [NEW] [--wait]",
     "a namespace as an archive has it, at any kept moment, as a job",
     "  @SEQ           as it was after that change (tally history says numbers)\n"
     "  @TIME          as it was then: 2026-01-31T23:59:59Z (UTC), or so long ago: 10m\n"
     "  NEW            the new namespace; its files are read from the archive until `recall`\n"
     "  --archive URL  which archive, if there are several\n"
     "  --dry-run      say what would be restored, and how much that reads\n"
     "  --full         bring home all bytes of it, too\n"
     "  --lineage N    another history of the archive, as before `archive fork`\n"
     "  --wait         return when the job has ended\n"},
    {"resolve", IN_MOUNT, cmd_control_run, 1, "i", "ID|PATH",
     "on which shard an object is; 0: at home", NULL},
    {"promote", IN_MOUNT, cmd_control_run, 0, "", "",
     "take over from the store that ships what this one follows",
     "That one can ship nothing more to the archive. This one has all that was shipped\n"
     "before; its namespaces can be changed, and it ships in a history of its own.\n"},
    {"sweep", IN_MOUNT, cmd_control_run, 0, "", "[--dry-run] [--list] [--wait]",
     "ask the other shards whether they have all that was moved there, as a job",
     "  --dry-run  report what would happen, and change nothing\n"
     "  --list     list each object that is not just kept (with --wait, or in the job's file)\n"
     "  --wait     return when the job has ended\n"},
    {"scrub", IN_MOUNT, cmd_control_run, 0, "", "[--wait]",
     "read everything again, and name the files of what is damaged, as a job",
     "  --wait   return when the job has ended\n"},
    {"node", IN_MOUNT, cmd_control_run, 1, "kt", "list | retire N | prune",
     "who uses the store's shard",
     "  retire N  that stale node is gone for good; prune: all stale ones\n"},
    {"profile", IN_MOUNT, cmd_profile_run, 0, NULL, "[SECONDS]",
     "record what requests cost: by kind, by namespace and by program",
     "  SECONDS  for so long, 10 if not given; ^C shows what there is so far\n"},
    {"top", IN_MOUNT, cmd_top_run, 0, NULL, "[SECONDS]",
     "a live view: requests and how long they take, jobs, shards, archives",
     "  SECONDS  between two looks, 2 if not given\n"
     "q ends it.\n"},
    {"metrics", IN_MOUNT, cmd_metrics_run, 0, NULL, "[--textfile DIR] [--listen ADDRESS]",
     "the numbers of all mounts here, or with -C of one, for Prometheus",
     "  --textfile DIR    write them to DIR/tallyfs.prom, for node_exporter\n"
     "  --listen ADDRESS  serve them at http://ADDRESS/metrics: PORT, of this machine only,\n"
     "                    HOST:PORT or [HOST]:PORT\n"},
    {"doctor", IN_MOUNT, cmd_doctor_run, 0, NULL, "[--output FILE]",
     "what looks wrong, and what to do about it",
     "  --output FILE  write a report for a maintainer there, which has no names\n"},
    {"jobs", IN_MOUNT, cmd_jobs_run, 0, NULL, "[JOB]",
     "what runs, how far it is, and what has ended", NULL},
    {"wait", IN_MOUNT, cmd_control_run, 1, "tntt",
     "JOB [DUR] | ticket T [DUR] | durable NS [SEQ] [DUR]",
     "wait for a job, a flush, or a namespace",
     "  ticket T    until the flush of that ticket is durable (tally flush)\n"
     "  durable NS  until all changes of the namespace are, or those up to number SEQ\n"},
    {"cancel", IN_MOUNT, cmd_control_run, 1, "t", "JOB", "end a job early", NULL},
};
#define VERBS_END (verbs + sizeof(verbs) / sizeof(*verbs))

const struct verb *verbs_find(const char *name)
{
    for (const struct verb *v = verbs; v < VERBS_END; v++) {
        if (strcmp(v->name, name) == 0) {
            return v;
        }
    }
    return NULL;
}

static void print_synopsis(FILE *out, const struct verb *v)
{
    fprintf(out, "usage: tally %s%s%s%s\n", v->name,
            v->group == IN_MOUNT ? " [-C MNT] [--json]" : "", *v->synopsis ? " " : "", v->synopsis);
}

int verbs_misuse(void)
{
    print_synopsis(stderr, verbs_find(tally_verb));
    return 1;
}

int verbs_help(const struct verb *v)
{
    print_synopsis(stdout, v);
    printf("\n%s\n", v->summary);
    if (v->details) {
        printf("\n%s", v->details);
    }
    return 0;
}

/* The length of the next part of a text: a word, or a bracket with all that is in it. */
static size_t part_of(const char *text)
{
    size_t len = 0;
    for (int depth = 0; text[len] && (depth > 0 || text[len] != ' '); len++) {
        depth += (text[len] == '[') - (text[len] == ']');
    }
    return len;
}

/* The length of the text up to the next way to call the verb; of its part, if it is none. */
static size_t unit_of(const char *text)
{
    const char *next = strncmp(text, "| ", 2) == 0 ? strstr(text + 1, " | ") : NULL;
    return next ? (size_t)(next - text) : *text == '|' ? strlen(text) : part_of(text);
}

/* Prints a text from column `at` on. Further lines begin at column `indent`, also before a way to
 * call the verb that does not fit into the rest of the line. Returns the column of the end. */
static int print_wrapped(FILE *out, const char *text, int at, int indent)
{
    const char *blank = "";
    while (*text) {
        if (*blank && at + 1 + (int)unit_of(text) > HELP_WIDTH) {
            fprintf(out, "\n%*s", indent, "");
            at = indent;
            blank = "";
        }
        const int len = (int)part_of(text);
        at += fprintf(out, "%s%.*s", blank, len, text);
        text += len + (text[len] == ' ');
        blank = " ";
    }
    return at;
}

static void print_group(FILE *out, enum verb_group group)
{
    for (const struct verb *v = verbs; v < VERBS_END; v++) {
        if (v->group != group) {
            continue;
        }
        int at = fprintf(out, "  %s ", v->name);
        at = print_wrapped(out, v->synopsis, at, HELP_CALL);
        fprintf(out, "%s%*s", at + 1 < HELP_SUMMARY ? "" : "\n",
                at + 1 < HELP_SUMMARY ? HELP_SUMMARY - at : HELP_SUMMARY, "");
        print_wrapped(out, v->summary, HELP_SUMMARY, HELP_SUMMARY);
        fputc('\n', out);
    }
}

void verbs_print_all(FILE *out)
{
    fputs("usage: tally [-C MNT] VERB …\n\nStores:\n", out);
    print_group(out, OF_STORES);
    fputs("\nIn a mount (of the current directory, or -C MNT);\n"
          "all take --json, --human, --porcelain:\n",
          out);
    print_group(out, IN_MOUNT);
    fputs("\n`tally VERB --help` and the man page tally-VERB(1) say more.\n", out);
}
