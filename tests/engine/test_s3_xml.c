// SPDX-License-Identifier: Apache-2.0
/* What is read from an S3 server, and that half an answer is none. */
#include "s3_xml.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define HEAD "<?xml version=\"1.0\" encoding=\"UTF-8\"?>"
#define LIST HEAD "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"

static int note(const char *name, uint64_t size, void *ctx)
{
    char *all = ctx;

    sprintf(all + strlen(all), "%s=%d ", name, (int)size);
    return strcmp(name, "stop") == 0 ? 42 : 0;
}

static int read_page(const char *text, char all[1024], struct s3_page *ret)
{
    *all = '\0';
    return s3_page_read(text, strlen(text), note, all, ret);
}

Test(s3_xml, a_page_has_names_with_sizes)
{
    struct s3_page page;
    char all[1024];

    cr_assert_eq(read_page(LIST
                           "<KeyCount>2</KeyCount><Contents><Size>7</Size><Key>a/b</Key></Contents>"
                           "<Contents><Key>c&amp;%2Fd</Key><Owner><ID>x</ID></Owner><Size>0</Size>"
                           "</Contents><EncodingType>url</EncodingType>"
                           "<IsTruncated>true</IsTruncated>"
                           "<NextContinuationToken>t=1</NextContinuationToken></ListBucketResult>",
                           all, &page),
                 0);
    cr_assert_str_eq(all, "a/b=7 c&/d=0 ");
    cr_assert(page.more);
    cr_assert_str_eq(page.token, "t=1");
}

Test(s3_xml, a_page_that_is_not_whole_is_refused)
{
    static const char *const bad[] = {
        "",
        "<html><body>Please log in</body></html>",
        LIST "</ListBucketResult>",
        LIST "<IsTruncated>false</IsTruncated>",
        LIST "<IsTruncated>true</IsTruncated></ListBucketResult>",
        LIST "<KeyCount>1</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>",
        LIST "<Contents><Key>a</Key></Contents><IsTruncated>false</IsTruncated></ListBucketResult>",
        LIST
        "<Contents><Size>1</Size></Contents><IsTruncated>false</IsTruncated></ListBucketResult>",
        LIST "<Contents><Key>a</Key><Size>-1</Size></Contents><IsTruncated>false</IsTruncated>"
             "</ListBucketResult>",
        LIST "<Contents><Key>a</Key><Size>99999999999999999999</Size></Contents>"
             "<IsTruncated>false</IsTruncated></ListBucketResult>",
        LIST "<EncodingType>url</EncodingType><Contents><Key>a%2</Key><Size>1</Size></Contents>"
             "<IsTruncated>false</IsTruncated></ListBucketResult>",
        LIST "<IsTruncated>false</IsTruncated></ListBucketResult><more/>",
    };
    struct s3_page page;
    char all[1024];

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_assert_eq(read_page(bad[i], all, &page), -EBADMSG, "%s", bad[i]);
}

Test(s3_xml, a_caller_can_stop_it)
{
    struct s3_page page;
    char all[1024];

    cr_assert_eq(
        read_page(LIST "<Contents><Key>stop</Key><Size>1</Size></Contents><Contents><Key>b</Key>"
                       "<Size>1</Size></Contents><IsTruncated>false</IsTruncated>"
                       "</ListBucketResult>",
                  all, &page),
        42);
    cr_assert_str_eq(all, "stop=1 ");
}

Test(s3_xml, a_document_that_grows_is_refused)
{
    static const char bomb[] =
        "<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;\">]>"
        "<Error><Code>&b;</Code></Error>";
    static const char deep[] = "<a><a><a><a><a><a><a><a><a></a></a></a></a></a></a></a></a></a>";
    struct s3_said said;

    s3_said_read(bomb, strlen(bomb), &said);
    cr_assert_str_empty(said.code);
    s3_said_read(deep, strlen(deep), &said);
    cr_assert_str_empty(said.code);
}

Test(s3_xml, an_error_has_a_code_and_a_sentence)
{
    static const char text[] =
        HEAD "<Error><Code>NoSuchKey</Code><Message>It is not there.</Message>"
             "<Key>x</Key></Error>";
    static const char terminal[] = "<Error><Code>No</Code><Message>a\nb</Message></Error>";
    struct s3_said said;

    s3_said_read(text, strlen(text), &said);
    cr_assert_str_eq(said.code, "NoSuchKey");
    cr_assert_str_eq(said.message, "It is not there.");
    s3_said_read(terminal, strlen(terminal), &said);
    cr_assert_str_empty(said.message);
}

static int note_upload(const char *key, const char *id, const char *initiated, void *ctx)
{
    sprintf(ctx, "%s %s %s", key, id, initiated);
    return 0;
}

Test(s3_xml, uploads_are_listed_begun_and_completed)
{
    static const char list[] =
        "<ListMultipartUploadsResult><Upload><Key>k</Key><UploadId>i</UploadId>"
        "<Initiated>2026-01-02T03:04:05.678Z</Initiated></Upload>"
        "</ListMultipartUploadsResult>";
    static const char begun[] = "<InitiateMultipartUploadResult><UploadId>2~x</UploadId>"
                                "</InitiateMultipartUploadResult>";
    static const char done[] = "<CompleteMultipartUploadResult><ETag>x</ETag>"
                               "</CompleteMultipartUploadResult>";
    static const char failed[] = "<Error><Code>InternalError</Code></Error>";
    char all[256] = "", id[1024];

    cr_assert_eq(s3_uploads_read(list, strlen(list), note_upload, all), 0);
    cr_assert_str_eq(all, "k i 2026-01-02T03:04:05.678Z");
    cr_assert_eq(s3_uploads_read(done, strlen(done), note_upload, all), -EBADMSG);
    cr_assert_eq(s3_upload_id_read(begun, strlen(begun), id), 0);
    cr_assert_str_eq(id, "2~x");
    cr_assert_eq(s3_upload_id_read(failed, strlen(failed), id), -EBADMSG);
    cr_assert(s3_is_complete(done, strlen(done)));
    cr_assert_not(s3_is_complete(failed, strlen(failed)));
    cr_assert_not(s3_is_complete(done, strlen(done) - 1));
}
