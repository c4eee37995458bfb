"""curl, which signs with version 4 by itself: --aws-sigv4."""

from urllib.parse import quote

from command import HOME, run
from kit import *


def curl(method, target, *arguments):
    """The status and the body of curl's answer."""
    # S3 asks for this header; older versions of curl leave it to their user.
    unsigned = ["--header", "x-amz-content-sha256: UNSIGNED-PAYLOAD"]
    signed = ["--aws-sigv4", f"aws:amz:{REGION}:s3", "--user", f"{ACCESS_KEY}:{SECRET}", *unsigned]
    shape = ["--silent", "--show-error", "--path-as-is", "--max-time", "60", "--output", f"{HOME}/answer", "--write-out", "%{http_code}"]
    verb = ["--head"] if method == "HEAD" else ["--request", method]
    write(f"{HOME}/answer", b"")
    status = int(run("curl", *shape, *signed, *verb, *arguments, URL + target))
    return status, read(f"{HOME}/answer")


for name in ["plain.txt", "a space.txt", "ümläut.txt", "plus+plus.txt", "tilde~.txt"]:
    target = f"/{BUCKET}/{quote('curl/' + name, safe='/~')}"
    body = noise(2000)
    write(f"{HOME}/file", body)
    equal(curl("PUT", target, "--data-binary", f"@{HOME}/file", "--header", "Content-Type: text/x-own")[0], 200, f"PUT {name}")
    equal(curl("GET", target), (200, body), f"GET {name}")
    equal(curl("HEAD", target)[0], 200, f"HEAD {name}")
    equal(curl("GET", target, "--range", "0-9"), (206, body[:10]), f"range {name}")
    equal(curl("DELETE", target)[0], 204, f"DELETE {name}")
    equal(curl("GET", target)[0], 404, f"GET of deleted {name}")
say("put, get, head, range and delete, signed by curl")

write(f"{HOME}/large", noise(8 * MIB))
answer = curl("PUT", f"/{BUCKET}/curl/large", "--upload-file", f"{HOME}/large")
equal(answer[0], 200, f"an upload of 8 MiB {answer}")
equal(curl("GET", f"/{BUCKET}/curl/large")[1], noise(8 * MIB), "its bytes")
status, listing = curl("GET", f"/{BUCKET}/?list-type=2&prefix=curl%2F")
holds(status == 200 and b"<Key>curl/large</Key>" in listing, "a listing", (status, listing))
say("8 MiB, and a listing")

SECRET = SECRET + "x"
status, document = curl("GET", f"/{BUCKET}/curl/large")
holds(status == 403 and b"SignatureDoesNotMatch" in document, "another secret", (status, document))
say("another secret is refused")
