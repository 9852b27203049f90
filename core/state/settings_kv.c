// SPDX-License-Identifier: Apache-2.0
/* settings_kv: the settings of an open store. A frame of the log records a change, and a table
 * keeps the values. */
#include "bytes.h"
#include "state.h"
#include "report.h"
#include <errno.h>
#include <string.h>

int settings_set(struct state *p, enum setting which, int64_t value)
{
    TXN(t);
    int err = txn_begin(p, 0, &t);

    if (err < 0)
        return err;
    MUTEX_GUARD(&p->settings_lock);
    err = map64_put(&p->settings_changed, (uint64_t)which + 1, (uint64_t)value);
    if (err < 0)
        return err;
    capture_op(&t, &(struct op){.kind = OP_SETTING,
                                .a = (uint64_t)value,
                                .data = setting_infos[which].key,
                                .len = strlen(setting_infos[which].key)});
    err = state_changed(&t, NULL);
    settings_put(&p->settings, which, value);
    return err;
}

/* Puts all settings that were changed in this process into each commit: they are few. */
int settings_write(struct state *p, struct kv_txn *t)
{
    uint64_t which, value;
    size_t at = 0;
    int err = 0;
    MUTEX_GUARD(&p->settings_lock);

    while (err == 0 && map64_next(&p->settings_changed, &at, &which, &value)) {
        const char *key = setting_infos[which - 1].key;
        uint8_t buf[8];
        put_le64(buf, value);
        err = kv_put(t, TABLE_SETTINGS, key, strlen(key), buf, sizeof buf);
    }
    return err;
}

static int setting_of(const char *key, size_t len)
{
    for (int i = 0; i < SETTING_COUNT; i++)
        if (strlen(setting_infos[i].key) == len && memcmp(setting_infos[i].key, key, len) == 0)
            return i;
    return -EUCLEAN;
}

int settings_restore(struct state *p, const char *key, size_t len, int64_t value)
{
    int which = setting_of(key, len);
    int err = which < 0 ? which
              : value >= setting_infos[which].min && value <= setting_infos[which].max ? 0
                                                                                       : -EUCLEAN;
    MUTEX_GUARD(&p->settings_lock);

    if (err == 0)
        err = map64_put(&p->settings_changed, (uint64_t)which + 1, (uint64_t)value);
    if (err == 0)
        settings_put(&p->settings, (enum setting)which, value);
    return err;
}

int settings_load(struct state *p)
{
    settings_init(&p->settings);
    for (int i = 0; i < SETTING_COUNT; i++) {
        const struct setting_info *info = &setting_infos[i];
        uint8_t buf[8];
        size_t len;
        int64_t value;
        int err = kv_get(p->config.kv, TABLE_SETTINGS, info->key, strlen(info->key), buf, 8, &len);
        if (err == -ENOENT)
            continue;
        if (err < 0 && err != -ERANGE && err != -EUCLEAN)
            return err;
        value = err == 0 && len == 8 ? (int64_t)get_le64(buf) : info->min - 1;
        if (value < info->min || value > info->max) {
            report(REPORT_WARN, "setting %s is stored damaged: using its default", info->key);
            continue;
        }
        settings_put(&p->settings, (enum setting)i, value);
    }
    return 0;
}

void state_gc_config(struct state *p, struct gc_config *ret)
{
    *ret = (struct gc_config){
        .grace_period = settings_get(&p->settings, SET_GRACE_PERIOD),
        .stale_report_threshold = settings_get(&p->settings, SET_STALE_REPORT_THRESHOLD),
        .min_nodes_reporting = (unsigned)settings_get(&p->settings, SET_MIN_NODES_REPORTING)};
}
