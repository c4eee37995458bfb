"""boto3's generate_presigned_post, and the form sent as a browser sends it."""

from kit import *

s3 = client(signature_version="s3v4")

conditions = [["content-length-range", 10, 1000], ["starts-with", "$Content-Type", "image/"], {"x-amz-meta-by": "form"}]
made = s3.generate_presigned_post(BUCKET, "forms/photo.png", Fields={"x-amz-meta-by": "form"}, Conditions=conditions, ExpiresIn=600)
fields = {**made["fields"], "Content-Type": "image/x-own"}
data = noise(1000)
answer = accepted(form(made["url"], fields, data), 204, "the form")
holds(answer.headers.get("etag"), "the form's ETag", answer)
head = s3.head_object(Bucket=BUCKET, Key="forms/photo.png")
equal((head["ContentLength"], head["ContentType"], head["Metadata"]), (1000, "image/x-own", {"by": "form"}), "its object")
equal(s3.get_object(Bucket=BUCKET, Key="forms/photo.png")["Body"].read(), data, "its bytes")
say("a form of generate_presigned_post")

refused(form(made["url"], fields, noise(1001)), 400, "EntityTooLarge", "too_large", "a byte too many")
refused(form(made["url"], fields, noise(9)), 400, "EntityTooSmall", "too_small", "a byte too few")
for change, what in [
    ({"key": "forms/other.png"}, "another key"),
    ({"Content-Type": "text/html"}, "another type"),
    ({"x-amz-meta-by": "other"}, "other metadata"),
    ({"x-amz-meta-more": "x"}, "a field that the policy does not name"),
]:
    answer = form(made["url"], {**fields, **change}, data)
    equal((answer.status, answer.code), (403, "AccessDenied"), f"{what} {answer!r}")
broken = fields["x-amz-signature"]
broken = broken[:-1] + ("0" if broken[-1] != "0" else "1")
refused(form(made["url"], {**fields, "x-amz-signature": broken}, data), 403, "SignatureDoesNotMatch", "bad_signature", "another signature")
say("what its policy does not allow is refused")

made = s3.generate_presigned_post(BUCKET, "forms/of/${filename}", Fields={"success_action_status": "201"}, Conditions=[{"success_action_status": "201"}])
answer = accepted(form(made["url"], made["fields"], data, name="my photo.png"), 201, "a form with a file's name")
holds(b"<Key>forms/of/my photo.png</Key>" in answer.body, "the answer names the key", answer)
equal(s3.get_object(Bucket=BUCKET, Key="forms/of/my photo.png")["Body"].read(), data, "its bytes")
say("${filename} and a document as the answer")

limits = {"x-vk-uses": "1", "x-vk-id": "form-1"}
made = s3.generate_presigned_post(BUCKET, "forms/once", Conditions=[{name: value} for name, value in limits.items()])
accepted(form(made["url"], made["fields"], data), 204, "the first of two")
refused(form(made["url"], made["fields"], data), 403, "AccessDenied", "uses_exhausted", "the second of two")
say("x-vk-uses in the policy, though the form does not repeat it")
