//! Backends of each kind, and the buckets in them.

use super::*;

/// A credential of a store, in the file `store.secret`; shorter than a signer's secret may be.
const KEY: &str = "hush+hush/";

const ACCOUNT_KEY: &str =
    r#"{"type": "service_account", "client_email": "a@b", "private_key": "hush", "private_key_id": "1"}"#;

const S3: &str = "[backends.far]\nkind = \"s3\"\nregion = \"eu-west-1\"\nbucket = \"backing\"\n\
                  access_key_id_file = \"store.secret\"\nsecret_access_key_file = \"store.secret\"\n";

const AZURE: &str = "[backends.far]\nkind = \"azure\"\naccount = \"shop1\"\ncontainer = \"backing\"\n\
                     access_key_file = \"azure.secret\"\n";

const GCS: &str =
    "[backends.far]\nkind = \"gcs\"\nbucket = \"backing\"\nservice_account_key_file = \"gcs.json\"\n";

fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("store.secret", &format!("{KEY}\n"), 0o600);
    bench.write("azure.secret", "aHVzaCBodXNo\n", 0o600);
    bench.write("gcs.json", ACCOUNT_KEY, 0o600);
    bench
}

fn far(text: &str) -> Backend {
    bench().load(text).unwrap_or_else(|errors| panic!("{errors}\n{text}")).backends["far"].clone()
}

fn s3(rest: &str) -> S3Settings {
    match far(&format!("{S3}{rest}\n")) {
        Backend::S3(settings) => settings,
        other => panic!("{other:?}"),
    }
}

fn warnings(text: &str) -> String {
    bench().load(text).unwrap().warnings.join("\n")
}

/// Asserts that `text` is refused with these faults, and that no message holds a credential.
fn refused(text: &str, expected: &[(usize, &str)]) {
    let errors = match bench().load(text) {
        Ok(_) => panic!("taken:\n{text}"),
        Err(errors) => errors,
    };
    let found: Vec<_> = errors.iter().map(|error| (error.line.unwrap(), error.message.as_str())).collect();
    let as_expected = |(found, expected): (&(usize, &str), &(usize, &str))| {
        found.0 == expected.0 && found.1.contains(expected.1)
    };
    assert!(
        found.len() == expected.len() && found.iter().zip(expected).all(as_expected),
        "{expected:?}\n{errors}\n{text}"
    );
    assert!(!errors.to_string().contains("hush"), "{errors}");
}

/// As [`refused`], for one line after a sound backend.
fn refused_after(sound: &str, line: &str, part: &str) {
    refused(&format!("{sound}{line}\n"), &[(sound.lines().count() + 1, part)]);
}

#[test]
fn a_bucket_of_aws_needs_no_endpoint() {
    let settings = s3("");
    assert_eq!((settings.endpoint.as_ref(), settings.region.as_str()), (None, "eu-west-1"));
    assert_eq!(settings.bucket, "backing");
    assert!(settings.virtual_hosted && settings.session_token.is_none());
    assert!(settings.access_key_id.is(KEY.as_bytes()) && settings.secret_access_key.is(KEY.as_bytes()));
    let Remote { connect_timeout, stall_timeout, retries, retry_timeout, connections_max, upload_memory_kib } =
        settings.remote;
    let timeouts = [connect_timeout, stall_timeout, retry_timeout].map(|timeout| timeout.as_secs());
    assert_eq!((timeouts, retries, connections_max.get()), ([5, 30, 10], 2, 256));
    assert_eq!(upload_memory_kib, 64 << 10);
    let dotted = far(&S3.replace("\"backing\"", "\"backing.example\""));
    assert!(matches!(dotted, Backend::S3(S3Settings { virtual_hosted: false, .. })));
    refused(
        &S3.replace("region = \"eu-west-1\"\n", ""),
        &[(1, "[backends.far] has no region; say a region as \"us-east-1\", or an endpoint")],
    );
}

#[test]
fn a_service_of_ones_own_has_an_endpoint() {
    let settings = s3("endpoint = \"http://127.0.0.1:8333/\"\nsession_token_file = \"store.secret\"\n\
                       connect_timeout = \"1s\"\nstall_timeout = \"2s\"\nretries = 0\nretry_timeout = \"3s\"\n\
                       connections_max = 4\nupload_memory = \"5MiB\"");
    assert_eq!(settings.endpoint.as_ref().unwrap().to_string(), "http://127.0.0.1:8333");
    assert!(!settings.virtual_hosted && settings.session_token.is_some());
    assert_eq!((settings.remote.retries, settings.remote.connections_max.get()), (0, 4));
    assert_eq!(settings.remote.upload_memory_kib, 5 << 10);
    assert_eq!(settings.remote.stall_timeout, Duration::from_secs(2));
    assert!(s3("endpoint = \"https://s3.example.com\"\nvirtual_hosted = true").virtual_hosted);
    let without_region = S3.replace("region = \"eu-west-1\"", "endpoint = \"http://127.0.0.1:8333\"");
    assert!(matches!(far(&without_region), Backend::S3(settings) if settings.region == "us-east-1"));
}

#[test]
fn azure_and_google_have_their_own_words() {
    let Backend::Azure(azure) = far(AZURE) else { panic!() };
    assert_eq!(
        (azure.account.as_str(), azure.container.as_str(), azure.endpoint),
        ("shop1", "backing", None)
    );
    assert!(azure.access_key.is(b"aHVzaCBodXNo"));
    let Backend::Azure(azure) = far(&format!("{AZURE}endpoint = \"http://127.0.0.1:10000/shop1\"\n")) else {
        panic!()
    };
    assert_eq!(azure.endpoint.unwrap().to_string(), "http://127.0.0.1:10000/shop1");

    let Backend::Gcs(gcs) = far(GCS) else { panic!() };
    assert_eq!((gcs.bucket.as_str(), gcs.endpoint), ("backing", None));
    assert!(gcs.service_account_key.unwrap().is(ACCOUNT_KEY.as_bytes()));
    let anonymous = GCS.replace("service_account_key_file = \"gcs.json\"", "anonymous = true");
    let Backend::Gcs(gcs) = far(&anonymous) else { panic!() };
    assert_eq!(gcs.service_account_key, None);
}

#[test]
fn a_credential_may_stand_in_the_environment() {
    let text =
        S3.replace("secret_access_key_file = \"store.secret\"", "secret_access_key_env = \"WEB_SECRET\"");
    // It has spaces in it, which no credential has.
    refused(&text, &[(6, "secret_access_key is one line of printable ASCII")]);
    let text = text.replace("WEB_SECRET", "NONE");
    refused(&text, &[(6, "environment variable NONE is not set")]);
}

#[test]
fn what_a_remote_backend_needs_is_asked_for() {
    refused(
        "[backends.far]\nkind = \"s3\"\n",
        &[
            (1, "[backends.far] has no region"),
            (1, "[backends.far] has no bucket"),
            (1, "has no access_key_id; say access_key_id_file or access_key_id_env"),
            (1, "has no secret_access_key; say secret_access_key_file or secret_access_key_env"),
        ],
    );
    refused(
        "[backends.far]\nkind = \"azure\"\n",
        &[
            (1, "[backends.far] has no account"),
            (1, "[backends.far] has no container"),
            (1, "has no access_key; say access_key_file or access_key_env"),
        ],
    );
    refused(
        "[backends.far]\nkind = \"gcs\"\n",
        &[
            (1, "[backends.far] has no bucket"),
            (1, "has no service_account_key; say service_account_key_file"),
        ],
    );
    refused("[backends.far]\n", &[(1, "for a remote store say its kind: s3, azure or gcs")]);
    refused("[backends.far]\nkind = \"S3\"\n", &[(2, "kind \"S3\" must be \"disk\", \"s3\", \"azure\" or")]);
}

#[test]
fn a_credential_never_stands_inline() {
    for (sound, name) in [
        (S3, "access_key_id"),
        (S3, "secret_access_key"),
        (S3, "session_token"),
        (AZURE, "access_key"),
        (GCS, "service_account_key"),
    ] {
        let part =
            format!("{name} is a secret and never stands inline; write it to a file and say {name}_file");
        refused_after(sound, &format!("{name} = \"hush\""), &part);
    }
    refused_after(S3, "endpoint = \"https://me:hush@s3.example.com\"", "a user or a password in it");
    refused_after(S3, "secret_access_key_env = \"X\"", "are both set; remove one");
    refused_after(GCS, "anonymous = true", "anonymous and a service_account_key are both set; remove one");
}

#[test]
fn a_credential_is_as_private_as_a_signers_secret() {
    for (text, name) in [(S3, "store.secret"), (AZURE, "azure.secret"), (GCS, "gcs.json")] {
        let bench = bench();
        fs::set_permissions(bench.path(name), fs::Permissions::from_mode(0o640)).unwrap();
        let errors = bench.load(text).unwrap_err().to_string();
        assert!(errors.contains("is open to other users (mode 0640); chmod 600"), "{errors}");
    }
    let served = "[backends.local]\nroot = \".\"\n[buckets.files]\nbackend = \"local\"\n";
    let errors = bench().load(&format!("{served}{S3}")).unwrap_err().to_string();
    assert!(errors.contains("the access_key_id of [backends.far]"), "{errors}");
    assert!(!format!("{:?}{:?}{:?}", far(S3), far(AZURE), far(GCS)).contains("hush"));
}

#[test]
fn a_value_that_no_store_takes_is_a_fault() {
    refused_after(
        S3,
        "endpoint = \"s3.example.com\"",
        "endpoint \"s3.example.com\" must be http:// or https://",
    );
    refused_after(S3, "virtual_hosted = \"no\"", "virtual_hosted must be true or false");
    refused_after(S3, "retries = 11", "retries must be a whole number from 0 to 10");
    refused_after(S3, "stall_timeout = \"0s\"", "stall_timeout \"0s\" must be from 1s to 1h");
    refused_after(S3, "connections_max = 0", "connections_max must be a whole number from 1");
    for memory in ["5242879", "\"2TiB\""] {
        let line = format!("upload_memory = {memory}");
        refused_after(S3, &line, "upload_memory must be from 5MiB to 1TiB");
    }
    refused_after(S3, "upload_memory = \"much\"", "upload_memory \"much\" must be a whole number of bytes");
    refused_after(S3, "root = \"objects\"", "unknown name \"root\" in backends.far");
    refused_after(AZURE, "region = \"x\"", "unknown name \"region\" in backends.far");
    for bucket in ["a/b", "ab", "", "..", "-ab", "a..b", "a b"] {
        refused(&S3.replace("\"backing\"", &format!("{bucket:?}")), &[(4, "must be the bucket's name")]);
    }
    refused(&AZURE.replace("shop1", "Shop"), &[(3, "account \"Shop\" must be the storage account's name")]);
    refused(&AZURE.replace("\"backing\"", "\"a--b\""), &[(4, "must be the container's name")]);
    let bench = bench();
    bench.write("azure.secret", "no hush!", 0o600);
    let errors = bench.load(AZURE).unwrap_err().to_string();
    assert!(errors.contains("printable ASCII") && !errors.contains("hush"), "{errors}");
    bench.write("azure.secret", "n_hush!", 0o600);
    let errors = bench.load(AZURE).unwrap_err().to_string();
    assert!(errors.contains("the access_key of [backends.far] is no base64"), "{errors}");
    for (json, part) in [
        ("\"hush\"", "is no JSON with client_email"),
        ("{\"private_key\": \"hush\"}", "is no JSON with client_email"),
        (&ACCOUNT_KEY.replace("type", "gcs_base_url"), "names a gcs_base_url; say endpoint instead"),
    ] {
        bench.write("gcs.json", json, 0o600);
        let errors = bench.load(GCS).unwrap_err().to_string();
        assert!(errors.contains(part) && !errors.contains("hush"), "{errors}");
    }
}

#[test]
fn objects_that_travel_unencrypted_are_warned_of() {
    let at = |endpoint: &str| warnings(&format!("{S3}endpoint = \"{endpoint}\"\n"));
    let said = "objects travel unencrypted: the endpoint http://10.0.0.7:9000 of [backends.far]";
    assert!(at("http://10.0.0.7:9000").contains(said));
    for endpoint in ["http://127.0.0.1:9000", "http://localhost:9000", "https://10.0.0.7"] {
        assert!(!at(endpoint).contains("unencrypted"), "{endpoint}");
    }
}

/// Two buckets, of two backends that are `one` and `other`, with these prefixes.
fn served(one: &str, other: &str, prefixes: [&str; 2]) -> String {
    let [first, second] = prefixes;
    format!(
        "{}{}[buckets.aaa]\nbackend = \"far\"\nprefix = \"{first}\"\n[buckets.bbb]\nbackend = \"near\"\n\
         prefix = \"{second}\"\n",
        one,
        other.replace("backends.far", "backends.near")
    )
}

#[test]
fn buckets_do_not_overlap_in_a_store() {
    let local = format!("{S3}endpoint = \"http://127.0.0.1:8333\"\n");
    let spelled = format!("{S3}endpoint = \"http://LOCALHOST:8333/\"\nvirtual_hosted = true\n");
    let over_aws = format!("{S3}endpoint = \"https://s3.eu-west-1.amazonaws.com\"\n");
    let azure = format!("{AZURE}endpoint = \"https://shop1.blob.core.windows.net/\"\n");
    let google_as_s3 = format!("{S3}endpoint = \"https://storage.googleapis.com\"\n");
    for (one, other) in
        [(&local, &spelled), (&S3.into(), &over_aws), (&AZURE.into(), &azure), (&GCS.into(), &google_as_s3)]
    {
        for prefixes in [["", ""], ["a/", ""], ["a/b/", "a/"], ["a/", "a/"]] {
            let errors = bench().load(&served(one, other, prefixes)).unwrap_err().to_string();
            assert!(errors.contains("buckets aaa and bbb overlap"), "{errors}");
        }
        // Credentials of their own for each prefix are sound.
        bench().load(&served(one, other, ["a/", "ab/"])).unwrap();
    }
    let elsewhere = format!("{S3}endpoint = \"http://127.0.0.1:8334\"\n");
    bench().load(&served(&local, &elsewhere, ["", ""])).unwrap();
    bench().load(&served(&local, &local.replace("backing", "backing2"), ["", ""])).unwrap();
    bench().load(&served(&local, "[backends.far]\nroot = \"objects\"\n", ["", ""])).unwrap();
    let one_backend = "[buckets.aaa]\nbackend = \"far\"\n[buckets.bbb]\nbackend = \"far\"\nprefix = \"a/\"\n";
    refused(&format!("{S3}{one_backend}"), &[(9, "buckets aaa and bbb overlap: amazonaws.com/backing/ and")]);
    refused(&format!("{S3}[buckets.aaa]\nbackend = \"far\"\nprefix = \"a\"\n"), &[(9, "write \"a/\"")]);
}

#[test]
fn only_a_store_that_signs_urls_is_redirected_to() {
    let bucket = "[buckets.files]\nbackend = \"far\"\ndelivery = \"redirect\"\netag = \"md5\"\n";
    let settings = bench().load(&format!("{S3}{bucket}")).unwrap();
    assert_eq!(settings.buckets["files"].delivery, Delivery::Redirect);
    assert_eq!(settings.folder("files"), None);
    assert_eq!(taken(&with("")).buckets["files"].delivery, Delivery::Stream);
    check(
        &with("delivery = \"redirect\""),
        &[(6, "is for a backend of another kind than disk; say \"stream\"")],
    );
    check(&with("delivery = \"direct\""), &[(6, "delivery \"direct\" must be \"stream\" or \"redirect\"")]);
    let anonymous = GCS.replace("service_account_key_file = \"gcs.json\"", "anonymous = true");
    refused(&format!("{anonymous}{bucket}"), &[(7, "needs a service_account_key")]);
}
