"""Logs in with PyMongo to each URI given and prints a line for each: `ok USER@DATABASE`, `auth CODE`, or `error WHAT`."""

import sys
import warnings

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError


def verdict(uri):
    try:
        limit = {} if "serverSelectionTimeoutMS" in uri else {"serverSelectionTimeoutMS": 10000}
        with MongoClient(uri, **limit) as client:
            client.admin.command("listDatabases")
            users = client.admin.command("connectionStatus")["authInfo"]["authenticatedUsers"]
            return "ok " + " ".join(f"{user['user']}@{user['db']}" for user in users)
    except OperationFailure as error:
        return f"auth {error.code}"
    except (PyMongoError, LookupError, ValueError) as error:  # the latter two: PyMongo on malformed payloads
        return f"error {type(error).__name__} {error}".replace("\n", " ")


warnings.simplefilter("ignore")
sys.stdout.reconfigure(encoding="utf-8")
for argument in sys.argv[1:]:
    print(verdict(argument), flush=True)
