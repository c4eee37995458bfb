//! What became of many objects that were to be deleted at once.

use alloc::string::String;
use alloc::vec::Vec;

use super::Refusal;
use crate::aws::operation::{Delete, DeleteKey};
use crate::xml::Xml;

/// What became of one: it is gone, or why it was not deleted.
pub type Deleted = Result<(), Refusal>;

/// `DeleteResult`: for each key that `asked` names, in its order, what became of it.
pub fn delete_result(asked: &Delete, outcomes: &[Deleted]) -> String {
    let keys: Vec<_> = asked.keys.iter().zip(outcomes).collect();
    Xml::s3("DeleteResult", 256 + 96 * keys.len(), |xml| {
        for (DeleteKey { key, .. }, outcome) in keys {
            match outcome {
                Ok(()) if asked.quiet => {}
                Ok(()) => xml.nested("Deleted", |xml| xml.element("Key", key)),
                Err(refusal) => xml.nested("Error", |xml| {
                    xml.element("Key", key);
                    xml.element("Code", refusal.code.name());
                    xml.element("Message", refusal.message());
                }),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use valetkey::Denial;

    use super::*;

    #[test]
    fn failures_are_told_even_where_quiet_was_asked_for() {
        let outcomes = [Ok(()), Err(Refusal::from(Denial::OutOfScope))];
        let named = |key: &str| DeleteKey { key: key.into(), conditions: Default::default() };
        let mut asked = Delete { keys: vec![named("a<"), named("b")], quiet: false };
        let failed = "<Error><Key>b</Key><Code>AccessDenied</Code>\
            <Message>the key does not open this path</Message></Error></DeleteResult>\n";
        let loud = delete_result(&asked, &outcomes);
        assert!(loud.ends_with(&alloc::format!("<Deleted><Key>a&lt;</Key></Deleted>{failed}")), "{loud}");
        asked.quiet = true;
        let quiet = delete_result(&asked, &outcomes);
        assert!(quiet.ends_with(&alloc::format!("2006-03-01/\">{failed}")), "{quiet}");
    }
}
