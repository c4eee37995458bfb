"""boto3's presigned URLs: each verb with each kind of name, and what such a URL must not open."""

from datetime import datetime, timedelta, timezone
from unittest import mock

from kit import *

s3 = client(signature_version="s3v4")


def url(operation, key=None, expires=600, made=s3, **parameters):
    if key is not None:
        parameters["Key"] = key
    return made.generate_presigned_url(operation, {"Bucket": BUCKET, **parameters}, ExpiresIn=expires)


for number, name in enumerate(NAMES):
    key, body = f"presigned/{name}", noise(1000 + number, number)
    accepted(send("PUT", url("put_object", key), body), 200, f"PUT {name}")
    answer = accepted(send("GET", url("get_object", key)), 200, f"GET {name}")
    equal(answer.body, body, f"GET {name}")
    answer = accepted(send("HEAD", url("head_object", key)), 200, f"HEAD {name}")
    equal(answer.headers["content-length"], str(len(body)), f"HEAD {name}")
    part = accepted(send("GET", url("get_object", key), headers={"Range": "bytes=10-19"}), 206, f"range {name}")
    equal(part.body, body[10:20], f"range {name}")
    accepted(send("DELETE", url("delete_object", key)), 204, f"DELETE {name}")
    refused(send("GET", url("get_object", key)), 404, "NoSuchKey", "not_found", f"GET of deleted {name}")
    say(f"put, get, head, range, delete {name!r}")

key, body = "presigned/object.txt", b"some text"
accepted(send("PUT", url("put_object", key), body), 200, "PUT")

forbidden = "SignatureDoesNotMatch", "bad_signature"
refused(send("HEAD", url("get_object", key)), 403, *forbidden, "the URL of a GET, for HEAD")
refused(send("GET", url("head_object", key)), 403, *forbidden, "the URL of a HEAD, for GET")
refused(send("PUT", url("get_object", key), b"other"), 403, *forbidden, "the URL of a GET, for PUT")
refused(send("DELETE", url("put_object", key)), 403, *forbidden, "the URL of a PUT, for DELETE")
refused(send("POST", url("put_object", key), b""), 403, *forbidden, "the URL of a PUT, for POST")
refused(send("GET", url("get_object", key).replace("object.txt", "objecu.txt")), 403, *forbidden, "another object")
refused(send("GET", url("get_object", key) + "&response-content-type=text/html"), 403, *forbidden, "a parameter more")
refused(send("GET", url("get_object", key).replace("Expires=600", "Expires=601")), 403, *forbidden, "a longer life")
signed = url("get_object", key)
flipped = signed[:-1] + ("0" if signed[-1] != "0" else "1")
refused(send("GET", flipped), 403, *forbidden, "another signature")
refused(send("GET", signed, host="elsewhere.example"), 403, *forbidden, "another host")
say("a presigned URL opens what was signed, by its own verb alone")

refused(
    send("PUT", url("put_object", key), b"x", {"x-amz-acl": "public-read"}), 400, "InvalidRequest", "bad_request", "an unsigned header"
)
refused(send("GET", url("get_object", key), headers={"Authorization": "AWS4-HMAC-SHA256 x"}), 400, "InvalidRequest", "bad_request", "two credentials")
equal(send("GET", url("get_object", key)).body, body, "the object, after all that")
say("what is not signed does not change what is done")

with mock.patch("botocore.auth.get_current_datetime", create=True) as now:
    now.return_value = datetime.now(timezone.utc).replace(tzinfo=None) - timedelta(hours=1)
    old = url("get_object", key, expires=60)
if "X-Amz-Date=" + (datetime.now(timezone.utc) - timedelta(hours=1)).strftime("%Y%m%dT%H") not in old:
    sys.exit("botocore's clock was not set back; this test needs another way")
answer = refused(send("GET", old), 403, "AccessDenied", "expired", "a URL after its end")
holds(b"Request has expired" in answer.body, "S3's words of an expired URL", answer)
say("a URL ends with its time, in S3's words")

import boto3
from botocore.config import Config

config = Config(signature_version="s3v4", s3={"addressing_style": "path"})
stranger = boto3.client("s3", endpoint_url=URL, region_name=REGION, config=config, aws_access_key_id="stranger", aws_secret_access_key=SECRET)
forger = boto3.client("s3", endpoint_url=URL, region_name=REGION, config=config, aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET + "x")
refused(send("GET", url("get_object", key, made=stranger)), 403, "InvalidAccessKeyId", "bad_signature", "an unknown signer")
refused(send("GET", url("get_object", key, made=forger)), 403, *forbidden, "another secret")
say("unknown signers and wrong secrets are refused")

for region in ["eu-central-1", "auto", "mars-1"]:
    made = boto3.client("s3", endpoint_url=URL, region_name=region, config=config)
    accepted(send("GET", url("get_object", key, made=made)), 200, f"region {region}")
say("any region is taken")

disposition = 'attachment; filename="Mona Lisa.txt"; filename*=UTF-8\'\'M%C3%B6na.txt'
answer = send("GET", url("get_object", key, ResponseContentDisposition=disposition, ResponseContentType="text/x-own", ResponseCacheControl="no-cache", ResponseContentLanguage="de", ResponseExpires=datetime(2030, 1, 1)))
accepted(answer, 200, "response overrides")
equal(answer.headers["content-disposition"], disposition, "response-content-disposition")
equal(answer.headers["content-type"], "text/x-own", "response-content-type")
equal(answer.headers["content-language"], "de", "response-content-language")
holds("no-cache" in answer.headers["cache-control"], "response-cache-control", answer)
say("signed response-* parameters are answered")

typed = url("put_object", "presigned/typed.bin", ContentType="application/x-own", Metadata={"colour": "dark blue"}, CacheControl="max-age=60", ContentDisposition="inline")
headers = {"Content-Type": "application/x-own", "x-amz-meta-colour": "dark blue", "Cache-Control": "max-age=60", "Content-Disposition": "inline"}
refused(send("PUT", typed, b"x", {**headers, "Content-Type": "text/html"}), 403, *forbidden, "another type than the signed one")
refused(send("PUT", typed, b"x", {name: value for name, value in headers.items() if name != "x-amz-meta-colour"}), 403, *forbidden, "without signed metadata")
accepted(send("PUT", typed, b"x", headers), 200, "PUT with signed headers")
answer = accepted(send("HEAD", url("head_object", "presigned/typed.bin")), 200, "HEAD")
equal(answer.headers["content-type"], "application/x-own", "the type")
equal(answer.headers["x-amz-meta-colour"], "dark blue", "metadata")
equal(answer.headers["content-disposition"], "inline", "the disposition that was signed")
say("signed headers bind the upload and are kept with the object")

once = url("put_object", "presigned/once.txt", IfNoneMatch="*")
refused(send("PUT", once, b"1"), 403, *forbidden, "without the signed condition")
accepted(send("PUT", once, b"1", {"If-None-Match": "*"}), 200, "the first of two")
refused(send("PUT", once, b"2", {"If-None-Match": "*"}), 412, "PreconditionFailed", "already_exists", "the second of two")
say("a signed If-None-Match: * creates and never replaces")

import base64

digest = base64.b64encode(hashlib.sha256(b"exactly this").digest()).decode()
exact = url("put_object", "presigned/exact.txt", ChecksumSHA256=digest)
wrong = send("PUT", exact, b"exactly that", {"x-amz-checksum-sha256": digest, "x-amz-sdk-checksum-algorithm": "SHA256"})
equal((wrong.status, wrong.headers.get("x-valetkey-reason")), (400, "digest_mismatch"), f"other bytes than signed {wrong!r}")
accepted(send("PUT", exact, b"exactly this", {"x-amz-checksum-sha256": digest, "x-amz-sdk-checksum-algorithm": "SHA256"}), 200, "the signed bytes")
say("a signed checksum binds the bytes")

listing = accepted(send("GET", url("list_objects_v2", Prefix="presigned/", MaxKeys=2)), 200, "list")
holds(listing.body.count(b"<Contents>") == 2 and b"<IsTruncated>true" in listing.body, "a listing of two", listing)
refused(send("GET", url("list_objects_v2", Prefix="presigned/").replace("presigned%2F", "")), 403, *forbidden, "another prefix")
accepted(send("GET", url("list_objects", Prefix="presigned/")), 200, "list, version 1")
accepted(send("HEAD", url("head_bucket")), 200, "HEAD of the bucket")
say("presigned listings")
