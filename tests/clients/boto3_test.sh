#!/bin/bash
# tests/clients/boto3_test.sh - boto3, the client and the resource, against larder serve.
#
# Goal     Every operation, paginators, waiters, typed errors, Table with its own conditions and
#          batch_writer(), numbers as Decimal.
# Method   Debian's python3-boto3, or another Python in the PATH that has boto3.
# Usage    tests/clients/boto3_test.sh PATH-OF-LARDER
# shellcheck source=tests/clients/start.sh
. "$(dirname "$0")/start.sh"
python=
for candidate in /usr/bin/python3 python3; do
    "$candidate" -c 'import boto3' 2>/dev/null && python=$candidate && break
done
[[ -n $python ]] || skip "no boto3: script/bootstrap --clients"
serve --size 32M --workers 2
export PYTHONDONTWRITEBYTECODE=1
client "$python" "$here/boto3_client.py"
client "$python" "$here/boto3_resource.py"
finish
