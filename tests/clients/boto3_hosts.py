"""boto3 with a host for each bucket: what is signed, presigned, listed and uploaded in parts."""

import socket
from urllib.parse import urlsplit

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

from kit import *

PLACE = urlsplit(URL)
resolve = socket.getaddrinfo


def here(host, port, *rest, **more):
    """Whatever lies below s3.example.com is this gateway."""
    if str(host).endswith("s3.example.com"):
        return resolve(PLACE.hostname, PLACE.port, *rest, **more)
    return resolve(host, port, *rest, **more)


socket.getaddrinfo = here
s3 = boto3.client(
    "s3",
    endpoint_url=f"http://s3.example.com:{PLACE.port}",
    region_name=REGION,
    config=Config(
        signature_version="s3v4",
        s3={"addressing_style": "virtual"},
        retries={"total_max_attempts": 1},
        proxies={},
    ),
)
HOST = f"{BUCKET}.s3.example.com:{PLACE.port}"
sent = []
s3.meta.events.register("before-send.s3", lambda request, **_: sent.append(urlsplit(request.url).netloc))

for number, name in enumerate(NAMES):
    key, body = f"hosts/{name}", noise(1000, number)
    s3.put_object(Bucket=BUCKET, Key=key, Body=body)
    equal(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read(), body, f"GET {name}")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": key})
    equal(urlsplit(url).netloc, HOST, "the host of a presigned URL")
    equal(accepted(send("GET", url, host=HOST), 200, f"presigned GET {name}").body, body, f"presigned GET {name}")
equal(set(sent), {HOST}, "where requests go")
listed = [entry["Key"] for entry in s3.list_objects_v2(Bucket=BUCKET, Prefix="hosts/")["Contents"]]
equal(len(listed), len(NAMES), "the listing")
say("objects by the hosts of their buckets")

equal([bucket["Name"] for bucket in s3.list_buckets()["Buckets"]], [BUCKET], "the buckets")
large = write(f"{folder()}/large", noise(11 * MIB))
s3.upload_file(large, BUCKET, "hosts/large", Config=TransferConfig(multipart_threshold=MIB, multipart_chunksize=5 * MIB))
equal(s3.get_object(Bucket=BUCKET, Key="hosts/large")["Body"].read(), read(large), "what was uploaded in parts")
s3.copy_object(Bucket=BUCKET, Key="hosts/copy", CopySource={"Bucket": BUCKET, "Key": "hosts/large"})
s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "hosts/copy"}, {"Key": "hosts/large"}]})
fails(lambda: s3.head_object(Bucket=BUCKET, Key="hosts/copy"), 404, "404", "what was deleted")
say("buckets, parts, copies and deletes")
