// The JavaScript SDK: objects in all its ways to send a body, presigned URLs, parts of a stream, errors by class.

import { createCipheriv, createHash } from "node:crypto";
import { Readable } from "node:stream";
import assert from "node:assert/strict";
import {
  CopyObjectCommand, DeleteObjectCommand, DeleteObjectsCommand, GetObjectCommand, HeadObjectCommand,
  ListBucketsCommand, ListObjectsV2Command, NoSuchKey, paginateListObjectsV2, PutObjectCommand, S3Client,
  UploadPartCommand, CreateMultipartUploadCommand, CompleteMultipartUploadCommand,
} from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";

const { VALETKEY_URL: endpoint, VALETKEY_BUCKET: Bucket } = process.env;
const client = new S3Client({ endpoint, region: "us-east-1", forcePathStyle: true, maxAttempts: 1 });
const say = (what) => console.log(`ok: ${what}`);
const MIB = 1 << 20;

/** Bytes that do not repeat, the same in each run. */
function noise(size, seed = "1") {
  const key = createHash("sha256").update(seed).digest();
  return createCipheriv("aes-256-ctr", key, Buffer.alloc(16)).update(Buffer.alloc(size));
}

const put = (Key, Body, more = {}) => client.send(new PutObjectCommand({ Bucket, Key, Body, ...more }));
const head = (Key, more = {}) => client.send(new HeadObjectCommand({ Bucket, Key, ...more }));
async function get(Key, more = {}) {
  const answer = await client.send(new GetObjectCommand({ Bucket, Key, ...more }));
  return { ...answer, bytes: Buffer.from(await answer.Body.transformToByteArray()) };
}
async function is(Key, bytes, what) {
  assert.equal(Buffer.compare((await get(Key)).bytes, bytes), 0, what);
}
async function fails(promise, status, name, what) {
  const error = await promise.then(() => assert.fail(`${what}: was not refused`), (error) => error);
  assert.deepEqual([error.$metadata?.httpStatusCode, error.name], [status, name], `${what}: ${error}`);
  return error;
}

const NAMES = [
  "plain.txt", "a space.txt", "plus+plus.txt", "percent%.txt", "escaped%2Fslash.txt", "ümläut-日本語-🔑.txt",
  "equals=and&question?.txt", "hash#semi;colon:at@.txt", "quotes'\"<>.txt", "brackets[]{}()!$*,.txt", "tilde~.txt",
];
for (const name of NAMES) {
  const bytes = noise(1000, name);
  await put(`js/names/${name}`, bytes);
  await is(`js/names/${name}`, bytes, name);
  assert.equal((await head(`js/names/${name}`)).ContentLength, bytes.length, name);
}
say("names of all kinds");

for (const algorithm of ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"]) {
  const key = `js/checksums/${algorithm}`;
  const answer = await put(key, noise(70_000), { ChecksumAlgorithm: algorithm });
  const checksum = answer[`Checksum${algorithm}`];
  assert.ok(checksum, `${algorithm} is answered`);
  assert.equal((await head(key, { ChecksumMode: "ENABLED" }))[`Checksum${algorithm}`], checksum, algorithm);
  const got = await get(key, { ChecksumMode: "ENABLED" });
  assert.equal(Buffer.compare(got.bytes, noise(70_000)), 0, algorithm);
}
await fails(put("js/wrong", "x", { ChecksumCRC32: "AAAAAA==" }), 400, "BadDigest", "a wrong checksum");
say("all checksums, compared, kept and answered");

const bytes = noise(300_000);
await put("js/text", "some text: ümläut");
await is("js/text", Buffer.from("some text: ümläut"), "a text");
await put("js/stream", Readable.from([bytes.subarray(0, 1), bytes.subarray(1)]), { ContentLength: bytes.length });
await is("js/stream", bytes, "a stream of a known length");
await put("js/empty", "");
await is("js/empty", Buffer.alloc(0), "an empty object");
say("texts, streams, empty objects");

await put("js/described", "x", { ContentType: "text/x-own", Metadata: { by: "javascript" }, CacheControl: "max-age=60" });
const described = await head("js/described");
assert.deepEqual([described.ContentType, described.Metadata], ["text/x-own", { by: "javascript" }]);
const ETag = (await head("js/stream")).ETag;
assert.equal(Buffer.compare((await get("js/stream", { Range: "bytes=5-9" })).bytes, bytes.subarray(5, 10)), 0, "a range");
await get("js/stream", { IfMatch: ETag });
await fails(get("js/stream", { IfMatch: '"other"' }), 412, "PreconditionFailed", "another version");
await fails(put("js/stream", "x", { IfNoneMatch: "*" }), 412, "PreconditionFailed", "a create over an object");
const missing = await fails(get("js/never"), 404, "NoSuchKey", "what never was");
assert.ok(missing instanceof NoSuchKey, "the class of the error");
await fails(head("js/never"), 404, "NotFound", "HEAD of what never was");
say("metadata, ranges, conditions, errors by class");

const keys = Array.from({ length: 12 }, (_, at) => `js/list/${String(at).padStart(3, "0")}`);
for (const key of keys) await put(key, "x");
const listed = [];
for await (const page of paginateListObjectsV2({ client, pageSize: 5 }, { Bucket, Prefix: "js/list/" })) {
  listed.push(...page.Contents.map((entry) => entry.Key));
}
assert.deepEqual(listed, keys);
const folders = await client.send(new ListObjectsV2Command({ Bucket, Prefix: "js/", Delimiter: "/" }));
assert.deepEqual(folders.CommonPrefixes.map((it) => it.Prefix), ["js/checksums/", "js/list/", "js/names/"]);
assert.ok((await client.send(new ListBucketsCommand({}))).Buckets.some((it) => it.Name === Bucket));
await client.send(new CopyObjectCommand({ Bucket, Key: "js/copy", CopySource: `${Bucket}/js/described` }));
assert.deepEqual((await head("js/copy")).Metadata, { by: "javascript" });
await client.send(new DeleteObjectCommand({ Bucket, Key: "js/copy" }));
const Objects = keys.map((Key) => ({ Key }));
const deleted = await client.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects } }));
assert.deepEqual(deleted.Deleted.map((it) => it.Key).sort(), keys);
assert.equal((await client.send(new ListObjectsV2Command({ Bucket, Prefix: "js/list/" }))).KeyCount, 0);
say("listings, copies, deletes");

// What the signer puts into the URL before there is a body must not bind the body.
const signed = (command, settings = {}) => getSignedUrl(client, command, { expiresIn: 300, ...settings });
for (const name of NAMES) {
  const Key = `js/presigned/${name}`;
  const body = noise(500, name);
  const upload = await signed(new PutObjectCommand({ Bucket, Key }));
  let answer = await fetch(upload, { method: "PUT", body });
  assert.equal(answer.status, 200, `${upload} ${await answer.text()}`);
  answer = await fetch(await signed(new GetObjectCommand({ Bucket, Key })));
  assert.equal(Buffer.compare(Buffer.from(await answer.arrayBuffer()), body), 0, name);
  answer = await fetch(upload);
  assert.equal(answer.status, 403, "the URL of a PUT, for GET");
}
const typed = await signed(new PutObjectCommand({ Bucket, Key: "js/presigned/typed", ContentType: "image/x-own" }), {
  signableHeaders: new Set(["content-type"]),
});
assert.equal((await fetch(typed, { method: "PUT", body: "x", headers: { "content-type": "text/html" } })).status, 403);
assert.equal((await fetch(typed, { method: "PUT", body: "x", headers: { "content-type": "image/x-own" } })).status, 200);
const shown = await fetch(await signed(new GetObjectCommand({
  Bucket, Key: "js/presigned/typed", ResponseContentDisposition: 'attachment; filename="a b.png"',
})));
assert.equal(shown.headers.get("content-disposition"), 'attachment; filename="a b.png"');
say("presigned URLs");

const once = new PutObjectCommand({ Bucket, Key: "js/presigned/once" });
once.middlewareStack.add(
  (next) => (args) => {
    args.request.query = { ...args.request.query, "x-vk-uses": "1", "x-vk-max": "10", "x-vk-id": "js-1" };
    return next(args);
  },
  { step: "build" },
);
const limited = await signed(once);
assert.ok(limited.includes("x-vk-uses=1"), limited);
assert.equal((await fetch(limited, { method: "PUT", body: "12345678901" })).status, 400, "over x-vk-max");
assert.equal((await fetch(limited, { method: "PUT", body: "1234567890" })).status, 200, "the one use");
const second = await fetch(limited, { method: "PUT", body: "1" });
assert.deepEqual([second.status, second.headers.get("x-valetkey-reason")], [403, "uses_exhausted"]);
say("x-vk-* limits in a presigned URL");

const large = noise(17 * MIB + 5);
const source = () => Readable.from((function* () {
  for (let at = 0; at < large.length; at += 100_000) yield large.subarray(at, at + 100_000);
})());
const upload = new Upload({ client, params: { Bucket, Key: "js/parts", Body: source() }, partSize: 5 * MIB, queueSize: 3 });
await upload.done();
await is("js/parts", large, "parts of a stream of unknown length");
const small = new Upload({ client, params: { Bucket, Key: "js/small", Body: Readable.from([Buffer.from("small")]) } });
await small.done();
await is("js/small", Buffer.from("small"), "a small stream of unknown length");
const aborted = new Upload({ client, params: { Bucket, Key: "js/aborted", Body: source() }, partSize: 5 * MIB, queueSize: 1 });
aborted.on("httpUploadProgress", () => aborted.abort());
await assert.rejects(aborted.done());
await fails(head("js/aborted"), 404, "NotFound", "an aborted upload");
say("lib-storage: streams of unknown length in parts, and an abort");

const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key: "js/parts-by-url" }));
const Parts = [];
for (const [PartNumber, body] of [[1, large.subarray(0, 5 * MIB)], [2, Buffer.from("end")]]) {
  const url = await signed(new UploadPartCommand({ Bucket, Key: "js/parts-by-url", UploadId, PartNumber }));
  const answer = await fetch(url, { method: "PUT", body });
  assert.equal(answer.status, 200, await answer.text());
  Parts.push({ PartNumber, ETag: answer.headers.get("etag") });
}
await client.send(new CompleteMultipartUploadCommand({ Bucket, Key: "js/parts-by-url", UploadId, MultipartUpload: { Parts } }));
await is("js/parts-by-url", Buffer.concat([large.subarray(0, 5 * MIB), Buffer.from("end")]), "parts by URL");
say("parts by presigned URLs");
