//! What a request of S3's asks for: the closed table from request line to operation.
//!
//! Nothing here knows of signatures. A name in the query that S3 knows and that is not offered is refused, since
//! its caller counts on it; one that nobody knows is ignored.

mod attributes;
mod buckets;
mod complete;
mod copy;
mod delete;
mod not_offered;
mod part;
mod parts;
mod uploads;

use alloc::borrow::Cow;

use valetkey::{Denial, ResourcePath, Verb};

pub use attributes::ObjectAttributes;
pub use buckets::ListBuckets;
pub use complete::{CompletedPart, CompletedParts};
pub use copy::{ByteRange, CopySource, MetadataDirective};
pub use delete::{Delete, DeleteConditions, DeleteKey};
pub(crate) use not_offered::refuse_headers;
pub use part::{PartNumber, UploadId};
pub use parts::ListParts;
pub use uploads::ListMultipartUploads;

use crate::aws::reply::{Code, Refusal};
use crate::head::RequestHead;
use crate::integrity::is_md5;
use crate::listing::Listing;
use crate::query::Parameters;

/// How long the document of a `DeleteObjects` or `CompleteMultipartUpload` may be, in bytes: S3's own bound.
pub const DOCUMENT_BYTES_MAX: usize = 2 * 1024 * 1024;

/// An [operation of S3](https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html),
/// with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the operation of that name, and S3's reference describes it")]
pub enum Operation {
    ListBuckets(ListBuckets),
    HeadBucket,
    /// Of one that the configuration made.
    CreateBucket,
    GetBucketLocation,
    GetBucketVersioning,
    GetBucketAcl,
    /// In both of its versions.
    ListObjects(Listing),
    ListMultipartUploads(ListMultipartUploads),
    /// Its body is a [`Delete`].
    DeleteObjects,
    /// An upload by a form.
    PostObject,
    GetObject {
        /// One part of the object, as it was uploaded.
        part: Option<PartNumber>,
    },
    HeadObject {
        /// One part of the object, as it was uploaded.
        part: Option<PartNumber>,
    },
    GetObjectAcl,
    GetObjectTagging,
    GetObjectAttributes(ObjectAttributes),
    PutObject,
    CopyObject {
        source: CopySource,
        directive: MetadataDirective,
    },
    DeleteObject(DeleteConditions),
    CreateMultipartUpload,
    UploadPart {
        upload: UploadId,
        part: PartNumber,
    },
    UploadPartCopy {
        upload: UploadId,
        part: PartNumber,
        source: CopySource,
        range: Option<ByteRange>,
    },
    /// Its body is [`CompletedParts`].
    CompleteMultipartUpload {
        upload: UploadId,
    },
    AbortMultipartUpload {
        upload: UploadId,
    },
    ListParts(ListParts),
}

/// What a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Service,
    Bucket,
    Object,
}

impl Operation {
    /// Finds what `head` asks for. `path` is the request's own, `None` for `/`.
    ///
    /// An object's name may end in `/`, since S3's clients put, ask for and delete such markers.
    ///
    /// # Errors
    /// [`Code::NotImplemented`] for a call, a parameter or a header that S3 knows and that is not offered,
    /// [`Code::InvalidArgument`] for a value without meaning, [`Code::InvalidDigest`] for what is no MD5,
    /// [`Code::InvalidRequest`] for parameters or
    /// headers that contradict each other, [`Code::NoSuchUpload`] for what is no upload's ID.
    pub fn of(head: &RequestHead<'_>, path: Option<&ResourcePath>) -> Result<Self, Refusal> {
        let target = match path {
            None => Target::Service,
            Some(path) if path.name().is_empty() => Target::Bucket,
            Some(_) => Target::Object,
        };
        let method = head.method;
        let parameters = Parameters::of(head.query);
        not_offered::check(parameters, head)?;
        if !head.values("content-md5").all(is_md5) {
            return Err(Refusal::bad_request(Code::InvalidDigest, "the Content-MD5 is no MD5 in base64"));
        }
        let selector = selector(parameters)?;
        if parameters.value("partNumber")?.is_some()
            && !matches!((method, selector), ("GET" | "HEAD", None) | ("PUT", Some(Selector::UploadId)))
        {
            return Err(
                Denial::BadRequest("partNumber has no meaning without an uploadId here".into()).into()
            );
        }
        let copies = copy::is_asked_for(head);
        if copies && !(method == "PUT" && target == Target::Object) {
            return Err(Denial::BadRequest("x-amz-copy-source has no meaning here".into()).into());
        }
        let deletes = method == "DELETE" && target == Target::Object && selector.is_none();
        if DeleteConditions::are_said(head) && !deletes {
            return Err(Denial::CallNotSupported("this condition").into());
        }
        let upload = || UploadId::of(parameters);
        let optional_part = || PartNumber::of(parameters);
        let part = || PartNumber::of(parameters)?.ok_or_else(PartNumber::missing);
        Ok(match (target, method, selector) {
            (Target::Service, "GET", None) => Self::ListBuckets(ListBuckets::of(parameters)?),
            (Target::Bucket, "GET", None) => {
                let bucket = path.map_or("", ResourcePath::bucket);
                Self::ListObjects(Listing::of_s3(head.query, bucket).map_err(Refusal::invalid_argument)?)
            }
            (Target::Bucket, "HEAD", None) => Self::HeadBucket,
            (Target::Bucket, "PUT", None) => Self::CreateBucket,
            (Target::Bucket, "POST", None) => Self::PostObject,
            (Target::Bucket, "GET", Some(Selector::Location)) => Self::GetBucketLocation,
            (Target::Bucket, "GET", Some(Selector::Versioning)) => Self::GetBucketVersioning,
            (Target::Bucket, "GET", Some(Selector::Acl)) => Self::GetBucketAcl,
            (Target::Bucket, "GET", Some(Selector::Uploads)) => {
                Self::ListMultipartUploads(ListMultipartUploads::of(parameters)?)
            }
            (Target::Bucket, "POST", Some(Selector::Delete)) => Self::DeleteObjects,
            (Target::Object, "GET", None) => Self::GetObject { part: optional_part()? },
            (Target::Object, "HEAD", None) => Self::HeadObject { part: optional_part()? },
            (Target::Object, "PUT", None) if copies => {
                Self::CopyObject { directive: MetadataDirective::of(head)?, source: CopySource::of(head)? }
                    .changing_something(path)?
            }
            (Target::Object, "PUT", None) => Self::PutObject,
            (Target::Object, "DELETE", None) => Self::DeleteObject(DeleteConditions::of(head)?),
            (Target::Object, "GET", Some(Selector::Acl)) => Self::GetObjectAcl,
            (Target::Object, "GET", Some(Selector::Tagging)) => Self::GetObjectTagging,
            (Target::Object, "GET", Some(Selector::Attributes)) => {
                Self::GetObjectAttributes(ObjectAttributes::of(head)?)
            }
            (Target::Object, "POST", Some(Selector::Uploads)) => Self::CreateMultipartUpload,
            (Target::Object, "PUT", Some(Selector::UploadId)) if copies => Self::UploadPartCopy {
                upload: upload()?,
                part: part()?,
                source: CopySource::of(head)?,
                range: ByteRange::of(head)?,
            },
            (Target::Object, "PUT", Some(Selector::UploadId)) => {
                Self::UploadPart { upload: upload()?, part: part()? }
            }
            (Target::Object, "POST", Some(Selector::UploadId)) => {
                Self::CompleteMultipartUpload { upload: upload()? }
            }
            (Target::Object, "DELETE", Some(Selector::UploadId)) => {
                Self::AbortMultipartUpload { upload: upload()? }
            }
            (Target::Object, "GET", Some(Selector::UploadId)) => {
                Self::ListParts(ListParts::of(parameters, upload()?)?)
            }
            (target, method, selector) => {
                return Err(Denial::CallNotSupported(not_offered::call(target, method, selector)).into());
            }
        })
    }

    /// The least verb that the request's own path must allow; `None` where it names no bucket.
    ///
    /// A copy needs [`Verb::Read`] of its source besides, and each key of a [`Delete`] is asked for by itself.
    pub fn verb(&self) -> Option<Verb> {
        match self {
            Self::ListBuckets(_) => None,
            Self::HeadBucket
            | Self::CreateBucket
            | Self::GetBucketLocation
            | Self::GetBucketVersioning
            | Self::GetBucketAcl
            | Self::ListObjects(_)
            | Self::ListMultipartUploads(_) => Some(Verb::List),
            Self::GetObject { .. } => Some(Verb::Read),
            Self::HeadObject { .. }
            | Self::GetObjectAcl
            | Self::GetObjectTagging
            | Self::GetObjectAttributes(_) => Some(Verb::Stat),
            Self::PostObject
            | Self::PutObject
            | Self::CopyObject { .. }
            | Self::CreateMultipartUpload
            | Self::UploadPart { .. }
            | Self::UploadPartCopy { .. }
            | Self::CompleteMultipartUpload { .. }
            | Self::AbortMultipartUpload { .. }
            | Self::ListParts(_) => Some(Verb::Create),
            Self::DeleteObjects | Self::DeleteObject(_) => Some(Verb::Delete),
        }
    }

    /// Whether it brings bytes that become an object, or a part of one.
    pub fn is_upload(&self) -> bool {
        matches!(
            self,
            Self::PostObject
                | Self::PutObject
                | Self::CopyObject { .. }
                | Self::UploadPart { .. }
                | Self::UploadPartCopy { .. }
        )
    }

    /// Whether a URL may carry the signature. What names its objects in its body, or opens more than one bucket,
    /// needs a signed header; a form is signed by its own fields.
    pub fn is_presignable(&self) -> bool {
        !matches!(self, Self::ListBuckets(_) | Self::CreateBucket | Self::DeleteObjects | Self::PostObject)
    }

    /// A copy of an object onto itself that changes nothing is a mistake, and S3 says so.
    fn changing_something(self, path: Option<&ResourcePath>) -> Result<Self, Refusal> {
        match &self {
            Self::CopyObject { source, directive: MetadataDirective::Copy } if Some(&source.path) == path => {
                Err(Denial::BadRequest(
                    "the object would be copied onto itself; set x-amz-metadata-directive to REPLACE".into(),
                )
                .into())
            }
            _ => Ok(self),
        }
    }
}

/// The names in a query that choose among the operations that are offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Selector {
    Acl,
    Attributes,
    Delete,
    Location,
    Tagging,
    UploadId,
    Uploads,
    Versioning,
}

impl Selector {
    fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "acl" => Self::Acl,
            "attributes" => Self::Attributes,
            "delete" => Self::Delete,
            "location" => Self::Location,
            "tagging" => Self::Tagging,
            "uploadId" => Self::UploadId,
            "uploads" => Self::Uploads,
            "versioning" => Self::Versioning,
            _ => return None,
        })
    }
}

/// The one name that chooses: two would leave it open which operation was meant.
fn selector(parameters: Parameters<'_>) -> Result<Option<Selector>, Refusal> {
    let mut selectors = parameters.names().filter_map(|name| Selector::from_name(&name));
    let selector = selectors.next();
    match selectors.next() {
        None => Ok(selector),
        Some(_) => {
            Err(Refusal::bad_request(Code::InvalidRequest, "the query asks for two operations at once"))
        }
    }
}

/// The values of the header `name`. Whoever signs a URL may put what a header would say into its query, in any
/// case.
fn values<'a>(head: &RequestHead<'a>, name: &str) -> impl Iterator<Item = Option<Cow<'a, str>>> {
    let parameters = Parameters::of(head.query);
    let in_query = parameters.pairs().filter(move |(known, _)| known.eq_ignore_ascii_case(name));
    let in_header = head.values(name).map(|value| core::str::from_utf8(value).ok().map(Cow::Borrowed));
    in_header.chain(in_query.map(|(_, value)| value))
}

/// The one value of the header `name`, as text.
fn header<'a>(head: &RequestHead<'a>, name: &str) -> Result<Option<Cow<'a, str>>, Refusal> {
    let mut values = values(head, name);
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.filter(|_| values.next().is_none()).ok_or_else(|| {
        Refusal::bad_request(Code::InvalidArgument, alloc::format!("{name} is given twice or is no text"))
    })?;
    Ok(Some(match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim_matches([' ', '\t'])),
        Cow::Owned(text) => Cow::Owned(text.trim_matches([' ', '\t']).into()),
    }))
}

#[cfg(test)]
pub(crate) mod test;
