#![allow(clippy::unwrap_used)]

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use valetkey::{
    Denial, Limits, MediaRange, ResourcePath, Timestamp, Verb, Verbs, bound, key, mint, rehearse,
};

use super::*;

const SECRET: &str = "a secret that nobody should see";

/// A folder with a secret in it, in which configurations are tried.
struct Bench(tempfile::TempDir);

impl Bench {
    fn new() -> Self {
        let bench = Self(tempfile::tempdir().unwrap());
        bench.write("web.secret", SECRET, 0o600);
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        // The real path, as messages print it.
        self.0.path().canonicalize().unwrap().join(name)
    }

    fn write(&self, name: &str, text: &str, mode: u32) {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn load(&self, text: &str) -> Result<Settings, SettingsErrors> {
        self.write("valetkey.toml", text, 0o644);
        let environment = |name: &str| (name == "WEB_SECRET").then(|| OsString::from(SECRET));
        Settings::load_with(&self.path("valetkey.toml"), &environment)
    }
}

/// Asserts that `text` is taken, and gives what it means.
fn taken(text: &str) -> Settings {
    Bench::new().load(text).unwrap_or_else(|errors| panic!("{errors}\n{text}"))
}

/// Asserts that `text` has exactly these faults, each with its line and a part of its message.
fn check(text: &str, expected: &[(usize, &str)]) {
    let errors = match Bench::new().load(text) {
        Ok(_) => panic!("taken:\n{text}"),
        Err(errors) => errors,
    };
    let found: Vec<_> = errors.iter().map(|error| (error.line.unwrap(), error.message.as_str())).collect();
    assert_eq!(found.len(), expected.len(), "{errors}\n{text}");
    for ((line, message), (expected_line, part)) in found.iter().zip(expected) {
        assert!(line == expected_line && message.contains(part), "{expected_line}: {part}\n{errors}\n{text}");
    }
    assert!(!errors.to_string().contains(SECRET), "{errors}");
}

/// A configuration with a backend, a bucket, and whatever follows from line 6.
fn with(rest: &str) -> String {
    format!(
        "[backends.local]\nkind = \"disk\"\nroot = \"objects\"\n[buckets.files]\nbackend = \"local\"\n{rest}"
    )
}

/// A configuration whose signer `web` says `line` as the eighth.
fn with_signer(line: &str) -> String {
    with(&format!("[signers.web]\nsecret_file = \"web.secret\"\n{line}\n"))
}

/// A configuration whose policy `avatar` says `line` as the seventh.
fn with_policy(line: &str) -> String {
    with(&format!("[policies.avatar]\n{line}\n"))
}

/// Asserts that `line` is a fault in a signer and in a policy.
fn check_limit(line: &str, part: &str) {
    check(&with_signer(line), &[(8, part)]);
    check(&with_policy(line), &[(7, part)]);
}

#[test]
fn everything_has_a_default_but_what_is_served_and_by_whom() {
    let bench = Bench::new();
    let settings = bench.load("").unwrap();
    assert_eq!(settings.server.listen, "127.0.0.1:8080".parse().unwrap());
    assert_eq!(settings.server.public_url, "http://127.0.0.1:8080");
    assert_eq!(settings.server.clock_skew, Duration::from_secs(30));
    assert_eq!(settings.server.lease, Duration::from_secs(600));
    assert_eq!((settings.server.workers, settings.server.connections_max.get()), (None, 10_000));
    assert_eq!(settings.ledger, Ledger::Sqlite { path: bench.path("valetkey-data/ledger.db") });
    assert_eq!(settings.audit.path, bench.path("valetkey-data/audit.jsonl"));
    assert_eq!(settings.audit.key_file, bench.path("valetkey-data/audit.key"));
    assert_eq!((settings.audit.rotate_bytes, settings.audit.keep), (None, None));
    assert_eq!(settings.warnings.len(), 2, "{:?}", settings.warnings);
}

#[test]
fn what_was_typed_is_what_is_meant() {
    let settings = taken(
        "[server]\nlisten = \"[::1]:9\"\npublic_url = \"https://files.example.com/\"\nclock_skew = \"1m\"\n\
         lease = \"1h\"\nworkers = 3\nconnections_max = 50\ntrusted_proxies = [\"10.0.0.0/8\", \"::1\"]\n\
         proxy_protocol = true\nvirtual_hosts = [\"S3.example.org\"]\n\
         [ledger]\nengine = \"memory\"\n[audit]\npath = \"/var/log/a.log\"\nkey_file = \"/etc/a.key\"\n\
         rotate = \"100MiB\"\nkeep = 9\n\
         [backends.local]\nroot = \"/srv/objects\"\n\
         [buckets.files]\nbackend = \"local\"\nprefix = \"a/b/\"\ndelivery = \"stream\"\netag = \"blake3\"\n\
         [signers.web]\nsecret_env = \"WEB_SECRET\"\nprevious_secret_file = \"web.secret\"\npolicy = \"avatar\"\n\
         dialects = [\"native\"]\nscope = [\"/files/\", \"/files/x\"]\nallow = [\"write\", \"read\"]\n\
         start = 2026-01-01T00:00:00Z\nend = \"2027-01-01T00:00:00Z\"\nmax_lifetime = \"1d12h\"\nmax = \"5MiB\"\n\
         min = 7\nuses = 3\nip = [\"2001:db8::/32\", \"10.1.2.3\"]\n\
         type = [\"text/plain\", \"image/*\"]\ndigest = \"sha-256:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE\"\n\
         disposition = \"attachment\"\nrequire_tls = true\n\
         [policies.avatar]\nlease = \"5m\"\nrequire_tls = false\n",
    );
    assert_eq!(settings.server.public_url, "https://files.example.com");
    assert_eq!((settings.server.workers.unwrap().get(), settings.server.connections_max.get()), (3, 50));
    assert_eq!(settings.server.trusted_proxies.to_string(), "10.0.0.0/8,::1/128");
    assert!(settings.server.proxy_protocol && settings.server.tls.is_none());
    assert_eq!(settings.server.virtual_hosts.bucket("files.s3.example.org"), Some("files"));
    assert_eq!(settings.ledger, Ledger::Memory);
    assert_eq!(settings.audit.key_file, PathBuf::from("/etc/a.key"));
    assert_eq!((settings.audit.rotate_bytes, settings.audit.keep), (Some(100 << 20), Some(9)));
    assert_eq!(settings.folder("files").unwrap(), PathBuf::from("/srv/objects/a/b/"));
    assert_eq!(settings.folder("other"), None);
    let signer = &settings.signers["web"];
    let ceiling = &signer.ceiling;
    assert!(signer.secrets.previous.is_some());
    assert_eq!(signer.policy.as_deref(), Some("avatar"));
    assert_eq!(ceiling.scopes.as_ref().unwrap().paths().len(), 2);
    assert_eq!(ceiling.allow.unwrap(), Verbs::only(Verb::Read).with(Verb::Write));
    assert_eq!(ceiling.start.unwrap().to_string(), "2026-01-01T00:00:00Z");
    assert_eq!(ceiling.end.unwrap().to_string(), "2027-01-01T00:00:00Z");
    assert_eq!(ceiling.max_lifetime.unwrap().as_secs(), 129_600);
    assert_eq!((ceiling.size_max, ceiling.size_min, ceiling.limits.uses), (Some(5 << 20), Some(7), Some(3)));
    assert_eq!(ceiling.clients.as_ref().unwrap().to_string(), "10.1.2.3/32,2001:db8::/32");
    assert_eq!(
        ceiling.types.as_ref().unwrap().iter().map(MediaRange::as_str).collect::<Vec<_>>(),
        ["text/plain", "image/*"]
    );
    assert_eq!(ceiling.digest.unwrap().bytes, [1; 32]);
    assert!(ceiling.disposition.as_ref().unwrap().is_attachment());
    assert!(ceiling.require_tls && !settings.policies["avatar"].require_tls);
    assert_eq!(settings.policies["avatar"].lease, Some(Duration::from_secs(300)));
    assert_eq!(settings.warnings, ["the ledger is in memory: a restart forgets every use"]);
}

#[test]
fn all_faults_are_told_in_one_run_by_file_and_line() {
    let text = with(
        "[server]\nlissten = \"x\"\nlisten = 5\n\n[signers.web]\nuses = 0\nallow = [\"reed\"]\n[signer]\n",
    );
    check(
        &text,
        &[
            (7, "unknown name \"lissten\" in server; did you mean listen?"),
            (8, "listen must be a text in quotes"),
            (10, "[signers.web] has no secret; say secret_file or secret_env"),
            (11, "uses must be a whole number from 1 to 9223372036854775807"),
            (12, "allow has no verb \"reed\"; it knows read"),
            (13, "unknown name \"signer\" in the file; did you mean signers?"),
        ],
    );
    let bench = Bench::new();
    let errors = bench.load("\nfoo = 1").unwrap_err();
    let file = bench.path("valetkey.toml");
    assert!(errors.to_string().starts_with(&format!("{}:2: unknown name", file.display())), "{errors}");
}

#[test]
fn a_file_that_cannot_be_read_is_told_without_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none.toml");
    let errors = Settings::load(&path).unwrap_err();
    let text = format!("{}: read configuration: No such file", path.display());
    assert!(errors.to_string().starts_with(&text), "{errors}");
    fs::write(&path, b"a = \"\xff\"").unwrap();
    assert!(Settings::load(&path).unwrap_err().to_string().contains("not UTF-8"));
}

#[test]
fn broken_toml_is_told_without_quoting_the_line() {
    check(&format!("[server]\nlisten = \"1\"\nsecret = {SECRET}\n"), &[(3, "")]);
    for broken in
        ["=s3cr3t", "= \"s3cr3t", "= s3cr3t-s3cr3t", "= 's3cr3t", "= 5s3cr3t", "= \"s3cr3t\\q\"", "= [s3cr3t"]
    {
        let errors = Bench::new().load(&format!("[signers.web]\nsecret {broken}\n")).unwrap_err().to_string();
        assert!(errors.contains("valetkey.toml:2: ") && !errors.contains("s3cr3t"), "{errors}");
    }
    check("[server]\n[server]\n", &[(2, "duplicate")]);
}

#[test]
fn an_unknown_name_lists_what_is_known() {
    check("[ledger]\ncolour = 1\n", &[(2, "unknown name \"colour\" in ledger; it knows engine, path")]);
    check(&with_signer("max_lifetme = \"7d\""), &[(8, "did you mean max_lifetime?")]);
    check(&with_signer("lease = \"7d\""), &[(8, "unknown name \"lease\" in signers.web")]);
    check("buckets = 5\n", &[(1, "buckets must be a table, as [buckets]")]);
    check("[buckets]\nfiles = 5\n", &[(2, "buckets.files must be a table, as [buckets.NAME]")]);
}

#[test]
fn what_this_version_does_not_enforce_is_refused_and_not_ignored() {
    for name in names::SERVER.later {
        check(
            &format!("[server]\n{name} = [\"x\"]\n"),
            &[(2, &format!("{name} is not enforced by this version; remove it"))],
        );
    }
    for name in names::LEDGER.later {
        check(&format!("[ledger]\n{name} = \"x\"\n"), &[(2, "is not enforced by this version; remove it")]);
    }
    assert_eq!(names::SIGNER.later, names::POLICY.later);
    for name in names::POLICY.later {
        check_limit(&format!("{name} = 5"), &format!("{name} is not enforced by this version; remove it"));
    }
    check(&with("etag = \"sha1\""), &[(6, "etag \"sha1\" must be \"blake3\" or \"md5\"")]);
    check("[ledger]\nengine = \"postgres\"\n", &[(2, "engine = \"postgres\" is not enforced")]);
}

#[test]
fn every_parameter_is_enforced_or_its_limit_is_refused() {
    for parameter in valetkey::Parameter::ALL {
        let refused = names::POLICY.later.contains(&parameter.name());
        assert_eq!(ENFORCED.contains(parameter), !refused, "{parameter}");
    }
}

#[test]
fn operators_come_to_a_socket_or_to_an_address_with_a_token() {
    let admin = |text: &str| taken(text).admin.map(|admin| (admin.listen.to_string(), admin.is_said));
    let (socket, said) = admin("[admin]\nlisten = \"unix:run/admin.sock\"\n").unwrap();
    assert!(socket.starts_with("unix:/") && socket.ends_with("/run/admin.sock") && said);
    let (socket, said) = admin("[ledger]\npath = \"kept/uses.db\"\n").unwrap();
    assert!(socket.ends_with("/kept/admin.sock") && !said, "beside the ledger by itself: {socket}");
    assert_eq!(admin("[ledger]\nengine = \"memory\"\n"), None);
    for (text, line, expected) in [
        ("[admin]\nlisten = \"127.0.0.1:9090\"\n", 1, "has no token"),
        ("[admin]\nlisten = \"unix:\"\n", 2, "must be unix:"),
        ("[admin]\nlisten = \"localhost\"\n", 2, "must be unix:"),
        ("[admin]\nlisten = \"unix:a\"\ntoken_file = \"none\"\n", 3, "No such file"),
    ] {
        check(text, &[(line, expected)]);
    }
    check("[admin]\nlisen = \"x\"\n", &[(2, "did you mean listen?")]);
    check(&format!("[admin]\ntoken = \"{SECRET}\"\n"), &[(2, "never stands inline")]);
}

#[test]
fn native_and_aws_are_taken_and_other_dialects_are_not() {
    for dialects in ["\"native\", \"aws\"", "\"native\"", "\"aws\""] {
        let settings = taken(&with_signer(&format!("dialects = [{dialects}]")));
        assert_eq!(settings.warnings, Vec::<String>::new());
        for dialect in [Dialect::Native, Dialect::Aws] {
            let is_taken = dialects.contains(dialect.name());
            assert_eq!(settings.secrets("web", dialect).is_some(), is_taken, "{dialects}");
        }
    }
    let settings = taken(&with_signer(""));
    assert!(
        settings.secrets("web", Dialect::Native).is_some() && settings.secrets("web", Dialect::Aws).is_some()
    );
    for dialect in ["azure", "gcs", "jwt"] {
        check(
            &with_signer(&format!("dialects = [\"native\", \"{dialect}\"]")),
            &[(8, &format!("dialect \"{dialect}\" is not enforced by this version; remove it"))],
        );
    }
    check(&with_signer("dialects = [\"native\", \"nativ\"]"), &[(8, "dialects has no \"nativ\"")]);
    check(&with_signer("dialects = []"), &[(8, "dialects must be a list")]);
}

#[test]
fn the_server_is_within_its_ranges() {
    let server = |line: &str| format!("[server]\n{line}\n");
    check(&server("listen = \"localhost\""), &[(2, "must be an address and a port as 127.0.0.1:8080")]);
    check(&server("clock_skew = \"16m\""), &[(2, "clock_skew \"16m\" must be from 0s to 15m")]);
    check(&server("clock_skew = \"soon\""), &[(2, "must be a duration as 15m")]);
    check(&server("lease = \"0s\""), &[(2, "must be from 1s to 1d")]);
    check(&server("lease = \"2d\""), &[(2, "must be from 1s to 1d")]);
    check(&server("workers = 0"), &[(2, "workers must be a whole number from 1 to 1024")]);
    check(&server("workers = 1.5"), &[(2, "workers must be")]);
    check(
        &server("connections_max = -1"),
        &[(2, "connections_max must be a whole number from 1 to 1000000")],
    );
    assert_eq!(taken(&server("clock_skew = \"0s\"")).server.clock_skew, Duration::ZERO);
    for url in [
        "files.example.com",
        "ftp://files.example.com",
        "https://",
        "https://a.example/base",
        "https://user@a.example",
        "https://a.example?x",
        "https://a.example:99999",
        "https://a b",
    ] {
        check(&server(&format!("public_url = \"{url}\"")), &[(2, "must be http:// or https://")]);
    }
    for url in ["https://a.example", "http://[::1]:8080", "http://10.0.0.1:80", "https://[2001:db8::1]"] {
        assert_eq!(taken(&server(&format!("public_url = \"{url}\""))).server.public_url, url);
    }
}

#[test]
fn plain_http_beyond_this_machine_is_warned_of() {
    let warned = |listen: &str| {
        let settings =
            taken(&format!("[server]\nlisten = \"{listen}\"\npublic_url = \"https://a.example\"\n"));
        settings.warnings.iter().any(|warning| warning.contains("unencrypted"))
    };
    assert!(warned("0.0.0.0:8080") && warned("[::]:8080") && warned("192.0.2.1:80"));
    assert!(!warned("127.0.0.1:8080") && !warned("127.9.9.9:1") && !warned("[::1]:8080"));
    let settings = taken("[server]\nlisten = \"0.0.0.0:81\"\n");
    assert_eq!(settings.server.public_url, "http://127.0.0.1:81");
    assert!(settings.warnings.iter().any(|warning| warning.contains("public_url is not set")));
}

#[test]
fn a_limit_out_of_its_range_is_refused() {
    check_limit("uses = 0", "uses must be a whole number from 1");
    check_limit("uses = \"1\"", "uses must be a whole number from 1");
    check_limit("max = -1", "max must be a whole number of bytes");
    check_limit("max = \"5 megabytes\"", "or one with a unit as 5MiB");
    check_limit("max = 9223372036854775808", "max must be");
    check_limit("min = 6\nmax = 5", "min 6 exceeds max 5");
    check_limit("start = \"2026-01-01T00:00:00Z\"\nend = \"2026-01-01T00:00:00Z\"", "is not before end");
    check_limit("end = \"tomorrow\"", "end \"tomorrow\" must be a time in UTC as 2026-11-22T00:00:00Z");
    check_limit("end = 2026-01-01", "must be a time in UTC");
    check_limit("end = 2026-01-01T00:00:00+01:00", "must be a time in UTC");
    check_limit("max_lifetime = \"0s\"", "must be from 1s to 36500d");
    check_limit("max_lifetime = \"7 days\"", "must be a duration as 15m, 7d or 1h30m");
    check_limit("allow = []", "allow must be a list of at least one text");
    check_limit("allow = \"read\"", "allow must be a list");
    check_limit("allow = [\"read\", 5]", "allow must be a list of texts");
    check_limit("ip = [\"10.0.0.1/8\"]", "write 10.0.0.0/8 or 10.0.0.1/32");
    check_limit("ip = [\"10.0.0.0/33\"]", "must be an address range");
    check_limit("type = [\"Image/png\"]", "type \"Image/png\" must be a media type in lower case");
    check_limit("type = [\"*/*\"]", "must be a media type in lower case as image/png, or image/*");
    check_limit("type = \"image/png\"", "type must be a list of at least one text");
    check_limit("digest = \"md5:x\"", "must be blake3: or sha-256: and 43 characters of base64url");
    check_limit("disposition = \"inlin\"", "must be inline or attachment");
    check_limit("in = -1", "in must be a whole number of bytes");
    check_limit("out = \"1 TB\"", "or one with a unit as 5MiB");
    check_limit("files = 0", "files must be a whole number from 1");
    check_limit("rate = 0", "rate must be at least one byte per second");
    check_limit("parallel = \"2\"", "parallel must be a whole number from 1");
    check_limit("total = 5", "total must be a table");
    check_limit("total = {}", "limits nothing; say in, out, files, rate or parallel");
    check_limit("per_subject = { rate = 0 }", "rate must be at least one byte per second");
    check_limit("total = { uses = 5, in = 5 }", "unknown name \"uses\"");
    assert_eq!(taken(&with_policy("min = 5\nmax = 5")).policies["avatar"].size_max, Some(5));
}

#[test]
fn volumes_and_quotas_are_what_was_typed() {
    let volumes = "in = \"1TiB\"\nout = 5\nfiles = 3\nrate = \"1MB\"\nparallel = 2\n";
    let limits = Limits {
        uses: None,
        in_bytes: Some(1 << 40),
        out_bytes: Some(5),
        files: Some(3),
        rate_bytes: Some(1_000_000),
        parallel: Some(2),
    };
    let typed =
        |table: &str| format!("{volumes}[{table}.total]\n{volumes}[{table}.per_subject]\nparallel = 2");
    let policy = taken(&with_policy(&format!("dry_run = true\ntell = true\n{}", typed("policies.avatar"))));
    let signer = taken(&with_signer(&typed("signers.web")));
    let (policy_ceiling, signer_ceiling) = (&policy.policies["avatar"], &signer.signers["web"].ceiling);
    for ceiling in [policy_ceiling, signer_ceiling] {
        assert_eq!((ceiling.limits, ceiling.total), (limits, limits));
        assert_eq!(ceiling.per_subject, Limits { parallel: Some(2), ..Limits::default() });
    }
    assert!(policy_ceiling.dry_run && policy_ceiling.tell && !signer_ceiling.dry_run && !signer_ceiling.tell);
    assert!(policy.warnings.iter().any(|warning| warning.contains("[policies.avatar] is a dry run")));
    check(&with_signer("dry_run = true"), &[(8, "unknown name \"dry_run\" in signers.web")]);
}

#[test]
fn a_policy_of_a_dry_run_bounds_nothing_and_is_rehearsed() {
    let settings = taken(&with(
        "[signers.web]\nsecret_file = \"web.secret\"\n[policies.dry]\ndry_run = true\nallow = [\"read\"]\n\
         max_lifetime = \"1m\"\nuses = 1\ntell = true\n[policies.dry.total]\nin = 5\n[policies.wet]\nuses = 1\n",
    ));
    let now = valetkey::Now::at(Timestamp::from_unix(500));
    let grant = grant_of(&settings, Some("dry"));
    let rehearsed = rehearse(&grant, &settings.house(&grant), now).unwrap();
    assert_eq!(rehearsed.unwrap_err(), Denial::LifetimeTooLong);
    let later = valetkey::Now::at(Timestamp::from_unix(990));
    let rehearsed = rehearse(&grant, &settings.house(&grant), later).unwrap().unwrap();
    assert_eq!(rehearsed.grant().allow().to_string(), "read,stat");
    let house = settings.house(&grant);
    let bounded = bound(grant.clone(), &house, now).unwrap();
    assert_eq!(bounded.grant().allow(), Verbs::ALL);
    assert_eq!(bounded.grant().levels()[0].limits, Limits::default());
    let wet = grant_of(&settings, Some("wet"));
    assert!(rehearse(&wet, &settings.house(&wet), now).is_none());
}

#[test]
fn a_scope_names_a_bucket_that_exists() {
    check_limit("scope = [\"/filez/\"]", "there is no bucket \"filez\"; there is files");
    check_limit("scope = [\"/files\"]", "with a slash at its end");
    check_limit("scope = [\"files/\"]", "begins with /");
    check_limit("scope = [\"/files/../x\"]", "..");
    check_limit("scope = []", "scope must be a list of at least one");
}

#[test]
fn an_inline_secret_is_refused_and_not_printed() {
    let text = with(&format!("[signers.web]\nsecret = \"{SECRET}\"\n"));
    check(
        &text,
        &[
            (6, "has no secret"),
            (7, "secret is a secret and never stands inline; write it to a file and say secret_file"),
        ],
    );
    check(&with_signer(&format!("previous_secret = \"{SECRET}\"")), &[(8, "say previous_secret_file")]);
    check(&with_signer(&format!("sekret = \"{SECRET}\"")), &[(8, "unknown name \"sekret\"")]);
    check(
        &with(&format!("[signers.web]\nsecret_env = \"{SECRET}\"\n")),
        &[(7, "environment variable has letters")],
    );
}

#[test]
fn a_secret_is_named_once_and_can_be_read() {
    check(&with_signer("secret_env = \"WEB_SECRET\""), &[(8, "secret_file and secret_env are both set")]);
    check(&with("[signers.web]\nsecret_env = \"NONE\"\n"), &[(7, "environment variable NONE is not set")]);
    check(&with("[signers.web]\nsecret_file = \"none\"\n"), &[(7, "No such file")]);
    check(&with_signer("previous_secret_file = \"none\""), &[(8, "No such file")]);

    let bench = Bench::new();
    bench.write("web.secret", SECRET, 0o644);
    let errors = bench.load(&with_signer("")).unwrap_err();
    let path = bench.path("web.secret");
    let expected = format!("{}:7: secret file", bench.path("valetkey.toml").display());
    assert!(errors.to_string().starts_with(&expected), "{errors}");
    assert!(errors.to_string().ends_with(&format!("chmod 600 {}", path.display())), "{errors}");
}

#[test]
fn what_is_named_exists() {
    check(
        "[backends.local]\nroot = \"o\"\n[buckets.files]\nbackend = \"locl\"\n",
        &[(4, "there is no backend \"locl\"; there is local")],
    );
    check("[buckets.files]\nprefix = \"\"\n", &[(1, "[buckets.files] names no backend")]);
    check("[backends.local]\nkind = \"disk\"\n", &[(1, "[backends.local] has no root")]);
    check("[backends.local]\nkind = \"tape\"\n", &[(2, "kind \"tape\" must be \"disk\"")]);
    check("[backends.local]\nroot = \"web.secret\"\n", &[(2, "is not a folder")]);
    check(&with_signer("policy = \"avatr\""), &[(8, "there is no policy \"avatr\"; none is configured")]);
    check("[ledger]\nengine = \"redis\"\n", &[(2, "must be \"sqlite\" or \"memory\"")]);
    check("[ledger]\nengine = \"memory\"\npath = \"x\"\n", &[(3, "path has no meaning")]);
    check("[audit]\npath = \"a\"\nkey_file = \"a\"\n", &[(3, "the same file")]);
    check("[audit]\npath = \"\"\n", &[(2, "path must be a path")]);
    check("[audit]\nrotate = \"63KiB\"\n", &[(2, "rotate must be at least 64KiB")]);
    check("[audit]\nrotate = \"often\"\n", &[(2, "rotate \"often\" must be a whole number of bytes")]);
    check("[audit]\nrotate = \"64KiB\"\nkeep = 0\n", &[(3, "keep must be a whole number from 1 to 65535")]);
    check("[audit]\nkeep = 3\n", &[(2, "say rotate too")]);
}

#[test]
fn names_are_such_as_a_key_can_say() {
    check(&with("[policies.Avatar]\n"), &[(6, "a name has 1 to 32 of a-z 0-9 -")]);
    check(&with("[signers.a_b]\nsecret_file = \"web.secret\"\n"), &[(6, "signer \"a_b\": a name has")]);
    check("[backends.a_b]\nroot = \"o\"\n", &[(1, "backend \"a_b\"")]);
    check(
        "[backends.local]\nroot = \"o\"\n[buckets.ab]\nbackend = \"local\"\n",
        &[(3, "a bucket's name has 3 to 63")],
    );
    check(&with("prefix = \"a\""), &[(6, "write \"a/\"")]);
}

fn two_buckets(one: &str, other: &str) -> String {
    format!(
        "[backends.local]\nroot = \"objects\"\n[buckets.aaa]\nbackend = \"local\"\nprefix = \"{one}\"\n\
         [buckets.bbb]\nbackend = \"local\"\nprefix = \"{other}\"\n"
    )
}

#[test]
fn buckets_do_not_overlap() {
    for (one, other) in [("", ""), ("", "a/"), ("a/", ""), ("a/", "a/b/"), ("a/", "a/")] {
        check(&two_buckets(one, other), &[(6, "buckets aaa and bbb overlap")]);
    }
    for (one, other) in [("a/", "b/"), ("a/", "ab/"), ("a/b/", "a/c/")] {
        assert_eq!(taken(&two_buckets(one, other)).buckets.len(), 2);
    }
}

#[test]
fn backends_that_are_served_do_not_overlap() {
    let text = |one: &str, other: &str| {
        format!(
            "[backends.one]\nroot = \"objects\"\n[backends.two]\nroot = \"{one}\"\n[buckets.aaa]\n\
             backend = \"one\"\nprefix = \"a/\"\n[buckets.bbb]\nbackend = \"{other}\"\nprefix = \"b/\"\n"
        )
    };
    for root in ["objects", "./objects/../objects", "objects/deep", "."] {
        check(&text(root, "two"), &[(8, "backends one and two overlap")]);
    }
    taken(&text("elsewhere", "two"));
    // Nobody is served from the second one.
    taken(&text("objects", "one"));
}

#[test]
fn an_overlap_through_a_link_is_seen() {
    let bench = Bench::new();
    fs::create_dir(bench.path("objects")).unwrap();
    std::os::unix::fs::symlink("objects", bench.path("link")).unwrap();
    let errors = bench
        .load(
            "[backends.one]\nroot = \"objects\"\n[backends.two]\nroot = \"link\"\n[buckets.aaa]\n\
             backend = \"one\"\n[buckets.bbb]\nbackend = \"two\"\n",
        )
        .unwrap_err();
    assert!(errors.to_string().contains("buckets aaa and bbb overlap"), "{errors}");
}

#[test]
fn nothing_private_lies_where_it_could_be_downloaded() {
    let served = |rest: &str| {
        format!("[backends.local]\nroot = \"objects\"\n[buckets.files]\nbackend = \"local\"\n{rest}\n")
    };
    check(&served("[ledger]\npath = \"objects/ledger.db\""), &[(6, "the ledger")]);
    check(&served("[audit]\npath = \"objects/deep/a.jsonl\"\nkey_file = \"k\""), &[(6, "the audit log")]);
    check(&served("[audit]\nkey_file = \"objects/k\""), &[(6, "the audit log's key")]);
    check(&served("[audit]\npath = \"objects/a\""), &[(6, "the audit log "), (6, "the audit log's key")]);
    let bench = Bench::new();
    fs::create_dir(bench.path("objects")).unwrap();
    bench.write("objects/web.secret", SECRET, 0o600);
    let text = served("[signers.web]\nsecret_file = \"objects/web.secret\"");
    let errors = bench.load(&text).unwrap_err().to_string();
    assert!(
        errors.contains(":6: the secret of [signers.web]") && errors.contains("bucket files"),
        "{errors}"
    );
    // The folder of the configuration itself: the file, the ledger, the log and its key.
    let whole = "[backends.local]\nroot = \".\"\n[buckets.files]\nbackend = \"local\"\n";
    check(
        whole,
        &[(1, "the configuration"), (1, "the ledger"), (1, "the audit log"), (1, "the audit log's key")],
    );
    // Beside a bucket they are out of reach.
    taken("[backends.local]\nroot = \".\"\n[buckets.files]\nbackend = \"local\"\nprefix = \"objects/\"\n");
}

fn grant_of(settings: &Settings, policy: Option<&str>) -> Grant {
    let path = ResourcePath::from_text("/files/a").unwrap();
    let claims = valetkey::Claims {
        policy: policy.map(str::to_owned),
        ..valetkey::Claims::new(Verbs::ALL, Timestamp::from_unix(1_000))
    };
    let secrets = &settings.signers["web"].secrets;
    let query = mint("web", &path, &claims, &secrets.current).unwrap();
    key::decode(&query, Some(&path)).unwrap().unwrap().verify(Some(secrets)).unwrap().into()
}

#[test]
fn the_house_bounds_by_the_signer_its_policy_and_the_keys() {
    let settings = taken(&with(
        "[signers.web]\nsecret_file = \"web.secret\"\nallow = [\"read\", \"create\", \"list\"]\npolicy = \"one\"\n\
         [policies.one]\nallow = [\"read\", \"create\"]\n[policies.two]\nallow = [\"create\", \"list\"]\n",
    ));
    let now = valetkey::Now::at(Timestamp::from_unix(500));
    let allowed = |policy| {
        let grant = grant_of(&settings, policy);
        let house = settings.house(&grant);
        bound(grant, &house, now).map(|bounded| bounded.grant().allow().to_string())
    };
    assert_eq!(allowed(None).unwrap(), "create,read,stat");
    assert_eq!(allowed(Some("two")).unwrap(), "create");
    assert_eq!(allowed(Some("gone")).unwrap_err(), Denial::PolicyMissing);
}

#[test]
fn settings_print_no_secret() {
    assert!(!format!("{:?}", taken(&with_signer(""))).contains(SECRET));
}

#[test]
fn a_certificate_and_its_key_must_be_there_and_sound() {
    let tls = |lines: &str| with(&format!("[server.tls]\n{lines}\n"));
    let both = "certificate = \"cert.pem\"\nprivate_key = \"web.secret\"";
    check(&tls(""), &[(6, "[server.tls] has no certificate"), (6, "[server.tls] has no private_key")]);
    check(
        &tls("certificate = 5\nprivate_key = \"\""),
        &[
            (6, "has no certificate"),
            (6, "has no private_key"),
            (7, "certificate must be a text"),
            (8, "private_key must be a path"),
        ],
    );
    check(
        &tls(&format!("{both}\nkey = \"x\"")),
        &[
            (7, "read certificate"),
            (8, "has no PEM block PRIVATE KEY"),
            (9, "unknown name \"key\" in server.tls"),
        ],
    );
    let bench = Bench::new();
    for (certificate, mode, part) in [
        ("", 0o600, "has no PEM block CERTIFICATE"),
        ("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", 0o600, "is no PEM"),
        ("", 0o640, "is open to other users (mode 0640); chmod 600"),
    ] {
        bench.write("cert.pem", certificate, 0o644);
        bench.write("key.pem", SECRET, mode);
        let errors = bench.load(&tls(&both.replace("web.secret", "key.pem"))).unwrap_err().to_string();
        assert!(errors.contains(part) && !errors.contains(SECRET), "{errors}");
    }
    let inside = tls("certificate = \"objects/cert.pem\"\nprivate_key = \"objects/key.pem\"");
    let errors = bench.load(&inside).unwrap_err().to_string();
    assert!(
        errors.contains("the private_key of [server.tls]") && errors.contains("lies within bucket files")
    );
}

#[test]
fn who_is_trusted_is_a_list_of_ranges() {
    let server = |line: &str| format!("[server]\n{line}\n");
    check(&server("trusted_proxies = \"10.0.0.0/8\""), &[(2, "must be a list of at least one text")]);
    check(&server("trusted_proxies = [\"10.0.0.1/8\"]"), &[(2, "has bits beyond its length")]);
    check(&server("trusted_proxies = [\"proxy\"]"), &[(2, "must be an address range")]);
    check(&server("proxy_protocol = \"yes\""), &[(2, "must be true or false")]);
    check(&server("proxy_protocol = true"), &[(2, "is believed from trusted_proxies only; say which")]);
    check_limit("require_tls = 1", "require_tls must be true or false");
}

#[test]
fn virtual_hosts_are_host_names_beside_the_gateways_own() {
    let server = |line: &str| format!("[server]\npublic_url = \"https://gate.example.com:444\"\n{line}\n");
    for host in ["", "s3.example.com:80", "http://s3.example.com", "10.0.0.1", "[::1]", "a..b", "-a.b", "*.b"]
    {
        let line = format!("virtual_hosts = [\"s3.example.com\", {host:?}]");
        check(&server(&line), &[(3, "must be a host name without a port")]);
    }
    check(&server("virtual_hosts = []"), &[(3, "must be a list of at least one text")]);
    check(&server("virtual_hosts = [\"example.com\"]"), &[(3, "would name the bucket \"gate\"")]);
    let same = taken(&server("virtual_hosts = [\"gate.example.com\"]"));
    assert_eq!(same.server.virtual_hosts.bucket("files.gate.example.com:444"), Some("files"));
}

const PAGE: &str = include_str!("../../../../docs/CONFIGURATION.md");

/// The text below one heading of the reference page.
fn chapter(heading: &str) -> &'static str {
    let title = match heading.split_once(" of kind ") {
        Some((heading, kind)) => format!("`[{heading}]` of kind `{kind}`"),
        None => format!("`[{heading}]`"),
    };
    let start = PAGE.find(&format!("\n## {title}\n")).unwrap_or_else(|| panic!("no chapter {title}"));
    let rest = &PAGE[start + 3..];
    &rest[..rest.find("\n## ").unwrap_or(rest.len())]
}

#[test]
fn origins_are_spelled_as_browsers_send_them() {
    let cors = |lines: &str| with(&format!("[buckets.files.cors]\n{lines}"));
    for origin in [
        "https://app.example.com",
        "http://localhost:5173",
        "http://[::1]:8080",
        "https://xn--bcher-kva.example",
        "capacitor://localhost",
        "null",
        "*",
    ] {
        let settings = taken(&cors(&format!("origins = [\"{origin}\"]")));
        let rules = settings.buckets["files"].cors.as_ref().unwrap();
        assert_eq!(rules.origins().collect::<Vec<_>>(), [origin]);
        assert_eq!(rules.max_age, Duration::from_secs(7200));
    }
    assert_eq!(taken(&with("")).buckets["files"].cors, None);
    let brief = taken(&cors("origins = [\"null\", \"https://a.example\"]\nmax_age = \"1m\""));
    assert_eq!(brief.buckets["files"].cors.as_ref().unwrap().max_age, Duration::from_secs(60));

    for (wrong, right) in [
        ("https://app.example.com/", "; write https://app.example.com"),
        ("https://App.example.com/page?x", "; write https://app.example.com"),
        ("https://app.example.com:443", "; write https://app.example.com"),
        ("http://app.example.com:80", "; write http://app.example.com"),
        ("app.example.com", "without a path"),
        ("https://*.example.com", "without a path"),
        ("https://user@app.example.com", "without a path"),
        ("https://app.example.com:99999", "without a path"),
        ("https://bücher.example", "without a path"),
        ("1x://app", "without a path"),
        ("https://", "without a path"),
        ("Null", "without a path"),
        ("", "without a path"),
    ] {
        check(&cors(&format!("origins = [\"https://fine.example\",\n{wrong:?}]")), &[(8, right)]);
    }
    check(&cors(""), &[(6, "[buckets.files.cors] names no origins")]);
    check(&cors("origins = [\"*\"]\nmax_age = \"25h\""), &[(8, "max_age \"1d1h\" must be from 0s to 1d")]);
    check(&cors("origin = [\"*\"]\n"), &[(6, "names no origins"), (7, "did you mean origins?")]);
    check(&with("cors = true"), &[(6, "cors must be a table, as [buckets.files.cors]")]);
}

#[test]
fn the_reference_page_has_every_setting_once_and_no_other() {
    for table in names::TABLES {
        let rows: Vec<_> = chapter(table.heading)
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once('`').map(|(name, _)| name))
            .collect();
        let mut described = rows.clone();
        let mut known = table.enforced.to_vec();
        described.sort_unstable();
        known.sort_unstable();
        assert_eq!(described, known, "[{}]", table.heading);
        for name in table.later {
            let refused = chapter(table.heading).split_once("Not enforced yet: ").unwrap().1;
            assert!(refused.contains(&format!("`{name}`")), "[{}] {name}", table.heading);
        }
    }
    for name in names::DOCUMENT.enforced {
        assert!(names::TABLES.iter().any(|table| table.heading.split('.').next() == Some(name)), "{name}");
    }
}

mod backends;
