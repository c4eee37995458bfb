//! What is asked, read strictly: a name that is unknown or stands twice is refused, never ignored.

use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use hyper::body::{Body as _, Incoming};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::problem::Problem;

/// The largest body, in bytes.
const BODY_BYTES_MAX: usize = 1 << 20;

/// How much of a larger one is read and dropped, in bytes.
const DROPPED_BYTES_MAX: usize = 128 << 20;

/// How long a body may take.
const BODY_MAX: Duration = Duration::from_secs(10);

/// A call, all of it.
pub(super) struct Call {
    pub(super) parts: Parts,
    body: Bytes,
}

impl Call {
    /// Reads the body of a call, as far as it may go.
    ///
    /// # Errors
    /// [`Problem::TooLarge`], [`Problem::BadRequest`].
    pub(super) async fn receive(parts: Parts, body: Incoming) -> Result<Self, Problem> {
        let received = tokio::time::timeout(BODY_MAX, receive(body)).await;
        let body = received.unwrap_or_else(|_| Err(Problem::BadRequest("the body took too long".into())))?;
        Ok(Self { parts, body })
    }

    /// Reads the body as one JSON object.
    ///
    /// # Errors
    /// [`Problem::NotJson`], [`Problem::BadRequest`].
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        let mut kinds = self.parts.headers.get_all(CONTENT_TYPE).iter();
        let kind = kinds.next().and_then(|kind| kind.to_str().ok()).unwrap_or("");
        let essence = kind.split(';').next().unwrap_or("").trim();
        if !essence.eq_ignore_ascii_case("application/json") || kinds.next().is_some() {
            return Err(Problem::NotJson);
        }
        // serde would take a list for an object whose members stand in order.
        if self.body.trim_ascii_start().first() != Some(&b'{') {
            return Err(Problem::BadRequest("the body must be a JSON object".to_owned()));
        }
        serde_json::from_slice(&self.body).map_err(|error| Problem::BadRequest(format!("body: {error}")))
    }

    /// Refuses a body or a query where none has a meaning.
    ///
    /// # Errors
    /// [`Problem::BadRequest`].
    pub(super) fn says_nothing(&self) -> Result<(), Problem> {
        if !self.body.trim_ascii().is_empty() {
            return Err(Problem::BadRequest("this call takes no body".to_owned()));
        }
        self.has_no_query()
    }

    /// Refuses a query.
    ///
    /// # Errors
    /// [`Problem::BadRequest`].
    pub(super) fn has_no_query(&self) -> Result<(), Problem> {
        match self.parts.uri.query() {
            None | Some("") => Ok(()),
            Some(_) => Err(Problem::BadRequest("this call takes no query".to_owned())),
        }
    }

    /// The values of the query's parameters `names`, in their order. There is no other one, and each stands at
    /// most once.
    ///
    /// # Errors
    /// [`Problem::BadRequest`].
    pub(super) fn query<const N: usize>(&self, names: [&str; N]) -> Result<[Option<String>; N], Problem> {
        let bad = |message: &str| Err(Problem::BadRequest(message.to_owned()));
        let mut values = [const { None }; N];
        let pairs = self.parts.uri.query().unwrap_or("").split('&').filter(|pair| !pair.is_empty());
        for pair in pairs {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let Some(at) = names.iter().position(|known| *known == name) else {
                return bad("the query has an unknown parameter");
            };
            let Some(value) = valetkey::decode_query_component(value) else {
                return bad("the query has a broken percent escape");
            };
            if values[at].replace(value.into_owned()).is_some() {
                return bad("the query has a parameter twice");
            }
        }
        Ok(values)
    }
}

/// Reads a body. The rest of one that is too large is read and dropped, so that its sender reads the answer.
async fn receive(mut body: Incoming) -> Result<Bytes, Problem> {
    let mut received = Vec::new();
    let mut bytes = 0;
    while let Some(frame) = std::future::poll_fn(|cx| std::pin::Pin::new(&mut body).poll_frame(cx)).await {
        let frame = frame.map_err(|error| Problem::BadRequest(format!("body: {error}")))?;
        let piece = frame.data_ref().map_or(&[][..], |piece| piece);
        bytes += piece.len();
        if bytes > DROPPED_BYTES_MAX {
            return Err(Problem::TooLarge);
        }
        if bytes <= BODY_BYTES_MAX {
            received.extend_from_slice(piece);
        } else {
            received = Vec::new();
        }
    }
    if bytes > BODY_BYTES_MAX { Err(Problem::TooLarge) } else { Ok(received.into()) }
}

/// Reads a member that may be left out and is never `null`.
pub(super) fn said<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Reads a whole number that may be left out. JSON has one kind of numbers: `5.0` is the same as `5`.
pub(super) fn whole<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let number = serde_json::Number::deserialize(deserializer)?;
    let exact = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < FLOAT_WHOLE_MAX);
    let read = number.as_u64().or_else(|| format!("{:.0}", exact?).parse().ok());
    read.map(Some).ok_or_else(|| serde::de::Error::custom(format!("{number} is no whole number from 0 on")))
}

/// Below this every whole number is a number of its own as a float.
const FLOAT_WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    #[test]
    fn a_number_is_whole_however_it_is_written() {
        let read = |text: &str| super::whole(&mut serde_json::Deserializer::from_str(text)).ok();
        assert_eq!(read("5"), Some(Some(5)));
        assert_eq!(read("5.0"), Some(Some(5)));
        assert_eq!(read("5e3"), Some(Some(5000)));
        assert_eq!(read("9223372036854775807"), Some(Some(u64::MAX >> 1)));
        for text in ["5.5", "-1", "-1.0", "1e300", "9007199254740993.0", "null", "\"5\"", "true"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
