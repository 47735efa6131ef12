"""What a suite in Python needs: functions named test_*, run in order, and a count in the last line.

A function with needs("Operation") is skipped where the server has no such operation.
"""
import os
import sys
import traceback

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT = os.environ["ENDPOINT"]
SETTINGS = {"endpoint_url": ENDPOINT, "config": Config(retries={"max_attempts": 4, "mode": "standard"})}


def needs(operation):
    def mark(function):
        function.needs = operation
        return function
    return mark


def refused(code, call, **arguments):
    """The error of a call that must be refused with this code."""
    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error
        return error
    raise AssertionError(f"not refused: {code}")


def has(operation):
    client = boto3.client("dynamodb", **SETTINGS)
    method = "".join("_" + c.lower() if c.isupper() else c for c in operation).strip("_")
    arguments = {"TransactWriteItems": {"TransactItems": [{}]}, "TagResource": {"ResourceArn": "x", "Tags": []},
                 "UpdateTable": {"TableName": "xxx"}}[operation]
    try:
        getattr(client, method)(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"] != "UnknownOperationException"
    return True


def run(functions):
    passed = failed = 0
    for name, function in functions:
        if not name.startswith("test_"):
            continue
        operation = getattr(function, "needs", None)
        if operation and not has(operation):
            print(f"skipped: {name}: no {operation}")
            continue
        try:
            function()
            passed += 1
        except Exception:  # a test may fail in any way
            failed += 1
            print(f"FAILED: {name}: {traceback.format_exc()}")
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0)
