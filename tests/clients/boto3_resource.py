"""tests/clients/boto3_resource.py - boto3.resource("dynamodb"): Table, conditions, batch_writer()."""
from decimal import Decimal

import boto3
from boto3.dynamodb.conditions import Attr, Key
from boto3.dynamodb.types import Binary

from kit import SETTINGS, refused, run

resource = boto3.resource("dynamodb", **SETTINGS)
table = resource.Table("Pets")


def test_create_and_wait():
    made = resource.create_table(
        TableName="Pets", BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "owner", "AttributeType": "S"}, {"AttributeName": "n", "AttributeType": "N"},
                              {"AttributeName": "kind", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "owner", "KeyType": "HASH"}, {"AttributeName": "n", "KeyType": "RANGE"}],
        LocalSecondaryIndexes=[{"IndexName": "byKind", "Projection": {"ProjectionType": "ALL"},
                                "KeySchema": [{"AttributeName": "owner", "KeyType": "HASH"}, {"AttributeName": "kind", "KeyType": "RANGE"}]}])
    made.wait_until_exists()
    table.load()
    assert table.table_status == "ACTIVE" and table.item_count == 0


def test_values():
    item = {"owner": "ann", "n": Decimal("1.5"), "map": {"list": [1, "two", None, True]}, "set": {"a", "b"}, "numbers": {Decimal(1), Decimal("-2.5")},
            "bytes": b"\x00\xff", "digits": Decimal("1234567890.1234567890123456789012345678"), "empty": ""}
    table.put_item(Item=item)
    got = table.get_item(Key={"owner": "ann", "n": Decimal("1.5")})["Item"]
    assert got == {**item, "bytes": Binary(b"\x00\xff")}, got
    assert str(got["digits"]) == "1234567890.1234567890123456789012345678"


def test_update_and_conditions():
    key = {"owner": "ann", "n": Decimal("1.5")}
    got = table.update_item(Key=key, UpdateExpression="SET visits = :one, #m.#l[0] = :one DELETE #s :a", ExpressionAttributeNames={
        "#m": "map", "#l": "list", "#s": "set"}, ExpressionAttributeValues={":one": 1, ":a": {"a"}}, ReturnValues="ALL_NEW")["Attributes"]
    assert got["visits"] == 1 and got["set"] == {"b"} and got["map"]["list"][0] == 1
    refused("ConditionalCheckFailedException", table.put_item, Item=key, ConditionExpression=Attr("owner").not_exists())
    refused("ConditionalCheckFailedException", table.delete_item, Key=key, ConditionExpression=Attr("visits").gt(1) & Attr("set").contains("b"))
    table.delete_item(Key=key, ConditionExpression=Attr("visits").between(0, 1) | Attr("map.list").size().eq(9))


def test_batch_writer():
    with table.batch_writer(overwrite_by_pkeys=["owner", "n"]) as batch:
        for n in range(130):
            batch.put_item(Item={"owner": "bob", "n": n, "kind": "cat" if n % 2 else "dog"})
        batch.put_item(Item={"owner": "bob", "n": 129, "kind": "owl"})
        batch.delete_item(Key={"owner": "bob", "n": 0})
    assert table.scan(Select="COUNT")["Count"] == 129


def test_query_and_scan():
    got = table.query(KeyConditionExpression=Key("owner").eq("bob") & Key("n").between(10, 20), FilterExpression=Attr("kind").eq("cat"))
    assert [int(item["n"]) for item in got["Items"]] == [11, 13, 15, 17, 19] and got["ScannedCount"] == 11
    got = table.query(IndexName="byKind", KeyConditionExpression=Key("owner").eq("bob") & Key("kind").begins_with("o"))
    assert [int(item["n"]) for item in got["Items"]] == [129]
    seen, start = 0, {}
    while True:
        page = table.scan(Limit=40, FilterExpression=Attr("n").lt(100), ProjectionExpression="n", **start)
        seen += page["Count"]
        if "LastEvaluatedKey" not in page:
            break
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
    assert seen == 99


def test_batch_get():
    got = resource.batch_get_item(RequestItems={"Pets": {"Keys": [{"owner": "bob", "n": n} for n in range(1, 51)], "ConsistentRead": True}})
    assert len(got["Responses"]["Pets"]) == 50


def test_transaction_of_the_resource_s_client():
    resource.meta.client.transact_write_items(TransactItems=[
        {"Put": {"TableName": "Pets", "Item": {"owner": "t", "n": 1, "tags": {"x"}}}},
        {"Delete": {"TableName": "Pets", "Key": {"owner": "bob", "n": 1}}}])
    assert table.get_item(Key={"owner": "t", "n": 1})["Item"]["tags"] == {"x"}


def test_delete():
    table.delete()
    table.wait_until_not_exists()
    assert [t.name for t in resource.tables.all()] == []


run(list(globals().items()))
