//! Every published vector, worked through decode, verify, bound and admit.

use std::net::IpAddr;
use std::time::Duration;

use serde::Deserialize;
use valetkey::key::{self, KeyUrl};
use valetkey::{
    Action, Ceiling, Client, Denial, Grant, House, Intent, Now, Parameters, Secret, SignerSecrets, Timestamp,
    admit, bound,
};

#[derive(Deserialize)]
struct Vectors {
    signer: String,
    #[serde(default = "documented_client")]
    client: IpAddr,
    secret: String,
    cases: Vec<Case>,
}

fn documented_client() -> IpAddr {
    "10.1.2.3".parse().unwrap()
}

#[derive(Deserialize)]
struct Case {
    name: String,
    method: String,
    url: String,
    now: String,
    #[serde(default)]
    levels: Vec<Level>,
    verdict: String,
}

#[derive(Deserialize)]
struct Level {
    fingerprint: String,
}

#[test]
fn native_keys() {
    for file in ["native_keys.json", "native_keys_more.json"] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/vectors").join(file);
        let text = std::fs::read_to_string(&path).expect("the published vectors are there");
        let vectors: Vectors = serde_json::from_str(&text).unwrap();
        assert!(vectors.cases.len() > 30, "{file} has lost its cases");
        for case in &vectors.cases {
            let verdict = match judge(&vectors, case) {
                Ok(()) => "valid".to_owned(),
                Err(denial) => denial.reason().to_owned(),
            };
            assert_eq!(verdict, case.verdict, "{file}: {}", case.name);
        }
    }
}

fn judge(vectors: &Vectors, case: &Case) -> Result<(), Denial> {
    let url = KeyUrl::parse(&case.url).unwrap();
    let path = url.path()?;
    let presented = key::decode(url.query, Some(&path))?.ok_or(Denial::NoKey)?;
    let secrets = SignerSecrets { current: Secret::new(vectors.secret.as_bytes()), previous: None };
    let known = presented.signer() == vectors.signer;
    let key = presented.verify(known.then_some(&secrets))?;
    let fingerprints: Vec<String> = key.fingerprints().map(|fingerprint| fingerprint.to_string()).collect();
    if !case.levels.is_empty() {
        let expected: Vec<_> = case.levels.iter().map(|level| level.fingerprint.clone()).collect();
        assert_eq!(fingerprints, expected, "{}", case.name);
    }
    let grant = Grant::from(key);
    let unlimited = Ceiling::default();
    let house = House {
        signer: &unlimited,
        policies: grant
            .policy()
            .map(|name| (name == "avatar").then_some(("avatar", &unlimited)))
            .into_iter()
            .collect(),
        clock_skew: Duration::from_secs(30),
        lease: Duration::from_secs(600),
        enforced: Parameters::ALL,
    };
    let bounded = bound(grant, &house, Now::at(Timestamp::parse(&case.now).unwrap()))?;
    let action = match case.method.as_str() {
        "GET" => Action::Read,
        "HEAD" => Action::Stat,
        "PUT" | "POST" => Action::Upload { declared_bytes: None },
        "DELETE" => Action::Delete,
        method => panic!("{method}"),
    };
    let client = Client { address: Some(vectors.client), is_secure: true };
    let intent = Intent { action, path: &path, prefix: "", declared_type: None, client };
    admit(bounded, &intent).map(drop)
}
