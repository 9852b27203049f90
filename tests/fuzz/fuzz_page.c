// SPDX-License-Identifier: Apache-2.0
/*
 * Whatever bytes a page has, it is refused with a reason, or everything on it can be read, and
 * searched, and changed, and it stays in order. The checksum is made right, else nothing would
 * pass it: input is 2 bytes length of the front, the front from byte 8 on, and the back.
 */
#include "page.h"

#include "fuzz.h"
#include "id.h"

#include <errno.h>
#include <string.h>

static uint8_t page[PAGE_SIZE_BYTES], right[PAGE_SIZE_BYTES];

static void lay_out(const uint8_t *data, size_t len)
{
    size_t front = len >= 2 ? get_le16(data) : 0, room = PAGE_SIZE_BYTES - 8, back;

    memset(page, 0, sizeof page);
    data += len < 2 ? len : 2;
    len -= len < 2 ? len : 2;
    front = front < len ? front : len;
    front = front < room ? front : room;
    back = len - front < room - front ? len - front : room - front;
    if (front)
        memcpy(page + 8, data, front);
    if (back)
        memcpy(page + PAGE_SIZE_BYTES - back, data + front, back);
    put_le64(page, id_checksum(page + 8, PAGE_SIZE_BYTES - 8, page_number(page)));
}

static void in_order(uint8_t *p)
{
    const char *why = NULL;
    page_seal(p);
    MUST(page_check(p, page_number(p), &why) == 0);
}

static void read_all(void)
{
    for (unsigned i = 0; i < page_count(page); i++) {
        bool found;
        size_t len;
        const uint8_t *v = page_value(page, i, &len);
        MUST(v >= page + PAGE_HEAD && v + len <= page + PAGE_SIZE_BYTES);
        MUST(page_search(page, page_key(page, i), &found) == i && found);
        if (page_level(page) > 0)
            MUST(page_search_child(page, page_key(page, i)) == i && page_child(page, i) + 1);
    }
    MUST(page_used(page) <= PAGE_CAPACITY);
}

/* Grow, shrink, remove, insert again, part: each by what stands on the page itself. */
static void change_all(void)
{
    static const uint8_t val[PAGE_VALUE_MAX] = {1};
    size_t len = page_level(page) > 0 ? 8 : page_used(page) * 7 % PAGE_VALUE_MAX;
    unsigned n = page_count(page);
    struct key k;

    for (unsigned i = 0; i < n; i++)
        (void)page_replace(page, i, val, len);
    in_order(page);
    if (n) {
        k = page_key(page, n / 2);
        page_remove(page, n / 2);
        in_order(page);
        MUST(page_fits(page, 8) == page_insert(page, n / 2, k, val, 8));
        in_order(page);
    }
    page_init(right, 1, page_level(page));
    page_move_tail(page, page_count(page) / 2, right);
    MUST(page_count(page) == 0 || page_level(page) == 0 || page_used(page) > 0);
    if (page_level(page) == 0 || page_count(page) > 0)
        in_order(page);
    if (page_level(page) == 0 || page_count(right) > 0)
        in_order(right);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const char *why = NULL;

    lay_out(data, len);
    if (page_check(page, page_number(page), &why) < 0) {
        MUST(why);
        return 0;
    }
    read_all();
    if (page_count(page) > 1 || page_level(page) == 0)
        change_all();
    return 0;
}
