"""What the scripts share: where the gateway is, an HTTP client that repairs nothing, and a way to say what holds.

A script is given the gateway in its environment: VALETKEY_URL, VALETKEY_BUCKET, AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY and, where it speaks TLS, AWS_CA_BUNDLE. It prints a line for each thing that it finds as it
should be and ends with an error at the first that is not.
"""

import hashlib
import http.client
import os
import random
import ssl
import sys
import tempfile
from urllib.parse import urlsplit

MIB = 1 << 20

URL = os.environ["VALETKEY_URL"]
BUCKET = os.environ["VALETKEY_BUCKET"]
ACCESS_KEY = os.environ["AWS_ACCESS_KEY_ID"]
SECRET = os.environ["AWS_SECRET_ACCESS_KEY"]
REGION = "us-east-1"

# Names that clients spell, escape and sign in different ways.
NAMES = [
    "plain.txt",
    "a space.txt",
    "two  spaces.txt",
    "plus+plus.txt",
    "percent%.txt",
    "escaped%2Fslash.txt",
    "ümläut-日本語-🔑.txt",
    "e\u0301-combining.txt",
    "tilde~dot.under_score-hyphen.txt",
    "equals=and&question?.txt",
    "hash#semi;colon:at@.txt",
    "quotes'\"<>.txt",
    "brackets[]{}()!$*,.txt",
    "back\\slash|pipe^caret`tick.txt",
    "folder/below/deep name.txt",
    # Both sort before what is in the folder.
    "folder-beside/name.txt",
    "folder.txt",
]
# A store behind the gateway may not take all characters.
NAMES = [name for name in NAMES if not set(name) & set(os.environ.get("VALETKEY_NAMES_WITHOUT", ""))]


def say(what):
    print(f"ok: {what}", flush=True)


def equal(found, wanted, what):
    if found != wanted:
        sys.exit(f"MISMATCH {what}:\n  found  {shown(found)}\n  wanted {shown(wanted)}")


def holds(truth, what, found=""):
    if not truth:
        sys.exit(f"MISMATCH {what}: {shown(found)}")


def shown(value):
    if isinstance(value, bytes) and len(value) > 300:
        return f"{len(value)} bytes, sha256 {hashlib.sha256(value).hexdigest()}"
    text = repr(value)
    return text if len(text) < 2000 else text[:2000] + "…"


def noise(size, seed=1):
    """Bytes that do not repeat, the same in each run."""
    return random.Random(seed).randbytes(size)


def folder():
    """A folder of this script's own, gone when it ends."""
    made = tempfile.TemporaryDirectory(prefix="valetkey-clients-")
    folder.kept.append(made)
    return made.name


folder.kept = []


def write(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)
    return path


def read(path):
    with open(path, "rb") as file:
        return file.read()


class Answer:
    def __init__(self, response, body):
        self.status, self.headers, self.body = response.status, response.headers, body

    @property
    def code(self):
        """S3's code of a refusal."""
        text = self.body.decode(errors="replace")
        return text.partition("<Code>")[2].partition("</Code>")[0]

    def __repr__(self):
        return f"{self.status} {dict(self.headers)} {self.body[:500]!r}"


def send(method, url, body=None, headers=None, host=None):
    """Sends the URL as it stands, in one request; `host` is what it says of itself, to whatever place it goes."""
    parts = urlsplit(url)
    place = urlsplit(URL) if host else parts
    if place.scheme == "https":
        context = ssl.create_default_context(cafile=os.environ["AWS_CA_BUNDLE"])
        connection = http.client.HTTPSConnection(place.hostname, place.port, timeout=30, context=context)
    else:
        connection = http.client.HTTPConnection(place.hostname, place.port, timeout=30)
    target = parts.path + ("?" + parts.query if parts.query else "")
    connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
    connection.putheader("Host", host or parts.netloc)
    for name, value in (headers or {}).items():
        connection.putheader(name, value)
    if body is not None:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    response = connection.getresponse()
    answer = Answer(response, response.read())
    connection.close()
    return answer


def form(url, fields, data, name="photo.png", kind="application/octet-stream"):
    """Sends a form as a browser does: the fields, then the file."""
    boundary = "----valetkey-clients"
    body = b""
    for field, value in fields.items():
        body += f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'.encode()
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\nContent-Type: {kind}\r\n\r\n'
    body += head.encode() + data + f"\r\n--{boundary}--\r\n".encode()
    return send("POST", url, body, {"Content-Type": f"multipart/form-data; boundary={boundary}"})


def accepted(answer, status, what):
    equal((answer.status, answer.headers.get("x-valetkey-reason")), (status, None), f"{what} {answer!r}")
    return answer


def refused(answer, status, code, reason, what):
    """A refusal in S3's words: its code (where there is a body), its status, and our reason."""
    found = (answer.status, answer.headers.get("x-valetkey-reason"))
    equal(found, (status, reason), f"{what} {answer!r}")
    if answer.body:
        equal(answer.code, code, f"{what} {answer!r}")
    holds(answer.headers.get("x-amz-request-id"), f"{what}: a refusal has a request id", answer)
    return answer


def client(**settings):
    """boto3's client for S3, as an application makes it."""
    import boto3
    from botocore.config import Config

    config = {"retries": {"total_max_attempts": 1}, "s3": {"addressing_style": "path"}}
    config.update(settings)
    return boto3.client("s3", endpoint_url=URL, region_name=REGION, config=Config(**config))


def fails(call, status, code, what):
    """That a call of boto3's is refused so."""
    from botocore.exceptions import ClientError

    try:
        answer = call()
    except ClientError as error:
        found = (error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"])
        equal(found, (status, code), f"{what}: {error.response}")
        return error.response
    return sys.exit(f"MISMATCH {what}: was not refused: {shown(answer)}")


def limited(made, operation, **limits):
    """Has a client sign limits into all that it presigns or sends for this operation."""

    def add(request, **_):
        request.params = {**(request.params or {}), **{f"x-vk-{name}": value for name, value in limits.items()}}

    made.meta.events.register(f"before-sign.s3.{operation}", add)
    return made
