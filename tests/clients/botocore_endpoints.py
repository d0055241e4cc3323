# Where botocore asks STS and the portal of IAM Identity Center: a line "REGION SETTING FIPS DUAL-STACK STS-URL PORTAL-URL" for each
# region that it knows, each setting of AWS_STS_REGIONAL_ENDPOINTS, and FIPS and dual stack each true or false. "none" is no URL.
import itertools
import os

import botocore.session
from botocore.exceptions import EndpointVariantError

loader = botocore.session.get_session().get_component("data_loader")
regions = []
for partition in loader.load_data("endpoints")["partitions"]:
    regions += sorted(partition["regions"])


def url(session, name, region):
    try:
        return session.create_client(name, region_name=region).meta.endpoint_url
    except EndpointVariantError:
        return "none"


for setting, fips, dual_stack in itertools.product(["regional", "legacy"], ["false", "true"], ["false", "true"]):
    os.environ["AWS_STS_REGIONAL_ENDPOINTS"] = setting
    os.environ["AWS_USE_FIPS_ENDPOINT"] = fips
    os.environ["AWS_USE_DUALSTACK_ENDPOINT"] = dual_stack
    session = botocore.session.get_session()
    session.register_component("data_loader", loader)
    session.set_credentials("x", "x")
    for region in regions:
        print(region, setting, fips, dual_stack, *[url(session, name, region) for name in ["sts", "sso"]])
