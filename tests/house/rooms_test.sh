#!/usr/bin/env bash
# tests/house/rooms_test.sh - every include points down: a room includes only rooms below it.
#
# Method   Reads all #include lines. The rooms of core/ and their order are those of
#          core/meson.build, among them expr/, whose folder lies beside core/; index/ and ttl/
#          stand above core/ and never include each other; dynamodb/ knows larder.h and, of what is
#          below it, expr/, core/item/ and core/base/; serve/ knows the public headers alone; cli/ and
#          examples/ know them and serve/. Each README of a room names its files. Wrong arrows that are planted in a copy must
#          be found.
# Not here That no room calls into one above it: the linker checks that (core/rooms.c).
# Usage    tests/house/rooms_test.sh
#          The last line is "N passed, N failed"; exit 1 if anything failed.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 2
passed=0 failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

verdict() { # NAME REASON: an empty reason passes
  if [[ -z $2 ]]; then
    ((passed += 1))
  else
    ((failed += 1))
    printf 'FAILED: %s\n%s\n' "$1" "$2"
  fi
}

# The rooms from the ground up, as "name floor".
floors() {
  local floor=0 room
  for room in $(sed -n "s/^core_rooms = \[\(.*\)\]/\1/p" core/meson.build | tr -d "',"); do
    [[ -d core/$room ]] && room=core/$room
    echo "$room $((floor++))"
  done
  echo "index $floor"
  echo "ttl $floor"
}

# arrows FOLDER: includes in the sources under it that point up or sideways, as "file -> header".
arrows() {
  (cd "$1" && grep -rHoE '^#include "[^"]+"' --include='*.[ch]' core expr index ttl 2>/dev/null) |
    sed 's/:#include "/ /; s/"$//' |
    awk -v floors="$(floors)" '
      BEGIN {
        n = split(floors, line, "\n")
        for (i = 1; i <= n; i++) { split(line[i], part, " "); floor[part[1]] = part[2] }
      }
      function room(path,  part) {
        split(path, part, "/")
        return part[1] == "core" ? part[1] "/" part[2] : part[1]
      }
      {
        from = room($1); to = room($2)
        if ($2 == "larder.h" || from == to) next
        if (!(from in floor)) print $1 " lies in no room"
        else if (!(to in floor) || floor[to] >= floor[from]) print $1 " -> " $2
      }'
}

# outsiders FOLDER: includes of the engine where only the public headers are allowed.
outsiders() {
  (cd "$1" && grep -rHE '^#include "(core|expr|index|ttl|dynamodb)/' --include='*.[ch]' cli examples 2>/dev/null)
  (cd "$1" && grep -rHE '^#include "' --include='*.[ch]' dynamodb |
    grep -vE '"(larder\.h|larder_dynamodb\.h|dynamodb/.*|expr/expr\.h|core/(item|base)/.*)"$')
  (cd "$1" && grep -rHE '^#include "' --include='*.[ch]' serve | grep -vE '"(larder\.h|larder_dynamodb\.h|serve/.*)"$')
}

# Files of a room that its README does not name, and names in it that no file has.
unlisted() {
  local file folder readme
  for file in core/*/*.[ch] {expr,index,ttl,dynamodb,serve}/*.[ch]; do
    readme=$(dirname "$file")/README.md
    grep -qF "\`$(basename "$file")\`" "$readme" && continue
    [[ $file == *.c ]] && grep -qF "\`$(basename "$file" .c).h\`, \`.c\`" "$readme" && continue
    echo "$file is not in $readme"
  done
  for readme in core/*/README.md {expr,index,ttl,dynamodb,serve}/README.md; do
    folder=$(dirname "$readme")
    for file in $(grep '^|' "$readme" | grep -oE '`[a-z_]+\.[ch]`' | tr -d '`'); do
      [[ -f $folder/$file ]] || echo "$readme names $file"
    done
  done
}

plant() { # NAME FILE HEADER CHECK: a copy with one more include, which the check must find
  rm -rf "$work/copy" && mkdir "$work/copy" && cp -r core expr index ttl dynamodb serve cli examples "$work/copy"
  echo "#include \"$3\"" >>"$work/copy/$2"
  verdict "$1" "$([[ -n $("$4" "$work/copy") ]] || echo "$2 includes $3, and nothing was said")"
}

rooms=$(floors)
verdict "core/meson.build names the rooms" "$([[ $(floors | wc -l) -gt 2 ]] || echo "no line core_rooms = [...]")"
verdict "every folder of core/ is a room" "$(for f in core/*/; do [[ $rooms == *"${f%/} "* ]] || echo "$f"; done)"
verdict "no include points up or sideways" "$(arrows .)"
verdict "each room's README has a table of its files" "$(unlisted)"
verdict "what stands outside knows the public headers alone" "$(outsiders .)"
plant "an arrow up is found" core/memory/heap.c core/table/db.h arrows
plant "an arrow up in a header is found" core/item/item.h core/segment/seg.h arrows
plant "an arrow up out of expr/ is found" expr/truth.c core/segment/seg.h arrows
plant "an arrow up into expr/ is found" core/item/page.c expr/expr.h arrows
plant "an arrow sideways is found" ttl/wheel.c index/index.h arrows
plant "an arrow from core/ to a hook's owner is found" core/audit/check.c ttl/wheel.h arrows
plant "a command that looks inside is found" cli/main.c core/table/db.h outsiders
plant "an operation that looks inside is found" dynamodb/scan.c core/table/db.h outsiders
plant "an endpoint that looks inside is found" serve/route.c dynamodb/document.h outsiders
echo "$passed passed, $failed failed"
((failed == 0))
