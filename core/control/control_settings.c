// SPDX-License-Identifier: Apache-2.0
/* control_settings: the verbs get and set, for settings of the store. */
#include "control_impl.h"
#include "kept.h"
#include <errno.h>

static void get_all(struct call *call)
{
    for (int i = 0; i < SETTING_COUNT; i++) {
        CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
        setting_describe((enum setting)i, settings_get(&call->p->settings, (enum setting)i), &text);
        control_line(call, "%s", text.s);
    }
}

/* get KEY, for a setting of the store. */
static void get_one(struct call *call, enum setting which)
{
    const struct setting_info *info = &setting_infos[which];
    char value[32], standard[32], min[32], max[32];

    setting_format(which, settings_get(&call->p->settings, which), value);
    setting_format(which, info->standard, standard);
    setting_format(which, info->min, min);
    setting_format(which, info->max, max);
    strbuf_addf(&call->head, " %s=%s default=%s min=%s max=%s", info->key, value, standard, min,
                max);
    control_line(call, "%s", info->what);
}

/* get [KEY]: all settings of the store, or one, or one of a namespace. */
int control_get(struct call *call)
{
    const char *key = call->c->nargs ? control_arg(call, 0) : NULL;
    int err;

    if (!key) {
        get_all(call);
        return 0;
    }
    err = control_ns_get(call, key);
    if (err != -ENODATA)
        return err;
    err = setting_find(key);
    if (err < 0)
        return control_fail_word(call, err, "there is no setting %s; `tally get` lists them", key);
    get_one(call, (enum setting)err);
    return 0;
}

/* A shorter time also counts for what is kept already. Says how many go so, while they can still be
 * saved by a longer one. */
static void say_due(struct call *call)
{
    size_t due = kept_count_due(call->p);

    strbuf_addf(&call->head, " due=%zu", due);
    if (due)
        control_line(call, "%zu that %s kept %s after the next flush, within flush_interval", due,
                     due == 1 ? "is" : "are", due == 1 ? "goes" : "go");
}

/* set KEY VALUE, for the store or a namespace. */
int control_set(struct call *call)
{
    const char *key = control_arg(call, 0), *value = control_arg(call, 1);
    char text[32];
    int64_t number;
    /* not control_may_change: that waits for a flush, and this setting may be what lets it go on */
    int which, err = state_writable(call->p);

    if (err < 0)
        return err;
    err = control_ns_set(call, key, value);
    if (err != -ENODATA)
        return err;
    which = setting_find(key);
    if (which < 0)
        return control_fail_word(call, which, "there is no setting %s; `tally get` lists them",
                                 key);
    err = setting_parse((enum setting)which, value, &number, &call->why);
    if (err < 0)
        return -EINVAL;
    if (which == SET_COMPRESSION && number != COMPRESSION_OFF)
        err = control_allow_compression(call);
    if (err < 0)
        return err;
    err = settings_set(call->p, (enum setting)which, number);
    if (err < 0)
        return err;
    setting_format((enum setting)which, number, text);
    strbuf_addf(&call->head, " %s=%s", key, text);
    if (which == SET_TRASH_KEEP || which == SET_ORIGIN_KEEP)
        say_due(call);
    return 0;
}
