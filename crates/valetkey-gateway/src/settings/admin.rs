//! `[admin]`: where operators reach a running gateway.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::Ledger;
use super::errors::Findings;
use super::read::Reader;
use super::secret::{OWN_BYTES, SecretText};
use super::section::{Placed, Section};

/// Where operators reach a running gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// Where it listens.
    pub listen: AdminListen,
    /// Whether somebody wrote it. Where it is only the default, a gateway that cannot listen there serves all
    /// the same.
    pub is_said: bool,
}

/// Where the admin listener is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminListen {
    /// A socket in the file system, open to its owner and root.
    Unix(PathBuf),
    /// An address and port, open to whoever has the token.
    Tcp {
        /// The address and port.
        address: SocketAddr,
        /// The token.
        token: SecretText,
    },
}

impl fmt::Display for AdminListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp { address, .. } => write!(f, "{address}"),
        }
    }
}

/// Reads `[admin]`. Where it says no `listen`, the listener is a socket beside the ledger.
pub(super) fn read(
    mut section: Section<'_>,
    ledger: &Ledger,
    reader: &mut Reader<'_>,
    findings: &mut Findings,
) -> Option<Admin> {
    const RULE: &str = "unix: and a path, or an address and a port as 127.0.0.1:9090";
    let listen = section.parsed("listen", RULE, findings, |text| match text.strip_prefix("unix:") {
        Some(path) => (!path.is_empty() && !path.contains('\0')).then(|| Place::Unix(reader.below(path))),
        None => text.parse().ok().map(Place::Tcp),
    });
    let token = reader.secret(&mut section, ["token_file", "token_env"], &OWN_BYTES, findings);
    let at = section.at;
    section.finish(findings);

    let said_at = token.as_ref().map(|token| token.at);
    let token = match token {
        // What is wrong with it has been told.
        Some(Placed { value: None, .. }) => return None,
        token => token.and_then(|token| token.value),
    };
    let is_said = listen.is_some();
    match (listen.map(|listen| listen.value), token) {
        (Some(Place::Tcp(address)), Some(token)) => {
            if !address.ip().to_canonical().is_loopback() {
                findings.warn(format!(
                    "the admin token travels unencrypted: {address} of [admin] is plain HTTP and not a loopback \
                     address; say listen = \"unix:…\""
                ));
            }
            Some(Admin { listen: AdminListen::Tcp { address, token }, is_said })
        }
        (Some(Place::Tcp(_)), None) => {
            findings
                .fault(at, "[admin] listens on an address and has no token; say token_file, or unix:PATH");
            None
        }
        (Some(Place::Unix(_)) | None, Some(_)) => {
            let message =
                "a token is for an address and a port; a socket is open to its owner only; remove it";
            findings.fault(said_at.unwrap_or(at), message);
            None
        }
        (Some(Place::Unix(path)), None) => {
            reader.keep_private(path.clone(), "the admin socket", at);
            Some(Admin { listen: AdminListen::Unix(path), is_said })
        }
        (None, None) => match ledger {
            Ledger::Sqlite { path } => {
                Some(Admin { listen: AdminListen::Unix(path.with_file_name("admin.sock")), is_said })
            }
            Ledger::Memory => None,
        },
    }
}

enum Place {
    Unix(PathBuf),
    Tcp(SocketAddr),
}
