//! The conditions that a request may set, in the order that
//! [RFC 9110, section 13.2.2](https://www.rfc-editor.org/rfc/rfc9110#section-13.2.2) gives them.

use std::time::{Duration, SystemTime};

use valetkey::Timestamp;
use valetkey_dialects::RequestHead;
use valetkey_dialects::aws::operation::DeleteConditions;

use crate::backend::Metadata;

/// What the conditions of a request say about the object that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Go on.
    Holds,
    /// A download is not needed: 304.
    NotModified,
    /// 412.
    Fails,
}

/// The conditions of a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conditions {
    if_match: Option<Tags>,
    if_none_match: Option<Tags>,
    if_modified_since: Option<SystemTime>,
    if_unmodified_since: Option<SystemTime>,
    if_range: Option<String>,
    of_delete: Option<OfDelete>,
}

/// The conditions that only a delete of S3's has. All of a request's hold where nothing is there.
#[derive(Clone, Copy, Debug)]
struct OfDelete {
    modified: Option<SystemTime>,
    size_bytes: Option<u64>,
}

/// What identifies the state of an object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct State<'a> {
    /// The entity tag, without its quotes.
    pub(crate) etag: &'a str,
    pub(crate) modified: SystemTime,
    pub(crate) size_bytes: u64,
}

impl<'a> State<'a> {
    pub(crate) fn of(metadata: &'a Metadata) -> Self {
        Self { etag: &metadata.etag, modified: metadata.modified, size_bytes: metadata.size_bytes }
    }
}

/// The entity tags of one header.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Tags {
    Any,
    /// Without their quotes, and whether each is weak.
    List(Vec<(String, bool)>),
}

impl Conditions {
    pub(crate) fn of(head: &RequestHead<'_>) -> Self {
        let time = |name| head.values(name).next().and_then(parse_time);
        Self {
            if_match: Tags::of(head.values("if-match")),
            if_none_match: Tags::of(head.values("if-none-match")),
            if_modified_since: time("if-modified-since"),
            if_unmodified_since: time("if-unmodified-since"),
            if_range: head
                .values("if-range")
                .next()
                .map(|value| String::from_utf8_lossy(value).trim().to_owned()),
            of_delete: None,
        }
    }

    /// The same of a delete as S3 has it, which says `more`.
    pub(crate) fn deleting(self, more: &DeleteConditions) -> Self {
        let etag = more.etag.as_ref().and_then(|etag| Tags::of(std::iter::once(etag.as_bytes())));
        let of_delete = OfDelete { modified: more.modified.map(system_time), size_bytes: more.size_bytes };
        Self { if_match: etag.or(self.if_match), of_delete: Some(of_delete), ..self }
    }

    /// Whether a change asks for something to be there: `If-Match`.
    pub(crate) fn only_replace(&self) -> bool {
        self.if_match.is_some()
    }

    /// Whether an upload asks for the object not to be there: `If-None-Match: *`.
    pub(crate) fn only_create(&self) -> bool {
        self.if_none_match == Some(Tags::Any)
    }

    /// Whether there are none.
    pub(crate) fn are_none(&self) -> bool {
        !self.restrict_changes() && self.if_modified_since.is_none() && self.if_range.is_none()
    }

    /// Judges a download of the object in `state`.
    pub(crate) fn judge_download(&self, state: State<'_>) -> Verdict {
        if !self.precondition_holds(Some(state)) {
            return Verdict::Fails;
        }
        let modified = match (&self.if_none_match, self.if_modified_since) {
            (Some(tags), _) => !tags.match_weakly(state.etag),
            (None, Some(since)) => in_whole_seconds(state.modified) > since,
            (None, None) => true,
        };
        if modified { Verdict::Holds } else { Verdict::NotModified }
    }

    /// Whether any of them speaks of a change.
    pub(crate) fn restrict_changes(&self) -> bool {
        let of_delete =
            self.of_delete.is_some_and(|said| said.modified.is_some() || said.size_bytes.is_some());
        of_delete
            || self.if_match.is_some()
            || self.if_none_match.is_some()
            || self.if_unmodified_since.is_some()
    }

    /// Judges an upload over, or a delete of, what is there.
    pub(crate) fn judge_change(&self, state: Option<State<'_>>) -> Verdict {
        if let Some(of_delete) = &self.of_delete {
            let Some(state) = state else { return Verdict::Holds };
            let same_time = of_delete.modified.is_none_or(|time| in_whole_seconds(state.modified) == time);
            if !same_time || of_delete.size_bytes.is_some_and(|size| size != state.size_bytes) {
                return Verdict::Fails;
            }
        }
        let absent_enough = match (&self.if_none_match, state) {
            (Some(tags), Some(state)) => !tags.match_weakly(state.etag),
            _ => true,
        };
        if self.precondition_holds(state) && absent_enough { Verdict::Holds } else { Verdict::Fails }
    }

    fn precondition_holds(&self, state: Option<State<'_>>) -> bool {
        match (&self.if_match, self.if_unmodified_since, state) {
            (Some(tags), _, Some(state)) => tags.match_strongly(state.etag),
            (Some(_), _, None) => false,
            (None, Some(since), Some(state)) => in_whole_seconds(state.modified) <= since,
            (None, _, _) => true,
        }
    }

    /// Whether a `Range` header still counts: `If-Range` names the state that is there, or is absent.
    pub(crate) fn range_counts(&self, state: State<'_>) -> bool {
        let Some(value) = &self.if_range else { return true };
        match quoted(value) {
            Some(tag) => tag == state.etag,
            None => {
                httpdate::parse_http_date(value).is_ok_and(|date| in_whole_seconds(state.modified) == date)
            }
        }
    }
}

impl Tags {
    /// `None` where there is no such header.
    fn of<'a>(values: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let mut list = None;
        for value in values {
            let text = String::from_utf8_lossy(value);
            if text.split(',').any(|item| item.trim() == "*") {
                return Some(Self::Any);
            }
            // An entity tag may hold a comma, ours never do: a foreign tag split in two matches nothing.
            list.get_or_insert_with(Vec::new).extend(text.split(',').map(|item| {
                let item = item.trim();
                let (tag, weak) = item.strip_prefix("W/").map_or((item, false), |tag| (tag, true));
                // Some S3 clients leave the quotes out.
                (quoted(tag).unwrap_or(tag).to_owned(), weak)
            }));
        }
        list.map(Self::List)
    }

    fn match_strongly(&self, etag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::List(tags) => tags.iter().any(|(tag, weak)| !weak && tag == etag),
        }
    }

    fn match_weakly(&self, etag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::List(tags) => tags.iter().any(|(tag, _)| tag == etag),
        }
    }
}

fn quoted(text: &str) -> Option<&str> {
    text.strip_prefix('"')?.strip_suffix('"')
}

/// HTTP's dates have whole seconds.
fn in_whole_seconds(time: SystemTime) -> SystemTime {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

fn system_time(time: Timestamp) -> SystemTime {
    // Nothing is told to be older than that.
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(time.unix()).unwrap_or(0))
}

fn parse_time(value: &[u8]) -> Option<SystemTime> {
    httpdate::parse_http_date(std::str::from_utf8(value).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

    fn conditions(headers: &[(&str, &str)]) -> Conditions {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        Conditions::of(&RequestHead { method: "GET", path: "/", query: "", headers: &headers })
    }

    fn state() -> State<'static> {
        let modified = httpdate::parse_http_date(AT).unwrap() + Duration::from_millis(900);
        State { etag: "abc-1", modified, size_bytes: 5 }
    }

    fn check_download(headers: &[(&str, &str)], expected: Verdict) {
        assert_eq!(conditions(headers).judge_download(state()), expected, "{headers:?}");
    }

    #[test]
    fn downloads_follow_the_order_of_rfc_9110() {
        use Verdict::{Fails, Holds, NotModified};
        check_download(&[], Holds);
        check_download(&[("if-none-match", "\"abc-1\"")], NotModified);
        check_download(&[("if-none-match", "W/\"abc-1\"")], NotModified);
        check_download(&[("if-none-match", "\"x\", \"abc-1\"")], NotModified);
        check_download(&[("if-none-match", "*")], NotModified);
        check_download(&[("if-none-match", "\"x\"")], Holds);
        check_download(&[("if-none-match", "\"x\""), ("if-modified-since", AT)], Holds);
        check_download(&[("if-modified-since", AT)], NotModified);
        check_download(&[("if-modified-since", BEFORE)], Holds);
        check_download(&[("if-modified-since", "nonsense")], Holds);
        check_download(&[("if-match", "\"abc-1\"")], Holds);
        check_download(&[("if-match", "abc-1")], Holds);
        check_download(&[("if-match", "*")], Holds);
        check_download(&[("if-match", "W/\"abc-1\"")], Fails);
        check_download(&[("if-match", "\"x\""), ("if-none-match", "\"abc-1\"")], Fails);
        check_download(&[("if-unmodified-since", AT)], Holds);
        check_download(&[("if-unmodified-since", BEFORE)], Fails);
        check_download(&[("if-match", "\"abc-1\""), ("if-unmodified-since", BEFORE)], Holds);
    }

    #[test]
    fn changes_are_judged_by_what_is_there_or_not() {
        use Verdict::{Fails, Holds};
        for (headers, there, absent) in [
            (&[][..], Holds, Holds),
            (&[("if-match", "\"abc-1\"")], Holds, Fails),
            (&[("if-match", "*")], Holds, Fails),
            (&[("if-match", "\"x\"")], Fails, Fails),
            (&[("if-none-match", "*")], Fails, Holds),
            (&[("if-none-match", "\"abc-1\"")], Fails, Holds),
            (&[("if-none-match", "\"x\"")], Holds, Holds),
            (&[("if-unmodified-since", BEFORE)], Fails, Holds),
        ] {
            assert_eq!(conditions(headers).judge_change(Some(state())), there, "{headers:?}");
            assert_eq!(conditions(headers).judge_change(None), absent, "{headers:?}");
        }
        assert!(conditions(&[("if-none-match", "*")]).only_create());
    }

    #[test]
    fn a_delete_of_s3_asks_nothing_of_what_is_not_there() {
        let at = Timestamp::from_unix(784_111_777);
        let more = |etag: Option<&str>, modified, size_bytes| DeleteConditions {
            etag: etag.map(ToOwned::to_owned),
            modified,
            size_bytes,
        };
        for (headers, more, there) in [
            (&[][..], more(None, None, None), Verdict::Holds),
            (&[("if-match", "\"abc-1\"")], more(None, None, None), Verdict::Holds),
            (&[("if-match", "\"x\"")], more(None, None, None), Verdict::Fails),
            (&[], more(Some("abc-1"), Some(at), Some(5)), Verdict::Holds),
            (&[], more(Some("*"), None, None), Verdict::Holds),
            (&[], more(Some("x"), None, None), Verdict::Fails),
            (&[], more(None, Some(Timestamp::from_unix(784_111_776)), None), Verdict::Fails),
            (&[], more(None, None, Some(6)), Verdict::Fails),
            (&[], more(Some("abc-1"), Some(at), Some(0)), Verdict::Fails),
        ] {
            let conditions = conditions(headers).deleting(&more);
            assert_eq!(conditions.judge_change(Some(state())), there, "{headers:?} {more:?}");
            assert_eq!(conditions.judge_change(None), Verdict::Holds, "{headers:?} {more:?}");
        }
    }

    #[test]
    fn a_range_counts_for_the_state_that_it_was_asked_of() {
        for (value, counts) in [
            ("\"abc-1\"", true),
            ("\"x\"", false),
            ("W/\"abc-1\"", false),
            (AT, true),
            (BEFORE, false),
            ("nonsense", false),
        ] {
            assert_eq!(conditions(&[("if-range", value)]).range_counts(state()), counts, "{value}");
        }
        assert!(conditions(&[]).range_counts(state()));
    }
}
