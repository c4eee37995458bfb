//! `[buckets.NAME.cors]`: whose pages may read a bucket's answers.

use std::time::Duration;

use http::HeaderValue;

use super::errors::Findings;
use super::section::Section;
use super::{ceiling, server};

/// How long a browser may keep the answer to a preflight where nobody says: as long as Chromium ever does.
const MAX_AGE: Duration = Duration::from_secs(2 * 60 * 60);

/// What stands for every origin.
const ANY: &str = "*";

/// Whose pages may read a bucket's answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors {
    origins: Vec<HeaderValue>,
    /// How long a browser may keep the answer to a preflight.
    pub max_age: Duration,
}

impl Cors {
    /// What an answer says to a page of `origin`; `None` where that page may not read it.
    ///
    /// It is always what the operator wrote, never what was asked.
    pub(crate) fn allow(&self, origin: &HeaderValue) -> Option<&HeaderValue> {
        self.origins.iter().find(|known| *known == ANY || *known == origin)
    }

    /// The origins, as the operator wrote them.
    pub(crate) fn origins(&self) -> impl Iterator<Item = &str> {
        self.origins.iter().filter_map(|origin| origin.to_str().ok())
    }
}

/// Reads `[buckets.NAME.cors]`; `None` where it was left out or is at fault.
pub(super) fn read(mut section: Section<'_>, findings: &mut Findings) -> Option<Cors> {
    const DAY: Duration = Duration::from_secs(86_400);
    if !section.is_present() {
        return None;
    }
    let texts = section.texts("origins", findings);
    let max_age = ceiling::duration(&mut section, "max_age", Duration::ZERO..=DAY, findings);
    if texts.is_none() {
        findings.fault(section.at, format!("[{}] names no origins, so it opens nothing", section.heading()));
    }
    section.finish(findings);
    let mut origins = Vec::new();
    for text in texts?.value {
        match parse_origin(text.value) {
            Ok(origin) => origins.push(origin),
            Err(message) => findings.fault(text.at, message),
        }
    }
    Some(Cors { origins, max_age: max_age.unwrap_or(MAX_AGE) })
}

/// Reads an origin in the spelling in which browsers send it, since it is compared with theirs as text.
///
/// [Serialization of an origin](https://html.spec.whatwg.org/multipage/browsers.html#ascii-serialisation-of-an-origin).
fn parse_origin(text: &str) -> Result<HeaderValue, String> {
    let browsers = respelled(text);
    let sound = matches!(text, ANY | "null") || browsers.as_deref() == Some(text);
    HeaderValue::from_str(text).ok().filter(|_| sound).ok_or_else(|| {
        let instead = browsers.map_or_else(String::new, |origin| format!("; write {origin}"));
        format!(
            "origins {text:?} must be an origin as browsers send it, https://app.example.com: scheme, host and \
             perhaps a port, in lower case and without a path; or \"*\"{instead}"
        )
    })
}

/// The origin that `text` probably means: in lower case, without a path or the scheme's own port.
fn respelled(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let (scheme, rest) = lower.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let own_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => "",
    };
    let authority = authority.strip_suffix(own_port).unwrap_or(authority);
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_lowercase())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    (is_scheme && server::is_authority(authority)).then(|| format!("{scheme}://{authority}"))
}
