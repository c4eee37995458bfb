//! Answers that are a document, as of what makes parts one object or copies within the store.
//!
//! Such work takes its time, so a store may begin to answer before it is done: what began well may still end in an error.

use std::io;
use std::time::Duration;

use tokio::time::timeout;

use super::{Service, error};
use crate::backend::StoreError;

/// How much is read of an answer, in bytes.
const BYTES_MAX: usize = 64 << 10;

/// The document that answers what is `asked`, in which `root` stands. The store has `patience` to begin it.
///
/// # Errors
/// With nothing changed: [`StoreError::AlreadyExists`] where a condition did not hold, [`StoreError::Io`] for an answer
/// that refuses. With no promise either way: [`StoreError::Unsettled`].
pub(super) async fn document(
    service: &Service,
    attempt: &'static str,
    patience: Duration,
    root: &str,
    asked: impl Future<Output = Result<reqwest::Response, StoreError>>,
) -> Result<String, StoreError> {
    let unsettled = |source| StoreError::Unsettled { attempt, source };
    let mut answer = match timeout(patience, asked).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(StoreError::Io { source, .. })) => return Err(unsettled(source)),
        Ok(Err(error)) => return Err(error),
        Err(_) => return Err(unsettled(io::ErrorKind::TimedOut.into())),
    };
    match answer.status().as_u16() {
        200..=299 => {}
        status if error::refuses(status) => return Err(error::refused(attempt, status)),
        status => return Err(unsettled(io::Error::other(format!("the store answered {status}")))),
    }
    let mut said = Vec::new();
    while said.len() < BYTES_MAX {
        match timeout(service.stall, answer.chunk()).await {
            Ok(Ok(Some(piece))) => said.extend_from_slice(&piece),
            Ok(Ok(None)) => break,
            Ok(Err(_)) | Err(_) => return Err(unsettled(io::ErrorKind::BrokenPipe.into())),
        }
    }
    let said = String::from_utf8_lossy(&said);
    match said.contains(root) {
        true => Ok(said.into_owned()),
        false => Err(unsettled(io::Error::other("the store answered with an error"))),
    }
}

/// The text of the first element of this name in a document.
pub(super) fn text_of(document: &str, name: &str) -> Option<String> {
    let (_, rest) = document.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    Some(text.replace("&quot;", "\"").replace("&#34;", "\"").replace("&amp;", "&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entity_tag_is_read_in_every_spelling() {
        let told =
            |tag: &str| text_of(&format!("<CopyPartResult><ETag>{tag}</ETag></CopyPartResult>"), "ETag");
        for tag in ["\"ab-1\"", "&quot;ab-1&quot;", "&#34;ab-1&#34;"] {
            assert_eq!(told(tag).as_deref(), Some("\"ab-1\""));
        }
        assert_eq!(told("ab&amp;quot;").as_deref(), Some("ab&quot;"));
        assert_eq!(text_of("<CopyPartResult/>", "ETag"), None);
        assert_eq!(text_of("<ETag>ab", "ETag"), None);
    }
}
