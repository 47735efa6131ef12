#!/usr/bin/env bash
# tests/embed/embed_test.sh LARDER - liblarder.so in programs that were not made for it.
#
# Goal     The library beside the larder command loads by dlopen() in a plain C program, in Python
#          and in Node, whatever else is in the process, and opens, puts, gets and closes there. The
#          host does not notice: malloc is its own, the library may be closed at any time, small
#          stacks are enough. Where the process has jemalloc, private memory is in its arenas.
# Method   Small hosts (host.c, allocator.c, stack.c, addon.c, use.py) are built here and run,
#          without any environment variable. A library with the address sanitizer loads only into
#          programs that have it, too: then nothing is tried.
# Usage    The last line is "N passed, N failed".
set -uo pipefail
larder=$(realpath "${1:?usage: embed_test.sh LARDER}")
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
unset LD_PRELOAD LD_LIBRARY_PATH GLIBC_TUNABLES
passed=0 failed=0

# script/test --long gives a script that runs the command under valgrind.
[[ $(head -c 2 "$larder") != '#!' ]] || larder=$(realpath "$(sed -n 's/.* \(\/[^ ]*larder\) .*/\1/p' "$larder")")
build=$(dirname "$(dirname "$larder")")
library=$build/liblarder.so
scratch=$(mktemp -d)
segment=$scratch/segment # a file: nothing stays behind in /dev/shm
trap 'rm -rf "$scratch"' EXIT

finish() {
  echo "$passed passed, $failed failed"
  exit $((failed > 0))
}

# expect WHAT COMMAND...: passed if it succeeds and is silent. A program that hangs is ended.
expect() {
  local what=$1 said status limit=(timeout 600)
  shift
  rm -f "$segment"
  [[ $(type -t "$1") != function ]] || limit=()
  said=$("${limit[@]}" "$@" 2>&1)
  status=$?
  if ((status == 0)) && [[ -z $said ]]; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    printf 'FAILED %s (exit %d): %s\n' "$what" "$status" "$said"
  fi
}

compile() {
  cc -O1 -g -Wall -Wextra -Werror -D_GNU_SOURCE -I"$here/../../include" "$@" -ldl -lpthread
}

if [[ ! -f $library ]]; then
  echo "no $library"
  failed=1
  finish
fi
if nm -D --undefined-only "$library" | grep -E '__(asan|tsan)_' >/dev/null; then
  echo "skipped: a library of a sanitizer loads only into programs of that sanitizer"
  finish
fi

# ---- What the library asks of a process ----------------------------------------------------------

says_static_tls() {
  readelf -dW "$library" | grep STATIC_TLS
}
tls_is_small() {
  local bytes
  bytes=$(readelf -lW "$library" | awk '$1 == "TLS" { print $6 }')
  ((bytes <= 1024)) || echo "$bytes bytes of each thread"
}
needs_more() {
  readelf -dW "$library" | grep NEEDED | grep -vE '\[(libxxhash|libc|ld-linux[^]]*|libpthread)\.so\.[0-9]+\]'
}
is_nodelete() {
  readelf -dW "$library" | grep NODELETE >/dev/null
}
expect_nothing() {
  ! "$@"
}
expect "no static TLS" expect_nothing says_static_tls
expect "little TLS" tls_is_small
expect "needs libc and xxhash only" expect_nothing needs_more
expect "is never unloaded" is_nodelete

# ---- C -------------------------------------------------------------------------------------------

crowd() {
  local i
  mkdir "$scratch/crowd"
  echo 'static __thread char kept[48]; char *NAME(void) { return kept; }' >"$scratch/crowd.c"
  cc -shared -fPIC -DNAME=crowd_dynamic -o "$scratch/dynamic.so" "$scratch/crowd.c" || return
  cc -shared -fPIC -ftls-model=initial-exec -DNAME=crowd_static -o "$scratch/static.so" "$scratch/crowd.c" || return
  for ((i = 0; i < 120; i++)); do
    cp "$scratch/dynamic.so" "$scratch/crowd/crowd-d$i.so"
    cp "$scratch/static.so" "$scratch/crowd/crowd-s$i.so"
  done
  cp "$(realpath "$library")" "$scratch/crowd/copy.so"
}

expect "build host" compile -o "$scratch/host" "$here/host.c"
expect "build host with names" compile -rdynamic -DEMBED_NAMES -o "$scratch/names" "$here/host.c"
expect "build crowd" crowd
for how in plain deepbind thread crowd loop twice fork; do
  expect "host $how" "$scratch/host" $how "$library" "$segment" "$scratch/crowd"
done
expect "host names" "$scratch/names" names "$library" "$segment"
expect "build stack" compile -o "$scratch/stack" "$here/stack.c"
expect "usual calls need little stack" "$scratch/stack" "$library" "$segment"

# ---- Allocators ----------------------------------------------------------------------------------

expect "build allocators" compile -o "$scratch/without" "$here/allocator.c"
expect "build with jemalloc" compile -o "$scratch/with" "$here/allocator.c" -Wl,--no-as-needed -ljemalloc
expect "build with false ones" compile -rdynamic -DEMBED_FALSE -o "$scratch/false" "$here/allocator.c"
expect "malloc is the host's" "$scratch/without" "$library" "$segment" none
expect "jemalloc of the host is used" "$scratch/with" "$library" "$segment" arenas
expect "jemalloc that is preloaded is used" env LD_PRELOAD=libjemalloc.so.2 "$scratch/without" "$library" "$segment" arenas
expect "what only has the names of jemalloc is not used" "$scratch/false" "$library" "$segment" none
expect "the command has jemalloc" grep -q libjemalloc <(readelf -dW "$larder")

# ---- Python and Node -----------------------------------------------------------------------------

while read -r python; do
  expect "$python" "$python" "$here/use.py" "$library" "$segment"
done < <(type -ap python3 | sort -u)

node_loads() {
  EMBED_SEGMENT=$segment timeout 600 node -e '
    const addon = { exports: {} };
    process.dlopen(addon, process.argv[1]);
    if (addon.exports.result !== "ok") throw new Error(addon.exports.result);
  ' "$1"
}
worker_loads() {
  EMBED_SEGMENT=$segment timeout 600 node -e '
    const { Worker } = require("worker_threads");
    const use = `const addon = { exports: {} };
      process.dlopen(addon, ${JSON.stringify(process.argv[1])});
      if (addon.exports.result !== "ok") throw new Error(addon.exports.result);`;
    for (let i = 0; i < 4; i++) new Worker(use, { eval: true });
  ' "$1"
}
if command -v node >/dev/null; then
  addon=(-shared -fPIC -fvisibility=hidden -Wl,--allow-shlib-undefined "$here/addon.c")
  expect "build linked addon" compile "${addon[@]}" -o "$scratch/linked.node" -L"$build" -Wl,-rpath,"$build" -llarder
  expect "build loading addon" compile "${addon[@]}" -DEMBED_LIBRARY="\"$library\"" -o "$scratch/loading.node"
  for kind in linked loading; do
    expect "node, $kind addon" node_loads "$scratch/$kind.node"
    expect "node, $kind addon in workers" worker_loads "$scratch/$kind.node"
  done
else
  echo "skipped: there is no node in PATH (script/bootstrap installs it)"
fi
finish
