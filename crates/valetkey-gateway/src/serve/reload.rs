//! A configuration that is edited while the gateway runs: all of it comes into force, or none.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use tokio::sync::oneshot;

use super::StartError;
use super::backends::{Backends, Opened};
use crate::gateway::{Gateway, Snapshot};
use crate::settings::{Settings, SettingsErrors, Watch};

/// How often the files are looked at. A change that has come to rest is in force within two looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How far back a key's last use counts, when a policy that it names is removed.
const RECENTLY: Duration = Duration::from_secs(24 * 60 * 60);
/// Who asks to read the configuration at once, and where what came of it is told; `None` where nobody waits.
pub(crate) type Asked = Option<oneshot::Sender<Outcome>>;

/// What came of reading it: the warnings of the one that is in force now, or the faults of one that is not.
pub(crate) type Outcome = Result<Vec<String>, Vec<String>>;

/// How often, and how long apart, files that change while they are read are read again for one who waits.
const TRIES: usize = 20;
const TRY_EVERY: Duration = Duration::from_millis(50);

/// Reads the configuration again, on a thread of its own: it waits for the disk.
struct Reloader {
    gateway: Arc<Gateway>,
    backends: Backends,
    watch: Watch,
}

/// Watches the configuration until the sender is dropped; what is sent asks to read it at once.
///
/// # Errors
/// [`StartError::Worker`].
pub(super) fn start(
    gateway: Arc<Gateway>,
    backends: Backends,
    watch: Watch,
) -> Result<Sender<Asked>, StartError> {
    let (sender, asked) = channel();
    let mut reloader = Reloader { gateway, backends, watch };
    let thread = std::thread::Builder::new().name("reload".into());
    thread.spawn(move || reloader.run(&asked)).map_err(StartError::Worker)?;
    Ok(sender)
}

impl Reloader {
    fn run(&mut self, asked: &Receiver<Asked>) {
        loop {
            let read = match asked.recv_timeout(LOOK_EVERY) {
                Ok(None) => self.watch.read(),
                Ok(Some(waiting)) => {
                    // Who went away meanwhile need not be told.
                    let _ = waiting.send(self.take_now());
                    continue;
                }
                Err(RecvTimeoutError::Timeout) => self.watch.look(),
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if let Some(read) = read {
                // It is told in the log.
                let _ = self.take(read);
            }
        }
    }

    fn take_now(&mut self) -> Outcome {
        for _ in 0..TRIES {
            if let Some(read) = self.watch.read() {
                return self.take(read);
            }
            std::thread::sleep(TRY_EVERY);
        }
        Err(vec!["the files change while they are read; ask again".to_owned()])
    }

    fn take(&mut self, read: Result<Settings, SettingsErrors>) -> Outcome {
        let replaced = match read {
            Ok(settings) => self
                .replace(settings)
                .map_err(|fault| vec![format!("{}: {fault}", self.watch.config().display())]),
            Err(errors) => Err(errors.iter().map(ToString::to_string).collect()),
        };
        match &replaced {
            Ok(_) => {
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
        replaced
    }

    fn replace(&mut self, mut settings: Settings) -> Result<Vec<String>, String> {
        // A file that was emptied, or of which only the beginning is written, is sound and opens nothing.
        if settings.buckets.is_empty() && settings.signers.is_empty() {
            return Err("there is neither a bucket nor a signer in it".to_owned());
        }
        let kept = settings.keep_fixed(&self.gateway.snapshot().settings)?;
        let Opened { buckets, stores } =
            self.backends.buckets(&settings).map_err(|error| error.to_string())?;
        let warnings = [settings.warnings.as_slice(), &kept].concat();
        for warning in &warnings {
            tracing::warn!("{warning}");
        }
        let running = self.gateway.snapshot();
        let removed: Vec<_> =
            running.settings.policies.keys().filter(|name| !settings.policies.contains_key(*name)).collect();
        self.gateway.replace(Snapshot { settings, buckets, stores });
        for policy in removed {
            let now = self.gateway.clock.now().clock;
            let keys = self.gateway.recent.naming(policy, RECENTLY, now);
            tracing::warn!(
                policy,
                keys_of_the_last_day = keys,
                "a policy was removed; keys that name it are refused with policy_missing"
            );
        }
        Ok(warnings)
    }
}
