use alloc::string::ToString;
use alloc::vec::Vec;

use super::*;
use crate::bound::{Ceiling, House, bound};
use crate::client::Client;
use crate::intent::{Action, Intent};
use crate::name::ResourcePath;
use crate::permit::Permit;
use crate::time::Now;
use crate::verb::Verb;

const SIGNED: i64 = 10_000;

fn foreign(validity: Validity, limits: &[(&str, &str)]) -> Foreign {
    let mut claims = ForeignClaims::default();
    for (name, value) in limits {
        claims.read(&format!("x-vk-{name}"), name, value).unwrap();
    }
    Foreign {
        dialect: Dialect::Aws,
        signer: "web".to_string(),
        allow: Verbs::only(Verb::Read),
        scopes: Scopes::EVERYWHERE,
        validity,
        fingerprint: Fingerprint::of_signed_text("web", Dialect::Aws, "text"),
        claims,
    }
}

fn presigned(end: i64, limits: &[(&str, &str)]) -> Foreign {
    let at = Timestamp::from_unix;
    foreign(Validity::Until { issued: at(SIGNED), end: at(end) }, limits)
}

fn request(limits: &[(&str, &str)]) -> Foreign {
    foreign(Validity::Request { issued: Timestamp::from_unix(SIGNED) }, limits)
}

fn judge(foreign: Foreign, ceiling: &Ceiling, now: i64) -> Result<Permit, &'static str> {
    let house = House {
        signer: ceiling,
        policies: Vec::new(),
        clock_skew: Duration::from_secs(30),
        lease: Duration::ZERO,
        enforced: Parameters::ALL,
    };
    let intent = Intent {
        action: Action::Read,
        path: &ResourcePath::from_text("/files/a").unwrap(),
        prefix: "",
        declared_type: None,
        client: Client { address: None, is_secure: false },
    };
    bound(Grant::from(foreign), &house, Now::at(Timestamp::from_unix(now)))
        .and_then(|bounded| crate::admit(bounded, &intent))
        .map_err(|denial| denial.reason())
}

#[test]
fn a_credential_with_an_end_holds_until_then() {
    let none = Ceiling::default();
    let at = |now| judge(presigned(SIGNED + 100, &[]), &none, now).map(|_| ());
    assert_eq!(at(SIGNED - 31), Err("not_yet_valid"));
    assert_eq!(at(SIGNED - 30), Ok(()));
    assert_eq!(at(SIGNED + 99), Ok(()));
    assert_eq!(at(SIGNED + 100), Err("expired"));
}

#[test]
fn a_signed_request_holds_a_quarter_of_an_hour_either_way() {
    let none = Ceiling::default();
    let at = |now| judge(request(&[]), &none, now).map(|_| ());
    assert_eq!(at(SIGNED - 901), Err("not_yet_valid"));
    assert_eq!(at(SIGNED - 900), Ok(()));
    assert_eq!(at(SIGNED + 899), Ok(()));
    assert_eq!(at(SIGNED + 900), Err("expired"));
}

#[test]
fn the_longest_lifetime_refuses_an_end_and_cuts_a_request() {
    let ceiling = Ceiling { max_lifetime: Some(Duration::from_secs(60)), ..Ceiling::default() };
    let chosen = |end| judge(presigned(end, &[]), &ceiling, SIGNED).map(|_| ());
    assert_eq!(chosen(SIGNED + 60), Ok(()));
    assert_eq!(chosen(SIGNED + 61), Err("lifetime_too_long"));
    let at = |now| judge(request(&[]), &ceiling, now).map(|_| ());
    assert_eq!(at(SIGNED - 900), Ok(()));
    assert_eq!(at(SIGNED + 59), Ok(()));
    assert_eq!(at(SIGNED + 60), Err("expired"));
}

#[test]
fn a_ceiling_binds_what_nothing_else_does() {
    let scopes = Scopes::only(ResourcePath::from_text("/other/").unwrap());
    let elsewhere = Ceiling { scopes: Some(scopes), ..Ceiling::default() };
    assert_eq!(judge(request(&[]), &elsewhere, SIGNED).err(), Some("out_of_scope"));
    let no_read = Ceiling { allow: Some(Verbs::only(Verb::List)), ..Ceiling::default() };
    assert_eq!(judge(request(&[]), &no_read, SIGNED).err(), Some("not_allowed"));
}

#[test]
fn limits_narrow_the_times() {
    let none = Ceiling::default();
    let time = |secs: i64| Timestamp::from_unix(SIGNED + secs).to_string();
    let at = |limit: (&str, &str), now| judge(presigned(SIGNED + 100, &[limit]), &none, SIGNED + now).err();
    assert_eq!(at(("end", &time(50)), 50), Some("expired"));
    assert_eq!(at(("end", &time(500)), 100), Some("expired"));
    assert_eq!(at(("start", &time(50)), 19), Some("not_yet_valid"));
    assert_eq!(at(("start", &time(50)), 20), None);
    assert_eq!(at(("issued", &time(50)), 19), Some("not_yet_valid"));
    let grant = Grant::from(presigned(SIGNED + 100, &[("issued", &time(-50))]));
    assert_eq!(grant.issued, Some(Timestamp::from_unix(SIGNED - 50)));
}

#[test]
fn what_is_counted_is_named_by_id_by_fingerprint_or_by_header() {
    let name = |foreign: Foreign| Grant::from(foreign).levels()[0].name.to_string();
    let fingerprint = Fingerprint::of_signed_text("web", Dialect::Aws, "text");
    assert_eq!(name(presigned(SIGNED + 1, &[])), format!("[\"web\",\"fp\",\"{fingerprint}\"]"));
    assert_eq!(name(presigned(SIGNED + 1, &[("id", "a7")])), "[\"web\",\"id\",\"a7\"]");
    assert_eq!(name(request(&[("id", "a7")])), "[\"web\",\"id\",\"a7\"]");
    assert_eq!(name(request(&[])), "[\"web\",\"header\"]");
    let charge = judge(request(&[("uses", "3")]), &Ceiling::default(), SIGNED).unwrap().charges.remove(0);
    assert_eq!((charge.limits.uses, charge.end), (Some(3), Some(Timestamp::MAX)));
    assert_ne!(
        fingerprint,
        Fingerprint::of_signed_text("we", Dialect::Aws, "b\naws\ntext"),
        "names do not run into texts"
    );
}

#[test]
fn limits_have_the_native_keys_spelling() {
    let read = |limits: &[(&str, &str)]| {
        let mut claims = ForeignClaims::default();
        limits.iter().try_for_each(|(name, value)| claims.read(name, name, value))
    };
    assert_eq!(read(&[("max", "5"), ("min", "5"), ("renew", "2026-11-22T00:00:00Z")]), Ok(()));
    for limits in [
        &[("max", "05")][..],
        &[("max", "")],
        &[("max", "5"), ("max", "5")],
        &[("Max", "5")],
        &[("max.1", "5")],
        &[("colour", "red")],
        &[("signer", "web")],
        &[("allow", "read")],
        &[("path", "/files/a")],
        &[("sig", "hEhgYjx5dL-kqONSrzOnARETdJGpgcZxy7EVdC7lfBY")],
        &[("min", "6"), ("max", "5")],
        &[("id", "a b")],
        &[("subject", "a\tb")],
    ] {
        assert!(matches!(read(limits), Err(Denial::MalformedKey(_))), "{limits:?}");
    }
}
