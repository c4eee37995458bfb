"""boto3 over TLS, where its default is another: a body in chunks with its checksum behind it."""

import io

from boto3.s3.transfer import TransferConfig

from kit import *

s3 = client()
B = {"Bucket": BUCKET}
sent = []
s3.meta.events.register("before-send.s3", lambda request, **_: sent.append(request.headers.get("X-Amz-Content-SHA256")))

for size in [0, 1, 65_535, 65_536, 1_000_001]:
    body = noise(size)
    put = s3.put_object(**B, Key="tls/object", Body=body)
    holds("ChecksumCRC32" in put, "the default checksum is answered", put)
    equal(s3.get_object(**B, Key="tls/object")["Body"].read(), body, f"{size} bytes")
holds(b"STREAMING-UNSIGNED-PAYLOAD-TRAILER" in sent or "STREAMING-UNSIGNED-PAYLOAD-TRAILER" in sent, "it sent trailers", sent)
say("bodies in chunks with a trailer")

s3.put_object(**B, Key="tls/stream", Body=io.BytesIO(noise(200_000)), ChecksumAlgorithm="SHA256")
head = s3.head_object(**B, Key="tls/stream", ChecksumMode="ENABLED")
holds("ChecksumSHA256" in head, "the checksum that was asked for", head)
equal(s3.get_object(**B, Key="tls/stream", ChecksumMode="ENABLED")["Body"].read(), noise(200_000), "a stream")
say("a chosen checksum")

config = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)
body = noise(12 * MIB)
s3.upload_fileobj(io.BytesIO(body), BUCKET, "tls/parts", Config=config)
sink = io.BytesIO()
s3.download_fileobj(BUCKET, "tls/parts", sink, Config=config)
equal(sink.getvalue(), body, "parts")
say("parts in chunks with trailers")

limited(s3, "PutObject", max="1000")
s3.put_object(**B, Key="tls/limited", Body=noise(1000))
fails(lambda: s3.put_object(**B, Key="tls/limited", Body=noise(1001)), 400, "EntityTooLarge", "a limit counts what is decoded")
equal(s3.head_object(**B, Key="tls/limited")["ContentLength"], 1000, "what stays")
say("a limit counts decoded bytes")

url = client(signature_version="s3v4").generate_presigned_url("get_object", {**B, "Key": "tls/limited"})
equal(accepted(send("GET", url), 200, "a presigned GET").body, noise(1000), "its bytes")
say("a presigned URL over TLS")
