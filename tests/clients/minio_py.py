"""minio's client for Python: objects, parts, streams, presigned URLs, forms, many deletes."""

import io
from datetime import datetime, timedelta, timezone
from urllib.parse import urlsplit

from minio import Minio, S3Error
from minio.commonconfig import REPLACE, ComposeSource, CopySource
from minio.datatypes import PostPolicy
from minio.deleteobjects import DeleteObject

from kit import *

place = urlsplit(URL)
made = Minio(place.netloc, access_key=ACCESS_KEY, secret_key=SECRET, secure=place.scheme == "https")


def get(key, **parameters):
    answer = made.get_object(BUCKET, key, **parameters)
    try:
        return answer.read()
    finally:
        answer.close()
        answer.release_conn()


for number, name in enumerate(NAMES):
    body = noise(1000 + number)
    made.put_object(BUCKET, f"minio/names/{name}", io.BytesIO(body), len(body))
    equal(get(f"minio/names/{name}"), body, f"GET {name}")
listed = [entry.object_name for entry in made.list_objects(BUCKET, prefix="minio/names/", recursive=True)]
equal(sorted(listed), sorted(f"minio/names/{name}" for name in NAMES), "the listing")
say("names of all kinds")

made.put_object(BUCKET, "minio/described", io.BytesIO(b"x"), 1, content_type="text/x-own", metadata={"by": "minio"})
found = made.stat_object(BUCKET, "minio/described")
equal((found.size, found.content_type, found.metadata["x-amz-meta-by"]), (1, "text/x-own", "minio"), "stat")
equal(get("minio/names/plain.txt", offset=10, length=5), noise(1000)[10:15], "a range")
say("metadata, stat, a range")

large = noise(17 * MIB + 3)
made.put_object(BUCKET, "minio/parts", io.BytesIO(large), len(large), part_size=5 * MIB)
equal(get("minio/parts"), large, "parts")
made.put_object(BUCKET, "minio/unknown", io.BytesIO(large), -1, part_size=5 * MIB)
equal(get("minio/unknown"), large, "parts of a stream of unknown length")
say("parts, of a stream of unknown length too")

made.copy_object(BUCKET, "minio/copy", CopySource(BUCKET, "minio/described"))
equal(made.stat_object(BUCKET, "minio/copy").metadata["x-amz-meta-by"], "minio", "the copy's metadata")
made.copy_object(BUCKET, "minio/copy", CopySource(BUCKET, "minio/described"), metadata={"by": "copy"}, metadata_directive=REPLACE)
equal(made.stat_object(BUCKET, "minio/copy").metadata["x-amz-meta-by"], "copy", "replaced metadata")
made.compose_object(BUCKET, "minio/composed", [ComposeSource(BUCKET, "minio/parts"), ComposeSource(BUCKET, "minio/described")])
equal(get("minio/composed"), large + b"x", "composed of two")
say("copy_object and compose_object")

url = made.presigned_put_object(BUCKET, "minio/presigned a+b.txt", expires=timedelta(minutes=5))
accepted(send("PUT", url, b"presigned"), 200, "a presigned PUT")
url = made.presigned_get_object(BUCKET, "minio/presigned a+b.txt", response_headers={"response-content-type": "text/x-own"})
answer = accepted(send("GET", url), 200, "a presigned GET")
equal((answer.body, answer.headers["content-type"]), (b"presigned", "text/x-own"), "what it gives")
say("presigned URLs")

policy = PostPolicy(BUCKET, datetime.now(timezone.utc) + timedelta(minutes=5))
policy.add_starts_with_condition("key", "minio/forms/")
policy.add_content_length_range_condition(1, 100)
fields = made.presigned_post_policy(policy)
bucket = f"{URL}/{BUCKET}"
accepted(form(bucket, {**fields, "key": "minio/forms/one"}, b"form"), 204, "a form")
equal(get("minio/forms/one"), b"form", "its bytes")
equal(form(bucket, {**fields, "key": "minio/elsewhere"}, b"form").status, 403, "a key that the policy does not allow")
refused(form(bucket, {**fields, "key": "minio/forms/two"}, noise(101)), 400, "EntityTooLarge", "too_large", "too much")
say("a form")

holds(made.bucket_exists(BUCKET), "bucket_exists")
holds(BUCKET in [bucket.name for bucket in made.list_buckets()], "list_buckets")
try:
    get("minio/never")
    sys.exit("MISMATCH what never was, is there")
except S3Error as error:
    equal(error.code, "NoSuchKey", "the code of what is not there")
errors = made.remove_objects(BUCKET, [DeleteObject(f"minio/names/{name}") for name in NAMES])
equal(list(errors), [], "remove_objects")
made.remove_object(BUCKET, "minio/described")
equal([entry.object_name for entry in made.list_objects(BUCKET, prefix="minio/names/")], [], "nothing is left")
say("buckets, errors, deletes")
