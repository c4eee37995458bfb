//! The answers to an upload by a form.

use alloc::format;
use alloc::string::String;

use valetkey::{ResourcePath, encode_component};

use super::quoted;
use crate::xml::Xml;

/// `PostResponse`, for a form that asked for the status 201. `location` is the object's URL.
pub fn post_response(path: &ResourcePath, location: &str, etag: &str) -> String {
    let mut xml = Xml::new(512);
    xml.nested("PostResponse", |xml| {
        xml.element("Location", location);
        xml.element("Bucket", path.bucket());
        xml.element("Key", path.name());
        xml.element("ETag", quoted(etag));
    });
    xml.finish()
}

/// The object's URL, below the gateway's own `origin`.
pub fn post_location(origin: &str, path: &ResourcePath) -> String {
    format!("{origin}{}", path.encoded())
}

/// Where a form that asked for it is sent on to: `url` with what was made in its query.
pub fn post_redirect(url: &str, path: &ResourcePath, etag: &str) -> String {
    let (url, fragment) = url.split_once('#').map_or((url, None), |(url, rest)| (url, Some(rest)));
    let joint = if url.contains('?') { '&' } else { '?' };
    let value = |text: &str| encode_component(text, b"");
    let mut target = format!(
        "{url}{joint}bucket={}&key={}&etag={}",
        value(path.bucket()),
        value(path.name()),
        value(&quoted(etag))
    );
    if let Some(fragment) = fragment {
        target.push('#');
        target.push_str(fragment);
    }
    target
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path() -> ResourcePath {
        ResourcePath::from_text("/files/a b&c").unwrap()
    }

    #[test]
    fn a_form_reads_what_it_made() {
        let location = post_location("http://h:8080", &path());
        assert!(post_response(&path(), &location, "ab-1").ends_with(
            "<PostResponse><Location>http://h:8080/files/a%20b%26c</Location><Bucket>files</Bucket>\
             <Key>a b&amp;c</Key><ETag>&quot;ab-1&quot;</ETag></PostResponse>"
        ));
    }

    #[test]
    fn a_redirect_says_what_was_made() {
        let made = "bucket=files&key=a%20b%26c&etag=%22ab-1%22";
        for (url, expected) in [
            ("https://app/done", format!("https://app/done?{made}")),
            ("https://app/done?x=1", format!("https://app/done?x=1&{made}")),
            ("https://app/done#top", format!("https://app/done?{made}#top")),
        ] {
            assert_eq!(post_redirect(url, &path(), "ab-1"), expected);
        }
    }
}
