//! Renewal: every published vector, and what no renewal gives.

use std::time::Duration;

use serde::Deserialize;
use valetkey::key::{self, KeyUrl};
use valetkey::{
    Ceiling, Claims, Denial, Grant, House, Now, Parameters, Renewed, ResourcePath, Secret, SignerSecrets,
    Timestamp, Verb, Verbs, bound, mint, renew,
};

#[derive(Deserialize)]
struct Vectors {
    secret: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    url: String,
    now: String,
    ceilings: Vec<Bounds>,
    renewed: Option<Expected>,
}

#[derive(Deserialize)]
struct Bounds {
    max_lifetime: Option<u64>,
    max_renew: Option<u64>,
    renew: Option<String>,
}

#[derive(Deserialize)]
struct Expected {
    end: String,
    sig: String,
    fingerprint: String,
}

fn secrets(text: &str) -> SignerSecrets {
    SignerSecrets { current: Secret::new(text.as_bytes()), previous: None }
}

fn time(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

/// Renews the key in `query` under these ceilings, of which the first is the signer's.
fn renewed(
    query: &str,
    ceilings: &[Ceiling],
    secrets: &SignerSecrets,
    now: Timestamp,
) -> Result<Renewed, Denial> {
    let presented = key::decode(query, None)?.ok_or(Denial::NoKey)?;
    let grant = Grant::from(presented.verify(Some(secrets))?);
    let unlimited = Ceiling::default();
    let house = House {
        signer: ceilings.first().unwrap_or(&unlimited),
        policies: ceilings.iter().skip(1).map(|ceiling| Some(("avatar", ceiling))).collect(),
        clock_skew: Duration::from_secs(30),
        lease: Duration::from_secs(600),
        enforced: Parameters::ALL,
    };
    let bounded = bound(grant, &house, Now::at(now))?;
    renew(query, &bounded, &house, secrets, Now::at(now))
}

#[test]
fn published_renewals() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/vectors/native_renewals.json");
    let vectors: Vectors = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(vectors.cases.len() >= 18, "cases are lost");
    let secrets = secrets(&vectors.secret);
    for case in &vectors.cases {
        let ceilings: Vec<_> = case.ceilings.iter().map(Bounds::ceiling).collect();
        let query = KeyUrl::parse(&case.url).unwrap().query;
        let result = renewed(query, &ceilings, &secrets, time(&case.now));
        let Some(expected) = &case.renewed else {
            let reason = result.unwrap_err().reason();
            assert!(["not_allowed", "expired"].contains(&reason), "{}: {reason}", case.name);
            continue;
        };
        let new = result.unwrap();
        assert_eq!(new.end.to_string(), expected.end, "{}", case.name);
        assert_eq!(new.fingerprint.to_string(), expected.fingerprint, "{}", case.name);
        assert!(new.query.ends_with(&format!("&vk-sig={}", expected.sig)), "{}", case.name);
        // It is a key, and the same one but for its end.
        let read = |query: &str| {
            let presented = key::decode(query, None).unwrap().unwrap();
            let key = presented.verify(Some(&secrets)).unwrap();
            let claims = key.claims().next().unwrap().clone();
            (Claims { end: None, ..claims }, Grant::from(key).levels()[0].name.clone())
        };
        assert_eq!(read(&new.query), read(query), "{}", case.name);
    }
}

impl Bounds {
    fn ceiling(&self) -> Ceiling {
        Ceiling {
            max_lifetime: self.max_lifetime.map(Duration::from_secs),
            max_renew: self.max_renew.map(Duration::from_secs),
            renew: self.renew.as_deref().map(time),
            ..Ceiling::default()
        }
    }
}

/// A key that may be renewed for a day.
fn query(secret: &Secret, id: &str) -> String {
    let path = ResourcePath::from_text("/files/a").unwrap();
    let claims = Claims {
        path: Some(path.clone()),
        id: Some(id.to_owned()),
        renew: Some(NOW.plus(Duration::from_secs(86_400))),
        ..Claims::new(Verbs::only(Verb::Read), NOW.plus(Duration::from_secs(60)))
    };
    mint("web", &path, &claims, secret).unwrap()
}

const NOW: Timestamp = Timestamp::from_unix(1_795_305_600);

#[test]
fn a_rotated_secret_is_not_laundered() {
    let old = Secret::new(b"the old secret of these tests");
    let rotated =
        SignerSecrets { current: Secret::new(b"the new secret of these tests"), previous: Some(old.clone()) };
    let result = renewed(&query(&old, "a"), &[], &rotated, NOW);
    assert_eq!(result.unwrap_err().reason(), "not_allowed");
    let new = renewed(&query(&rotated.current, "a"), &[], &rotated, NOW).unwrap();
    let only_new = SignerSecrets { current: rotated.current.clone(), previous: None };
    assert!(key::decode(&new.query, None).unwrap().unwrap().verify(Some(&only_new)).is_ok());
}

#[test]
fn the_key_that_is_renewed_is_the_one_that_was_judged() {
    let secrets = secrets("a secret of these tests");
    let house = House {
        signer: &Ceiling::default(),
        policies: Vec::new(),
        clock_skew: Duration::ZERO,
        lease: Duration::ZERO,
        enforced: Parameters::ALL,
    };
    let (judged, other) = (query(&secrets.current, "a"), query(&secrets.current, "b"));
    let presented = key::decode(&judged, None).unwrap().unwrap();
    let grant = Grant::from(presented.verify(Some(&secrets)).unwrap());
    let bounded = bound(grant, &house, Now::at(NOW)).unwrap();
    assert!(renew(&judged, &bounded, &house, &secrets, Now::at(NOW)).is_ok());
    let result = renew(&other, &bounded, &house, &secrets, Now::at(NOW));
    assert_eq!(result.unwrap_err().reason(), "bad_signature");
}

/// The house may end a key before the key says so: that is no end from which it is moved.
#[test]
fn the_end_of_the_house_is_not_written_into_the_key() {
    let secrets = secrets("a secret of these tests");
    let ceiling = Ceiling { end: Some(NOW.plus(Duration::from_secs(10))), ..Ceiling::default() };
    let new = renewed(&query(&secrets.current, "a"), &[ceiling], &secrets, NOW).unwrap();
    assert_eq!(new.end, NOW.plus(Duration::from_secs(86_400)));
}

/// What is counted under a name is kept for as long as its holder can have the key renewed.
#[test]
fn a_level_matters_until_the_last_renewal() {
    let secrets = secrets("a secret of these tests");
    let path = ResourcePath::from_text("/files/a").unwrap();
    let narrowed = |claims: Claims| {
        let query = valetkey::narrow(&query(&secrets.current, "a"), Some(&path), &claims).unwrap();
        let presented = key::decode(&query, None).unwrap().unwrap();
        let grant = Grant::from(presented.verify(Some(&secrets)).unwrap());
        assert_eq!(grant.renewable(), None);
        grant.levels().iter().map(|level| level.end.unix() - NOW.unix()).collect::<Vec<_>>()
    };
    assert_eq!(narrowed(Claims { size_max: Some(1), ..Claims::default() }), [86_400, 86_400]);
    let end = Some(NOW.plus(Duration::from_secs(30)));
    assert_eq!(narrowed(Claims { end, ..Claims::default() }), [86_400, 30]);
}
