"""boto3 as applications use it: operations, default checksums, metadata, conditions, listings, errors."""

import io

from kit import *

s3 = client()
B = {"Bucket": BUCKET}


def get(key, **parameters):
    return s3.get_object(**B, Key=key, **parameters)


for number, name in enumerate(NAMES):
    key, body = f"operations/names/{name}", noise(number * 100, number)
    s3.put_object(**B, Key=key, Body=body)
    equal(get(key)["Body"].read(), body, f"GET {name}")
    equal(s3.head_object(**B, Key=key)["ContentLength"], len(body), f"HEAD {name}")
listed = [entry["Key"] for entry in s3.list_objects_v2(**B, Prefix="operations/names/")["Contents"]]
equal(listed, sorted((f"operations/names/{name}" for name in NAMES), key=lambda it: it.encode()), "the listing")
say("names of all kinds, up, down and listed")

for algorithm in ["CRC32", "SHA1", "SHA256"]:
    key, body = f"operations/checksums/{algorithm}", noise(70_000)
    put = s3.put_object(**B, Key=key, Body=body, ChecksumAlgorithm=algorithm)
    wanted = put[f"Checksum{algorithm}"]
    found = get(key, ChecksumMode="ENABLED")
    equal(found["Body"].read(), body, algorithm)
    equal(found.get(f"Checksum{algorithm}"), wanted, f"GET's checksum {algorithm}")
    equal(s3.head_object(**B, Key=key, ChecksumMode="ENABLED").get(f"Checksum{algorithm}"), wanted, f"HEAD's {algorithm}")
    holds(f"Checksum{algorithm}" not in s3.head_object(**B, Key=key), "checksums are told where they are asked for")
    attributes = s3.get_object_attributes(**B, Key=key, ObjectAttributes=["Checksum", "ObjectSize", "ETag"])
    equal(attributes["ObjectSize"], len(body), "the size of GetObjectAttributes")
    equal(attributes["Checksum"][f"Checksum{algorithm}"], wanted, "the checksum of GetObjectAttributes")
fails(lambda: s3.put_object(**B, Key="operations/wrong", Body=b"x", ChecksumCRC32="AAAAAA=="), 400, "BadDigest", "a wrong CRC32")
fails(lambda: s3.put_object(**B, Key="operations/wrong", Body=b"x", ContentMD5="CY9rzUYh03PK3k6DJie09g=="), 400, "BadDigest", "a wrong MD5")
fails(lambda: get("operations/wrong"), 404, "NoSuchKey", "what was refused")
say("checksums are compared, kept and answered")

stream = io.BytesIO(noise(300_000))
s3.put_object(**B, Key="operations/stream", Body=stream)
equal(get("operations/stream")["Body"].read(), stream.getvalue(), "a streamed body")
s3.put_object(**B, Key="operations/empty", Body=b"")
equal(get("operations/empty")["Body"].read(), b"", "an empty object")
for quiet in ["when_required"]:
    plain = client(request_checksum_calculation=quiet, response_checksum_validation=quiet)
    plain.put_object(**B, Key="operations/plain", Body=b"plain")
    equal(plain.get_object(**B, Key="operations/plain")["Body"].read(), b"plain", "without default checksums")
unsigned = client(s3={"addressing_style": "path", "payload_signing_enabled": False})
unsigned.put_object(**B, Key="operations/unsigned", Body=b"unsigned")
equal(get("operations/unsigned")["Body"].read(), b"unsigned", "an unsigned payload")
say("streams, empty objects, no default checksums, unsigned payloads")

s3.put_object(**B, Key="operations/described", Body=b"x", ContentType="text/plain", ContentLanguage="de", CacheControl="max-age=60", ContentDisposition='attachment; filename="x.txt"', Metadata={"one": "1", "two-words": "a  b", "three": "end"})
head = s3.head_object(**B, Key="operations/described")
equal(head["ContentType"], "text/plain", "the type")
equal(head["ContentLanguage"], "de", "the language")
equal(head["ContentDisposition"], 'attachment; filename="x.txt"', "the disposition")
equal({name: " ".join(value.split()) for name, value in head["Metadata"].items()}, {"one": "1", "two-words": "a b", "three": "end"}, "the metadata")
say("metadata and the headers of an upload")

body = noise(1000)
etag = s3.put_object(**B, Key="operations/conditions", Body=body)["ETag"]
equal(s3.head_object(**B, Key="operations/conditions")["ETag"], etag, "HEAD's ETag")
part = get("operations/conditions", Range="bytes=100-199")
equal((part["Body"].read(), part["ContentRange"]), (body[100:200], "bytes 100-199/1000"), "a range")
equal(get("operations/conditions", Range="bytes=-10")["Body"].read(), body[-10:], "the last ten bytes")
fails(lambda: get("operations/conditions", Range="bytes=1000-"), 416, "InvalidRange", "a range beyond the end")
equal(get("operations/conditions", IfMatch=etag)["Body"].read(), body, "If-Match")
fails(lambda: get("operations/conditions", IfMatch='"other"'), 412, "PreconditionFailed", "another If-Match")
fails(lambda: get("operations/conditions", IfNoneMatch=etag), 304, "304", "If-None-Match")
fails(lambda: s3.put_object(**B, Key="operations/conditions", Body=b"x", IfNoneMatch="*"), 412, "PreconditionFailed", "create over an object")
fails(lambda: s3.put_object(**B, Key="operations/conditions", Body=b"x", IfMatch='"other"'), 412, "PreconditionFailed", "replace another version")
s3.put_object(**B, Key="operations/conditions", Body=b"y", IfMatch=etag)
equal(get("operations/conditions")["Body"].read(), b"y", "replaced by If-Match")
say("ranges and conditions, of reads and of writes")

keys = [f"operations/list/{folder}/{number:03}" for folder in "abc" for number in range(15)]
for key in keys:
    s3.put_object(**B, Key=key, Body=b"x")
for call in ["list_objects_v2", "list_objects"]:
    pages = s3.get_paginator(call).paginate(**B, Prefix="operations/list/", PaginationConfig={"PageSize": 7})
    equal([entry["Key"] for page in pages for entry in page["Contents"]], keys, f"the pages of {call}")
    page = getattr(s3, call)(**B, Prefix="operations/list/", Delimiter="/")
    equal([entry["Prefix"] for entry in page["CommonPrefixes"]], [f"operations/list/{it}/" for it in "abc"], f"{call}'s folders")
    holds(not page.get("Contents"), f"{call}: nothing beside the folders", page)
after = s3.list_objects_v2(**B, Prefix="operations/list/", StartAfter=keys[40])
equal([entry["Key"] for entry in after["Contents"]], keys[41:], "StartAfter")
entry = s3.list_objects_v2(**B, Prefix=keys[0], FetchOwner=True)["Contents"][0]
equal((entry["Size"], entry["ETag"]), (1, s3.head_object(**B, Key=keys[0])["ETag"]), "an entry of the listing")
beside = ["a-b/c.txt", "a.txt", "a/b-c/d", "a/b/c", "a/b0", "a0"]
for name in beside:
    s3.put_object(**B, Key=f"operations/beside/{name}", Body=b"x")
for call, size in [(call, size) for call in ["list_objects_v2", "list_objects"] for size in [1, 2, 3]]:
    pages = s3.get_paginator(call).paginate(**B, Prefix="operations/beside/", PaginationConfig={"PageSize": size})
    found = [entry["Key"].removeprefix("operations/beside/") for page in pages for entry in page["Contents"]]
    equal(found, beside, f"{call} by pages of {size}, with names beside folders")
say("listings of both versions, by pages and by folders")

copied = s3.copy_object(**B, Key="operations/copy", CopySource={**B, "Key": "operations/described"})
equal(copied["CopyObjectResult"]["ETag"], s3.head_object(**B, Key="operations/copy")["ETag"], "the copy's ETag")
equal(s3.head_object(**B, Key="operations/copy")["Metadata"]["one"], "1", "the copy's metadata")
s3.copy_object(**B, Key="operations/copy", CopySource={**B, "Key": "operations/described"}, MetadataDirective="REPLACE", Metadata={"four": "4"}, ContentType="text/csv")
head = s3.head_object(**B, Key="operations/copy")
equal((head["Metadata"], head["ContentType"]), ({"four": "4"}, "text/csv"), "replaced metadata")
for name in NAMES:
    s3.copy_object(**B, Key=f"operations/copies/{name}", CopySource={**B, "Key": f"operations/names/{name}"})
    equal(get(f"operations/copies/{name}")["Body"].read(), get(f"operations/names/{name}")["Body"].read(), f"the copy of {name}")
fails(lambda: s3.copy_object(**B, Key="operations/nothing", CopySource={**B, "Key": "operations/never"}), 404, "NoSuchKey", "a copy of nothing")
fails(lambda: s3.copy_object(**B, Key="operations/nothing", CopySource={"Bucket": "closed", "Key": "x"}), 403, "AccessDenied", "a copy out of the signer's scope")
say("copies")

s3.delete_object(**B, Key=keys[0])
s3.delete_object(**B, Key=keys[0])
deleted = s3.delete_objects(**B, Delete={"Objects": [{"Key": key} for key in keys]})
equal(sorted(entry["Key"] for entry in deleted["Deleted"]), keys, "DeleteObjects")
holds("Errors" not in deleted, "no errors", deleted)
deleted = s3.delete_objects(**B, Delete={"Objects": [{"Key": f"operations/copies/{name}"} for name in NAMES], "Quiet": True})
holds("Errors" not in deleted and "Deleted" not in deleted, "quiet", deleted)
equal(s3.list_objects_v2(**B, Prefix="operations/copies/")["KeyCount"], 0, "nothing is left")
say("deletes, one and many")

holds(BUCKET in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]], "ListBuckets names the bucket")
holds("closed" not in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]], "and none that the signer cannot see")
s3.head_bucket(**B)
s3.get_bucket_location(**B)
holds(s3.get_bucket_versioning(**B).get("Status") in [None, "Suspended"], "no versions")
for call in ["put_bucket_policy", "get_bucket_policy"]:
    parameters = {"Policy": "{}"} if call.startswith("put") else {}
    try:
        getattr(s3, call)(**B, **parameters)
        sys.exit(f"MISMATCH {call} was not refused")
    except s3.exceptions.ClientError as error:
        holds(error.response["Error"]["Code"] in ["NotImplemented", "NoSuchBucketPolicy"], call, error.response)
fails(lambda: s3.head_object(**B, Key="operations/never"), 404, "404", "HEAD of nothing")
fails(lambda: get("operations/never"), 404, "NoSuchKey", "GET of nothing")
fails(lambda: s3.get_object(Bucket="closed", Key="x"), 403, "AccessDenied", "out of scope")
try:
    get("operations/never")
except s3.exceptions.NoSuchKey as error:
    metadata = error.response["ResponseMetadata"]
    holds(metadata["RequestId"] and metadata["HTTPHeaders"]["x-valetkey-reason"] == "not_found", "an error's names", metadata)
say("buckets, and errors that boto3 knows by their class")
