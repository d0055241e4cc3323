"""Logs in with PyMongo's human flow of MONGODB-OIDC. The token is that in OIDC_TOKEN_FILE.

Prints a line for each URI given: `ok USER@DATABASE told ISSUER CLIENT_ID SCOPES`, `auth CODE`, or `error WHAT`.
"""

import os
import sys

from pymongo import MongoClient
from pymongo.auth_oidc import OIDCCallback, OIDCCallbackResult
from pymongo.errors import OperationFailure, PyMongoError


class Person(OIDCCallback):
    info = None

    def fetch(self, context):
        self.info = context.idp_info
        with open(os.environ["OIDC_TOKEN_FILE"], encoding="utf-8") as file:
            return OIDCCallbackResult(access_token=file.read().strip())


def verdict(uri):
    person = Person()
    properties = {"OIDC_HUMAN_CALLBACK": person}
    try:
        with MongoClient(uri, authMechanismProperties=properties, serverSelectionTimeoutMS=10000) as client:
            users = client.admin.command("connectionStatus")["authInfo"]["authenticatedUsers"]
            told = person.info
            names = " ".join(f"{user['user']}@{user['db']}" for user in users)
            return f"ok {names} told {told.issuer} {told.clientId} {','.join(told.requestScopes)}"
    except OperationFailure as error:
        return f"auth {error.code}"
    except PyMongoError as error:
        return f"error {type(error).__name__} {error}".replace("\n", " ")


for argument in sys.argv[1:]:
    print(verdict(argument), flush=True)
