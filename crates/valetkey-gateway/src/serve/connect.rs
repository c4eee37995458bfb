//! Asking each backend whether it can be used, without serving anything.

use std::io::ErrorKind;

use tokio::runtime::Builder;

use crate::backend::StoreError;
use crate::backend::remote::Service;
use crate::settings::{Backend, Settings};

/// What came of asking each backend, by its name. Nothing is written anywhere.
pub fn connect(settings: &Settings) -> Vec<(String, Result<(), String>)> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let answer = |backend| match &runtime {
        Ok(runtime) => runtime.block_on(ask(backend)),
        Err(error) => Err(format!("begin to ask: {error}")),
    };
    settings.backends.iter().map(|(name, backend)| (name.clone(), answer(backend))).collect()
}

async fn ask(backend: &Backend) -> Result<(), String> {
    let service = match backend {
        // The folder is made by the gateway that serves it, as its own user.
        Backend::Disk { root } => match std::fs::read_dir(root) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(format!("read folder {}: {error}", root.display()));
            }
            _ => return Ok(()),
        },
        Backend::S3(_) | Backend::Azure(_) | Backend::Gcs(_) => Service::open(backend),
    };
    let Some(service) = service.map_err(|error| error.to_string())? else { return Ok(()) };
    service.check().await.map_err(|error| match error {
        StoreError::NotFound => "the bucket or container is not there".to_owned(),
        StoreError::Io { attempt, source } => format!("{attempt}: {source}"),
        error => error.to_string(),
    })
}
