//! The documents that S3's clients read.
//!
//! Each is a value that knows how it is written. Entity tags come without their quotes, names without encoding.

mod attributes;
mod bucket;
mod copy;
mod delete;
mod error;
mod multipart;
mod parts;
mod post;
mod uploads;

pub use attributes::{AttributesReply, ObjectParts};
pub use bucket::{
    BucketEntry, access_control, bucket_location, bucket_versioning, list_buckets, object_tagging,
};
pub use copy::{CopyReply, CopyResult};
pub use delete::{Deleted, delete_result};
pub use error::{Code, Refusal};
pub use multipart::{WholeSum, completed_upload, created_upload};
pub use parts::{PartEntry, PartsReply};
pub use post::{post_location, post_redirect, post_response};
pub use uploads::{UploadEntry, UploadsReply};

use crate::integrity::Checksum;
use crate::xml::Xml;

/// How S3 writes an entity tag.
fn quoted(etag: &str) -> alloc::string::String {
    alloc::format!("\"{etag}\"")
}

/// The elements that tell what content hashes to; functions that S3 has no element for are left out.
fn checksums(xml: &mut Xml, checksums: &[Checksum]) {
    for checksum in checksums {
        if let Some(name) = checksum.algorithm.s3_element() {
            xml.element(name, checksum.base64());
        }
    }
}
