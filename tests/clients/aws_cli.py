"""AWS's command line: cp, ls, sync, mv, rm, presign and some calls of s3api."""

import json

from command import HOME, TOOLS, run, tree
from kit import *


def aws(*arguments, **settings):
    return run(f"{TOOLS}/aws", "--endpoint-url", URL, *arguments, **settings)


# Without it, this version of the tool presigns with signature version 2.
write(f"{HOME}/.aws/config", b"[default]\ns3 =\n    signature_version = s3v4\n")
store = f"s3://{BUCKET}/cli"
for name in NAMES:
    write(f"{HOME}/tree/{name}", noise(len(name) * 100))
large = noise(20 * MIB + 3)
write(f"{HOME}/tree/large.bin", large)
wanted = tree(f"{HOME}/tree")

aws("s3", "cp", f"{HOME}/tree/plain.txt", f"{store}/plain.txt")
equal(aws("s3", "cp", f"{store}/plain.txt", "-"), wanted["plain.txt"], "cp to standard output")
aws("s3", "cp", "-", f"{store}/piped.txt", sends=b"from a pipe")
equal(aws("s3", "cp", f"{store}/piped.txt", "-"), b"from a pipe", "cp from standard input")
aws("s3", "cp", f"{HOME}/tree/large.bin", f"{store}/large.bin")
aws("s3", "cp", f"{store}/large.bin", f"{HOME}/large.down")
equal(read(f"{HOME}/large.down"), large, "20 MiB up and down")
say("cp, of pipes and of 20 MiB in parts")

aws("s3", "sync", f"{HOME}/tree", f"{store}/tree")
equal(aws("s3", "sync", f"{HOME}/tree", f"{store}/tree"), b"", "a second sync has nothing to do")
aws("s3", "sync", f"{store}/tree", f"{HOME}/down")
equal(tree(f"{HOME}/down"), wanted, "the tree that came back")
say("sync of a tree with all kinds of names, up and down")

lines = aws("s3", "ls", f"{store}/").decode().split("\n")
holds(any(line.endswith("PRE tree/") for line in lines), "ls shows the folder", lines)
lines = aws("s3", "ls", "--recursive", f"{store}/tree/").decode().rstrip("\n").split("\n")
equal(len(lines), len(wanted), "ls --recursive")
holds(any(line.endswith(f"{len(large)} cli/tree/large.bin") for line in lines), "ls says sizes", lines)
holds(BUCKET in aws("s3", "ls").decode(), "ls of the buckets")
aws("s3", "ls", f"{store}/nothing/", gives=1)
say("ls")

aws("s3", "cp", f"{store}/large.bin", f"{store}/large.copy")
aws("s3", "mv", f"{store}/large.copy", f"{store}/large.moved")
equal(aws("s3", "cp", f"{store}/large.moved", "-"), large, "a copy that was moved")
aws("s3", "ls", f"{store}/large.copy", gives=1)
say("cp and mv within the store")

url = aws("s3", "presign", f"{store}/plain.txt", "--expires-in", "60").decode().strip()
equal(accepted(send("GET", url), 200, "the presigned URL").body, wanted["plain.txt"], "its bytes")
holds("X-Amz-Algorithm=AWS4-HMAC-SHA256" in url, "presign signs with version 4", url)
say("presign")

head = json.loads(aws("s3api", "head-object", "--bucket", BUCKET, "--key", "cli/plain.txt"))
equal(head["ContentLength"], len(wanted["plain.txt"]), "head-object")
aws("s3api", "head-object", "--bucket", BUCKET, "--key", "cli/nothing", gives=255)
aws("s3api", "put-object", "--bucket", BUCKET, "--key", "cli/plain.txt", "--body", f"{HOME}/tree/plain.txt", "--if-none-match", "*", gives=255)
aws("s3api", "get-object", "--bucket", BUCKET, "--key", "cli/plain.txt", "--range", "bytes=0-9", f"{HOME}/part")
equal(read(f"{HOME}/part"), wanted["plain.txt"][:10], "get-object of a range")
say("s3api: head-object, put-object with a condition, get-object of a range")

aws("s3", "rm", f"{store}/plain.txt")
aws("s3", "ls", f"{store}/plain.txt", gives=1)
write(f"{HOME}/few/plain.txt", b"x")
aws("s3", "sync", "--delete", f"{HOME}/few", f"{store}/tree")
equal(len(aws("s3", "ls", "--recursive", f"{store}/tree/").splitlines()), 1, "sync --delete leaves what is there")
aws("s3", "rm", "--recursive", f"{store}/")
aws("s3", "ls", f"{store}/", gives=1)
say("rm, sync --delete and rm --recursive")
