//! The operations of S3, each in a file of its own. None of them knows of signatures.
//!
//! An operation reaches nothing without a [`Permit`], and a permit is made by admission alone: the table below
//! is the one place where an operation says what it has to be admitted for. The bytes then go the way of all
//! others, by `transfer` and `settle`.

mod bucket;
mod copy;
mod delete;
mod get;
mod list;
mod multipart;
mod object;
mod part;
mod put;
mod sums;
mod uploads;

use http::Response;
use hyper::body::Incoming;
use valetkey::{Action, Denial, Intent, Permit, ResourcePath};
use valetkey_dialects::aws::operation::Operation;
use valetkey_dialects::aws::reply::{Code, Refusal};

use crate::admit;
use crate::bound::BoundedCall;
use crate::flow::At;
use crate::transfer::body::Body;

/// Answers an operation of S3.
///
/// # Errors
/// What admission says, then what the operation does; what is not offered is [`Denial::CallNotSupported`].
pub(crate) async fn answer(
    at: &At<'_>,
    asked: &BoundedCall,
    body: &mut Incoming,
) -> Result<Response<Body>, Refusal> {
    let asker = Asker { at, asked };
    let path = || asked.call.path.as_ref().ok_or(Denial::NoKey);
    match &asked.call.operation {
        Operation::ListBuckets(page) => bucket::list_all(&asker, page),
        Operation::HeadBucket => bucket::head(at, &asker.somewhere(path()?)?),
        Operation::CreateBucket => bucket::create(&asker, path()?, body).await,
        Operation::GetBucketLocation => bucket::location(at, &asker.somewhere(path()?)?),
        Operation::GetBucketVersioning => bucket::versioning(at, &asker.somewhere(path()?)?),
        Operation::GetBucketAcl => bucket::acl(at, &asker.somewhere(path()?)?),
        Operation::ListObjects(listing) => {
            let permit = asker.permit(Action::List, path()?, listing.prefix(), None)?;
            list::answer(at, permit, listing).await
        }
        Operation::GetObject { part } => {
            get::body(at, asker.of_object(Action::Read)?, &asked.call, *part).await
        }
        Operation::HeadObject { part } => {
            get::head(at, asker.of_object(Action::Stat)?, &asked.call, *part).await
        }
        Operation::DeleteObject(conditions) => {
            Ok(delete::object(at, asker.of_object(Action::Delete)?, conditions).await?)
        }
        Operation::PutObject => {
            let declared_bytes = put::declared_bytes(&asked.call, body);
            let permit = asker.of_object(Action::Upload { declared_bytes })?;
            put::object(at, permit, &asked.call, body).await
        }
        Operation::DeleteObjects => delete::many(&asker, path()?, body).await,
        Operation::CopyObject { source, directive } => copy::object(&asker, source, *directive).await,
        Operation::GetObjectAcl => object::acl(at, &asker.of_object(Action::Stat)?).await,
        Operation::GetObjectTagging => object::tagging(at, &asker.of_object(Action::Stat)?).await,
        Operation::GetObjectAttributes(attributes) => {
            object::attributes(at, &asker.of_object(Action::Stat)?, attributes).await
        }
        Operation::PostObject => {
            let denial =
                Denial::BadRequest("a POST to a bucket takes a form, whose fields carry its key".into());
            Err(Refusal { code: Code::MalformedPostRequest, ..Refusal::from(denial) })
        }
        Operation::CreateMultipartUpload => multipart::create(&asker).await,
        Operation::UploadPart { upload, part } => part::upload(&asker, upload, *part, body).await,
        Operation::UploadPartCopy { upload, part, source, range } => {
            part::copy(&asker, upload, *part, source, *range).await
        }
        Operation::CompleteMultipartUpload { upload } => multipart::complete(&asker, upload, body).await,
        Operation::AbortMultipartUpload { upload } => multipart::abort(&asker, upload).await,
        Operation::ListParts(asked) => uploads::parts(&asker, asked).await,
        Operation::ListMultipartUploads(asked) => uploads::list(&asker, path()?, asked).await,
    }
}

/// Who asks, and what for: what permits are made from.
#[derive(Clone, Copy)]
pub(crate) struct Asker<'a> {
    pub(crate) at: &'a At<'a>,
    pub(crate) asked: &'a BoundedCall,
}

impl Asker<'_> {
    /// Admits one thing.
    ///
    /// # Errors
    /// As [`admit::admit_one`].
    pub(crate) fn permit(
        &self,
        action: Action,
        path: &ResourcePath,
        prefix: &str,
        declared_type: Option<&str>,
    ) -> Result<Permit, Denial> {
        let intent = Intent { action, path, prefix, declared_type, client: self.at.connection.client };
        let BoundedCall { bounded, rehearsal, .. } = self.asked;
        admit::admit_one(self.at.gateway, bounded, rehearsal.as_ref(), &intent, self.at.recorder)
    }

    /// Admits what is asked of the object that the request names.
    ///
    /// # Errors
    /// As [`Asker::permit`]; [`Refusal::no_such_bucket`] for a bucket that does not exist.
    pub(crate) fn of_object(&self, action: Action) -> Result<Permit, Refusal> {
        let path = self.asked.call.path.as_ref().ok_or(Denial::NoKey)?;
        let permit = self.permit(action, path, "", admit::declared_type(self.at.parts))?;
        check_bucket(self.at, &permit)?;
        Ok(permit)
    }

    /// Admits a look at a bucket as such, of which nothing is told but that it is there: whoever may list anything
    /// in it may know.
    ///
    /// # Errors
    /// As [`Asker::of_object`].
    pub(crate) fn somewhere(&self, bucket: &ResourcePath) -> Result<Permit, Refusal> {
        let place = self.place(bucket);
        let permit = self.permit(Action::List, bucket, &place, None)?;
        check_bucket(self.at, &permit)?;
        Ok(permit)
    }

    /// The name below `bucket` of what its key opens there; empty where that is all of it, or nothing.
    pub(crate) fn place(&self, bucket: &ResourcePath) -> String {
        let scopes = self.asked.bounded.grant().scopes();
        let within = scopes.paths().iter().find(|path| path.bucket() == bucket.bucket());
        match within {
            Some(path) if !scopes.contain(bucket) => path.name().to_owned(),
            _ => String::new(),
        }
    }
}

/// Refuses what asks for a bucket that does not exist, in S3's words to whoever may know.
fn check_bucket(at: &At<'_>, permit: &Permit) -> Result<(), Refusal> {
    match at.snapshot.space(&permit.path) {
        Some(_) => Ok(()),
        None if permit.may_know_absence => Err(Refusal::no_such_bucket()),
        None => Err(Denial::OutOfScope.into()),
    }
}
