//! `[server.tls]`: the certificate and its key, read into what a handshake needs.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};

use super::errors::Findings;
use super::read::Reader;
use super::secret::read_private;
use super::section::Section;

/// The largest certificate or key file that is read, in bytes, so that a wrong path reads no large file.
const FILE_BYTES_MAX: usize = 1 << 20;

/// Reads `[server.tls]`; `None` where it was left out or is at fault.
pub(super) fn read(
    mut section: Section<'_>,
    reader: &mut Reader<'_>,
    findings: &mut Findings,
) -> Option<Arc<ServerConfig>> {
    if !section.is_present() {
        return None;
    }
    let certificate = reader.path(&mut section, "certificate", findings);
    let key = reader.path(&mut section, "private_key", findings);
    let at = section.at;
    for (path, name) in [(&certificate, "certificate"), (&key, "private_key")] {
        match path {
            Some(path) => {
                reader.keep_private(path.value.clone(), format!("the {name} of [server.tls]"), path.at);
                findings.read_from(&path.value);
            }
            None => findings.fault(at, format!("[server.tls] has no {name}, the path of a PEM file")),
        }
    }
    section.finish(findings);
    let (certificate, key) = (certificate?, key?);
    let chain = chain(&certificate.value).map_err(|message| findings.fault(certificate.at, message)).ok();
    let private = private_key(&key.value).map_err(|message| findings.fault(key.at, message)).ok();
    let spoken = spoken_with(chain?, private?).map_err(|error| {
        let shown = certificate.value.display();
        findings.fault(key.at, format!("the private key does not fit the certificate {shown}: {error}"));
    });
    spoken.ok().map(Arc::new)
}

/// The server's certificate, and those that lead to its root.
fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let shown = path.display();
    let bytes = std::fs::metadata(path)
        .and_then(|metadata| {
            if !metadata.is_file() || metadata.len() > u64::try_from(FILE_BYTES_MAX).unwrap_or(u64::MAX) {
                return Err(std::io::Error::other("it is no file of at most 1MiB"));
            }
            std::fs::read(path)
        })
        .map_err(|error| format!("read certificate {shown}: {error}"))?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match chain {
        Ok(chain) if chain.is_empty() => Err(format!("certificate {shown} has no PEM block CERTIFICATE")),
        Ok(chain) => Ok(chain),
        Err(error) => Err(format!("certificate {shown} is no PEM: {error}")),
    }
}

/// The key in a PEM file that only we can read. The key itself is in no message.
fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let shown = path.display();
    let bytes = read_private(path, "private key", FILE_BYTES_MAX)?;
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| match error {
        PemError::NoItemsFound => format!("private key {shown} has no PEM block PRIVATE KEY, not encrypted"),
        _ => format!("private key {shown} is no PEM"),
    })
}

/// TLS 1.2 and 1.3, by the library's choice of suites: none of them is known to be weak.
fn spoken_with(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
