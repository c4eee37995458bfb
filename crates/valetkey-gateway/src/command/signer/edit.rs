//! Edits of the configuration's text. What they do not speak of stays as it was typed, comments too.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use toml_edit::{Array, DocumentMut, Item, Table, TableLike, Value, value};

use crate::settings::measure::Span;

/// Where secrets go where there is none yet, from the configuration's folder.
const SECRETS_FOLDER: &str = "valetkey-data/signers";

/// A configuration file as it is typed, and as it is to be.
pub(super) struct Configuration {
    path: PathBuf,
    before: String,
    document: DocumentMut,
}

/// What a new signer can grant at most.
pub(super) struct Limits {
    pub(super) scope: Vec<String>,
    pub(super) allow: Vec<&'static str>,
    pub(super) max_lifetime: Duration,
}

impl Configuration {
    /// Reads the file, which was read as settings before.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let before = std::fs::read_to_string(path).context("read the configuration")?;
        let document = before.parse().context("read the configuration")?;
        Ok(Self { path: path.to_owned(), before, document })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What the file says until it is replaced.
    pub(super) fn before(&self) -> &str {
        &self.before
    }

    /// What it is to say.
    pub(super) fn text(&self) -> String {
        self.document.to_string()
    }

    /// The folder of the first signer's secret, as it is typed.
    pub(super) fn secrets_folder(&self) -> PathBuf {
        let signers = self.document.get("signers").and_then(Item::as_table_like);
        let file = signers
            .into_iter()
            .flat_map(TableLike::iter)
            .find_map(|(_, signer)| signer.get("secret_file")?.as_str());
        let folder = file.and_then(|file| Path::new(file).parent());
        folder.unwrap_or(Path::new(SECRETS_FOLDER)).to_owned()
    }

    /// The file of a signer's secret, as it is typed.
    pub(super) fn secret_file(&self, name: &str) -> anyhow::Result<PathBuf> {
        let file = self.signer(name)?.get("secret_file").and_then(Item::as_str);
        Ok(file.context("the signer's secret stands in no file")?.into())
    }

    /// What holds the secret before, where there is one: a file, or an environment variable.
    pub(super) fn previous(&self, name: &str) -> anyhow::Result<Option<&str>> {
        let signer = self.signer(name)?;
        let previous = ["previous_secret_file", "previous_secret_env"];
        Ok(previous.into_iter().find_map(|setting| signer.get(setting)?.as_str()))
    }

    /// A signer's table, with its heading.
    pub(super) fn table(&self, name: &str) -> anyhow::Result<String> {
        let mut signer = Table::new();
        for (setting, item) in self.signer(name)?.iter() {
            let mut item = value(item.as_value().context("a signer has values only")?.clone());
            if let Some(value) = item.as_value_mut() {
                value.decor_mut().clear();
            }
            signer.insert(setting, item);
        }
        Ok(format!("[signers.{name}]\n{signer}"))
    }

    /// Adds a signer.
    pub(super) fn add(&mut self, name: &str, secret_file: &str, limits: &Limits) -> anyhow::Result<()> {
        let signers = self.document.entry("signers").or_insert_with(|| {
            let mut table = Table::new();
            table.set_implicit(true);
            table.into()
        });
        let signers = signers.as_table_like_mut().context("signers is no table")?;
        let mut signer = Table::new();
        signer.insert("secret_file", value(secret_file));
        signer.insert("scope", value(limits.scope.iter().collect::<Array>()));
        signer.insert("allow", value(limits.allow.iter().copied().collect::<Array>()));
        signer.insert("max_lifetime", value(Span(limits.max_lifetime).to_string()));
        signers.insert(name, signer.into());
        Ok(())
    }

    /// Has a signer sign with another secret, and says what held the one before. Where `keep` says so, that one
    /// still verifies.
    pub(super) fn rotate(&mut self, name: &str, secret_file: &str, keep: bool) -> anyhow::Result<String> {
        let signer = self.document.get_mut("signers").and_then(|signers| signers.get_mut(name));
        let signer = signer.and_then(Item::as_table_like_mut).context("the signer is no table")?;
        for setting in ["previous_secret_file", "previous_secret_env"] {
            signer.remove(setting);
        }
        let (setting, old) = ["secret_file", "secret_env"]
            .into_iter()
            .find_map(|setting| Some((setting, signer.get(setting)?.as_str()?.to_owned())))
            .context("the signer has no secret")?;
        match signer.get_mut("secret_file").and_then(Item::as_value_mut) {
            Some(file) => {
                let decor = file.decor().clone();
                *file = Value::from(secret_file);
                *file.decor_mut() = decor;
            }
            None => {
                signer.remove("secret_env");
                signer.insert("secret_file", value(secret_file));
            }
        }
        if keep {
            signer.insert(&format!("previous_{setting}"), value(old.as_str()));
        }
        Ok(old)
    }

    fn signer(&self, name: &str) -> anyhow::Result<&dyn TableLike> {
        let signer = self.document.get("signers").and_then(|signers| signers.get(name));
        signer.and_then(Item::as_table_like).context("the signer is no table")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn configuration(text: &str) -> Configuration {
        Configuration {
            path: "valetkey.toml".into(),
            before: text.to_owned(),
            document: text.parse().unwrap(),
        }
    }

    #[track_caller]
    fn rotated(before: &str, keep: bool, after: &str) {
        let mut configuration = configuration(before);
        configuration.rotate("web", "s/web.2.secret", keep).unwrap();
        assert_eq!(configuration.text(), after);
    }

    #[test]
    fn the_old_secret_becomes_the_previous_one_and_comments_stay() {
        rotated(
            "# mine\n[signers.web]  # the shop\nsecret_file = \"s/web.secret\"   # kept\nallow = [\"read\"]\n\n# p\n[policies.a]\n",
            true,
            "# mine\n[signers.web]  # the shop\nsecret_file = \"s/web.2.secret\"   # kept\nallow = [\"read\"]\n\
             previous_secret_file = \"s/web.secret\"\n\n# p\n[policies.a]\n",
        );
        rotated(
            "[signers]\nweb = { secret_file = \"a\", allow = [] }\n",
            true,
            "[signers]\nweb = { secret_file = \"s/web.2.secret\", allow = [] , previous_secret_file = \"a\" }\n",
        );
        rotated(
            "signers.web.secret_file = \"a\"\n",
            true,
            "signers.web.secret_file = \"s/web.2.secret\"\nsigners.web.previous_secret_file = \"a\"\n",
        );
    }

    #[test]
    fn a_secret_of_the_environment_becomes_the_previous_one_too() {
        rotated(
            "[signers.web]\nsecret_env = \"WEB\"\n",
            true,
            "[signers.web]\nsecret_file = \"s/web.2.secret\"\nprevious_secret_env = \"WEB\"\n",
        );
    }

    #[test]
    fn a_leaked_secret_and_the_one_before_are_taken_out() {
        rotated(
            "[signers.web]\nsecret_file = \"b\"\nprevious_secret_file = \"a\"\n",
            false,
            "[signers.web]\nsecret_file = \"s/web.2.secret\"\n",
        );
    }

    #[test]
    fn a_new_signer_stands_at_the_end_of_the_others() {
        let limits = Limits {
            scope: vec!["/files/".to_owned()],
            allow: vec!["create", "read"],
            max_lifetime: Duration::from_secs(86_400),
        };
        let added = "[signers.app]\nsecret_file = \"s/app.secret\"\nscope = [\"/files/\"]\n\
                     allow = [\"create\", \"read\"]\nmax_lifetime = \"1d\"\n";
        for (before, after) in [
            ("", added.to_owned()),
            (
                "[buckets.files]\nbackend = \"local\"\n",
                format!("[buckets.files]\nbackend = \"local\"\n\n{added}"),
            ),
            (
                "[signers.web]\nsecret_file = \"s/web.secret\"\n# last\n",
                format!("[signers.web]\nsecret_file = \"s/web.secret\"\n\n{added}# last\n"),
            ),
        ] {
            let mut configuration = configuration(before);
            configuration.add("app", "s/app.secret", &limits).unwrap();
            assert_eq!(configuration.text(), after);
            assert_eq!(configuration.table("app").unwrap(), added);
        }
    }
}
