"""Inserts one document with PyMongo at the URI given, prints `ok`, and ends at once."""

import os
import sys

from pymongo import MongoClient

MongoClient(sys.argv[1])["first"]["c"].insert_one({})
print("ok", flush=True)
os._exit(0)
