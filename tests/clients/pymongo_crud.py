"""Reads and writes documents with PyMongo at the URI given, with nothing that the tiny store lacks, and prints `ok`."""

import sys
import time

from pymongo import InsertOne, MongoClient, UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure
from pymongo.write_concern import WriteConcern


def check(found, expected):
    assert found == expected, f"found {found!r}, expected {expected!r}"


def crud(client):
    database = client["front_crud"]
    things = database["things"]
    things.drop()
    check(things.insert_one({"_id": 1, "name": "one", "n": 1}).inserted_id, 1)
    check(len(things.insert_many([{"_id": i, "n": i % 5} for i in range(2, 502)]).inserted_ids), 500)
    try:
        things.insert_one({"_id": 1})
        raise AssertionError("a second document of the same id was taken")
    except DuplicateKeyError as error:
        check(error.code, 11000)
    try:
        things.bulk_write([InsertOne({"_id": 600}), InsertOne({"_id": 600}), UpdateOne({"_id": 600}, {"$set": {"n": 9}})], ordered=False)
        raise AssertionError("a second document of the same id was taken")
    except BulkWriteError as error:
        check([e["index"] for e in error.details["writeErrors"]], [1])
    check(things.find_one({"_id": 600}), {"_id": 600, "n": 9})
    check(things.find_one({"_id": 1}), {"_id": 1, "name": "one", "n": 1})
    check(things.find_one({"name": "nobody"}), None)
    check(len(list(things.find({"n": 3}, batch_size=7))), 100)
    check(len(list(things.find({}, skip=2, limit=5))), 5)
    check(things.count_documents({"n": 3}), 100)
    check(things.count_documents({}), 502)
    check(things.estimated_document_count(), 502)
    check(things.update_one({"_id": 1}, {"$set": {"name": "eins"}}).modified_count, 1)
    check(things.update_one({"_id": 1}, {"$set": {"name": "eins"}}).modified_count, 0)
    check(things.update_many({"n": 2}, {"$set": {"even": True}}).matched_count, 100)
    check(things.replace_one({"_id": 1}, {"new": [1, {"deep": "ä"}]}).modified_count, 1)
    check(things.find_one({"_id": 1}), {"_id": 1, "new": [1, {"deep": "ä"}]})
    check(things.update_one({"_id": "u"}, {"$set": {"x": 1}}, upsert=True).upserted_id, "u")
    check(things.delete_one({"_id": "u"}).deleted_count, 1)
    check(things.delete_many({"n": 4}).deleted_count, 100)
    things.with_options(write_concern=WriteConcern(w=0)).insert_one({"_id": "unacknowledged"})
    limit = time.monotonic() + 30
    while things.find_one({"_id": "unacknowledged"}) is None:
        assert time.monotonic() < limit, "the unacknowledged write did not arrive"
    assert "front_crud" in client.list_database_names()
    check(database.list_collection_names(), ["things"])
    things.drop()
    check(database.list_collection_names(), [])
    try:
        client.admin.command("noSuchCommand")
        raise AssertionError("noSuchCommand was taken")
    except OperationFailure as error:
        check((error.code, error.details["codeName"]), (59, "CommandNotFound"))


with MongoClient(sys.argv[1], serverSelectionTimeoutMS=10000) as client:
    crud(client)
print("ok")
