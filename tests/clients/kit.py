"""What a suite in Python needs: functions named test_*, run in order, and a count in the last line."""
import os
import sys
import traceback

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT = os.environ["ENDPOINT"]
SETTINGS = {"endpoint_url": ENDPOINT, "config": Config(retries={"max_attempts": 4, "mode": "standard"})}


def refused(code, call, **arguments):
    """The error of a call that must be refused with this code."""
    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error
        return error
    raise AssertionError(f"not refused: {code}")


def run(functions):
    passed = failed = 0
    for name, function in functions:
        if not name.startswith("test_"):
            continue
        try:
            function()
            passed += 1
        except Exception:  # a test may fail in any way
            failed += 1
            print(f"FAILED: {name}: {traceback.format_exc()}")
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0)
