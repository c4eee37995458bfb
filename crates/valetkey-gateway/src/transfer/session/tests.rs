//! Sessions through the stages, without a protocol: real keys, a real disk, bodies from a real connection.

#![allow(clippy::unwrap_used)]

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;

use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::sync::oneshot;
use valetkey::{Action, Claims as KeyClaims, Client, Digest, Intent, Limits, Timestamp, Verb, Verbs, mint};
use valetkey_dialects::RequestHead;
use valetkey_ledger::{Ledger, MemoryLedger, Meter, PartStart};

use super::*;
use crate::backend::Space;
use crate::backend::disk::Disk;
use crate::bound::Bound;
use crate::clock::{self, Clock};
use crate::notify::Audit;
use crate::settings::Settings;
use crate::transfer::source::Source;

const PATH: &str = "/files/a";

struct Bench {
    gateway: Arc<Gateway>,
    snapshot: Arc<Snapshot>,
    recorder: Recorder,
    _dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let secret = dir.path().join("web.secret");
        std::fs::write(&secret, "a secret that nobody should see").unwrap();
        std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
        let text = "[server]\nopen_uploads_max = 2\n[audit]\npath = \"audit.jsonl\"\n\
                    [backends.local]\nkind = \"disk\"\nroot = \"objects\"\n[buckets.files]\nbackend = \"local\"\n\
                    [signers.web]\nsecret_file = \"web.secret\"\nscope = [\"/files/\"]\n";
        let config = dir.path().join("valetkey.toml");
        std::fs::write(&config, text).unwrap();
        let settings = Settings::load(&config).unwrap_or_else(|errors| panic!("{errors}"));
        let audit = Audit::open(&settings.audit, None, clock::now).unwrap().audit;
        let folder = Disk::open(&dir.path().join("objects")).unwrap().folder("").unwrap();
        let snapshot = Snapshot {
            settings,
            buckets: HashMap::from([("files".to_owned(), Space::Disk(folder))]),
            stores: BTreeMap::new(),
        };
        let ledger: Arc<dyn Ledger> = Arc::new(MemoryLedger::open().unwrap());
        let gateway = Arc::new(Gateway::new(snapshot, ledger, audit, Clock::starting_at(clock::now()), 1));
        let recorder = Recorder::begin(&gateway, None, "r-1");
        Self { snapshot: gateway.snapshot(), gateway, recorder, _dir: dir }
    }

    /// A permit to upload, by a key that is otherwise like this.
    fn permit(&self, claims: KeyClaims) -> Rc<Permit> {
        let path = ResourcePath::from_text(PATH).unwrap();
        let secrets = &self.snapshot.settings.signers["web"].secrets;
        let query = mint("web", &path, &claims, &secrets.current).unwrap();
        let head = RequestHead { method: "PUT", path: PATH, query: &query, headers: &[] };
        let identified = crate::identify::identify(&self.snapshot, &head).unwrap();
        let now = self.gateway.clock.now();
        let bounded = crate::bound::bound(&self.gateway, &self.snapshot, identified, now).unwrap();
        let Bound::Resource(bounded) = bounded else { panic!("a native key asks for a resource") };
        let client = Client { address: None, is_secure: false };
        let action = Action::Upload { declared_bytes: None };
        let intent = Intent { action, path: &path, prefix: "", declared_type: None, client };
        Rc::new(valetkey::admit(bounded.bounded, &intent).unwrap())
    }

    async fn begin(&self, claims: &KeyClaims) -> Result<Open, Denial> {
        let permit = self.permit(claims.clone());
        let head = RequestHead { method: "PUT", path: PATH, query: "", headers: &[] };
        let plan = upload::plan(&self.snapshot, &permit, &head, upload::Description::of(&head)?).await?;
        let id = begin(&self.gateway, &self.snapshot, &permit, &plan, &self.recorder).await?;
        self.find(&id.to_string(), claims).await
    }

    async fn find(&self, id: &str, claims: &KeyClaims) -> Result<Open, Denial> {
        find(&self.gateway, &self.snapshot, id, &self.permit(claims.clone())).await
    }

    async fn receive(
        &self,
        open: &Open,
        claims: &KeyClaims,
        plan: PartPlan,
        content: &str,
    ) -> Result<Part, Denial> {
        let permit = self.permit(claims.clone());
        let (mut body, _connection) = body_of(content, content.len()).await;
        receive(&self.gateway, open, &permit, plan, Source::Plain(&mut body), &self.recorder).await
    }

    async fn complete(&self, open: Open, claims: &KeyClaims) -> Result<(), Denial> {
        let parts = parts(&self.gateway, &open, 0, 100).await?;
        let completion = Completion {
            parts,
            conditions: Conditions::default(),
            checksums: Vec::new(),
            etag: WholeEtag::OfContent,
            tells: None,
            headers: Vec::new(),
        };
        let permit = self.permit(claims.clone());
        complete(&self.gateway, open, permit, completion, &self.recorder).await.map(drop)
    }

    async fn uses(&self, claims: &KeyClaims) -> u64 {
        let meter = Meter::new(self.permit(claims.clone()).charges[0].meter.as_str());
        self.gateway.ledger.usage(meter).await.unwrap().uses
    }

    fn content(&self) -> Option<String> {
        let Space::Disk(folder) = &self.snapshot.buckets["files"] else { panic!("on disk") };
        let opened = folder.open("a").ok()?;
        let mut text = String::new();
        opened.file.as_ref().read_to_string(&mut text).unwrap();
        Some(text)
    }
}

/// The body of a request that declares so many bytes and sends this, and its other end.
async fn body_of(content: &str, declared: usize) -> (Incoming, UnixStream) {
    let (mut client, server) = UnixStream::pair().unwrap();
    server.set_nonblocking(true).unwrap();
    let server = TokioIo::new(tokio::net::UnixStream::from_std(server).unwrap());
    let (give, body) = oneshot::channel();
    let give = Cell::new(Some(give));
    let answer = service_fn(move |request: Request<Incoming>| {
        let _ = give.take().unwrap().send(request.into_body());
        std::future::pending::<Result<Response<String>, Infallible>>()
    });
    tokio::task::spawn_local(hyper::server::conn::http1::Builder::new().serve_connection(server, answer));
    write!(client, "PUT / HTTP/1.1\r\nhost: x\r\ncontent-length: {declared}\r\n\r\n{content}").unwrap();
    (body.await.unwrap(), client)
}

fn key() -> KeyClaims {
    KeyClaims {
        id: Some("k1".to_owned()),
        ..KeyClaims::new(Verbs::only(Verb::Create), Timestamp::from_unix(clock::now().unix() + 600))
    }
}

fn uses(limit: u64) -> Limits {
    Limits { uses: Some(limit), ..Limits::default() }
}

fn part(number: u32, declared_bytes: Option<u64>) -> PartPlan {
    PartPlan {
        number,
        start: PartStart::Anew,
        declared_bytes,
        checksums: Vec::new(),
        tells: Vec::new(),
        bytes_max: None,
        keeps_what_came: false,
    }
}

fn run(test: impl AsyncFnOnce(Bench)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test(Bench::new()));
}

#[test]
fn parts_become_one_object_for_one_use() {
    run(async |bench| {
        let key = KeyClaims { size_max: Some(12), limits: uses(1), ..key() };
        let open = bench.begin(&key).await.unwrap();
        let id = open.session.id.to_string();
        assert_eq!(bench.uses(&key).await, 1);
        assert_eq!(bench.begin(&key).await.err(), Some(Denial::UsesExhausted));
        bench.receive(&open, &key, part(2, Some(5)), "world").await.unwrap();
        // One of unknown length, and one over the cap, declared or not.
        bench.receive(&open, &key, part(1, None), "hello").await.unwrap();
        for declared in [Some(3), None] {
            let refused = bench.receive(&open, &key, part(3, declared), "abc").await;
            assert_eq!(refused.err(), Some(Denial::RunsOver { cap: 12 }), "{declared:?}");
        }
        assert_eq!(bench.content(), None);
        let open = bench.find(&id, &key).await.unwrap();
        bench.complete(open, &key).await.unwrap();
        assert_eq!(bench.content().as_deref(), Some("helloworld"));
        assert_eq!(bench.uses(&key).await, 1);
        assert_eq!(bench.find(&id, &key).await.err(), Some(Denial::NotFound));
    });
}

#[test]
fn session_is_its_owners_alone_and_its_keys_renewal() {
    run(async |bench| {
        let key = key();
        let open = bench.begin(&key).await.unwrap();
        let id = open.session.id.to_string();
        let renewed = KeyClaims { end: Some(Timestamp::from_unix(clock::now().unix() + 900)), ..key.clone() };
        assert!(bench.find(&id, &renewed).await.is_ok());
        let other = KeyClaims { id: Some("k2".to_owned()), ..key.clone() };
        assert_eq!(bench.find(&id, &other).await.err(), Some(Denial::NotFound));
        for made_up in ["", "1", "00000000000000000000000000000000", "../../etc"] {
            assert_eq!(bench.find(made_up, &key).await.err(), Some(Denial::NotFound));
        }
        bench.begin(&key).await.unwrap();
        assert_eq!(bench.begin(&key).await.err(), Some(Denial::TooManyAtOnce));
        bench.begin(&other).await.unwrap();
    });
}

#[test]
fn refused_object_leaves_its_session_open_and_an_abort_gives_the_use_back() {
    run(async |bench| {
        let digest = Digest::parse(&format!("sha-256:{}", "A".repeat(43)));
        let key = KeyClaims { limits: uses(1), digest, ..key() };
        let open = bench.begin(&key).await.unwrap();
        let id = open.session.id.to_string();
        bench.receive(&open, &key, part(1, Some(5)), "hello").await.unwrap();
        // The key that began it binds the object, whoever completes it.
        let lesser = KeyClaims { digest: None, ..key.clone() };
        for completing in [&key, &lesser] {
            let open = bench.find(&id, completing).await.unwrap();
            assert_eq!(bench.complete(open, completing).await.err(), Some(Denial::DigestMismatch("sha256")));
        }
        bench.snapshot.buckets["files"].probe("a").await.unwrap();
        assert_eq!((bench.content(), bench.uses(&key).await), (None, 1));
        let open = bench.find(&id, &key).await.unwrap();
        abort(&bench.gateway, open).await.unwrap();
        assert_eq!(bench.uses(&key).await, 0);
        assert_eq!(bench.find(&id, &key).await.err(), Some(Denial::NotFound));
    });
}

#[test]
fn create_that_lost_a_race_leaves_its_session_open() {
    run(async |bench| {
        let key = KeyClaims { limits: uses(2), ..key() };
        let (first, second) = (bench.begin(&key).await.unwrap(), bench.begin(&key).await.unwrap());
        let id = second.session.id.to_string();
        bench.receive(&first, &key, part(1, Some(5)), "first").await.unwrap();
        bench.receive(&second, &key, part(1, Some(6)), "second").await.unwrap();
        bench.complete(first, &key).await.unwrap();
        assert_eq!(bench.complete(second, &key).await.err(), Some(Denial::AlreadyExists));
        assert_eq!(bench.content().as_deref(), Some("first"));
        let second = bench.find(&id, &key).await.unwrap();
        assert_eq!((second.session.parts, bench.uses(&key).await), (1, 2));
        abort(&bench.gateway, second).await.unwrap();
        assert_eq!(bench.uses(&key).await, 1);
    });
}

#[test]
fn body_that_breaks_off_is_kept_only_where_it_goes_on() {
    run(async |bench| {
        let key = KeyClaims { size_max: Some(10), ..key() };
        let open = bench.begin(&key).await.unwrap();
        for (keeps_what_came, kept) in [(false, 0), (true, 1)] {
            let plan = PartPlan { keeps_what_came, ..part(1, Some(10)) };
            let (mut body, connection) = body_of("hello", 10).await;
            connection.shutdown(std::net::Shutdown::Write).unwrap();
            let permit = bench.permit(key.clone());
            let broke =
                receive(&bench.gateway, &open, &permit, plan, Source::Plain(&mut body), &bench.recorder)
                    .await;
            assert!(matches!(broke, Err(Denial::BadRequest(_))), "{broke:?}");
            assert_eq!(parts(&bench.gateway, &open, 0, 9).await.unwrap().len(), kept);
        }
        let goes_on = |at| PartPlan { start: PartStart::At(at), ..part(1, Some(5)) };
        let wrong = bench.receive(&open, &key, goes_on(4), "world").await;
        assert!(matches!(wrong, Err(Denial::BadRequest(_))), "{wrong:?}");
        {
            let _claim = bench.gateway.sessions.claim(open.session.id).unwrap();
            let busy = bench.receive(&open, &key, goes_on(5), "world").await;
            assert_eq!(busy.err(), Some(Denial::TooManyAtOnce));
        }
        bench.receive(&open, &key, goes_on(5), "world").await.unwrap();
        bench.complete(open, &key).await.unwrap();
        assert_eq!(bench.content().as_deref(), Some("helloworld"));
    });
}
