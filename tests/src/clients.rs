//! Running the scripts of `tests/clients`: the S3 clients that applications use, in their own languages.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::gateway::Gateway;
use crate::python::root;

/// The access key id of the clients, a signer's name.
pub const SIGNER: &str = "app";

/// Their secret access key, the text of that signer's secret.
pub const SECRET: &str = "c2VjcmV0LW9mLXRoZS1jbGllbnRzLW9mLVMz/+=";

/// Runs a script of `tests/clients` with the credentials of [`SIGNER`] and gives its standard output.
///
/// # Errors
/// If the clients are not installed, or the script fails; the error tells what it wrote.
pub fn python(script: &str, arguments: &[&str], environment: &[(&str, String)]) -> Result<String> {
    let python = root().join("tests/.tools/clients/bin/python");
    ensure!(python.exists(), "run: tests/clients/install");
    let mut command = Command::new(python);
    command.env("PYTHONDONTWRITEBYTECODE", "1").arg(script).args(arguments);
    run(command, environment)
}

/// Runs a script in JavaScript as [`python`] does.
///
/// # Errors
/// As [`python`].
pub fn node(script: &str, environment: &[(&str, String)]) -> Result<String> {
    ensure!(folder().join("node_modules").exists(), "run: tests/clients/install");
    let mut command = Command::new("node");
    command.arg(script);
    run(command, environment)
}

/// What a script is told of a gateway, and of the bucket that it is to use.
pub fn told(gateway: &Gateway, bucket: &str) -> Vec<(&'static str, String)> {
    let mut told = vec![("VALETKEY_BUCKET", bucket.to_owned())];
    // A store that speaks S3 may read `\` as `/`, so no name there has one.
    let configuration = std::fs::read_to_string(gateway.config_path()).unwrap_or_default();
    if configuration.contains("kind = \"s3\"") {
        told.push(("VALETKEY_NAMES_WITHOUT", "\\".to_owned()));
    }
    let certificate = gateway.certificate_path();
    if certificate.exists() {
        let certificate = certificate.to_string_lossy().into_owned();
        told.push(("AWS_CA_BUNDLE", certificate.clone()));
        told.push(("NODE_EXTRA_CA_CERTS", certificate));
        told.push(("VALETKEY_URL", format!("https://{}", gateway.address())));
    } else {
        told.push(("VALETKEY_URL", format!("http://{}", gateway.address())));
    }
    told
}

fn folder() -> PathBuf {
    root().join("tests/clients")
}

fn run(mut command: Command, environment: &[(&str, String)]) -> Result<String> {
    // Nothing that this machine tells such clients otherwise.
    let inherited = std::env::vars_os().map(|(name, _)| name);
    for name in inherited.filter(|name| name.to_string_lossy().starts_with("AWS_")) {
        command.env_remove(name);
    }
    let output = command
        .current_dir(folder())
        .env("NO_PROXY", "127.0.0.1")
        .env("AWS_ACCESS_KEY_ID", SIGNER)
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .output()
        .with_context(|| format!("run {command:?}"))?;
    let text = String::from_utf8(output.stdout)?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{:?} gave {}\n{text}{errors}", command.get_args(), output.status);
    Ok(text)
}
