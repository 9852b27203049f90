#!/usr/bin/env zsh
# SPDX-License-Identifier: Apache-2.0
# offers.zsh DIRECTORY WORKDIR LINE… - what zsh offers for the last word of each LINE, in one line with commas, with
# the completion functions in DIRECTORY. An interactive zsh is asked at a terminal of its own, as by a user who
# presses TAB.
emulate -L zsh
zmodload zsh/zpty
work=$2
cat >$work/.zshrc <<END
PROMPT='READY> ' fpath=(${(q)1} \$fpath)
autoload -Uz compinit && compinit -u -D
zmodload zsh/zutil
zstyle ':completion:*' insert-tab false
bindkey '^I' complete-word
# What offers words writes them to a file instead, when they were compared with the word of the line.
compadd() {
    [[ \${@[1,(i)(-|--)]} != *-(O|A|D)\ * ]] || { builtin compadd "\$@"; return }
    local -a hits prefix
    local hit
    builtin compadd -A hits "\$@"
    zparseopts -E P:=prefix p:=prefix
    for hit in \$hits; do print -r -- "\$IPREFIX\${prefix[2]}\$hit" >>${(q)work}/offers; done
    return 0
}
ended() { comppostfuncs=(ended); print ENDED }
comppostfuncs=(ended)
END
export ZDOTDIR=$work
zpty shell zsh -d -i
shift 2
zpty -r shell said '*READY*' || exit 1
for line in "$@"; do
    : >$work/offers
    zpty -w -n shell "$line"$'\t'
    zpty -r shell said '*ENDED*' || exit 1
    print -r -- ${(j:,:)${(ou)${(f)"$(<$work/offers)"}}},
    zpty -w -n shell $'\C-U'
done
zpty -d shell
