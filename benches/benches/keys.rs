//! What one key costs: decoded and verified, then bounded and admitted.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use valetkey::key::{self, KeyUrl};
use valetkey::{
    Action, Ceiling, Claims, Client, Grant, House, Intent, Limits, Now, Parameters, Permit, ResourcePath,
    Scopes, Secret, SignerSecrets, Timestamp, Verb, Verbs, admit, bound, mint, narrow,
};

const NOW: Timestamp = Timestamp::from_unix(1_795_262_400);

/// A signer with a ceiling, and a request's key and path.
struct Case {
    secrets: SignerSecrets,
    ceiling: Ceiling,
    url: String,
}

impl Case {
    /// A key as an application would hand out: a path of its own, an end, an id, a count and a cap.
    fn ordinary() -> Self {
        let secret = Secret::new(b"c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTAxMjM=");
        let path = ResourcePath::from_text("/files/u42/photo.jpg").expect("a path");
        let claims = Claims {
            id: Some("7f3k2m".into()),
            issued: Some(NOW),
            size_max: Some(5 << 20),
            limits: Limits { uses: Some(1), ..Limits::default() },
            ..Claims::new(Verbs::only(Verb::Read), NOW.plus(Duration::from_secs(900)))
        };
        let query = mint("web", &path, &claims, &secret).expect("a key");
        let ceiling = Ceiling {
            scopes: Some(Scopes::only(ResourcePath::from_text("/files/").expect("a path"))),
            allow: Some(Verbs::ALL),
            max_lifetime: Some(Duration::from_secs(7 * 86_400)),
            ..Ceiling::default()
        };
        let secrets = SignerSecrets { current: secret, previous: None };
        Self { secrets, ceiling, url: format!("{}?{query}", path.encoded()) }
    }

    /// The same key, narrowed eight times.
    fn narrowed() -> Self {
        let case = Self::ordinary();
        let url = KeyUrl::parse(&case.url).expect("a URL");
        let path = url.path().expect("a path");
        let mut query = url.query.to_owned();
        for _ in 0..8 {
            let block = Claims { end: Some(NOW.plus(Duration::from_secs(600))), ..Claims::default() };
            query = narrow(&query, Some(&path), &block).expect("a narrower key");
        }
        Self { url: format!("{}?{query}", url.raw_path), ..case }
    }

    fn verify(&self, path: &ResourcePath) -> Grant {
        let query = KeyUrl::parse(&self.url).expect("a URL").query;
        let presented = key::decode(query, Some(path)).expect("a sound key").expect("a key");
        presented.verify(Some(&self.secrets)).expect("its signature holds").into()
    }

    fn admit(&self, grant: Grant, path: &ResourcePath) -> Permit {
        let house = House {
            signer: &self.ceiling,
            policies: Vec::new(),
            clock_skew: Duration::from_secs(30),
            lease: Duration::from_secs(600),
            enforced: Parameters::ALL,
        };
        let bounded = bound(grant, &house, Now::at(NOW)).expect("a grant within its bounds");
        let client = Client { address: Some(std::net::Ipv4Addr::LOCALHOST.into()), is_secure: false };
        admit(bounded, &Intent { action: Action::Read, path, prefix: "", declared_type: None, client })
            .expect("a permit")
    }

    fn path(&self) -> ResourcePath {
        KeyUrl::parse(&self.url).expect("a URL").path().expect("a path")
    }
}

fn keys(criterion: &mut Criterion) {
    criterion.bench_function("floor: HMAC-SHA256 of 200 bytes, its key prepared", |bencher| {
        let prepared = Hmac::<Sha256>::new_from_slice(b"c2VjcmV0LXNlY3JldA").expect("a key of any length");
        let message = [7; 200];
        bencher.iter(|| black_box(prepared.clone().chain_update(black_box(message)).finalize()));
    });
    for (name, case) in [("ordinary", Case::ordinary()), ("narrowed 8 times", Case::narrowed())] {
        criterion.bench_function(&format!("{name}: decode and verify"), |bencher| {
            let path = case.path();
            bencher.iter(|| black_box(case.verify(black_box(&path))));
        });
        criterion.bench_function(&format!("{name}: bound and admit"), |bencher| {
            let path = case.path();
            bencher.iter_batched(
                || case.verify(&path),
                |grant| black_box(case.admit(grant, &path)),
                criterion::BatchSize::SmallInput,
            );
        });
        criterion.bench_function(&format!("{name}: all, from the URL to the permit"), |bencher| {
            bencher.iter(|| {
                let path = black_box(&case).path();
                black_box(case.admit(case.verify(&path), &path))
            });
        });
    }
}

criterion_group!(benches, keys);
criterion_main!(benches);
