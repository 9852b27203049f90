// SPDX-License-Identifier: Apache-2.0
/* control_settings: the verbs get and set, for settings of the store and of a namespace. */
#include "control_impl.h"
#include <errno.h>
#include <stdlib.h>

#define U(x) ((unsigned long long)(x))

/* The settings of a namespace: each has two values, and the first one is the default. */
static const struct ns_setting_word {
    const char *key, *off, *on, *what;
    enum ns_switch which;
} ns_settings[] = {
    {"frozen", "no", "yes", "frozen yes: nothing in the namespace can be changed", NS_FROZEN},
    {"verify", "never", "open",
     "verify open: what the kernel will read by itself is verified when it is opened", NS_VERIFY},
};
#define NS_SETTINGS (sizeof ns_settings / sizeof *ns_settings)

/* Splits "ns:NAME.KEY". The caller frees *ret_name. -ENOENT: the key has another form, and is a
 * setting of the store; -EINVAL, with a sentence. */
static int split_ns_key(struct call *call, const char *key, char **ret_name,
                        const struct ns_setting_word **ret_setting)
{
    const char *dot;

    if (strncmp(key, "ns:", 3) != 0)
        return -ENOENT;
    dot = strrchr(key, '.');
    if (!dot || dot == key + 3)
        return control_fail_word(call, -EINVAL, "%s is not of the form ns:NAME.KEY", key);
    *ret_setting = NULL;
    for (size_t i = 0; i < NS_SETTINGS && !*ret_setting; i++)
        if (!strcmp(dot + 1, ns_settings[i].key))
            *ret_setting = &ns_settings[i];
    if (!*ret_setting)
        return control_fail_word(
            call, -EINVAL, "a namespace has no setting %s; there are: frozen, verify", dot + 1);
    *ret_name = strndup(key + 3, (size_t)(dot - key - 3));
    return *ret_name ? 0 : -ENOMEM;
}

/* get ns:NAME.KEY */
static int get_of_ns(struct call *call, const char *key, const char *name,
                     const struct ns_setting_word *s)
{
    struct ns *ns;
    bool on;
    int err = control_find_ns(call, name, &ns);

    if (err < 0)
        return err;
    {
        READ_GUARD(&ns->lock);
        on = s->which == NS_FROZEN ? ns->frozen : ns->verify;
    }
    ns_put(call->p, ns);
    strbuf_adds(&call->head, " ");
    command_add_word(&call->head, key);
    strbuf_addf(&call->head, "=%s default=%s", on ? s->on : s->off, s->off);
    control_line(call, "%s", s->what);
    return 0;
}

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
    const struct ns_setting_word *s;
    char *name;
    int err;

    if (!key) {
        get_all(call);
        return 0;
    }
    err = split_ns_key(call, key, &name, &s);
    if (err == 0) {
        err = get_of_ns(call, key, name, s);
        free(name);
        return err;
    }
    if (err != -ENOENT)
        return err;
    err = setting_find(key);
    if (err < 0)
        return control_fail_word(call, err, "there is no setting %s; `tally get` lists them", key);
    get_one(call, (enum setting)err);
    return 0;
}

/* set ns:NAME.KEY VALUE */
static int set_of_ns(struct call *call, const char *name, const struct ns_setting_word *s,
                     const char *value)
{
    bool on = !strcmp(value, s->on);
    struct ns *ns;
    int err;

    if (!on && strcmp(value, s->off) != 0) {
        strbuf_addf(&call->why, "%s is %s or %s, not ", s->key, s->on, s->off);
        command_add_word(&call->why, value);
        return -EINVAL;
    }
    err = control_find_ns(call, name, &ns);
    if (err < 0)
        return err;
    ns_put(call->p, ns);
    return ns_set_switch(call->p, name, s->which, on);
}

/* set KEY VALUE, for the store or a namespace. */
int control_set(struct call *call)
{
    const char *key = control_arg(call, 0), *value = control_arg(call, 1);
    const struct ns_setting_word *s;
    char *name, text[32];
    int64_t number;
    /* not control_may_change: that waits for a flush, and this setting may be what lets it go on */
    int which, err = state_writable(call->p);

    if (err < 0)
        return err;
    err = split_ns_key(call, key, &name, &s);
    if (err == 0) {
        err = set_of_ns(call, name, s, value);
        free(name);
        if (err == 0)
            strbuf_addf(&call->head, " seq=%llu", U(state_seq(call->p)));
        return err;
    }
    if (err != -ENOENT)
        return err;
    which = setting_find(key);
    if (which < 0)
        return control_fail_word(call, which, "there is no setting %s; `tally get` lists them",
                                 key);
    err = setting_parse((enum setting)which, value, &number, &call->why);
    if (err < 0)
        return -EINVAL;
    err = settings_set(call->p, (enum setting)which, number);
    if (err < 0)
        return err;
    setting_format((enum setting)which, number, text);
    strbuf_addf(&call->head, " %s=%s", key, text);
    return 0;
}
