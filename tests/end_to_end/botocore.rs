//! Botocore's signer against ours: what it signs we verify, what it signs we would have signed alike, and nothing that
//! differs from what was signed is taken.

use std::time::Duration;

use serde_json::Value;
use valetkey::{Denial, ResourcePath, Secret, SignerSecrets, Timestamp};
use valetkey_dialects::aws::Presigning;
use valetkey_dialects::{RequestHead, present};
use valetkey_tests::clients::{self, SECRET, SIGNER};

/// How many requests are signed and judged. Each run takes the same ones.
const CASES: usize = 600;

/// A request as it goes over the wire.
#[derive(Clone, Debug)]
struct Sent {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
}

impl Sent {
    fn of(case: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let headers = case["headers"].as_array().unwrap();
        Self {
            method: text(&case["method"]),
            path: text(&case["path"]),
            query: text(&case["query"]),
            headers: headers.iter().map(|header| (text(&header[0]), text(&header[1]))).collect(),
        }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|header| header.0 == name).map(|header| header.1.as_str())
    }

    /// Whether its signature holds, in the hands of a gateway that knows the signer's secret.
    fn verify(&self, secret: &str) -> Result<(), Denial> {
        let headers: Vec<_> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        let head =
            RequestHead { method: &self.method, path: &self.path, query: &self.query, headers: &headers };
        let path = ResourcePath::from_url(&self.path).ok();
        let presented = present(&head, path.as_ref())?;
        assert_eq!(presented.signer(), SIGNER);
        presented.verify(Some(&SignerSecrets { current: Secret::new(secret.as_bytes()), previous: None }))?;
        Ok(())
    }

    /// The same request with one thing changed, in each way that there is.
    fn changed(&self) -> Vec<(String, Self)> {
        let mut all = Vec::new();
        let mut change = |what: &str, how: &dyn Fn(&mut Self)| {
            let mut other = self.clone();
            how(&mut other);
            all.push((what.to_owned(), other));
        };
        change("method", &|it| it.method = if it.method == "GET" { "PUT" } else { "GET" }.to_owned());
        change("a longer path", &|it| it.path.push('x'));
        change("a slash more", &|it| it.path = it.path.replacen('/', "//", 1));
        change("another bucket", &|it| it.path = it.path.replacen("files", "filez", 1));
        change("a parameter more", &|it| {
            let glue = if it.query.is_empty() { "" } else { "&" };
            it.query.push_str(&format!("{glue}later=1"));
        });
        change("an empty parameter more", &|it| {
            it.query.push_str(if it.query.is_empty() { "&&" } else { "&" })
        });
        let pairs: Vec<&str> = self.query.split('&').filter(|pair| !pair.is_empty()).collect();
        for (at, pair) in pairs.iter().enumerate() {
            let join = |pairs: Vec<&str>| pairs.join("&");
            let rest = pairs.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, pair)| *pair);
            change(&format!("without {pair}"), &|it| it.query = join(rest.clone().collect()));
            let longer = format!("{pair}{}0", if pair.contains('=') { "" } else { "=" });
            let longer =
                pairs.iter().enumerate().map(|(other, pair)| if other == at { &longer } else { *pair });
            change(&format!("{pair}0"), &|it| it.query = join(longer.clone().collect()));
        }
        for (at, (name, value)) in self.headers.iter().enumerate() {
            let unsigned = ["user-agent", "content-length", "authorization"].contains(&name.as_str());
            if !unsigned && self.signs(name) {
                change(&format!("{name}: {value}x"), &|it| it.headers[at].1.push('x'));
                change(&format!("without {name}"), &|it| drop(it.headers.remove(at)));
                change(&format!("{name} twice"), &|it| it.headers.push(it.headers[at].clone()));
            }
            if name == "authorization" {
                change("another service", &|it| it.headers[at].1 = value.replace("/s3/", "/s4/"));
                change("another day", &|it| it.headers[at].1 = value.replace("/202", "/201"));
                change("fewer headers", &|it| it.headers[at].1 = value.replace("host;", ""));
                change("another signature", &|it| it.headers[at].1 = with_another_end(value));
            }
        }
        change("metadata that is not signed", &|it| {
            it.headers.push(("x-amz-acl".to_owned(), "public-read".to_owned()));
        });
        all
    }

    /// Whether its signature covers this header.
    fn signs(&self, name: &str) -> bool {
        let names = match self.header("authorization") {
            Some(value) => {
                value.split("SignedHeaders=").nth(1).unwrap().split(',').next().unwrap().to_owned()
            }
            None => parameter(&self.query, "X-Amz-SignedHeaders").unwrap().replace("%3B", ";"),
        };
        names.split(';').any(|signed| signed == name)
    }
}

fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

fn with_another_end(signature: &str) -> String {
    let (rest, last) = signature.split_at(signature.len() - 1);
    format!("{rest}{}", if last == "0" { "1" } else { "0" })
}

fn cases() -> Vec<Value> {
    let text = clients::python("signer.py", &["7", &CASES.to_string()], &[]).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(cases.len(), CASES);
    cases
}

#[test]
fn what_botocore_signs_verifies() {
    for case in cases() {
        let sent = Sent::of(&case);
        assert_eq!(sent.verify(SECRET).map_err(|denial| denial.to_string()), Ok(()), "{sent:?}");
        assert_eq!(sent.verify("another-secret").unwrap_err().reason(), "bad_signature", "{sent:?}");
    }
}

#[test]
fn nothing_else_than_what_botocore_signed_verifies() {
    let mut judged = 0;
    for case in cases() {
        let sent = Sent::of(&case);
        for (what, other) in sent.changed() {
            assert!(other.verify(SECRET).is_err(), "{what}\nsigned {sent:?}\nsent   {other:?}");
            judged += 1;
        }
    }
    assert!(judged > CASES * 10, "{judged} changes were judged");
}

#[test]
fn we_presign_as_botocore_does() {
    let mut compared = 0;
    for case in cases().iter().filter(|case| case["way"] == "query") {
        let sent = Sent::of(case);
        let date = parameter(&sent.query, "X-Amz-Date").unwrap();
        let (day, hour) = date.split_at(8);
        let time = format!(
            "{}-{}-{}T{}:{}:{}Z",
            &day[..4],
            &day[4..6],
            &day[6..],
            &hour[1..3],
            &hour[3..5],
            &hour[5..7]
        );
        let decoded: Vec<(String, String)> = sent
            .query
            .split('&')
            .filter(|pair| !pair.starts_with("X-Amz-"))
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                let decode = |text| valetkey::decode_component(text).unwrap().into_owned();
                (decode(name), decode(value))
            })
            .collect();
        let parameters: Vec<_> =
            decoded.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let headers: Vec<_> = sent
            .headers
            .iter()
            .filter(|(name, _)| name != "host" && sent.signs(name))
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let presigning = Presigning {
            signer: SIGNER,
            method: &sent.method,
            host: sent.header("host").unwrap(),
            raw_path: &sent.path,
            region: case["region"].as_str().unwrap(),
            time: Timestamp::parse(&time).unwrap(),
            expires: Duration::from_secs(case["expires"].as_u64().unwrap()),
            parameters: &parameters,
            headers: &headers,
        };
        let ours = presigning.query(&Secret::new(SECRET.as_bytes())).unwrap();
        let signature = |query| parameter(query, "X-Amz-Signature").map(ToOwned::to_owned);
        assert_eq!(signature(&ours), signature(&sent.query), "{sent:?}\nours {ours}");
        compared += 1;
    }
    assert!(compared > CASES / 3, "{compared} were presigned");
}
