"""Requests that botocore signed, as JSON: `signer.py SEED COUNT`. What our verifier and our signer are held against."""

import json
import random
import sys
from types import SimpleNamespace
from urllib.parse import quote, urlsplit

from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from os import environ

ACCESS_KEY = environ["AWS_ACCESS_KEY_ID"]
SECRET = environ["AWS_SECRET_ACCESS_KEY"]

PIECES = ["a", "B", "7", "file", "-", ".", "_", "~", " ", "  ", "+", "%", "%2F", "%zz", "&", "=", "?", "#", ";", ":", "@", ",", "!", "*", "'"]
PIECES += ['"', "(", ")", "[", "]", "{", "}", "<", ">", "\\", "^", "`", "|", "$", "ü", "e\u0301", "日本", "🔑", "\u00a0", "\u202e"]
SEPARATORS = ["/", "/", "/", "//", "/./", "/../"]
HEADERS = ["content-type", "cache-control", "content-language", "range", "if-match", "x-own-header", "x-amz-meta-colour", "x-amz-meta-a-b", "accept-language"]
PARAMETERS = ["prefix", "delimiter", "uploadId", "partNumber", "list-type", "x-id", "own", "Own", "own-ü", "a b", "a+b", "a/b", "tagging", "uploads"]


def text(chance, most=6):
    return "".join(chance.choice(PIECES) for _ in range(chance.randint(1, most)))


def path(chance):
    names = [quote(text(chance), safe="~") for _ in range(chance.randint(0, 4))]
    joined = "".join(name + chance.choice(SEPARATORS) for name in names)
    return "/files/" + (joined if chance.random() < 0.2 else joined.rstrip("/"))


def query(chance):
    pairs = []
    for name in chance.sample(PARAMETERS, chance.randint(0, 4)):
        for _ in range(chance.choice([1, 1, 1, 2])):
            shape = chance.random()
            value = "" if shape < 0.2 else "=" if shape < 0.3 else "=" + quote(text(chance), safe="~")
            pairs.append(quote(name, safe="~") + value)
    return "&".join(pairs)


def headers(chance):
    found = {}
    for name in chance.sample(HEADERS, chance.randint(0, 4)):
        value = "".join(chance.choice("aZ09 \t,;=/\"'()%+*~") for _ in range(chance.randint(1, 20)))
        found[name] = value.strip() or "x"
    return found


def request(chance):
    method = chance.choice(["GET", "PUT", "HEAD", "DELETE", "POST"])
    host = chance.choice(["files.example.com", "127.0.0.1:9000", "localhost:80", "xn--bcher-kva.example:8443"])
    scheme = chance.choice(["http", "https"])
    made = query(chance)
    url = f"{scheme}://{host}{path(chance)}" + ("?" + made if made else "")
    return AWSRequest(method=method, url=url, headers=headers(chance), data=chance.randbytes(chance.randint(0, 50)))


def context(chance, made):
    """One of the ways in which botocore speaks of a body."""
    kind = chance.choice(["hash", "unsigned", "trailer"])
    if kind == "trailer" and made.method in ["PUT", "POST"]:
        made.context["checksum"] = {"request_algorithm": {"in": "trailer", "algorithm": "crc32", "name": "x-amz-checksum-crc32"}}
        made.headers["x-amz-trailer"] = "x-amz-checksum-crc32"
        made.headers["x-amz-decoded-content-length"] = str(len(made.data or b""))
        made.headers["content-encoding"] = "aws-chunked"
    elif kind == "unsigned":
        made.context["client_config"] = SimpleNamespace(s3={"payload_signing_enabled": False})
        made.context["has_streaming_input"] = True


def as_sent(made):
    parts = urlsplit(made.url)
    found = [[name.lower(), value.decode() if isinstance(value, bytes) else value] for name, value in made.headers.items()]
    names = [name for name, _ in found]
    # Botocore leaves this one to its HTTP client.
    if "host" not in names:
        standard = {"http": 80, "https": 443}[parts.scheme]
        found.append(["host", parts.hostname if parts.port in [None, standard] else f"{parts.hostname}:{parts.port}"])
    return {"method": made.method, "path": parts.path, "query": parts.query, "headers": found}


seed, count = int(sys.argv[1]), int(sys.argv[2])
chance = random.Random(seed)
credentials = Credentials(ACCESS_KEY, SECRET)
cases = []
for _ in range(count):
    region = chance.choice(["us-east-1", "eu-central-1", "auto"])
    made = request(chance)
    if chance.random() < 0.5:
        expires = chance.randint(1, 604_800)
        # Whoever presigns has no body yet.
        made.data = b""
        S3SigV4QueryAuth(credentials, "s3", region, expires=expires).add_auth(made)
        cases.append({"way": "query", "region": region, "expires": expires, **as_sent(made)})
    else:
        context(chance, made)
        S3SigV4Auth(credentials, "s3", region).add_auth(made)
        cases.append({"way": "header", "region": region, **as_sent(made)})
json.dump(cases, sys.stdout)
