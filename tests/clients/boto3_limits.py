"""Limits that plain boto3 mints: x-vk-NAME as signed parameters of a URL, or as signed headers of a request."""

from kit import *

key = "limits/object.bin"


def presigner(operation, **limits):
    return limited(client(signature_version="s3v4"), operation, **limits)


def url(made, operation, key=key, **parameters):
    return made.generate_presigned_url(operation, {"Bucket": BUCKET, "Key": key, **parameters}, ExpiresIn=600)


put = url(presigner("PutObject", max="1000", uses="1", id="upload-1"), "put_object")
holds("x-vk-uses=1" in put and "x-vk-max=1000" in put, "the limits stand in the URL", put)
refused(send("PUT", put, noise(1001)), 400, "EntityTooLarge", "too_large", "over the signed size")
accepted(send("PUT", put, noise(1000)), 200, "the signed size")
refused(send("PUT", put, noise(1000)), 403, "AccessDenied", "uses_exhausted", "a second use")
say("one upload of at most 1000 bytes")

get = url(presigner("GetObject", uses="1", id="download-1"), "get_object")
equal(accepted(send("GET", get, headers={"User-Agent": "one"}), 200, "the one download").body, noise(1000), "its bytes")
refused(send("GET", get, headers={"User-Agent": "two"}), 403, "AccessDenied", "uses_exhausted", "a second download")
say("one download")

for change, reason in [
    (lambda text: text.replace("x-vk-uses=1", "x-vk-uses=2"), "bad_signature"),
    (lambda text: text.replace("&x-vk-uses=1", "").replace("x-vk-uses=1&", ""), "bad_signature"),
]:
    changed = change(get)
    holds(changed != get, "the URL was changed", get)
    refused(send("GET", changed), 403, "SignatureDoesNotMatch", reason, "a changed limit")
for name, value in [("Uses", "1"), ("unheard-of", "1"), ("uses", "01"), ("allow", "read"), ("uses", "")]:
    answer = send("GET", url(presigner("GetObject", **{name: value}), "get_object"))
    refused(answer, 400, "AuthorizationQueryParametersError", "malformed_key", f"x-vk-{name}={value}")
answer = send("GET", url(client(signature_version="s3v4"), "get_object"), headers={"x-vk-uses": "1"})
refused(answer, 400, "AuthorizationQueryParametersError", "malformed_key", "an unsigned limit")
say("limits that are changed, unknown, not canonical or unsigned are refused")

made = presigner("PutObject", type="image/png", subject="user 1", files="1", id="typed-1")
typed = url(made, "put_object", ContentType="image/png")
png = bytes.fromhex("89504e470d0a1a0a0000000d4948445200000001000000010804000000b51c0c02")
refused(send("PUT", typed, b"<html>", {"Content-Type": "image/png"}), 400, "InvalidRequest", "type_not_allowed", "HTML as a PNG")
accepted(send("PUT", typed, png, {"Content-Type": "image/png"}), 200, "a PNG")
say("x-vk-type, x-vk-subject and x-vk-files")

elsewhere = url(presigner("GetObject", ip="198.51.100.0/24"), "get_object")
refused(send("GET", elsewhere), 403, "AccessDenied", "client_not_allowed", "another address")
here = url(presigner("GetObject", ip="127.0.0.0/8,::1/128"), "get_object")
accepted(send("GET", here), 200, "this address")
say("x-vk-ip")


def with_headers(**limits):
    """A client that signs limits into the headers of each request."""
    s3 = client()

    def add(request, **_):
        for name, value in limits.items():
            request.headers[f"x-vk-{name}"] = value

    s3.meta.events.register("before-sign.s3", add)
    return s3


s3 = with_headers(uses="2", id="batch-1", max="10")
s3.put_object(Bucket=BUCKET, Key="limits/one", Body=b"1")
fails(lambda: s3.put_object(Bucket=BUCKET, Key="limits/two", Body=b"12345678901"), 400, "EntityTooLarge", "over max")
s3.put_object(Bucket=BUCKET, Key="limits/two", Body=b"2")
fails(lambda: s3.put_object(Bucket=BUCKET, Key="limits/three", Body=b"3"), 403, "AccessDenied", "a third use")
client().put_object(Bucket=BUCKET, Key="limits/three", Body=b"3")
say("limits in signed headers count over the requests of one id")
