//! What an AWS credential permits.

use valetkey::{ResourcePath, Scopes, Validity, Verb, Verbs};

use super::credential::{Credential, Way};
use super::query::Query;

/// What a request asks for, as far as its signature says it.
pub(super) struct Asked<'a> {
    pub(super) method: &'a str,
    /// `None` for `/`, which is no resource.
    pub(super) path: Option<&'a ResourcePath>,
    pub(super) query: &'a Query<'a>,
    /// Whether `If-None-Match: *` is signed.
    pub(super) only_creates: bool,
}

/// What may be done, where and when.
///
/// A URL was signed for one request; whoever signs a request itself may do all that the house lets its signer.
pub(super) fn permitted(credential: &Credential, asked: &Asked<'_>) -> (Verbs, Scopes, Validity) {
    let issued = credential.issued;
    match credential.way {
        Way::Header => (Verbs::ALL, Scopes::EVERYWHERE, Validity::Request { issued }),
        Way::Presigned { expires } => {
            let scopes = asked.path.cloned().map_or_else(|| Scopes::any_of([].into()), Scopes::only);
            (presigned(asked), scopes, Validity::Until { issued, end: issued.plus(expires) })
        }
    }
}

/// The one verb that a presigned URL grants. The method is signed, so a GET's URL is of no use to a HEAD.
fn presigned(asked: &Asked<'_>) -> Verbs {
    let Some(path) = asked.path else { return Verbs::NONE };
    let has = |name| asked.query.has(name);
    let upload = Verbs::only(if asked.only_creates { Verb::Create } else { Verb::Write });
    // `a/` is the name of an object as other names are: S3's consoles make such markers.
    let is_bucket = path.name().is_empty();
    match (asked.method, is_bucket) {
        ("GET" | "HEAD", true) => Verbs::only(Verb::List),
        ("GET" | "DELETE", false) if has("uploadId") => upload,
        ("POST", false) if has("uploads") || has("uploadId") => upload,
        ("PUT", false) => upload,
        ("GET", false) => Verbs::only(Verb::Read),
        ("HEAD", false) => Verbs::only(Verb::Stat),
        ("DELETE", false) => Verbs::only(Verb::Delete),
        // Deleting many names is asked for in a body that no URL signs.
        _ => Verbs::NONE,
    }
}
