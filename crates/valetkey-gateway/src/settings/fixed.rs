//! What a running gateway cannot change: it keeps what it started with until it is started again.

use std::fmt::Debug;
use std::path::PathBuf;

use super::{Admin, AdminListen, Ledger, Settings, place};

impl Settings {
    /// Puts back what cannot change in a gateway that runs under `running`, and says what that was.
    ///
    /// # Errors
    /// Where what stays would lie in a bucket that is new, in the words for an operator.
    pub(crate) fn keep_fixed(&mut self, running: &Self) -> Result<Vec<String>, String> {
        let mut kept = Vec::new();
        let (server, old) = (&mut self.server, &running.server);
        keep("server.listen", &mut server.listen, &old.listen, &mut kept);
        keep("server.workers", &mut server.workers, &old.workers, &mut kept);
        keep("server.connections_max", &mut server.connections_max, &old.connections_max, &mut kept);
        keep("[admin]", &mut self.admin, &running.admin, &mut kept);
        keep("[ledger]", &mut self.ledger, &running.ledger, &mut kept);
        keep("[audit]", &mut self.audit, &running.audit, &mut kept);
        // Reading has checked the files that were typed, not those that stay.
        let files = [
            Some(&self.audit.path),
            Some(&self.audit.key_file),
            ledger_file(&self.ledger),
            socket_file(self.admin.as_ref()),
        ];
        for file in files.into_iter().flatten() {
            let file = place::resolve(file);
            let serves = |bucket: &&String| {
                self.folder(bucket).is_some_and(|folder| file.starts_with(place::resolve(&folder)))
            };
            if let Some(bucket) = self.buckets.keys().find(serves) {
                return Err(format!(
                    "{} is in use until a restart and lies within bucket {bucket}",
                    file.display()
                ));
            }
        }
        Ok(kept)
    }
}

fn keep<T: Clone + Debug + PartialEq>(name: &str, new: &mut T, running: &T, kept: &mut Vec<String>) {
    if new != running {
        kept.push(format!("{name} cannot change while the gateway runs; it changes at the next start"));
        *new = running.clone();
    }
}

fn socket_file(admin: Option<&Admin>) -> Option<&PathBuf> {
    match &admin?.listen {
        AdminListen::Unix(path) => Some(path),
        AdminListen::Tcp { .. } => None,
    }
}

fn ledger_file(ledger: &Ledger) -> Option<&PathBuf> {
    match ledger {
        Ledger::Sqlite { path } => Some(path),
        Ledger::Memory => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::super::embedded;
    use super::*;

    /// What becomes of the configuration of a first start, edited from `from` to `to` while it is in force.
    fn edited(edits: &[(&str, &str)]) -> (Settings, Settings, Result<Vec<String>, String>) {
        let folder = tempfile::tempdir().unwrap();
        let config = embedded::make(folder.path()).unwrap().config;
        let secret = folder.path().join("valetkey-data/signers/web.secret");
        fs::hard_link(secret, folder.path().join("web.secret")).unwrap();
        let running = Settings::load(&config).unwrap();
        let mut text = fs::read_to_string(&config).unwrap();
        for (from, to) in edits {
            assert!(text.contains(from), "{from}");
            text = text.replacen(from, to, 1);
        }
        fs::write(&config, text).unwrap();
        let mut new = Settings::load(&config).unwrap();
        let kept = new.keep_fixed(&running);
        (running, new, kept)
    }

    #[test]
    fn what_can_change_changes() {
        let (_, new, kept) = edited(&[("max_lifetime = \"7d\"", "max_lifetime = \"1d\"")]);
        assert_eq!(kept, Ok(Vec::new()));
        assert_eq!(new.signers["web"].ceiling.max_lifetime.unwrap().as_secs(), 86_400);
    }

    #[test]
    fn what_cannot_change_stays_and_is_said() {
        let (running, new, kept) = edited(&[
            ("listen = \"127.0.0.1:8080\"", "listen = \"127.0.0.1:8081\"\nworkers = 7\nconnections_max = 7"),
            ("admin.sock", "other.sock"),
            ("ledger.db", "other.db"),
            ("audit.jsonl", "other.jsonl"),
        ]);
        let kept = kept.unwrap().join("\n");
        for name in
            ["server.listen", "server.workers", "server.connections_max", "[admin]", "[ledger]", "[audit]"]
        {
            assert!(kept.contains(name), "{name} in {kept}");
        }
        assert_eq!(new.server.listen, running.server.listen);
        assert_eq!((new.ledger, new.audit), (running.ledger, running.audit));
    }

    #[test]
    fn no_new_bucket_serves_the_ledger_that_stays() {
        let (.., kept) = edited(&[
            ("valetkey-data/admin.sock", "other/admin.sock"),
            ("valetkey-data/ledger.db", "other/ledger.db"),
            ("valetkey-data/audit.jsonl", "other/audit.jsonl"),
            ("valetkey-data/signers/web.secret", "web.secret"),
            ("root = \"valetkey-data/objects\"", "root = \"valetkey-data\""),
        ]);
        assert!(kept.unwrap_err().contains("lies within bucket files"));
    }
}
