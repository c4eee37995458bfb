//! The head of a request, as it was sent.

/// What a dialect may look at: the head of a request, with nothing decoded.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// The path of the request target, still percent-encoded.
    pub path: &'a str,
    /// The query of the request target without its question mark, `""` where there is none.
    pub query: &'a str,
    /// Names in lower case and values, in the order they came, repeated ones apart.
    pub headers: &'a [(&'a str, &'a [u8])],
}

impl<'a> RequestHead<'a> {
    /// All values of the header `name`, which is in lower case.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.headers.iter().filter(move |(header, _)| *header == name).map(|(_, value)| *value)
    }
}
