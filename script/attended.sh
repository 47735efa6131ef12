# Sourced by scripts that run others for a long time. A signal ends such a script at once, with
# everything that it started.
#
#   attended COMMAND...     runs a command or a function to its end, with its exit code;
#                           input is /dev/null
#   at_interrupt=COMMAND    what else there is to clean up
#
# At SIGINT, SIGTERM or SIGHUP the command is told to end (SIGTERM), has 5 seconds to clean up, and
# is killed. Closes with "interrupted"; exit code 130, 143 or 129. The command is a job with a
# process group of its own, or bash would make it ignore SIGINT. A process below it that starts a
# session of its own (meson's tests) is found by a mark in its environment.
# shellcheck shell=bash
attended_mark=LARDER_ATTENDED_BY_$$ attended_job='' at_interrupt=:
export "$attended_mark=1"
exec {attended_out}>&1 # a signal may come while the output goes to a log

attended() {
  local status
  set -m
  { set +m; "$@"; } </dev/null {attended_out}>&- &
  attended_job=$!
  set +m
  wait "$attended_job"
  status=$?
  attended_job=''
  return "$status"
}

# Processes that were started from here and live: the job's group, and those with the mark.
attended_processes() {
  local pid
  # shellcheck disable=SC2163 # the variable that it names
  export -n "$attended_mark" # not what is called here
  {
    [[ -z $attended_job ]] || pgrep -g "$attended_job"
    grep -slz "^$attended_mark=" /proc/[0-9]*/environ | cut -d/ -f3
  } | LC_ALL=C sort -u | while read -r pid; do
    [[ $pid == "$$" ]] || ! grep -qsE '^State:[[:space:]]+[^ZX]' "/proc/$pid/status" || echo "$pid"
  done
}

# Removes what a killed process leaves: the names hold its number.
attended_forget() {
  local pid
  for pid; do
    rm -f /dev/shm/*larder-test-"$pid"-* /dev/shm/larder-test-torture-"$pid"
  done
}

attended_end() {
  local all=() left=() end=$((SECONDS + 5))
  mapfile -t left < <(attended_processes)
  # Only the group at first: a process that started a session of its own ends that in good order.
  [[ -z $attended_job ]] || kill -TERM -- "-$attended_job" 2>/dev/null
  while ((${#left[@]})); do
    all+=("${left[@]}")
    if ((SECONDS >= end)); then
      kill -KILL "${left[@]}" 2>/dev/null
      ((SECONDS < end + 10)) || break
    fi
    sleep 0.05
    mapfile -t left < <(attended_processes)
  done
  attended_forget "${all[@]}"
}

attended_interrupt() {
  trap '' INT TERM HUP PIPE
  attended_end
  $at_interrupt
  echo interrupted >&"$attended_out"
  exit "$((128 + $1))"
}
trap 'attended_interrupt 2' INT
trap 'attended_interrupt 15' TERM
trap 'attended_interrupt 1' HUP
