//! A configuration that is edited while the gateway runs: all of it comes into force, or none.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use super::StartError;
use super::start::{self, Disks};
use crate::gateway::{Gateway, Snapshot};
use crate::settings::{Settings, SettingsErrors, Watch};

/// How often the files are looked at. A change that has come to rest is in force within two looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How far back a key's last use counts, when a policy that it names is removed.
const RECENTLY: Duration = Duration::from_secs(24 * 60 * 60);

/// Reads the configuration again, on a thread of its own: it waits for the disk.
struct Reloader {
    gateway: Arc<Gateway>,
    disks: Disks,
    watch: Watch,
}

/// Watches the configuration until the sender is dropped; what is sent asks to read it at once.
///
/// # Errors
/// [`StartError::Worker`].
pub(super) fn start(gateway: Arc<Gateway>, disks: Disks, watch: Watch) -> Result<Sender<()>, StartError> {
    let (sender, asked) = channel();
    let mut reloader = Reloader { gateway, disks, watch };
    let thread = std::thread::Builder::new().name("reload".into());
    thread.spawn(move || reloader.run(&asked)).map_err(StartError::Worker)?;
    Ok(sender)
}

impl Reloader {
    fn run(&mut self, asked: &Receiver<()>) {
        loop {
            let read = match asked.recv_timeout(LOOK_EVERY) {
                Ok(()) => self.watch.read(),
                Err(RecvTimeoutError::Timeout) => self.watch.look(),
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if let Some(read) = read {
                self.take(read);
            }
        }
    }

    fn take(&mut self, read: Result<Settings, SettingsErrors>) {
        let replaced = match read {
            Ok(settings) => self
                .replace(settings)
                .map_err(|fault| vec![format!("{}: {fault}", self.watch.config().display())]),
            Err(errors) => Err(errors.iter().map(ToString::to_string).collect()),
        };
        match replaced {
            Ok(()) => {
                let config = self.watch.config().display();
                tracing::info!(%config, "the configuration was read and is in force");
            }
            Err(faults) => {
                for fault in faults {
                    tracing::error!("{fault}");
                }
                tracing::error!("the configuration is faulty; the one before it stays in force");
            }
        }
    }

    fn replace(&mut self, mut settings: Settings) -> Result<(), String> {
        // A file that was emptied, or of which only the beginning is written, is sound and opens nothing.
        if settings.buckets.is_empty() && settings.signers.is_empty() {
            return Err("there is neither a bucket nor a signer in it".to_owned());
        }
        let kept = settings.keep_fixed(&self.gateway.snapshot().settings)?;
        let buckets = start::buckets(&settings, &mut self.disks).map_err(|error| error.to_string())?;
        for warning in settings.warnings.iter().chain(&kept) {
            tracing::warn!("{warning}");
        }
        let running = self.gateway.snapshot();
        let removed: Vec<_> =
            running.settings.policies.keys().filter(|name| !settings.policies.contains_key(*name)).collect();
        self.gateway.replace(Snapshot { settings, buckets });
        for policy in removed {
            let now = self.gateway.clock.now().clock;
            let keys = self.gateway.recent.naming(policy, RECENTLY, now);
            tracing::warn!(
                policy,
                keys_of_the_last_day = keys,
                "a policy was removed; keys that name it are refused with policy_missing"
            );
        }
        Ok(())
    }
}
