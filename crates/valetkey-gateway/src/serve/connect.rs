//! Asking each backend whether it can be used, without serving anything.

use std::io::ErrorKind;

use super::StartError;
use crate::settings::{Backend, Settings};

/// What came of asking each backend, by its name. Nothing is written anywhere.
pub fn connect(settings: &Settings) -> Vec<(String, Result<(), String>)> {
    settings.backends.iter().map(|(name, backend)| (name.clone(), ask(name, backend))).collect()
}

fn ask(name: &str, backend: &Backend) -> Result<(), String> {
    match backend {
        // The folder is made by the gateway that serves it, as its own user.
        Backend::Disk { root } => match std::fs::read_dir(root) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(format!("read folder {}: {error}", root.display()))
            }
            _ => Ok(()),
        },
        remote => Err(StartError::Unserved(name.to_owned(), remote.kind()).to_string()),
    }
}
