# moto serves AWS' IAM and STS on a free port of 127.0.0.1 until standard input ends.
#
#   moto_server.py enforced    IAM is enforced: signatures are verified, what no policy allows is refused
#   moto_server.py off         anyone may do anything, also unsigned
#
# Prints one line: URL ACCESS-KEY-ID SECRET ACCESS-KEY-ID SECRET TOKEN. The first keys are those of a user who may do everything; the
# roles "first" and "second" of the account 123456789012 may, too. The second keys are temporary ones of "second", session "stub".
import json
import logging
import os
import sys
import threading

# Each call to IAM that the set-up below makes.
SETUP_CALLS = 7
if sys.argv[1] == "enforced":
    os.environ["INITIAL_NO_AUTH_ACTION_COUNT"] = str(SETUP_CALLS)

import boto3
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
}


def set_up(url):
    iam = boto3.client(
        "iam", endpoint_url=url, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    iam.create_user(UserName="tester")
    key = iam.create_access_key(UserName="tester")["AccessKey"]
    iam.put_user_policy(UserName="tester", PolicyName="all", PolicyDocument=json.dumps(POLICY))
    for role in ["first", "second"]:
        iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(TRUST))
        iam.put_role_policy(RoleName=role, PolicyName="all", PolicyDocument=json.dumps(POLICY))
    sts = boto3.client(
        "sts",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
    )
    role = sts.assume_role(RoleArn="arn:aws:iam::123456789012:role/second", RoleSessionName="stub")["Credentials"]
    temporary = [role["AccessKeyId"], role["SecretAccessKey"], role["SessionToken"]]
    return key["AccessKeyId"], key["SecretAccessKey"], *temporary


logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"
print(url, *set_up(url), flush=True)
sys.stdin.read()
