//! What a verified key permits: one type, whichever dialect the key came in.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use crate::client::ClientRanges;
use crate::content::{Digest, Disposition};
use crate::key::claims::Claims;
use crate::key::parameter::{Parameter, Parameters};
use crate::key::renew::Renewable;
use crate::key::{Key, Level, Presented};
use crate::limits::Limits;
use crate::media::MediaTypes;
use crate::scope::Scopes;
use crate::signature::Fingerprint;
use crate::size::{SizeRange, stricter};
use crate::time::Timestamp;
use crate::verb::Verbs;

/// The wire form that a key came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Readable `vk-` parameters.
    Native,
    /// AWS's signature version 4, as S3's clients sign.
    Aws,
}

impl Dialect {
    /// The dialect's name in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Aws => "aws",
        }
    }

    /// The dialect of this name in records.
    pub fn of_name(name: &str) -> Option<Self> {
        [Self::Native, Self::Aws].into_iter().find(|dialect| dialect.name() == name)
    }
}

/// What a verified key permits, before the house has bounded it.
///
/// It can only be made from a key whose signature held.
#[derive(Clone, Debug)]
pub struct Grant {
    pub(crate) dialect: Dialect,
    pub(crate) signer: String,
    pub(crate) allow: Verbs,
    pub(crate) scopes: Scopes,
    pub(crate) start: Option<Timestamp>,
    pub(crate) end: Timestamp,
    pub(crate) issued: Option<Timestamp>,
    /// How far its holder may have its end moved; `None` where they may not.
    pub(crate) renewable: Option<Renewable>,
    /// Whether its end is a window of ours around the time at which the request itself was signed, and not an
    /// end that its signer chose.
    pub(crate) is_of_request: bool,
    pub(crate) size: SizeRange,
    /// All must contain the client.
    pub(crate) clients: Vec<ClientRanges>,
    pub(crate) types: MediaTypes,
    /// An upload must hash to all of them.
    pub(crate) digests: Vec<Digest>,
    /// No key says it; the house may.
    pub(crate) require_tls: bool,
    /// Whether answers say what is left. No key says it; the house may.
    pub(crate) tell: bool,
    pub(crate) disposition: Option<Disposition>,
    pub(crate) policy: Option<String>,
    pub(crate) subject: Option<String>,
    pub(crate) id: Option<String>,
    /// The base first; never empty.
    pub(crate) levels: Vec<GrantLevel>,
    /// What the house counts over many keys, this one among them. No key says it.
    pub(crate) quotas: Vec<Quota>,
    pub(crate) named: Parameters,
}

/// One level of a grant: what is counted under its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantLevel {
    /// Under which name it is counted.
    pub name: MeterName,
    /// What stands for its signature in records.
    pub fingerprint: Fingerprint,
    /// Its own limits.
    pub limits: Limits,
    /// The first second at which it opens nothing new, as far as its holder can ever have that moved, before the
    /// house bounded it and whatever is narrowed below it.
    pub end: Timestamp,
    /// Until when what is counted under its name matters, since another level of this name may end later; `None` is
    /// for ever. The house decides it: before that it is the end.
    pub kept: Option<Timestamp>,
}

/// What a policy or a signer allows over many keys together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Under which name it is counted.
    pub name: MeterName,
    /// How much, in all.
    pub limits: Limits,
}

/// The name under which something is counted, a tuple.
///
/// A level of a key: the signer, then for each level down to this one whether it is named by its `id` or by its
/// fingerprint (`fp`), and the value; or the signer and `header`. A quota of the house: the empty text, which is no signer's name, then
/// `policy` or `signer` and its name, then, where it is counted for each subject, `subject`, the signer and the
/// subject if the key names one.
///
/// It is written as a JSON array, in which no value can pass for another tuple.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MeterName(String);

/// Whose quota it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuotaOwner<'a> {
    /// A stored access policy.
    Policy(&'a str),
    /// A signer.
    Signer(&'a str),
}

/// What names a base level that has no id.
#[derive(Clone, Copy)]
pub(crate) enum Unnamed {
    By(Fingerprint),
    /// All requests that one signer signed in their headers are one key.
    ByHeader,
}

impl MeterName {
    /// The name of a quota over all keys of its owner.
    pub fn of_total(owner: QuotaOwner<'_>) -> Self {
        let (kind, name) = match owner {
            QuotaOwner::Policy(name) => ("policy", name),
            QuotaOwner::Signer(name) => ("signer", name),
        };
        // Names have no character that JSON would escape.
        Self(["[\"\",\"", kind, "\",\"", name, "\"]"].concat())
    }

    /// The name of a quota over the owner's keys of one signer that name one subject, or none.
    pub fn of_subject(owner: QuotaOwner<'_>, signer: &str, subject: Option<&str>) -> Self {
        let mut name = Self::of_total(owner).0;
        name.truncate(name.len() - 1);
        name.push_str(",\"subject\",\"");
        name.push_str(signer);
        name.push('"');
        if let Some(subject) = subject {
            name.push_str(",\"");
            // A subject has no control characters, so these two are all that JSON would escape.
            for char in subject.chars() {
                if matches!(char, '"' | '\\') {
                    name.push('\\');
                }
                name.push(char);
            }
            name.push('"');
        }
        name.push(']');
        Self(name)
    }

    /// Whether it is a level that is named by its id.
    pub(crate) fn is_by_id(&self) -> bool {
        // An id has no comma.
        self.0.rsplit(',').nth(1) == Some("\"id\"")
    }

    /// The name of a base level, or of a level below `parent`.
    fn of(signer: &str, parent: Option<&Self>, level: &Level<'_>) -> Self {
        // Names, ids and fingerprints have no character that JSON would escape.
        let above = parent.map(|parent| &parent.0[..parent.0.len() - 1]);
        let above = above.map_or_else(|| ["[\"", signer, "\""].concat(), ToOwned::to_owned);
        Self(match &level.claims.id {
            Some(id) => [&above, ",\"id\",\"", id, "\"]"].concat(),
            None => alloc::format!("{above},\"fp\",\"{}\"]", level.fingerprint),
        })
    }

    /// The name of the base level of a foreign credential.
    pub(crate) fn of_foreign(signer: &str, id: Option<&str>, unnamed: Unnamed) -> Self {
        // A signer's name has no character that JSON would escape.
        Self(match (id, unnamed) {
            (Some(id), _) => ["[\"", signer, "\",\"id\",\"", id, "\"]"].concat(),
            (None, Unnamed::ByHeader) => ["[\"", signer, "\",\"header\"]"].concat(),
            (None, Unnamed::By(fingerprint)) => alloc::format!("[\"{signer}\",\"fp\",\"{fingerprint}\"]"),
        })
    }

    /// The JSON array.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MeterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Grant {
    /// The signer that vouches for it.
    pub fn signer(&self) -> &str {
        &self.signer
    }

    /// The stored access policy that the key names.
    pub fn policy(&self) -> Option<&str> {
        self.policy.as_deref()
    }

    /// The issuer's user.
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// The issuer's own name for the key.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The wire form that the key came in.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// What stands for the key in records: the fingerprint of its last level.
    pub fn fingerprint(&self) -> Fingerprint {
        self.levels.last().expect("a grant has a level").fingerprint
    }

    /// What may be done, with all that it holds.
    pub fn allow(&self) -> Verbs {
        self.allow
    }

    /// Where.
    pub fn scopes(&self) -> &Scopes {
        &self.scopes
    }

    /// The first second at which it opens nothing new.
    pub fn end(&self) -> Timestamp {
        self.end
    }

    /// Not before.
    pub fn start(&self) -> Option<Timestamp> {
        self.start
    }

    /// How far its holder may have its end moved; `None` where they may not.
    pub fn renewable(&self) -> Option<Renewable> {
        self.renewable
    }

    /// Whether it opens over TLS only.
    pub fn requires_tls(&self) -> bool {
        self.require_tls
    }

    /// The bounds of an upload's size.
    pub fn size(&self) -> SizeRange {
        self.size
    }

    /// What an upload must be.
    pub fn types(&self) -> &MediaTypes {
        &self.types
    }

    /// What an upload must hash to, all of them.
    pub fn digests(&self) -> &[Digest] {
        &self.digests
    }

    /// From which addresses; the client lies in each of them.
    pub fn clients(&self) -> &[ClientRanges] {
        &self.clients
    }

    /// When it was signed, as far as it says.
    pub fn issued(&self) -> Option<Timestamp> {
        self.issued
    }

    /// The counted levels, the base first.
    pub fn levels(&self) -> &[GrantLevel] {
        &self.levels
    }

    /// How a download presents itself.
    pub fn disposition(&self) -> Option<&Disposition> {
        self.disposition.as_ref()
    }

    /// Intersects with what one narrowing says.
    fn narrow(&mut self, claims: Claims) {
        if let Some(allow) = claims.allow {
            self.allow = self.allow.intersect(allow);
        }
        self.size = self.size.intersect(claims.size());
        self.start = self.start.max(claims.start);
        self.end = stricter(Some(self.end), claims.end).expect("the grant has an end");
        self.clients.extend(claims.clients);
        self.types.restrict(claims.types);
        self.digests.extend(claims.digest);
        if let Some(path) = claims.path {
            let scopes = core::mem::replace(&mut self.scopes, Scopes::any_of(Vec::new()));
            self.scopes = scopes.intersect(&Scopes::only(path));
        }
    }
}

impl From<Key<'_>> for Grant {
    fn from(key: Key<'_>) -> Self {
        let renewable = Renewable::of(&key);
        let Presented { levels, named, .. } = key.presented;
        let signer =
            levels[0].block.value(Parameter::Signer).expect("a decoded key names its signer").to_owned();
        let mut names: Vec<GrantLevel> = Vec::with_capacity(levels.len());
        for level in &levels {
            let parent = names.last();
            let name = MeterName::of(&signer, parent.map(|parent| &parent.name), level);
            let own = level.claims.end.map(|end| end.max(level.claims.renew.unwrap_or(end)));
            let end = stricter(parent.map(|parent| parent.end), own);
            let end = end.expect("a decoded key has an end");
            let (fingerprint, limits) = (level.fingerprint, level.claims.limits);
            names.push(GrantLevel { name, fingerprint, limits, end, kept: Some(end) });
        }
        let mut levels = levels.into_iter().map(|level| level.claims);
        let base = levels.next().expect("a key has a base");
        let mut grant = Self {
            dialect: Dialect::Native,
            signer,
            allow: base.allow.expect("a decoded key allows something").expanded(),
            size: base.size(),
            scopes: Scopes::only(base.path.expect("a decoded key has a path")),
            start: base.start,
            end: base.end.expect("a decoded key has an end"),
            issued: base.issued,
            renewable,
            is_of_request: false,
            clients: base.clients.map_or_else(Vec::new, |clients| vec![clients]),
            types: MediaTypes::of(base.types),
            digests: base.digest.into_iter().collect(),
            require_tls: false,
            tell: false,
            disposition: base.disposition,
            policy: base.policy,
            subject: base.subject,
            id: base.id,
            levels: names,
            quotas: Vec::new(),
            named,
        };
        for claims in levels {
            grant.narrow(claims);
        }
        grant
    }
}
