# Where botocore asks STS and the portal of IAM Identity Center: a line "REGION SETTING STS-URL PORTAL-URL" for each region that it
# knows and each setting of AWS_STS_REGIONAL_ENDPOINTS.
import os

import botocore.session

loader = botocore.session.get_session().get_component("data_loader")
regions = []
for partition in loader.load_data("endpoints")["partitions"]:
    regions += sorted(partition["regions"])
for setting in ["regional", "legacy"]:
    os.environ["AWS_STS_REGIONAL_ENDPOINTS"] = setting
    session = botocore.session.get_session()
    session.register_component("data_loader", loader)
    session.set_credentials("x", "x")
    for region in regions:
        urls = [session.create_client(name, region_name=region).meta.endpoint_url for name in ["sts", "sso"]]
        print(region, setting, *urls)
