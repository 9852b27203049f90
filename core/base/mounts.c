// SPDX-License-Identifier: Apache-2.0
/* mounts: see the header. */
#include "mounts.h"

#include <stdlib.h>
#include <string.h>

void mounts_unescape(char *s)
{
    char *out = s;
    while (*s) {
        bool octal = s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
                     s[3] >= '0' && s[3] <= '7';
        if (octal) {
            *out++ = (char)(unsigned char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
            s += 4;
        } else {
            *out++ = *s++;
        }
    }
    *out = '\0';
}

bool mounts_parse(char *line, struct mounts_line *ret)
{
    char *field[6], *save, *word;
    line[strcspn(line, "\n")] = '\0';
    for (int i = 0; i < 6; i++) {
        field[i] = strtok_r(i == 0 ? line : NULL, " ", &save);
        if (!field[i])
            return false;
    }
    do
        word = strtok_r(NULL, " ", &save);
    while (word && strcmp(word, "-") != 0);
    ret->type = word ? strtok_r(NULL, " ", &save) : NULL;
    ret->source = ret->type ? strtok_r(NULL, " ", &save) : NULL;
    if (!ret->source)
        return false;
    word = strtok_r(NULL, " ", &save);
    ret->of_superblock = word ? word : ret->source + strlen(ret->source);
    ret->id = strtoull(field[0], NULL, 10);
    ret->dev = field[2];
    ret->root = field[3];
    ret->point = field[4];
    ret->options = field[5];
    mounts_unescape(ret->root);
    mounts_unescape(ret->point);
    mounts_unescape(ret->source);
    return true;
}
