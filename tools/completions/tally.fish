# SPDX-License-Identifier: Apache-2.0
# fish completion for tally(1). Verbs, keywords, options and mount options are what the program says of
# itself (tools/verbs/verbs.c); what is here is how to find the values.

function __tally_says # WORD… - the program's answer, as the command line calls it
    set -l words (commandline -opc)
    set -l program (string replace -r '^~' $HOME -- $words[1])
    command -q -- $program; or set program tally
    command $program $argv 2>/dev/null
end

# Verbs and their summaries. In the help two blanks stand before the summary, which goes on in column 37.
function __tally_verbs
    __tally_says --help | awk '
        function out() { if (verb != "") print verb "\t" text }
        /^  [a-z]/ { out(); verb = $1; text = "" }
        verb != "" {
            rest = ""
            line = substr($0, 1, 36) ~ /^ +$/ ? "  " substr($0, 37) : $0
            if (line != "  " substr($0, 37)) sub(/^ +/, "", line)
            if (match(line, /  +/)) rest = substr(line, RSTART + RLENGTH)
            text = text (text != "" && rest != "" ? " " : "") rest
        }
        /^$/ { out(); verb = "" }
        END { out() }'
end

function __tally_keywords # USAGE - the first word of each way to call the verb
    echo $argv | sed 's/^usage: tally [a-z]*//; s/\[[^]]*\]//g; s/|/\n/g' | sed -nE 's/^ *([a-z]+)( .*|)$/\1/p'
end

function __tally_mount_options
    __tally_says mount --help | sed -nE 's/^    ([a-z].*)/\1/p' | sed 's/  .*//; s/ and all .*//; s/, /\n/g' | awk -F= '
        NF == 1 { print; next }
        $2 ~ /^[a-z|]+$/ { n = split($2, v, "|"); for (i = 1; i <= n; i++) print $1 "=" v[i]; next }
        { print $1 "=" }'
end

function __tally_mount # MNT - or the current directory
    findmnt -n -o TARGET -T $argv[1] -t fuse.tally 2>/dev/null; or echo .
end

function __tally_namespaces # MNT
    for dir in (__tally_mount $argv[1])/*/
        basename -- $dir
    end
end

function __tally_jobs # MNT
    for job in (__tally_mount $argv[1])/.tally/jobs/*
        basename -- $job
    end
end

function __tally_values # VERB PREVIOUS MNT - what may stand there instead of an option
    set -l verb $argv[1]
    set -l prev $argv[2]
    set -l mnt $argv[3]
    switch $verb
        case help
            __tally_verbs
        case get set
            __tally_says -C $mnt get | sed -n 's/^\([a-z_]*\)=.*/\1/p'
        case merge commit
            contains -- $prev $verb into; or echo into
            __tally_namespaces $mnt
        case undrop
            __tally_says -C $mnt trash list | sed -n 's/^\(.*\)@dropped-[0-9]* .*/\1/p' | sort -u
        case branch import snapshot history undo redo detach diff digest drop du durable exec export send restore
            __tally_namespaces $mnt
        case log
            contains -- $prev list find; and __tally_namespaces $mnt
        case wait jobs cancel
            if test "$verb $prev" = 'wait durable'
                __tally_namespaces $mnt
            else
                __tally_jobs $mnt
            end
    end
end

function __tally_of_verb # VERB PREVIOUS CURRENT MNT
    set -l help (__tally_says $argv[1] --help)
    set -l usage (string replace -- '[-C MNT]' '' $help[1])
    set -l files (string match -r 'PATH|STORE|MNT|SOURCE|DEST' -- "$usage")
    if string match -q -- '-*' $argv[3]; or not set -q files[1]
        printf '%s\n' $help | grep -oE -- '(^|[[ ])--?[a-z][a-z-]*' | tr -d '[ ' | sort -u
        echo --help
    end
    string match -q -- '-*' $argv[3]; and return
    __tally_values $argv[1] $argv[2] $argv[4]
    test "$argv[1]" = "$argv[2]"; and __tally_keywords $usage
    set -q files[1]; and __fish_complete_path $argv[3]
end

function __tally_offer
    set -l words (commandline -opc)
    set -l cur (commandline -ct)
    set -l prev $words[-1]
    set -l verb
    set -l mnt .
    set -l i 2
    while test $i -le (count $words)
        switch $words[$i]
            case -C
                set i (math $i + 1)
                test $i -le (count $words); and set mnt $words[$i]
            case "-C*"
                set mnt (string sub -s 3 -- $words[$i])
            case '-*'
            case '*'
                set verb $words[$i]
                break
        end
        set i (math $i + 1)
    end
    set mnt (string replace -r '^~' $HOME -- $mnt)
    if test "$prev" = -C
        __fish_complete_directories $cur ''
    else if not set -q verb[1]
        __tally_verbs
        printf '%s\n' -C --help --version
    else if test "$verb $prev" = 'mount -o'
        printf '%s\n' (string replace -r '[^,]*$' '' -- "$cur")(__tally_mount_options)
    else if string match -q 'dir:*' -- $cur
        printf 'dir:%s\n' (__fish_complete_directories (string sub -s 5 -- $cur) '')
    else
        __tally_of_verb $verb $prev $cur $mnt
    end
end

complete -c tally -f -a '(__tally_offer)'
