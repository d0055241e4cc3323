"""Signs the GetCallerIdentity request of MONGODB-AWS with botocore, for each case of a file (JSON, one a line).

Prints a line for each: the date and the Authorization header.
"""

import datetime
import json
import sys

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

BODY = "Action=GetCallerIdentity&Version=2011-06-15"


def sign(case):
    auth = SigV4Auth(Credentials(case["id"], case["secret"], case["token"]), "sts", case["region"])
    request = AWSRequest(method="POST", url=f"https://{case['host']}/", data=BODY)
    for name, value in {
        "Content-Type": "application/x-www-form-urlencoded",
        "Content-Length": str(len(BODY)),
        "Host": case["host"],
        "X-MongoDB-Server-Nonce": case["nonce"],
        "X-MongoDB-GS2-CB-Flag": "n",
    }.items():
        request.headers[name] = value
    moment = datetime.datetime.fromtimestamp(case["seconds"], datetime.timezone.utc)
    request.context["timestamp"] = moment.strftime("%Y%m%dT%H%M%SZ")
    # What add_auth does, but for the moment, which it would take from the clock.
    auth._modify_request_before_signing(request)
    text = auth.string_to_sign(request, auth.canonical_request(request))
    auth._inject_signature_to_request(request, auth.signature(text, request))
    return f"{request.headers['X-Amz-Date']} {request.headers['Authorization']}"


for line in open(sys.argv[1], encoding="utf-8"):
    print(sign(json.loads(line)))
