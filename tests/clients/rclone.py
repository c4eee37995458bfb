"""rclone: trees copied, compared, synchronised, moved and deleted; parts; links."""

import json
import os

from command import HOME, run, tree
from kit import *

settings = {
    "RCLONE_CONFIG": f"{HOME}/rclone.conf",
    "RCLONE_CONFIG_VK_TYPE": "s3",
    "RCLONE_CONFIG_VK_PROVIDER": "Other",
    "RCLONE_CONFIG_VK_ENDPOINT": URL,
    "RCLONE_CONFIG_VK_ACCESS_KEY_ID": ACCESS_KEY,
    "RCLONE_CONFIG_VK_SECRET_ACCESS_KEY": SECRET,
    "RCLONE_CONFIG_VK_REGION": REGION,
    # It would make the bucket before it pipes into it; here the configuration makes buckets.
    "RCLONE_S3_NO_CHECK_BUCKET": "true",
    "RCLONE_RETRIES": "1",
    "RCLONE_LOW_LEVEL_RETRIES": "1",
}
write(f"{HOME}/rclone.conf", b"")
store = f"vk:{BUCKET}/rclone"


def rclone(*arguments, **more):
    return run("rclone", *arguments, environment=settings, **more)


for name in NAMES:
    write(f"{HOME}/tree/{name}", noise(len(name) * 100))
large = noise(20 * MIB + 3)
write(f"{HOME}/tree/large.bin", large)
wanted = tree(f"{HOME}/tree")
parts = ["--s3-upload-cutoff", "5Mi", "--s3-chunk-size", "5Mi"]

rclone("copy", f"{HOME}/tree", f"{store}/tree", *parts)
rclone("check", f"{HOME}/tree", f"{store}/tree")
rclone("check", "--download", f"{HOME}/tree", f"{store}/tree")
say("copy of a tree with all kinds of names, in parts where it is large, and check")

rclone("copy", f"{store}/tree", f"{HOME}/down")
equal(tree(f"{HOME}/down"), wanted, "the tree that came back")
size = json.loads(rclone("size", "--json", f"{store}/tree"))
equal((size["count"], size["bytes"]), (len(wanted), sum(map(len, wanted.values()))), "size")
listed = {entry["Path"] for entry in json.loads(rclone("lsjson", "--recursive", "--files-only", f"{store}/tree"))}
equal(listed, set(wanted), "lsjson")
holds(BUCKET in rclone("lsd", "vk:").decode(), "lsd of the buckets")
say("copy back, size, lsjson, lsd")

write(f"{HOME}/tree/plain.txt", b"changed")
rclone("sync", f"{HOME}/tree", f"{store}/tree", *parts)
equal(rclone("cat", f"{store}/tree/plain.txt"), b"changed", "what was changed")
rclone("touch", "--no-create", "--timestamp", "2020-02-02T02:02:02", f"{store}/tree/plain.txt")
equal(rclone("cat", f"{store}/tree/plain.txt"), b"changed", "what was touched")
holds("2020-02-02" in rclone("lsl", f"{store}/tree/plain.txt").decode(), "its new time")
rclone("rcat", f"{store}/piped", sends=large, *parts)
equal(rclone("cat", f"{store}/piped"), large, "a pipe, in parts")
equal(rclone("cat", "--offset", "100", "--count", "10", f"{store}/piped"), large[100:110], "a range")
say("sync, touch, rcat, cat of a range")

rclone("moveto", f"{store}/piped", f"{store}/moved")
equal(rclone("cat", f"{store}/moved"), large, "what was moved")
equal(json.loads(rclone("lsjson", "--files-only", store))[0]["Path"], "moved", "only its new name is there")
link = rclone("link", f"{store}/moved", "--expire", "10m").decode().strip()
equal(accepted(send("GET", link), 200, "the link").body, large, "its bytes")
say("moveto and link")

rclone("move", f"{store}/tree", f"{store}/elsewhere", "--delete-empty-src-dirs", *parts)
rclone("check", f"{HOME}/tree", f"{store}/elsewhere")
equal({entry["Path"] for entry in json.loads(rclone("lsjson", store))}, {"elsewhere", "moved"}, "the tree's new place")
for name in ["plain.txt", "folder/below/deep name.txt"]:
    os.remove(f"{HOME}/tree/{name}")
rclone("sync", f"{HOME}/tree", f"{store}/elsewhere", *parts)
rclone("check", f"{HOME}/tree", f"{store}/elsewhere")
say("move of a tree within the store, and a sync that deletes")

rclone("deletefile", f"{store}/moved")
rclone("purge", f"{store}/elsewhere")
equal(json.loads(rclone("lsjson", "--recursive", "--files-only", f"vk:{BUCKET}/rclone/") or b"[]"), [], "nothing is left")
say("deletefile and purge")
