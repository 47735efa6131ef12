"""tests/clients/boto3_client.py - boto3.client("dynamodb")."""
import boto3

from kit import SETTINGS, refused, run

client = boto3.client("dynamodb", **SETTINGS)
TABLE = "Songs"


def song(artist, title, **more):
    return {"Artist": {"S": artist}, "Title": {"S": title}, **more}


def test_create_table_and_waiter():
    client.create_table(
        TableName=TABLE, BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": kind} for name, kind in
                              (("Artist", "S"), ("Title", "S"), ("Genre", "S"), ("Year", "N"))],
        KeySchema=[{"AttributeName": "Artist", "KeyType": "HASH"}, {"AttributeName": "Title", "KeyType": "RANGE"}],
        GlobalSecondaryIndexes=[{"IndexName": "ByGenre", "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["Plays"]},
                                 "KeySchema": [{"AttributeName": "Genre", "KeyType": "HASH"},
                                               {"AttributeName": "Year", "KeyType": "RANGE"}]}])
    client.get_waiter("table_exists").wait(TableName=TABLE)
    table = client.describe_table(TableName=TABLE)["Table"]
    assert table["TableStatus"] == "ACTIVE" and table["GlobalSecondaryIndexes"][0]["IndexName"] == "ByGenre"
    error = refused("ResourceInUseException", client.create_table, TableName=TABLE, BillingMode="PAY_PER_REQUEST",
                    AttributeDefinitions=[{"AttributeName": "a", "AttributeType": "S"}],
                    KeySchema=[{"AttributeName": "a", "KeyType": "HASH"}])
    assert isinstance(error, client.exceptions.ResourceInUseException)


def test_item():
    item = song("Nina", "Sinnerman", Year={"N": "1965"}, Genre={"S": "jazz"}, Cover={"B": b"\x00\x01\xff"}, Live={"BOOL": False},
                Label={"NULL": True}, Tags={"SS": ["a"]}, Blobs={"BS": [b"x"]}, Takes={"L": [{"M": {"é": {"N": "-1.5"}}}]})
    assert client.put_item(TableName=TABLE, Item=item)["ResponseMetadata"]["HTTPStatusCode"] == 200
    got = client.get_item(TableName=TABLE, Key=song("Nina", "Sinnerman"), ConsistentRead=True, ReturnConsumedCapacity="TOTAL")
    assert got["Item"] == item, got["Item"]
    assert got["ConsumedCapacity"] == {"TableName": TABLE, "CapacityUnits": 1.0}
    got = client.update_item(TableName=TABLE, Key=song("Nina", "Sinnerman"), UpdateExpression="ADD Plays :n SET Takes[0].#e = :n",
                             ExpressionAttributeNames={"#e": "é"}, ExpressionAttributeValues={":n": {"N": "3"}}, ReturnValues="ALL_NEW")
    assert got["Attributes"]["Plays"] == {"N": "3"} and got["Attributes"]["Takes"] == {"L": [{"M": {"é": {"N": "3"}}}]}
    error = refused("ConditionalCheckFailedException", client.delete_item, TableName=TABLE, Key=song("Nina", "Sinnerman"),
                    ConditionExpression="Plays > :n", ExpressionAttributeValues={":n": {"N": "3"}})
    assert isinstance(error, client.exceptions.ConditionalCheckFailedException)
    assert client.delete_item(TableName=TABLE, Key=song("Nina", "Sinnerman"), ReturnValues="ALL_OLD")["Attributes"]["Plays"] == {"N": "3"}
    assert "Item" not in client.get_item(TableName=TABLE, Key=song("Nina", "Sinnerman"))


def test_batches_and_paginators():
    for start in range(0, 100, 25):
        requests = [{"PutRequest": {"Item": song("Bach", f"BWV {i:03}", Genre={"S": "fugue"}, Year={"N": str(1700 + i)})}} for i in
                    range(start, start + 25)]
        assert client.batch_write_item(RequestItems={TABLE: requests})["UnprocessedItems"] == {}
    keys = [song("Bach", f"BWV {i:03}") for i in range(100)]
    assert len(client.batch_get_item(RequestItems={TABLE: {"Keys": keys}})["Responses"][TABLE]) == 100
    query = {"TableName": TABLE, "KeyConditionExpression": "Artist = :a", "ExpressionAttributeValues": {":a": {"S": "Bach"}}}
    pages = list(client.get_paginator("query").paginate(**query, PaginationConfig={"PageSize": 30}))
    titles = [item["Title"]["S"] for page in pages for item in page["Items"]]
    assert len(pages) == 4 and titles == sorted(titles) and len(titles) == 100
    index = {"TableName": TABLE, "IndexName": "ByGenre", "KeyConditionExpression": "Genre = :g AND #y < :y", "ScanIndexForward": False,
             "ExpressionAttributeNames": {"#y": "Year"}, "ExpressionAttributeValues": {":g": {"S": "fugue"}, ":y": {"N": "1710"}}}
    years = [item["Year"]["N"] for page in client.get_paginator("query").paginate(**index) for item in page["Items"]]
    assert years == [str(year) for year in range(1709, 1699, -1)]
    scanned = client.get_paginator("scan").paginate(TableName=TABLE, PaginationConfig={"PageSize": 7, "MaxItems": 50})
    assert sum(page["Count"] if "Items" not in page else len(page["Items"]) for page in scanned) == 50
    segments = [client.scan(TableName=TABLE, TotalSegments=3, Segment=segment)["Count"] for segment in range(3)]
    assert sum(segments) == 100


def test_older_parameters():
    got = client.query(TableName=TABLE, KeyConditions={"Artist": {"ComparisonOperator": "EQ", "AttributeValueList": [{"S": "Bach"}]}},
                       QueryFilter={"Year": {"ComparisonOperator": "LT", "AttributeValueList": [{"N": "1705"}]}})
    assert (got["Count"], got["ScannedCount"]) == (5, 100)


def test_time_to_live():
    client.update_time_to_live(TableName=TABLE, TimeToLiveSpecification={"AttributeName": "Until", "Enabled": True})
    assert client.describe_time_to_live(TableName=TABLE)["TimeToLiveDescription"] == {"TimeToLiveStatus": "ENABLED", "AttributeName": "Until"}


def test_tags():
    arn = client.describe_table(TableName=TABLE)["Table"]["TableArn"]
    client.tag_resource(ResourceArn=arn, Tags=[{"Key": "team", "Value": "a"}, {"Key": "b", "Value": "c"}])
    client.untag_resource(ResourceArn=arn, TagKeys=["b"])
    assert client.list_tags_of_resource(ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "a"}]


def test_update_table():
    client.update_table(TableName=TABLE, AttributeDefinitions=[{"AttributeName": "Year", "AttributeType": "N"}],
                        GlobalSecondaryIndexUpdates=[{"Create": {"IndexName": "ByYear", "Projection": {"ProjectionType": "ALL"},
                                                                 "KeySchema": [{"AttributeName": "Year", "KeyType": "HASH"}]}}])
    client.get_waiter("table_exists").wait(TableName=TABLE)
    assert client.query(TableName=TABLE, IndexName="ByYear", KeyConditionExpression="#y = :y", ExpressionAttributeNames={"#y": "Year"},
                        ExpressionAttributeValues={":y": {"N": "1700"}})["Count"] == 1
    client.update_table(TableName=TABLE, GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "ByYear"}}])


def test_transactions():
    client.transact_write_items(TransactItems=[
        {"Put": {"TableName": TABLE, "Item": song("T", "1", Plays={"N": "1"})}},
        {"Update": {"TableName": TABLE, "Key": song("T", "2"), "UpdateExpression": "ADD Plays :n", "ExpressionAttributeValues": {":n": {"N": "2"}}}}])
    error = refused("TransactionCanceledException", client.transact_write_items, TransactItems=[
        {"Delete": {"TableName": TABLE, "Key": song("T", "1")}},
        {"ConditionCheck": {"TableName": TABLE, "Key": song("T", "2"), "ConditionExpression": "attribute_not_exists(Plays)"}}])
    assert [reason["Code"] for reason in error.response["CancellationReasons"]] == ["None", "ConditionalCheckFailed"]
    got = client.transact_get_items(TransactItems=[{"Get": {"TableName": TABLE, "Key": song("T", title)}} for title in ("1", "2")])
    assert [response["Item"]["Plays"]["N"] for response in got["Responses"]] == ["1", "2"]


def test_limits_endpoints_and_what_is_not_there():
    assert client.describe_limits()["AccountMaxWriteCapacityUnits"] > 0
    assert client.describe_endpoints()["Endpoints"]
    refused("UnknownOperationException", client.list_backups)
    refused("ResourceNotFoundException", client.scan, TableName="None")


def test_list_and_delete():
    assert client.list_tables()["TableNames"] == [TABLE]
    assert [page["TableNames"] for page in client.get_paginator("list_tables").paginate()] == [[TABLE]]
    client.delete_table(TableName=TABLE)
    client.get_waiter("table_not_exists").wait(TableName=TABLE)


run(list(globals().items()))
