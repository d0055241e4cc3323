"""What PyMongo reads out of each connection string given: `MECHANISM|source|user|password`, `none`, or `refused`."""

import sys
import warnings

from pymongo import MongoClient
from pymongo.errors import PyMongoError


def reading(uri):
    try:
        with MongoClient(uri, connect=False) as client:
            credential = client.options.pool_options._credentials
    except (PyMongoError, ValueError):
        return "refused"
    if credential is None:
        return "none"
    parts = (credential.mechanism, credential.source, credential.username, credential.password)
    return "|".join(part or "" for part in parts)


warnings.simplefilter("ignore")
sys.stdout.reconfigure(encoding="utf-8")
for argument in sys.argv[1:]:
    print(reading(argument), flush=True)
