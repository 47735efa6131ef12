# tests/serve/serve_torture.py - clients that write over HTTP while workers are killed.
#
# Goal     Nothing that a client was told of is lost, and nothing is done twice.
# Method   Processes, each with one connection, until the time is up:
#
#            holder    keys of its own, written with a condition on the last version: put and delete
#            counter   ADD, to counters of all and to one of its own
#            bank      transfers between accounts of all, each with a token; sent again until there
#                      is an answer
#            teller    the same by `larder transact`, a process of its own that is killed
#            mover     items of its own from one group of an index to another; asks table and index
#            auditor   all accounts in one transaction: their sum stands at any moment
#            importer  `larder import`, fed line after line, and killed
#
#          The killer ends one worker after the other by SIGKILL; some stand still for a while first.
#          An answer that did not come leaves two outcomes. The next read settles which, and from
#          then on it must stand.
# Usage    serve_torture.py PATH-OF-LARDER PID-OF-SUPERVISOR PORT; serve_torture_test.sh starts it
import http.client
import json
import mmap
import os
import random
import signal
import subprocess
import sys
import time
import traceback

LARDER, SUPERVISOR, PORT = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
LONG = "LARDER_TEST_LONG" in os.environ
SECONDS = float(os.environ.get("TORTURE_SECONDS", "600" if LONG else "7"))
SEED = int(os.environ.get("LARDER_SEED") or str(time.time_ns() % 2**31), 0)
PATIENCE_S = 120  # an answer or a successor that takes longer is a failure
ACCOUNTS, BALANCE, COUNTERS, GROUPS = 20, 1000, 4, 5


class Lost(Exception):
    """No answer came: done or not."""


class Refused(Exception):
    def __init__(self, answer):
        super().__init__(answer)
        self.type = answer["__type"].split("#")[1]
        self.answer = answer


class Client:
    """One connection, another one after each death."""

    def __init__(self, random_numbers, progress):
        self.random, self.progress, self.connection = random_numbers, progress, None
        self.counts = {"answers": 0, "lost": 0, "throttled": 0}

    def once(self, operation, request):
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=PATIENCE_S)
        try:
            self.connection.request("POST", "/", json.dumps(request), {"X-Amz-Target": f"DynamoDB_20120810.{operation}",
                                                                       "Content-Type": "application/x-amz-json-1.0"})
            response = self.connection.getresponse()
            status, text = response.status, response.read()
        except (http.client.HTTPException, ConnectionError) as error:
            self.connection.close()
            self.connection = None
            self.counts["lost"] += 1
            raise Lost from error
        answer = json.loads(text)
        self.counts["answers"] += 1
        self.progress.add()
        if status == 200:
            return answer
        assert status == 400, (status, text, operation, request)
        raise Refused(answer)

    def write(self, operation, **request):
        """Lost: both outcomes are possible. What was throttled was not done."""
        while True:
            try:
                return self.once(operation, request)
            except Refused as refused:
                if refused.type != "ThrottlingException":
                    raise
                self.counts["throttled"] += 1

    def read(self, operation, **request):
        """Again and again: but what ends every worker is not to be repeated forever."""
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                return self.write(operation, **request)
            except Lost:
                assert time.monotonic() < end, f"{operation}: no worker answers it"

    def get(self, key):
        return self.read("GetItem", TableName="Tab", Key={"pk": {"S": key}}).get("Item")

    def all(self, operation, **request):
        items, start = [], {}
        while True:
            answer = self.read(operation, **request, **start)
            items += answer["Items"]
            if "LastEvaluatedKey" not in answer:
                return items
            start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}


class Progress:
    """What was answered, of all processes: numbers in memory that they share, one for each."""

    def __init__(self, processes):
        self.memory, self.mine = mmap.mmap(-1, 8 * (processes + 1)), 0

    def add(self):
        at = 8 * self.mine
        self.memory[at:at + 8] = (int.from_bytes(self.memory[at:at + 8], "little") + 1).to_bytes(8, "little")

    def sum(self):
        return sum(int.from_bytes(self.memory[at:at + 8], "little") for at in range(8, len(self.memory), 8))

    def stop(self):
        self.memory[0] = 1

    def is_stopped(self):
        return self.memory[0] == 1


# ---- Clients -------------------------------------------------------------------------------------

def holder(client, number):
    """Each key has one of its possible versions: None is no item."""
    possible = {f"held-{number}-{i}": {None} for i in range(6)}
    version = 0

    def settle(key):
        item = client.get(key)
        found = None if item is None else int(item["v"]["N"])
        assert found in possible[key], f"{key}: version {found}, not {possible[key]}"
        assert item is None or item["text"]["S"] == f"{found} " * 40, f"{key}: half an item: {item}"
        possible[key] = {found}
        return found

    while not client.progress.is_stopped():
        key = client.random.choice(list(possible))
        last = settle(key)
        version += 1
        new, request = version, {"TableName": "Tab"}
        if last is None:
            request["ConditionExpression"] = "attribute_not_exists(pk)"
        else:
            request.update(ConditionExpression="v = :last", ExpressionAttributeValues={":last": {"N": str(last)}})
        try:
            if last is not None and client.random.random() < 0.2:
                new = None
                client.write("DeleteItem", Key={"pk": {"S": key}}, **request)
            else:
                client.write("PutItem", Item={"pk": {"S": key}, "v": {"N": str(new)}, "text": {"S": f"{new} " * 40}}, **request)
            possible[key] = {new}
        except Lost:
            possible[key] = {last, new}
    for key in possible:
        settle(key)
    return {}


def counter(client, number):
    done, unsure, own, own_unsure, seen = [0] * COUNTERS, [0] * COUNTERS, 0, 0, [0] * COUNTERS
    mine = f"count-of-{number}"

    def settle():
        nonlocal own, own_unsure
        found = int((client.get(mine) or {"n": {"N": "0"}})["n"]["N"])
        assert own <= found <= own + own_unsure, f"{mine}: {found}, not {own} to {own + own_unsure}"
        own, own_unsure = found, 0

    def add(key):
        answer = client.write("UpdateItem", TableName="Tab", Key={"pk": {"S": key}}, UpdateExpression="ADD n :one",
                              ExpressionAttributeValues={":one": {"N": "1"}}, ReturnValues="UPDATED_NEW")
        return int(answer["Attributes"]["n"]["N"])

    while not client.progress.is_stopped():
        i = client.random.randrange(COUNTERS)
        try:
            value = add(f"count-{i}")
            assert value > seen[i], f"count-{i} went from {seen[i]} to {value}"
            seen[i] = value
            done[i] += 1
        except Lost:
            unsure[i] += 1
        try:
            value = add(mine)
            assert value == own + 1, f"{mine}: {value}, not {own + 1}"
            own = value
        except Lost:
            own_unsure = 1
            settle()
    settle()
    return {"done": done, "unsure": unsure}


def transfer(random_numbers, who):
    source, target = random_numbers.sample(range(ACCOUNTS), 2)
    values = {":a": {"N": str(random_numbers.randrange(1, 300))}}
    update = {"TableName": "Tab", "ExpressionAttributeValues": values}
    return [{"Update": {**update, "Key": {"pk": {"S": f"account-{source:02}"}}, "UpdateExpression": "SET n = n - :a", "ConditionExpression": "n >= :a"}},
            {"Update": {**update, "Key": {"pk": {"S": f"account-{target:02}"}}, "UpdateExpression": "ADD n :a"}},
            {"Update": {"TableName": "Tab", "Key": {"pk": {"S": who}}, "UpdateExpression": "ADD n :one", "ExpressionAttributeValues": {":one": {"N": "1"}}}}]


def expect_count(client, who, done):
    found = int((client.get(who) or {"n": {"N": "0"}})["n"]["N"])
    assert found == done, f"{who}: {done} transfers were answered, {found} were done"


def bank(client, number):
    who, done, refused = f"bank-{number}", 0, 0
    while not client.progress.is_stopped():
        token, items = f"{SEED}-{who}-{done}-{refused}", transfer(client.random, who)
        try:
            client.read("TransactWriteItems", TransactItems=items, ClientRequestToken=token)  # again until there is an answer
            done += 1
            if client.random.random() < 0.2:  # once more, though it is done
                client.read("TransactWriteItems", TransactItems=items, ClientRequestToken=token)
        except Refused as answer:
            assert answer.type == "TransactionCanceledException" and "[ConditionalCheckFailed, None, None]" in answer.answer["Message"], answer.answer
            refused += 1
        if done % 8 == 0:
            expect_count(client, who, done)
    expect_count(client, who, done)
    return {"transfers": done}


def auditor(client, _):
    audits = 0
    accounts = [{"Get": {"TableName": "Tab", "Key": {"pk": {"S": f"account-{i:02}"}}}} for i in range(ACCOUNTS)]
    while not client.progress.is_stopped():
        try:
            answer = client.read("TransactGetItems", TransactItems=accounts)
        except Refused as refused:
            assert refused.type == "TransactionCanceledException" and "TransactionConflict" in refused.answer["Message"], refused.answer
            continue
        balances = [int(each["Item"]["n"]["N"]) for each in answer["Responses"]]
        assert sum(balances) == ACCOUNTS * BALANCE and min(balances) >= 0, f"the sum is {sum(balances)}: {balances}"
        audits += 1
    return {"audits": audits}


def mover(client, number):
    """Items of its own; what the table has, the index has, in the group that the table says and in no other."""
    keys = [f"moved-{number}-{i}" for i in range(5)]
    possible = {key: {None} for key in keys}  # (group, version)
    version = 0

    def of_group(group):
        values = {":g": {"S": group}}
        return client.all("Query", TableName="Tab", IndexName="byG", KeyConditionExpression="g = :g", ExpressionAttributeValues=values)

    def settle(key):
        item = client.get(key)
        found = None if item is None else (item["g"]["S"], int(item["v"]["N"]))
        assert found in possible[key], f"{key}: {found}, not {possible[key]}"
        possible[key] = {found}
        for group in {each[0] for each in [found, *before.get(key, [])] if each is not None}:
            items = of_group(group)
            for each in items:
                assert each["g"]["S"] == group and each["text"]["S"] == f"{group} {each['v']['N']} " * 20, f"index, group {group}: {each}"
            there = [int(each["v"]["N"]) for each in items if each["pk"]["S"] == key]
            wanted = [found[1]] if found is not None and found[0] == group else []
            assert there == wanted, f"{key}, group {group}: the table has {found}, the index {there}"
        return found

    before = {}
    while not client.progress.is_stopped():
        key = client.random.choice(keys)
        version += 1
        last, = possible[key]
        new, before[key] = (f"group-{client.random.randrange(GROUPS)}", version), [last]
        try:
            if last is not None and client.random.random() < 0.15:
                new = None
                client.write("DeleteItem", TableName="Tab", Key={"pk": {"S": key}})
            else:
                client.write("UpdateItem", TableName="Tab", Key={"pk": {"S": key}}, UpdateExpression="SET g = :g, v = :v, #t = :t",
                             ExpressionAttributeNames={"#t": "text"},
                             ExpressionAttributeValues={":g": {"S": new[0]}, ":v": {"N": str(version)}, ":t": {"S": f"{new[0]} {version} " * 20}})
            possible[key] = {new}
        except Lost:
            possible[key] = {last, new}
            before[key].append(new)
        settle(key)
    return {}


# ---- Processes that attach by the library --------------------------------------------------------

def run_and_kill(arguments, text, seconds):
    """Its exit code; -9 if it was killed after these seconds. None: it may end by itself."""
    with subprocess.Popen([LARDER, *arguments], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            said = process.communicate(text.encode(), PATIENCE_S if seconds is None else seconds)[1]
        except subprocess.TimeoutExpired:
            assert seconds is not None, f"larder {arguments[0]} does not end"
            process.kill()
            said = process.communicate()[1]
        assert process.returncode in (0, 6, 9, -9), f"larder {arguments[0]}: {process.returncode}: {said.decode()}"
        return process.returncode


def teller(client, number):
    who, done, refused, killed, took = f"teller-{number}", 0, 0, 0, 0.05
    while not client.progress.is_stopped():
        token, text, code = f"{SEED}-{who}-{done}-{refused}", json.dumps(transfer(client.random, who)), -9
        while code in (-9, 6):  # killed, or a lock was held for too long: again
            start = time.monotonic()
            code = run_and_kill(["transact", "-", "--client-request-token", token], text,
                                client.random.random() * took if client.random.random() < 0.6 else None)
            if code == -9:
                killed += 1
            else:
                took = max(0.9 * took, time.monotonic() - start)
        done += code == 0
        refused += code == 9
        expect_count(client, who, done)
    return {"transfers": done, "killed": killed}


def importer(client, number):
    """Items come in the order of the lines: after a death the first of them are new, the others as they were."""
    keys = [f"import-{number}-{i:03}" for i in range(100)]
    expected, killed, version, took = [0] * len(keys), 0, 0, 0.05
    while not client.progress.is_stopped():
        version += 1
        lines = "".join(json.dumps({"pk": {"S": key}, "g": {"S": f"{key}-{version}"}, "v": {"N": str(version)}}) + "\n" for key in keys)
        start = time.monotonic()
        code = run_and_kill(["import", "Tab", "-"], lines, client.random.random() * took if client.random.random() < 0.8 else None)
        took = took if code == -9 else max(0.9 * took, time.monotonic() - start)
        killed += code == -9
        answer = client.read("BatchGetItem", RequestItems={"Tab": {"Keys": [{"pk": {"S": key}} for key in keys]}})
        assert not answer["UnprocessedKeys"], answer["UnprocessedKeys"]
        there = {item["pk"]["S"]: item for item in answer["Responses"]["Tab"]}
        found = [int(there[key]["v"]["N"]) if key in there else 0 for key in keys]
        count = next((i for i, each in enumerate(found) if each != version), len(found))
        assert found[count:] == expected[count:], f"after {count} of version {version}: {found}, before it {expected}"
        assert code != 0 or count == len(keys), f"larder import ended with 0 after {count} items"
        for key, item in there.items():
            assert item["g"]["S"] == f"{key}-{item['v']['N']}", f"half an item: {item}"
        expected = found
    return {"killed": killed}


# ---- The killer, and what must be true in the end ------------------------------------------------

def workers():
    with open(f"/proc/{SUPERVISOR}/task/{SUPERVISOR}/children", encoding="ascii") as children:
        return [int(pid) for pid in children.read().split()]


def wait_until(is_true, what):
    end = time.monotonic() + PATIENCE_S
    while not is_true():
        assert time.monotonic() < end, what
        time.sleep(0.002)


def kill_one(random_numbers):
    """A worker that has come to life; one in ten stands still first, with whatever it holds."""
    wait_until(lambda: len(workers()) == 3, f"a worker was not replaced; there are {len(workers())}")
    worker = random_numbers.choice(workers())
    try:
        if random_numbers.random() < 0.1:
            os.kill(worker, signal.SIGSTOP)
            time.sleep(random_numbers.random() * 0.3)
        os.kill(worker, signal.SIGKILL)
    except ProcessLookupError:
        pass  # the last one we killed: its parent had not seen it yet


def judge(client, results):
    items = client.all("Scan", TableName="Tab")
    in_index = client.all("Scan", TableName="Tab", IndexName="byG")
    wanted = sorted(json.dumps(item, sort_keys=True) for item in items if "g" in item)
    assert wanted == sorted(json.dumps(item, sort_keys=True) for item in in_index), "the index has other items than the table"
    numbers = {item["pk"]["S"]: int(item["n"]["N"]) for item in items if "n" in item}
    assert sum(n for key, n in numbers.items() if key.startswith("account-")) == ACCOUNTS * BALANCE
    for i in range(COUNTERS):
        done, unsure = (sum(each[what][i] for each in results if what in each) for what in ("done", "unsure"))
        assert done <= numbers.get(f"count-{i}", 0) <= done + unsure, f"count-{i}: {numbers.get(f'count-{i}')}, {done} were answered, {unsure} may be"


class Child:
    def __init__(self, run, number, progress):
        self.name, (read, write) = f"{run.__name__} {number}", os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                os.nice(5)  # the killer and the supervisor come first
                progress.mine = number
                client = Client(random.Random(f"{SEED} {number}"), progress)
                result = run(client, number)
                os.write(write, json.dumps({**result, **client.counts}).encode())
                status = 0
            except BaseException:
                traceback.print_exc()
            sys.stderr.flush()
            os._exit(status)
        os.close(write)
        self.pipe, self.status = read, None

    def has_ended(self):
        if self.status is None and os.waitpid(self.pid, os.WNOHANG)[0] != 0:
            with open(self.pipe, encoding="utf-8") as pipe:
                text = pipe.read()
            self.status = json.loads(text) if text else "failed"
        return self.status is not None


def main():
    print(f"LARDER_SEED={SEED}, {SECONDS:.0f} s", flush=True)
    random_numbers = random.Random(SEED)
    kinds = [holder, holder, counter, counter, bank, bank, mover, mover, auditor, teller, importer]
    progress = Progress(len(kinds))
    client = Client(random_numbers, progress)
    client.read("CreateTable", TableName="Tab", BillingMode="PAY_PER_REQUEST",
                AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "g")],
                KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
                GlobalSecondaryIndexes=[{"IndexName": "byG", "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}], "Projection": {"ProjectionType": "ALL"}}])
    for i in range(ACCOUNTS):
        client.read("PutItem", TableName="Tab", Item={"pk": {"S": f"account-{i:02}"}, "n": {"N": str(BALANCE)}})
    children = [Child(kind, number + 1, progress) for number, kind in enumerate(kinds)]
    kills, end, failure = 0, time.monotonic() + SECONDS, None
    try:
        while time.monotonic() < end and not any(child.has_ended() for child in children):
            before = progress.sum()
            wait_until(lambda: progress.sum() >= before + 30 or any(child.has_ended() for child in children), "the clients stand still")
            time.sleep(random_numbers.random() * 0.03)
            kill_one(random_numbers)
            kills += 1
    except AssertionError as error:
        failure = error
    progress.stop()
    try:
        wait_until(lambda: all(child.has_ended() for child in children), "a client does not end")
        failure = failure or next((f"{child.name} failed" for child in children if child.status == "failed"), None)
        if not failure:
            wait_until(lambda: len(workers()) == 3, "a worker was not replaced")
            judge(client, [child.status for child in children])
    except AssertionError as error:
        failure = failure or error
    for child in children:
        if not child.has_ended():
            print(f"{child.name} is still there")
            os.kill(child.pid, signal.SIGKILL)
    print(f"{kills} workers killed")
    for child in children:
        print(f"  {child.name}: {child.status}")
    if failure:
        print(f"FAILED: {failure}")
    return 1 if failure else 0


if __name__ == "__main__":
    sys.exit(main())
