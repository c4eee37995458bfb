//! Running the independent implementation of the key format.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// The repository's root.
pub fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Runs `tests/independent/valetkey_keys.py` and gives its standard output.
///
/// # Errors
/// If it fails; the error tells what it wrote.
pub fn keys(arguments: &[&str]) -> Result<String> {
    let output = Command::new("python3")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(root().join("tests/independent/valetkey_keys.py"))
        .args(arguments)
        .output()
        .context("run python3")?;
    let text = String::from_utf8(output.stdout)?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{text}{errors}");
    Ok(text)
}

/// Cases for a running gateway: `method`, `target`, `expected`, `limits`.
///
/// # Errors
/// If the generator fails.
pub fn cases(seed: u64, count: usize) -> Result<Vec<Value>> {
    let text = keys(&["--generate", &seed.to_string(), &count.to_string()])?;
    let made: Value = serde_json::from_str(&text)?;
    Ok(made["cases"].as_array().context("cases")?.clone())
}
