//! The stores that stand behind a gateway in tests: real processes, and what lies in them behind the gateway's back.
//!
//! `tests/stores/install` puts them there. Each is started once for all tests of a program, which then have buckets of
//! their own; a test that means to kill one starts one for itself.

mod azurite;
mod fake_gcs;
mod lying;
mod process;
mod seaweedfs;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;

pub use self::azurite::Azurite;
pub use self::fake_gcs::FakeGcs;
pub use self::lying::{Asked, LyingStore, answer, page};
pub use self::process::StoreProcess;
pub use self::seaweedfs::SeaweedFs;

use crate::http::{self, Answer, Request};

/// A store, asked directly and not through a gateway.
///
/// What it is asked here works, or the test cannot go on: all but [`Store::get`] panic on any other answer.
pub trait Store: Sync {
    /// Its process.
    fn process(&self) -> &StoreProcess;

    /// Signs a request as the store wants it; its target is percent-encoded.
    fn signed(&self, request: Request) -> Request;

    /// The request that makes a bucket.
    fn making(&self, bucket: &str) -> Request;

    /// The request that stores an object.
    fn storing(&self, bucket: &str, name: &str, bytes: &[u8]) -> Request;

    /// The request that reads an object.
    fn reading(&self, bucket: &str, name: &str) -> Request;

    /// The request that deletes an object.
    fn deleting(&self, bucket: &str, name: &str) -> Request;

    /// The names of the objects in a bucket, in order.
    fn list(&self, bucket: &str) -> Vec<String>;

    /// The section of a gateway's configuration that makes `bucket` its backend `name`, with the store, or a proxy
    /// before it, at `address`. Its credentials are named by [`Store::credentials`].
    fn section(&self, name: &str, address: SocketAddr, bucket: &str) -> String;

    /// The variables of the gateway's environment that hold the credentials.
    fn credentials(&self) -> Vec<(&'static str, String)>;

    /// Where it listens.
    fn address(&self) -> SocketAddr {
        self.process().address()
    }

    /// Asks it.
    fn ask(&self, request: Request) -> Answer {
        self.try_ask(request).unwrap_or_else(|error| panic!("{error:?}\n{}", self.process().log_tail()))
    }

    /// Asks it, though it may not answer.
    ///
    /// # Errors
    /// If there is no well-formed answer.
    fn try_ask(&self, request: Request) -> Result<Answer> {
        http::send(self.address(), &self.signed(request))
    }

    /// Makes a bucket that no other test has, and gives its name.
    fn bucket(&self) -> String {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let name = format!("t{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        self.done(self.making(&name));
        name
    }

    /// Stores an object.
    fn put(&self, bucket: &str, name: &str, bytes: &[u8]) {
        self.done(self.storing(bucket, name, bytes));
    }

    /// An object's bytes; `None` where it is not there.
    fn get(&self, bucket: &str, name: &str) -> Option<Vec<u8>> {
        let answer = self.ask(self.reading(bucket, name));
        match answer.status {
            200 => Some(answer.body),
            404 => None,
            status => panic!("{status} {}", answer.text()),
        }
    }

    /// Deletes an object.
    fn delete(&self, bucket: &str, name: &str) {
        self.done(self.deleting(bucket, name));
    }

    /// Asks what must succeed.
    fn done(&self, request: Request) {
        let said = format!("{} {}", request.method, request.target);
        let answer = self.ask(request);
        assert!((200..300).contains(&answer.status), "{said}: {} {}", answer.status, answer.text());
    }
}

/// The texts of all elements of one name in an XML document, as little as tests need of it.
pub fn elements(xml: &str, name: &str) -> Vec<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let texts = xml.split(&open).skip(1).filter_map(|rest| rest.split_once(&close));
    let plain = |text: &str| {
        let text =
            text.replace("&lt;", "<").replace("&gt;", ">").replace("&#34;", "\"").replace("&quot;", "\"");
        text.replace("&#39;", "'").replace("&apos;", "'").replace("&amp;", "&")
    };
    texts.map(|(text, _)| plain(text)).collect()
}
