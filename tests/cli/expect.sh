# tests/cli/expect.sh - how cli_test.sh checks: exit code, output and message of one run of the
# command.
#
# Sourced. Needs $larder, the command, and $work, a folder for its output. Counts in $passed and
# $failed.
# shellcheck shell=bash disable=SC2154,SC2034

verdict() { # NAME REASON: an empty reason passes
    if [[ -z $2 ]]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $1: $2"
    fi
}

matches() { # TEXT PATTERN: "" nothing, "=text" exactly, "~glob" anywhere, "*" anything
    case $2 in
    "") [[ -z $1 ]] ;;
    =*) [[ $1 == "${2#=}" ]] ;;
    ~*) [[ $1 == *${2#\~}* ]] ;;
    *) true ;;
    esac
}

expect() { # NAME CODE OUT ERR ARGUMENT...: runs larder
    local name=$1 code=$2 out=$3 err=$4 got reason=""
    shift 4
    "$larder" "$@" >"$work/.out" 2>"$work/.err"
    got=$?
    got_out=$(tr -d '\0' <"$work/.out")
    got_err=$(tr -d '\0' <"$work/.err")
    [[ $got == "$code" ]] || reason="exit code $got, not $code; $got_err"
    matches "$got_out" "$out" || reason+=" output: ${got_out:0:300}"
    matches "$got_err" "$err" || reason+=" message: ${got_err:0:300}"
    verdict "$name" "$reason"
}

check() { # NAME COMMAND...: passes if the command does
    local name=$1
    shift
    if "$@"; then verdict "$name" ""; else verdict "$name" "not true: $*"; fi
}

comes() { # PATTERN FILE: it is there, or comes; a deadline for what hangs
    for _ in {1..3000}; do
        grep -q -- "$1" "$2" && return
        sleep 0.1
    done
    return 1
}

same() { # NAME GOT EXPECTED
    local reason=""
    [[ $2 == "$3" ]] || reason="got ${2:0:300}, expected ${3:0:300}"
    verdict "$1" "$reason"
}
