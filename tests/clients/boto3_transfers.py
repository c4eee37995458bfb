"""boto3's TransferManager: multipart uploads and downloads in parallel, and the calls that they are made of."""

import io

from boto3.s3.transfer import TransferConfig

from kit import *

s3 = client()
B = {"Bucket": BUCKET}
config = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB, max_concurrency=4)

body = noise(23 * MIB + 17)
where = folder()
path = write(f"{where}/up", body)
seen = []
s3.upload_file(path, BUCKET, "transfers/large.bin", Config=config, Callback=seen.append, ExtraArgs={"ContentType": "application/x-own", "Metadata": {"by": "parts"}})
equal(sum(seen), len(body), "the progress of the upload")
head = s3.head_object(**B, Key="transfers/large.bin")
equal((head["ContentLength"], head["ContentType"], head["Metadata"]), (len(body), "application/x-own", {"by": "parts"}), "its head")
s3.download_file(BUCKET, "transfers/large.bin", f"{where}/down", Config=config)
equal(read(f"{where}/down"), body, "the bytes")
say("upload_file and download_file of 23 MiB, in parts")


class Pipe(io.RawIOBase):
    """What cannot be sought."""

    def __init__(self, data):
        self.data = io.BytesIO(data)

    def readable(self):
        return True

    def readinto(self, buffer):
        return self.data.readinto(buffer)


s3.upload_fileobj(io.BufferedReader(Pipe(body)), BUCKET, "transfers/pipe.bin", Config=config)
sink = io.BytesIO()
s3.download_fileobj(BUCKET, "transfers/pipe.bin", sink, Config=config)
equal(sink.getvalue(), body, "the bytes of the pipe")
small = noise(1000)
s3.upload_fileobj(io.BytesIO(small), BUCKET, "transfers/small.bin", Config=config)
equal(s3.get_object(**B, Key="transfers/small.bin")["Body"].read(), small, "a small one")
say("upload_fileobj of what cannot be sought, and of what needs no parts")

s3.copy({**B, "Key": "transfers/large.bin"}, BUCKET, "transfers/copy.bin", Config=config)
equal(s3.get_object(**B, Key="transfers/copy.bin")["Body"].read(), body, "the copy")
say("a managed copy in parts")

for algorithm in ["CRC32", "SHA1", "SHA256"]:
    key = f"transfers/{algorithm}.bin"
    s3.upload_file(path, BUCKET, key, Config=config, ExtraArgs={"ChecksumAlgorithm": algorithm})
    equal(s3.get_object(**B, Key=key, ChecksumMode="ENABLED")["Body"].read(), body, algorithm)
say("checksums of parts")

begun = s3.create_multipart_upload(**B, Key="transfers/manual.bin")
equal(begun["Key"], "transfers/manual.bin", "the upload's key")
upload = {**B, "Key": "transfers/manual.bin", "UploadId": begun["UploadId"]}
pieces = {1: body[: 5 * MIB], 3: body[5 * MIB : 10 * MIB], 10000: body[10 * MIB : 10 * MIB + 5]}
etags = {}
for number, piece in pieces.items():
    s3.upload_part(**upload, PartNumber=number, Body=noise(100))
    etags[number] = s3.upload_part(**upload, PartNumber=number, Body=piece)["ETag"]
parts = s3.list_parts(**upload, MaxParts=2)
equal(([part["PartNumber"] for part in parts["Parts"]], parts["IsTruncated"]), ([1, 3], True), "ListParts")
rest = s3.list_parts(**upload, PartNumberMarker=parts["NextPartNumberMarker"])
equal([(part["PartNumber"], part["Size"], part["ETag"]) for part in rest["Parts"]], [(10000, 5, etags[10000])], "its second page")
uploads = s3.list_multipart_uploads(**B, Prefix="transfers/").get("Uploads", [])
holds(begun["UploadId"] in [entry["UploadId"] for entry in uploads], "ListMultipartUploads", uploads)
fails(lambda: s3.head_object(**B, Key="transfers/manual.bin"), 404, "404", "nothing is there before it is completed")


def complete(numbers, **changed):
    listed = [{"PartNumber": number, "ETag": changed.get(str(number), etags.get(number, '"0"'))} for number in numbers]
    return s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": listed})


fails(lambda: complete([3, 1]), 400, "InvalidPartOrder", "parts out of order")
fails(lambda: complete([1, 2]), 400, "InvalidPart", "a part that is not there")
fails(lambda: complete([1, 3], **{"3": etags[1]}), 400, "InvalidPart", "another ETag")
fails(lambda: s3.upload_part(**upload, PartNumber=0, Body=b"x"), 400, "InvalidArgument", "part 0")
fails(lambda: s3.upload_part(**upload, PartNumber=10001, Body=b"x"), 400, "InvalidArgument", "part 10001")
done = complete([1, 3, 10000])
holds("-3" in done["ETag"], "the ETag of three parts", done)
equal(s3.get_object(**B, Key="transfers/manual.bin")["Body"].read(), b"".join(pieces.values()), "the parts, joined")
say("parts by hand: replaced, listed, out of order, joined")

upload = {**B, "Key": "transfers/short.bin", "UploadId": s3.create_multipart_upload(**B, Key="transfers/short.bin")["UploadId"]}
etags = {number: s3.upload_part(**upload, PartNumber=number, Body=b"short")["ETag"] for number in [1, 2]}
fails(lambda: complete([1, 2]), 400, "EntityTooSmall", "a first part under 5 MiB")
s3.abort_multipart_upload(**upload)
fails(lambda: s3.upload_part(**upload, PartNumber=1, Body=b"x"), 404, "NoSuchUpload", "a part after the abort")
fails(lambda: s3.list_parts(**{**upload, "UploadId": "made-up"}), 404, "NoSuchUpload", "an upload that never was")
fails(lambda: s3.head_object(**B, Key="transfers/short.bin"), 404, "404", "an aborted upload")
say("an aborted upload leaves nothing")


def limits(**named):
    made = client()

    def add(request, **_):
        for name, value in named.items():
            request.headers[f"x-vk-{name}"] = value

    made.meta.events.register("before-sign.s3", add)
    return made


capped = limits(max=str(12 * MIB), id=f"capped-parts-{BUCKET}")
from boto3.exceptions import S3UploadFailedError

try:
    capped.upload_file(path, BUCKET, "transfers/capped.bin", Config=config)
    sys.exit("MISMATCH 23 MiB in parts under a limit of 12 MiB were not refused")
except S3UploadFailedError as error:
    holds("EntityTooLarge" in str(error), "the refusal of parts over the limit", str(error))
fails(lambda: s3.head_object(**B, Key="transfers/capped.bin"), 404, "404", "what was over its limit")
counted = limits(uses="1", id=f"counted-parts-{BUCKET}")
counted.upload_file(path, BUCKET, "transfers/counted.bin", Config=config)
equal(s3.head_object(**B, Key="transfers/counted.bin")["ContentLength"], len(body), "the one use")
fails(lambda: counted.put_object(**B, Key="transfers/counted.bin", Body=b"x"), 403, "AccessDenied", "a second use")
say("a limit holds for all parts together, and the upload is one use")

signer = client(signature_version="s3v4")
upload = {**B, "Key": "transfers/presigned.bin", "UploadId": s3.create_multipart_upload(**B, Key="transfers/presigned.bin")["UploadId"]}
etags = {}
for number, piece in [(1, body[: 5 * MIB]), (2, b"the end")]:
    url = signer.generate_presigned_url("upload_part", {**upload, "PartNumber": number})
    etags[number] = accepted(send("PUT", url, piece), 200, f"presigned part {number}").headers["etag"]
    refused(send("PUT", url.replace("partNumber=", "partNumber=1"), piece), 403, "SignatureDoesNotMatch", "bad_signature", "another part")
complete([1, 2])
equal(s3.get_object(**B, Key="transfers/presigned.bin")["Body"].read(), body[: 5 * MIB] + b"the end", "presigned parts")
say("presigned parts")
