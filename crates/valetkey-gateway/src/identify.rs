//! Who vouches for this request, and did they?

use valetkey::{Denial, Dialect, Grant, NameError, ResourcePath};
use valetkey_dialects::aws::operation::Operation;
use valetkey_dialects::aws::reply::{Code, Refusal};
use valetkey_dialects::aws::{PostForm, PostSuccess, SignedRequest};
use valetkey_dialects::form::{Form, FormCredential, FormHeaders};
use valetkey_dialects::native::NativeForm;
use valetkey_dialects::{OwnKey, Presented, RequestHead, Survey, native, present, present_own_key};

use crate::gateway::Snapshot;
use crate::settings::VirtualHosts;

/// A request whose key's signature holds.
pub(crate) struct Identified {
    pub(crate) grant: Grant,
    pub(crate) asked: Asked,
}

/// What a request asks for, as its key's dialect says it.
pub(crate) enum Asked {
    /// What the method says of a resource.
    Resource {
        /// Where the request goes.
        path: ResourcePath,
        /// What its free parameters say.
        survey: Survey,
    },
    /// An operation of S3.
    S3(Box<Call>),
}

/// An operation of S3, asked for by a key that holds.
pub(crate) struct Call {
    pub(crate) operation: Operation,
    /// Where it goes, `None` for `/`.
    pub(crate) path: Option<ResourcePath>,
    /// What else its signature covers; `None` of a key in another dialect, which covers nothing else.
    pub(crate) signed: Option<SignedRequest>,
}

/// Finds the key of a request and checks its signature.
///
/// # Errors
/// [`Denial::BadName`], [`Denial::NoKey`], [`Denial::BadRequest`], [`Denial::MalformedKey`],
/// [`Denial::BadSignature`]; none of them tells what is stored or configured here, but S3's clients are told that
/// a signer is unknown. After the signature, what [`Operation::of`] says.
pub(crate) fn identify(snapshot: &Snapshot, head: &RequestHead<'_>) -> Result<Identified, Refusal> {
    let resource = snapshot.settings.server.virtual_hosts.resource(head.host(), head.path)?;
    let path = if resource == "/" { None } else { Some(ResourcePath::from_url(&resource)?) };
    match present(head, path.as_ref()).map_err(|denial| in_closer_words(denial, head))? {
        presented @ Presented::Native(_) => {
            let path = path.ok_or(Denial::NoKey)?;
            if resource != head.path
                && presented.path().is_some_and(|signed| signed.bucket() != path.bucket())
            {
                return Err(Denial::BadRequest("the host names one bucket and vk-path another".into()).into());
            }
            native::check_headers(head)?;
            let survey = Survey::of(head.query)?;
            let secrets = snapshot.settings.secrets(presented.signer(), Dialect::Native);
            let grant = presented.verify(secrets)?.grant;
            if survey.call == Some(valetkey_dialects::Call::Multipart) {
                let operation = Operation::of(head, Some(&path))?;
                let call = Call { operation, path: Some(path), signed: None };
                return Ok(Identified { grant, asked: Asked::S3(Box::new(call)) });
            }
            Ok(Identified { grant, asked: Asked::Resource { path, survey } })
        }
        presented @ Presented::Aws(_) => {
            let secrets = snapshot.settings.secrets(presented.signer(), Dialect::Aws);
            let verified = presented.verify(secrets);
            let verified = verified.map_err(|denial| of_signer(secrets.is_some(), denial.into()))?;
            let operation = Operation::of(head, path.as_ref())?;
            let call = Call { operation, path, signed: verified.aws.map(|signed| *signed) };
            Ok(Identified { grant: verified.grant, asked: Asked::S3(Box::new(call)) })
        }
    }
}

/// S3 tells an unknown signer from a wrong signature.
fn of_signer(is_known: bool, refusal: Refusal) -> Refusal {
    match refusal.denial {
        Denial::BadSignature if !is_known => Refusal::invalid_access_key_id(),
        _ => refusal,
    }
}

/// S3 tells a header that is not in its form from a query that is not.
fn in_closer_words(denial: Denial, head: &RequestHead<'_>) -> Refusal {
    match denial {
        Denial::MalformedKey(_) if head.values("authorization").next().is_some() => {
            Refusal { code: Code::AuthorizationHeaderMalformed, ..Refusal::from(denial) }
        }
        denial => denial.into(),
    }
}

/// A form whose key's signature holds.
pub(crate) struct IdentifiedForm {
    pub(crate) grant: Grant,
    pub(crate) asked: AskedForm,
}

/// What a form asks for.
pub(crate) struct AskedForm {
    /// The object that its file becomes.
    pub(crate) path: ResourcePath,
    pub(crate) headers: FormHeaders,
    /// How S3 would answer it; `None` of a form that was not signed for S3.
    pub(crate) success: Option<PostSuccess>,
}

/// Finds the key in the fields of a form on a bucket's URL and checks its signature.
///
/// # Errors
/// As [`Form::credential`], [`NativeForm::of`] and [`PostForm::of`]; [`Denial::BadSignature`]; after that, that the
/// policy of a form that was signed for S3 does not allow it.
pub(crate) fn identify_form(
    snapshot: &Snapshot,
    head: &RequestHead<'_>,
    form: &Form,
) -> Result<IdentifiedForm, Refusal> {
    let bucket = resource(&snapshot.settings.server.virtual_hosts, head)?;
    match form.credential()? {
        FormCredential::Native => {
            let read = NativeForm::of(form, &bucket)?;
            let presented = read.present()?;
            let secrets = snapshot.settings.secrets(presented.signer(), Dialect::Native);
            let grant = Grant::from(presented.verify(secrets)?);
            let asked = AskedForm { path: read.path, headers: read.headers, success: None };
            Ok(IdentifiedForm { grant, asked })
        }
        FormCredential::Aws => {
            let read = PostForm::of(form, &bucket)?;
            let secrets = snapshot.settings.secrets(read.signer(), Dialect::Aws);
            let verified = read.verify(secrets);
            let (grant, form) = verified.map_err(|refusal| of_signer(secrets.is_some(), refusal))?;
            let (path, headers) = (form.path().clone(), form.headers());
            Ok(IdentifiedForm { grant, asked: AskedForm { path, headers, success: Some(form.success()) } })
        }
        FormCredential::Gcs => Err(Denial::CallNotSupported("the gcs dialect").into()),
    }
}

/// What a request is about, whether its bucket stands in the path or in the host.
///
/// # Errors
/// [`Denial::BadRequest`] for what is no name.
pub(crate) fn resource(hosts: &VirtualHosts, head: &RequestHead<'_>) -> Result<ResourcePath, NameError> {
    ResourcePath::from_url(&hosts.resource(head.host(), head.path)?)
}

/// A question of a holder, whose key's signature holds.
pub(crate) struct Holder<'a> {
    pub(crate) grant: Grant,
    /// What the key was signed for.
    pub(crate) path: ResourcePath,
    /// The query string in which the key stands.
    pub(crate) text: &'a str,
}

/// Finds the key that a request asks about and checks its signature.
///
/// # Errors
/// As [`identify`].
pub(crate) fn identify_holder<'a>(snapshot: &Snapshot, head: &RequestHead<'a>) -> Result<Holder<'a>, Denial> {
    let OwnKey { text, presented } = present_own_key(head)?;
    native::check_headers(head)?;
    Survey::of(head.query)?;
    let path = presented.path().clone();
    let secrets = snapshot.settings.secrets(presented.signer(), Dialect::Native);
    let grant = Grant::from(presented.verify(secrets)?);
    Ok(Holder { grant, path, text })
}
