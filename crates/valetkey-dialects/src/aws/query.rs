//! The query of an AWS request, decoded once: the same names and values are signed, read and acted upon.

use alloc::borrow::{Cow, ToOwned};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use valetkey::{Denial, decode_query_component};

/// How many parameters a query may have. S3's own calls have about twenty at most.
const PARAMETERS_MAX: usize = 128;

/// One parameter of a query.
#[derive(Debug)]
pub(super) struct Parameter<'a> {
    /// The name as it was sent.
    pub(super) raw_name: &'a str,
    pub(super) name: Cow<'a, str>,
    pub(super) value: Cow<'a, str>,
}

/// All parameters of a query, in the order they came.
#[derive(Debug)]
pub(super) struct Query<'a>(pub(super) Vec<Parameter<'a>>);

impl<'a> Query<'a> {
    /// Decodes a query. `+` is a space, as S3 has it: clients sign `%20` and send `+`.
    pub(super) fn parse(raw: &'a str) -> Result<Self, Denial> {
        if raw.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let mut parameters = Vec::new();
        // An empty pair has an empty name, so that none can be added to what was signed.
        for pair in raw.split('&') {
            if parameters.len() == PARAMETERS_MAX {
                return Err(Denial::BadRequest(format!("the query has over {PARAMETERS_MAX} parameters")));
            }
            let (raw_name, raw_value) = pair.split_once('=').unwrap_or((pair, ""));
            let (Some(name), Some(value)) =
                (decode_query_component(raw_name), decode_query_component(raw_value))
            else {
                return Err(Denial::BadRequest(
                    "the query has a broken percent escape or is not UTF-8".to_owned(),
                ));
            };
            parameters.push(Parameter { raw_name, name, value });
        }
        Ok(Self(parameters))
    }

    /// Whether there is a parameter `name`.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|parameter| parameter.name == name)
    }

    /// The value of the parameter `name` of the credential, in its one spelling.
    ///
    /// # Errors
    /// [`Denial::MalformedKey`] where it is given twice.
    pub(super) fn one(&self, name: &str) -> Result<Option<&str>, Denial> {
        let mut all = self.0.iter().filter(|parameter| parameter.name.eq_ignore_ascii_case(name));
        let Some(first) = all.next() else { return Ok(None) };
        if all.next().is_some() {
            return Err(Denial::MalformedKey(format!("{name} is given twice")));
        }
        if first.name != name {
            return Err(Denial::MalformedKey(format!("{name} is spelled in another case")));
        }
        Ok(Some(&first.value))
    }
}

/// A name or a value that a stranger wrote, fit to be shown: no control characters, not long.
pub(super) fn shown(text: &str) -> String {
    text.chars().filter(|char| !char.is_control()).take(40).collect()
}
