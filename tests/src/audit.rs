//! Reading the audit log as an operator would, and checking its chain as the contract describes it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::gateway::Gateway;
use crate::process::wait_until;

/// The fields of every record.
pub const FIELDS: [&str; 19] = [
    "time",
    "request_id",
    "dialect",
    "signer",
    "subject",
    "key",
    "id",
    "policy",
    "action",
    "bucket",
    "object",
    "client",
    "status",
    "reason",
    "bytes_in",
    "bytes_out",
    "digest",
    "duration_ms",
    "previous",
];

/// All whole records of a log.
///
/// # Errors
/// If a line is not a JSON object.
pub fn records(path: &Path) -> Result<Vec<Value>> {
    let text = std::fs::read_to_string(path).context("read audit log")?;
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole
        .lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("audit line {line:?}")))
        .collect()
}

/// The record of the request with this id, within the second that refusals and downloads may take (and a margin for a
/// busy machine).
///
/// # Errors
/// If there is none, or more than one.
pub fn record_of(gateway: &Gateway, request_id: &str) -> Result<Value> {
    let found = || -> Vec<Value> {
        let all = records(&gateway.audit_path()).unwrap_or_default();
        all.into_iter().filter(|record| record["request_id"] == request_id).collect()
    };
    wait_until(Duration::from_millis(1500), "the audit record", || !found().is_empty())?;
    let mut records = found();
    ensure!(records.len() == 1, "{} records of one request", records.len());
    records.pop().context("a record")
}

/// Recomputes the chain: each record's `previous` is the keyed BLAKE3 of the line before, 64 zeros in the first.
///
/// # Errors
/// If a link does not fit, or the key file is not there.
pub fn verify_chain(log: &Path) -> Result<usize> {
    let key = key_beside(log)?;
    let text = std::fs::read_to_string(log)?;
    let mut expected = "0".repeat(64);
    let mut count = 0;
    for line in text.lines() {
        let record: Value = serde_json::from_str(line)?;
        ensure!(record["previous"] == expected.as_str(), "record {count} does not follow: {line}");
        expected = blake3::keyed_hash(&key, line.as_bytes()).to_hex().to_string();
        count += 1;
    }
    Ok(count)
}

/// The chain's key, from the key file beside the log: 32 bytes, raw or written as text.
fn key_beside(log: &Path) -> Result<[u8; 32]> {
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    let folder = log.parent().context("the log lies in a folder")?;
    let stem = log.file_stem().context("the log has a name")?.to_string_lossy().into_owned();
    let file = std::fs::read_dir(folder)?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            name.starts_with(&stem) && name.ends_with("key")
        })
        .context("no key file beside the audit log")?;
    let bytes = std::fs::read(file)?;
    if let Ok(raw) = <[u8; 32]>::try_from(bytes.as_slice()) {
        return Ok(raw);
    }
    let text = String::from_utf8(bytes)?.trim().to_owned();
    if let Ok(hash) = blake3::Hash::from_hex(&text) {
        return Ok(*hash.as_bytes());
    }
    let decoded = STANDARD.decode(&text).or_else(|_| URL_SAFE_NO_PAD.decode(&text)).unwrap_or_default();
    <[u8; 32]>::try_from(decoded.as_slice()).ok().context("the audit key is not 32 bytes")
}
