//! What the store answers to a request that changes something, and what is known then.
//!
//! Such a request is sent once: of one that was sent again nobody could say which of the two did what.

use std::io;
use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use super::service::Answer;
use super::{Service, error};
use crate::backend::StoreError;

/// How much is read of an answer, in bytes.
const BYTES_MAX: usize = 64 << 10;

/// How long an answer may take that has begun: a store says so that it is still at work.
const LASTS_MAX: Duration = Duration::from_secs(600);

/// The answer to what is `asked`, which the store has `patience` to begin.
///
/// # Errors
/// With nothing changed: [`StoreError::AlreadyExists`] where a condition did not hold, [`StoreError::Io`] for an answer
/// that refuses, or a store that was not reached. With no promise either way: [`StoreError::Unsettled`].
pub(super) async fn to_change(
    attempt: &'static str,
    patience: Duration,
    asked: impl Future<Output = Result<Answer, StoreError>>,
) -> Result<Answer, StoreError> {
    match timeout(patience, asked).await {
        Ok(answer) => judged(attempt, answer?),
        Err(_) => Err(StoreError::Unsettled { attempt, source: io::ErrorKind::TimedOut.into() }),
    }
}

/// The answer, if it says that what was asked for is done.
///
/// # Errors
/// As [`to_change`].
fn judged(attempt: &'static str, answer: Answer) -> Result<Answer, StoreError> {
    match answer.response.status() {
        status if status.is_success() => Ok(answer),
        status if error::refuses(status.as_u16()) => Err(error::refused(attempt, status.as_u16())),
        // A fault of the store may come after it did it.
        status => {
            let source = io::Error::other(format!("the store answered {}", status.as_u16()));
            Err(StoreError::Unsettled { attempt, source })
        }
    }
}

/// The document that answers what is `asked`, in which `root` stands. A store may begin to answer before it is done, so
/// what began well may still end in an error.
///
/// # Errors
/// As [`to_change`].
pub(super) async fn document(
    service: &Service,
    attempt: &'static str,
    patience: Duration,
    root: &str,
    asked: impl Future<Output = Result<Answer, StoreError>>,
) -> Result<String, StoreError> {
    let unsettled = |source| StoreError::Unsettled { attempt, source };
    let mut answer = to_change(attempt, patience, asked).await?;
    let end = Instant::now() + LASTS_MAX;
    let mut said = Vec::new();
    while said.len() < BYTES_MAX {
        match timeout_at(end.min(Instant::now() + service.stall), answer.response.chunk()).await {
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

/// An error of a request of which nothing can show, whatever the store did: one for a part, or one that was not sent to
/// its end.
pub(super) fn nothing_shows(error: StoreError) -> StoreError {
    match error {
        StoreError::Unsettled { attempt, source } => StoreError::Io { attempt, source },
        error => error,
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
