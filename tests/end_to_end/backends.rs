//! Backends as an operator configures them: asked by `check --connect`, served, and edited while the gateway runs.

use std::fs;
use std::process::{Command, Output};
use std::time::Duration;

use valetkey_tests::expect::{accepted, refused};
use valetkey_tests::faults::FaultProxy;
use valetkey_tests::gateway::Gateway;
use valetkey_tests::http::Request;
use valetkey_tests::key::Key;
use valetkey_tests::process::{binary, wait_until};
use valetkey_tests::stores::{Azurite, FakeGcs, SeaweedFs, Store};

/// `valetkey check --connect` in the folder of a gateway over `store`, whose credentials are these.
fn checked(gateway: &Gateway, credentials: &[(&str, String)]) -> Output {
    Command::new(binary())
        .args(["check", "--connect", "--json"])
        .current_dir(gateway.home())
        .envs(credentials.iter().map(|(name, value)| (name, value)))
        .output()
        .unwrap()
}

/// What `check --connect` says of a sound backend, of one whose bucket is not there, and of one that is down.
fn is_asked(store: &dyn Store) {
    let answers = |bucket: &str, address| {
        let gateway = Gateway::builder().remote(store, address, bucket).write().unwrap();
        let output = checked(&gateway, &store.credentials());
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let said = String::from_utf8(output.stderr).unwrap() + &json.to_string();
        for (_, value) in store.credentials() {
            assert!(!said.contains(&value), "{said}");
        }
        let backend = &json["backends"]["local"];
        assert_eq!(output.status.success(), backend["answers"] == true, "{said}");
        (backend["answers"] == true, said)
    };
    let (answered, said) = answers(&store.bucket(), store.address());
    assert!(answered, "{said}");
    let (answered, said) = answers("not-there", store.address());
    assert!(!answered && said.contains("backends that cannot be used: local"), "{said}");
    let down = FaultProxy::before(store.address());
    down.refuse(true);
    let (answered, said) = answers(&store.bucket(), down.address());
    assert!(!answered, "{said}");
}

#[test]
fn seaweedfs_is_asked() {
    is_asked(SeaweedFs::shared());
}

#[test]
fn azurite_is_asked() {
    is_asked(Azurite::shared());
}

#[test]
fn fake_gcs_is_asked() {
    is_asked(FakeGcs::shared());
}

#[test]
fn an_edited_backend_is_in_force_for_the_next_request_or_not_at_all() {
    let store = SeaweedFs::shared();
    let (one, two) = (store.bucket(), store.bucket());
    store.put(&two, "files/a", b"of the other");
    let gateway = Gateway::builder().remote(store, store.address(), &one).start();
    let key = Key::new("/files/a", "read,write");
    accepted(&gateway.send(&Request::put(key.url(), "of the first")), 200);
    assert_eq!(store.get(&one, "files/a").unwrap(), b"of the first");

    let edit = |from: &str, to: &str| {
        let text = fs::read_to_string(gateway.config_path()).unwrap();
        assert!(text.contains(from), "{from:?} in {text}");
        fs::write(gateway.config_path(), text.replacen(from, to, 1)).unwrap();
    };
    edit(&format!("bucket = \"{one}\""), &format!("bucket = \"{two}\""));
    let is_other = || gateway.get(key.url()).body == b"of the other";
    wait_until(Duration::from_secs(2), "the other bucket", is_other).unwrap();
    assert_eq!(store.get(&one, "files/a").unwrap(), b"of the first");

    edit("kind = \"s3\"", "kind = \"s3\"\nsecret_access_key = \"inline\"");
    let words = "secret_access_key is a secret and never stands inline";
    wait_until(Duration::from_secs(2), words, || gateway.stderr().contains(words)).unwrap();
    assert!(is_other(), "the configuration before it stays in force");
    refused(&gateway.get(Key::new("/files/none", "read").url()), 404, "not_found");
}
