"""s3cmd: put, get, ls, info, cp, mv, sync, parts, del."""

from urllib.parse import urlsplit

from command import HOME, TOOLS, run, tree
from kit import *

place = urlsplit(URL)
write(
    f"{HOME}/s3cfg",
    f"""[default]
access_key = {ACCESS_KEY}
secret_key = {SECRET}
host_base = {place.netloc}
host_bucket = {place.netloc}
use_https = {place.scheme == "https"}
max_retries = 1
""".encode(),
)
store = f"s3://{BUCKET}/s3cmd"


def s3cmd(*arguments, **more):
    return run(f"{TOOLS}/s3cmd", "--config", f"{HOME}/s3cfg", "--no-progress", *arguments, **more)


for name in NAMES:
    write(f"{HOME}/tree/{name}", noise(len(name) * 100))
wanted = tree(f"{HOME}/tree")
large = noise(17 * MIB + 3)
write(f"{HOME}/large.bin", large)

s3cmd("put", f"{HOME}/tree/plain.txt", f"{store}/plain.txt", "--mime-type", "text/x-own", "--add-header", "x-amz-meta-by: s3cmd")
equal(s3cmd("get", f"{store}/plain.txt", "-"), wanted["plain.txt"], "get")
information = s3cmd("info", f"{store}/plain.txt").decode()
holds("text/x-own" in information and "x-amz-meta-by: s3cmd" in information, "info", information)
s3cmd("put", f"{HOME}/large.bin", f"{store}/large.bin", "--multipart-chunk-size-mb=5")
s3cmd("get", f"{store}/large.bin", f"{HOME}/large.down")
equal(read(f"{HOME}/large.down"), large, "17 MiB in parts")
say("put, get, info, and 17 MiB in parts")

s3cmd("sync", f"{HOME}/tree/", f"{store}/tree/")
s3cmd("sync", f"{store}/tree/", f"{HOME}/down/")
equal(tree(f"{HOME}/down"), wanted, "the tree that came back")
lines = s3cmd("ls", "--recursive", f"{store}/tree/").decode().rstrip("\n").split("\n")
equal(len(lines), len(wanted), "ls --recursive")
holds(f"s3://{BUCKET}" in s3cmd("ls").decode(), "ls of the buckets")
say("sync of a tree with all kinds of names, up and down, and ls")

s3cmd("cp", f"{store}/plain.txt", f"{store}/copy.txt")
s3cmd("mv", f"{store}/copy.txt", f"{store}/moved.txt")
equal(s3cmd("get", f"{store}/moved.txt", "-"), wanted["plain.txt"], "what was copied and moved")
s3cmd("modify", "--add-header", "x-amz-meta-by: modify", f"{store}/moved.txt")
holds("x-amz-meta-by: modify" in s3cmd("info", f"{store}/moved.txt").decode(), "modify")
say("cp, mv, modify")

s3cmd("del", f"{store}/plain.txt")
s3cmd("get", f"{store}/plain.txt", f"{HOME}/nothing", gives=64)
s3cmd("del", "--recursive", "--force", f"{store}/")
equal(s3cmd("ls", "--recursive", f"{store}/"), b"", "nothing is left")
say("del, one and all")
