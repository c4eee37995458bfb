//! The head of a request, as it was sent.

use alloc::format;

use valetkey::Denial;

/// What a dialect may look at: the head of a request, with nothing decoded.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// The method, in the case in which it was sent.
    pub method: &'a str,
    /// The path of the request target, still percent-encoded.
    pub path: &'a str,
    /// The query of the request target without its question mark, `""` where there is none.
    pub query: &'a str,
    /// Names in lower case and values, in the order they came, repeated ones apart. The authority of an HTTP/2
    /// request stands as its `host`.
    pub headers: &'a [(&'a str, &'a [u8])],
}

impl<'a> RequestHead<'a> {
    /// All values of the header `name`, which is in lower case.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.headers.iter().filter(move |(header, _)| *header == name).map(|(_, value)| *value)
    }

    /// The host that it is sent to, perhaps with a port; `""` where it says none.
    pub fn host(&self) -> &'a str {
        self.values("host").next().and_then(|host| core::str::from_utf8(host).ok()).unwrap_or("")
    }

    /// The one value of the header `name`, which is in lower case.
    ///
    /// # Errors
    /// [`Denial::BadRequest`] where it is given twice or is no text.
    pub(crate) fn one(&self, name: &str) -> Result<Option<&'a str>, Denial> {
        let mut values = self.values(name);
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(Denial::BadRequest(format!("the header {name} is given twice")));
        }
        let text = core::str::from_utf8(value)
            .map_err(|_| Denial::BadRequest(format!("the header {name} is no text in UTF-8")))?;
        Ok(Some(text))
    }
}
