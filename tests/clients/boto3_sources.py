# Which AWS keys boto3 picks. Standard input: a JSON list of environments. Prints a line for each: METHOD ACCESS-KEY-ID, "nothing", or
# "error WHAT".
import json
import os
import sys

import boto3
import botocore.session
from botocore.credentials import SSOProvider
from botocore.tokens import SSOTokenProvider


# What botocore knows of AWS is read once.
LOADER = botocore.session.get_session().get_component("data_loader")


def pick(environment):
    os.environ.clear()
    os.environ.update(environment)
    # botocore works this folder out once, when it is loaded.
    folder = os.path.join(environment["HOME"], ".aws", "sso", "cache")
    SSOProvider._SSO_TOKEN_CACHE_DIR = folder
    SSOTokenProvider._SSO_TOKEN_CACHE_DIR = folder
    try:
        session = botocore.session.get_session()
        session.register_component("data_loader", LOADER)
        credentials = boto3.session.Session(botocore_session=session).get_credentials()
        if credentials is None:
            return "nothing"
        access_key = credentials.get_frozen_credentials().access_key
        return f"{credentials.method} {access_key}".replace("\n", "\\n")
    except Exception as error:
        return "error " + str(error).replace("\n", " ")


for environment in json.load(sys.stdin):
    print(pick(environment), flush=True)
