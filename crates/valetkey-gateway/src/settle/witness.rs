//! What the ledger keeps of a counted upload or delete while it is under way, so that a record of it can be
//! written after a crash.

use crate::notify::Receipt;

/// The words in which the ledger keeps it: the object's path, and on a second line what the record would say.
/// No path has a line end in it.
pub(crate) struct Witness {
    pub(crate) path: String,
    /// `None` where nothing could be read, as in words of an earlier release.
    pub(crate) receipt: Option<Receipt>,
}

impl Witness {
    pub(crate) fn into_words(self) -> String {
        let Self { mut path, receipt } = self;
        if let Some(receipt) = receipt {
            path.push('\n');
            path.push_str(&receipt.to_note());
        }
        path
    }

    pub(crate) fn from_words(words: &str) -> Self {
        let (path, note) = words.split_once('\n').unwrap_or((words, ""));
        Self { path: path.to_owned(), receipt: Receipt::from_note(note) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use valetkey::Timestamp;

    #[test]
    fn what_is_put_into_words_is_read_back() {
        let receipt = Receipt {
            request_id: Some("r-1".into()),
            object: Some("a\"b\u{2028}".into()),
            ..Receipt::at(Timestamp::from_unix(1_795_305_600))
        };
        let words = Witness { path: "/files/a".into(), receipt: Some(receipt.clone()) }.into_words();
        let witness = Witness::from_words(&words);
        assert_eq!((witness.path.as_str(), witness.receipt), ("/files/a", Some(receipt)));

        let plain = Witness::from_words("/files/a");
        assert_eq!((plain.path.as_str(), plain.receipt), ("/files/a", None));
    }
}
