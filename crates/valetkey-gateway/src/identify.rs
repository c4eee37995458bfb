//! Who vouches for this request, and did they?

use valetkey::{Denial, Grant, ResourcePath};
use valetkey_dialects::{Presented, RequestHead, Survey, native, present};

use crate::gateway::Snapshot;

/// A request whose key's signature holds.
pub(crate) struct Identified {
    pub(crate) grant: Grant,
    /// Where the request goes.
    pub(crate) path: ResourcePath,
    /// What its free parameters say.
    pub(crate) survey: Survey,
}

/// Finds the key of a request and checks its signature.
///
/// # Errors
/// [`Denial::BadName`], [`Denial::NoKey`], [`Denial::BadRequest`], [`Denial::MalformedKey`],
/// [`Denial::BadSignature`]; none of them tells what is stored or configured here. After the signature
/// [`Denial::CallNotSupported`] for a dialect that is not served yet.
pub(crate) fn identify(snapshot: &Snapshot, head: &RequestHead<'_>) -> Result<Identified, Denial> {
    if head.path == "/" {
        return Err(Denial::NoKey);
    }
    let path = ResourcePath::from_url(head.path)?;
    let presented = present(head, Some(&path))?;
    let survey = match presented {
        Presented::Native(_) => {
            native::check_headers(head)?;
            Survey::of(head.query)?
        }
        // Its whole query is signed, and its headers were judged as it was parsed.
        Presented::Aws(_) => Survey::default(),
    };
    let signer = snapshot.settings.signers.get(presented.signer());
    let verified = presented.verify(signer.map(|signer| &signer.secrets))?;
    if verified.aws.is_some() {
        return Err(Denial::CallNotSupported("the aws dialect"));
    }
    Ok(Identified { grant: verified.grant, path, survey })
}
