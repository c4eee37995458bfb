//! What a request wants.

use crate::client::Client;
use crate::name::ResourcePath;
use crate::verb::Verb;

/// What a request wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Ask for an object's headers.
    Stat,
    /// Download an object.
    Read,
    /// Upload an object; `declared_bytes` is its length where the request says it.
    Upload {
        /// The body's length, if it is known before the body is read.
        declared_bytes: Option<u64>,
    },
    /// Go on with an upload that was begun: bring, list or put together its parts, or give it up. What the object
    /// may be was checked when it was begun and is checked of the whole, so nothing that this request declares is.
    Part,
    /// Delete an object.
    Delete,
    /// List a bucket or a folder.
    List,
}

impl Action {
    /// The action's name in records and refusals.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stat => "stat",
            Self::Read => "read",
            Self::Upload { .. } => "upload",
            Self::Part => "part",
            Self::Delete => "delete",
            Self::List => "list",
        }
    }

    /// The least verb that allows it.
    pub const fn verb(self) -> Verb {
        match self {
            Self::Stat => Verb::Stat,
            Self::Read => Verb::Read,
            Self::Upload { .. } | Self::Part => Verb::Create,
            Self::Delete => Verb::Delete,
            Self::List => Verb::List,
        }
    }
}

/// What a request wants, where, and for whom.
#[derive(Clone, Copy, Debug)]
pub struct Intent<'a> {
    /// What to do.
    pub action: Action,
    /// Where.
    pub path: &'a ResourcePath,
    /// Beneath which text below the bucket a listing asks, for [`Action::List`]; empty for others.
    pub prefix: &'a str,
    /// The `Content-Type` that the request says, if it says one, for [`Action::Upload`].
    pub declared_type: Option<&'a str>,
    /// Who asks.
    pub client: Client,
}
