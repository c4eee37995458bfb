//! Properties of minting, narrowing and bounding: what is minted verifies, and nothing ever widens.

use std::time::Duration;

use proptest::prelude::*;
use valetkey::key::{self, KeyUrl};
use valetkey::{
    Action, Ceiling, Claims, Client, ClientRanges, Denial, Disposition, Grant, House, Intent, Limits,
    MediaRange, Now, Parameters, Permit, ResourcePath, Scopes, Secret, SignerSecrets, Timestamp, Verb, Verbs,
    admit, bound, mint, narrow,
};

const SECRET: &[u8] = b"a secret for tests";

fn secrets() -> SignerSecrets {
    SignerSecrets { current: Secret::new(SECRET), previous: None }
}

fn path(text: &str) -> ResourcePath {
    ResourcePath::from_text(text).unwrap()
}

fn grant_of(query: &str, at: &ResourcePath) -> Result<Grant, Denial> {
    key::decode(query, Some(at))?.ok_or(Denial::NoKey)?.verify(Some(&secrets())).map(Grant::from)
}

fn judge(query: &str, intent: &Intent<'_>, ceiling: &Ceiling, now: i64) -> Result<Permit, Denial> {
    let grant = grant_of(query, intent.path)?;
    let house = House {
        signer: ceiling,
        policies: Vec::new(),
        clock_skew: Duration::ZERO,
        lease: Duration::ZERO,
        enforced: Parameters::ALL,
    };
    admit(bound(grant, &house, Now::at(Timestamp::from_unix(now)))?, intent)
}

fn verbs() -> impl Strategy<Value = Verbs> {
    (1_usize..64).prop_map(|bits| {
        let chosen = Verb::ALL.into_iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1);
        chosen.fold(Verbs::NONE, |verbs, (_, verb)| verbs.with(verb))
    })
}

fn paths() -> impl Strategy<Value = ResourcePath> {
    prop::sample::select(vec![
        "/files/",
        "/files/a/",
        "/files/a/b",
        "/files/a/b/",
        "/files/a/b/c",
        "/files/ab",
        "/other/",
    ])
    .prop_map(path)
}

prop_compose! {
    fn narrowings()(
        allow in prop::option::of(verbs()),
        path in prop::option::of(paths()),
        end in prop::option::of(50_i64..150),
        start in prop::option::of(0_i64..50),
        size_max in prop::option::of(10_u64..20),
        size_min in prop::option::of(0_u64..10),
        uses in prop::option::of(1_u64..9),
        ip in prop::option::of(prop::sample::select(vec!["10.0.0.0/8", "10.1.0.0/16", "2001:db8::/32"])),
        kind in prop::option::of(prop::sample::select(vec!["image/*", "image/png", "text/plain"])),
        id in "[a-z]{1,4}",
    ) -> Claims {
        Claims {
            allow,
            path,
            end: end.map(Timestamp::from_unix),
            start: start.map(Timestamp::from_unix),
            size_max,
            size_min,
            limits: Limits { uses, ..Limits::default() },
            clients: ip.and_then(ClientRanges::parse),
            types: kind.and_then(MediaRange::parse).map(|range| vec![range]),
            id: Some(id),
            ..Claims::default()
        }
    }
}

prop_compose! {
    fn bases()(claims in narrowings(), allow in verbs(), end in 50_i64..150, subject in "[^\\p{Cc}]{1,40}") -> Claims {
        Claims {
            allow: Some(allow),
            end: Some(Timestamp::from_unix(end)),
            subject: Some(subject),
            disposition: Disposition::parse("attachment; filename=\"a b.txt\""),
            ..claims
        }
    }
}

prop_compose! {
    fn actions()(declared_bytes in prop::option::of(0_u64..25), kind in 0..4) -> Action {
        match kind {
            0 => Action::Stat,
            1 => Action::Read,
            2 => Action::Upload { declared_bytes },
            _ => Action::Delete,
        }
    }
}

proptest! {
    #[test]
    fn what_is_minted_verifies_and_says_what_was_claimed(claims in bases(), at in paths()) {
        let query = mint("web", &at, &claims, &Secret::new(SECRET)).unwrap();
        let grant = grant_of(&query, &at).unwrap();
        prop_assert_eq!(grant.allow(), claims.allow.unwrap().expanded());
        prop_assert_eq!(grant.end(), claims.end.unwrap());
        prop_assert_eq!(grant.subject(), claims.subject.as_deref());
        prop_assert_eq!(grant.size(), claims.size());
        prop_assert_eq!(grant.scopes(), &Scopes::only(claims.path.clone().unwrap_or(at)));
    }

    #[test]
    fn a_narrowed_key_opens_nothing_that_its_parent_or_its_block_refuses(
        base in bases(),
        blocks in prop::collection::vec(narrowings(), 1..=8),
        ceiling_allow in prop::option::of(verbs()),
        ceiling_path in paths(),
        at in paths(),
        action in actions(),
        declared_type in prop::option::of(prop::sample::select(vec!["image/png", "image/gif; a=b", "text/plain"])),
        now in 0_i64..160,
    ) {
        let ceiling = Ceiling { allow: ceiling_allow, scopes: Some(Scopes::only(ceiling_path)), ..Ceiling::default() };
        let client = Client { address: "10.1.2.3".parse().ok(), is_secure: true };
        let intent = Intent { action, path: &at, prefix: "", declared_type, client };
        let root = path("/files/");
        let mut query = mint("web", &root, &base, &Secret::new(SECRET)).unwrap();
        if base.path.is_none() {
            query.push_str("&vk-path=/files/");
        }
        for block in &blocks {
            let before = judge(&query, &intent, &Ceiling::default(), now);
            query = narrow(&query, Some(&root), block).unwrap();
            let after = judge(&query, &intent, &Ceiling::default(), now);
            if let Ok(permit) = &after {
                let parent = before.as_ref().expect("a narrowing widened its parent");
                prop_assert!(!permit.may_replace || parent.may_replace);
                prop_assert!(permit.end <= parent.end);
                prop_assert!(permit.size.min_bytes >= parent.size.min_bytes);
                prop_assert!(permit.types.lists().starts_with(parent.types.lists()));
                prop_assert!(permit.charges.len() >= parent.charges.len());
                let allowed = block.allow.is_none_or(|verbs| verbs.expanded().contains(action.verb()));
                prop_assert!(allowed && block.path.as_ref().is_none_or(|scope| Scopes::only(scope.clone()).contain(&at)));
            }
            if judge(&query, &intent, &ceiling, now).is_ok() {
                prop_assert!(after.is_ok(), "a ceiling widened a key");
            }
        }
        let mut ninth = blocks[0].clone();
        ninth.id = None;
        if blocks.len() == 8 {
            prop_assert!(narrow(&query, Some(&root), &ninth).is_err());
        }
    }

    #[test]
    fn no_edit_of_a_key_opens_anything(claims in bases(), at in paths(), position in 0_usize..400, byte in 0x21_u8..0x7f) {
        // A path that only repeats the URL's own may be left out.
        prop_assume!(claims.path.as_ref() != Some(&at));
        let query = mint("web", &at, &claims, &Secret::new(SECRET)).unwrap();
        let mut edited = query.clone().into_bytes();
        let position = position % edited.len();
        prop_assume!(edited[position] != byte);
        edited[position] = byte;
        let edited = String::from_utf8(edited).unwrap();
        // An escape may be spelled in lower case, and `+` is a space: these change no meaning.
        let same = |one: &str, other: &str| {
            one.split('&').zip(other.split('&')).all(|(one, other)| {
                valetkey::decode_query_component(one) == valetkey::decode_query_component(other)
            })
        };
        if grant_of(&edited, &at).is_ok() {
            prop_assert!(same(&query, &edited), "{query} {edited}");
        }
    }

    #[test]
    fn no_text_makes_the_decoder_panic(text in "(vk-|VK-|%76k-)?(allow|end|max|path|sig|x)?(\\.[0-9])?=?.{0,60}(&.{0,60}){0,4}") {
        let _ = key::decode(&text, Some(&path("/files/a"))).map(|presented| presented.map(|it| it.verify(None).is_err()));
    }
}

#[test]
fn the_previous_secret_verifies_and_says_so() {
    let at = path("/files/a");
    let claims = Claims::new(Verbs::only(Verb::Read), Timestamp::from_unix(100));
    let query = mint("web", &at, &claims, &Secret::new(b"old")).unwrap();
    let presented = || key::decode(&query, Some(&at)).unwrap().unwrap();
    let rotated = SignerSecrets { current: Secret::new(SECRET), previous: Some(Secret::new(b"old")) };
    assert!(presented().verify(Some(&rotated)).unwrap().by_previous_secret());
    assert!(matches!(presented().verify(Some(&secrets())), Err(Denial::BadSignature)));
    assert!(matches!(presented().verify(None), Err(Denial::BadSignature)));
}

#[test]
fn claims_that_no_gateway_takes_are_not_minted() {
    let at = path("/files/a");
    let end = Timestamp::from_unix(100);
    let sound = Claims::new(Verbs::only(Verb::Read), end);
    let check =
        |claims: &Claims| mint("web", &at, claims, &Secret::new(SECRET)).map_err(|error| error.to_string());
    assert!(check(&sound).is_ok());
    for (claims, message) in [
        (Claims { allow: None, ..sound.clone() }, "vk-allow is missing"),
        (Claims { end: None, ..sound.clone() }, "vk-end is missing"),
        (Claims { start: Some(end), ..sound.clone() }, "vk-start is not before vk-end"),
        (Claims { size_min: Some(2), size_max: Some(1), ..sound.clone() }, "vk-min exceeds vk-max"),
        (Claims { id: Some("a b".into()), ..sound.clone() }, "vk-id must be 1 to 64 of A-Z a-z 0-9 . _ -"),
        (
            Claims { limits: Limits { uses: Some(0), ..Limits::default() }, ..sound.clone() },
            "vk-uses must be a decimal number from 1 to 2^63-1 without sign or leading zero",
        ),
    ] {
        assert_eq!(check(&claims), Err(message.to_owned()));
    }
    assert!(mint("Web", &at, &sound, &Secret::new(SECRET)).is_err());
}

#[test]
fn names_of_levels_are_tuples() {
    let at = path("/files/a");
    let with_id = |id: Option<&str>| Claims {
        id: id.map(Into::into),
        ..Claims::new(Verbs::only(Verb::Read), Timestamp::from_unix(100))
    };
    let name = |query: &str| grant_of(query, &at).unwrap().levels().last().unwrap().name.to_string();
    let key = mint("web", &at, &with_id(Some("k1")), &Secret::new(SECRET)).unwrap();
    assert_eq!(name(&key), r#"["web","id","k1"]"#);
    let child = narrow(&key, Some(&at), &Claims { id: Some("k2".into()), ..Claims::default() }).unwrap();
    assert_eq!(name(&child), r#"["web","id","k1","id","k2"]"#);
    let anonymous = mint("web", &at, &with_id(None), &Secret::new(SECRET)).unwrap();
    let fingerprint = grant_of(&anonymous, &at).unwrap().fingerprint().to_string();
    assert_eq!(name(&anonymous), format!(r#"["web","fp","{fingerprint}"]"#));
}

#[test]
fn a_narrowed_url_keeps_what_is_not_ours() {
    let at = path("/files/a");
    let claims = Claims::new(Verbs::only(Verb::Read), Timestamp::from_unix(100));
    let query = mint("web", &at, &claims, &Secret::new(SECRET)).unwrap();
    let url = format!("/files/a?x=1&{query}&y=2");
    let query = KeyUrl::parse(&url).unwrap().query;
    let narrowed = narrow(query, Some(&at), &Claims { size_max: Some(5), ..Claims::default() }).unwrap();
    assert!(narrowed.starts_with("x=1&vk-allow=read&"), "{narrowed}");
    assert!(narrowed.contains("&y=2&vk-max.1=5&vk-sig="), "{narrowed}");
}

/// A key opens over TLS only where its signer or its policy says so, and after the client's address.
#[test]
fn tls_is_required_by_the_house() {
    let strict = Ceiling { require_tls: true, ..Ceiling::default() };
    let lax = Ceiling::default();
    let secret = Secret::new(b"0123456789abcdef");
    let path = ResourcePath::from_text("/files/a").unwrap();
    let end = Timestamp::from_unix(1_000);
    let admitted =
        |signer: &Ceiling, policy: &Ceiling, address: Option<&str>, is_secure, ip: Option<&str>| {
            let clients = ip.map(|ranges| ClientRanges::parse(ranges).unwrap());
            let claims = Claims { clients, ..Claims::new(Verbs::only(Verb::Read), end) };
            let query = mint("web", &path, &claims, &secret).unwrap();
            let secrets = SignerSecrets { current: secret.clone(), previous: None };
            let grant: Grant =
                key::decode(&query, Some(&path)).unwrap().unwrap().verify(Some(&secrets)).unwrap().into();
            let house = House {
                signer,
                policies: vec![Some(("policy", policy))],
                clock_skew: Default::default(),
                lease: Default::default(),
                enforced: Parameters::ALL,
            };
            let bounded = bound(grant, &house, Now::at(Timestamp::from_unix(999))).unwrap();
            let client = Client { address: address.map(|address| address.parse().unwrap()), is_secure };
            admit(
                bounded,
                &Intent { action: Action::Delete, path: &path, prefix: "", declared_type: None, client },
            )
            .unwrap_err()
        };
    let here = Some("10.1.2.3");
    for (signer, policy) in [(&strict, &lax), (&lax, &strict), (&strict, &strict)] {
        assert_eq!(admitted(signer, policy, here, false, None), Denial::TlsRequired);
        assert_eq!(admitted(signer, policy, here, true, None), Denial::NotAllowed("delete"));
        let elsewhere = Some("192.0.2.0/24");
        assert_eq!(admitted(signer, policy, here, false, elsewhere), Denial::ClientNotAllowed);
    }
    assert_eq!(admitted(&lax, &lax, here, false, None), Denial::NotAllowed("delete"));
    assert_eq!(admitted(&lax, &lax, None, true, None), Denial::NotAllowed("delete"));
    assert_eq!(admitted(&lax, &lax, None, true, Some("0.0.0.0/0,::/0")), Denial::ClientNotAllowed);
}

#[test]
fn the_count_of_a_narrowing_with_an_id_is_kept_as_long_as_its_parent() {
    let at = path("/files/a");
    let kept_until = |id: Option<&str>| {
        let base = Claims::new(Verbs::only(Verb::Read), Timestamp::from_unix(100));
        let query = mint("web", &at, &base, &Secret::new(SECRET)).unwrap();
        let limits = Limits { uses: Some(1), ..Limits::default() };
        let end = Some(Timestamp::from_unix(60));
        let block = Claims { end, limits, id: id.map(Into::into), ..Claims::default() };
        let query = narrow(&query, Some(&at), &block).unwrap();
        let client = Client { address: "10.1.2.3".parse().ok(), is_secure: true };
        let intent = Intent { action: Action::Read, path: &at, prefix: "", declared_type: None, client };
        let ceiling = Ceiling { keep_ids: Some(Duration::from_secs(1000)), ..Ceiling::default() };
        judge(&query, &intent, &ceiling, 50).unwrap().charges[1].kept.unwrap().unix()
    };
    // Whatever the house keeps: who narrows chooses the id, and could make it remember any number of them.
    assert_eq!(kept_until(Some("c1")), 100);
    assert_eq!(kept_until(None), 60);
}

#[test]
fn the_count_of_an_id_is_kept_for_ever_unless_the_house_says_how_long() {
    let at = path("/files/a");
    let kept_until = |id: Option<&str>, keep_ids: Option<Duration>| {
        let claims = Claims {
            id: id.map(Into::into),
            limits: Limits { uses: Some(1), ..Limits::default() },
            ..Claims::new(Verbs::only(Verb::Read), Timestamp::from_unix(100))
        };
        let query = mint("web", &at, &claims, &Secret::new(SECRET)).unwrap();
        let client = Client { address: "10.1.2.3".parse().ok(), is_secure: true };
        let intent = Intent { action: Action::Read, path: &at, prefix: "", declared_type: None, client };
        // However short a key's life must be, the next one of its id may be made when it is over.
        let max_lifetime = Some(Duration::from_secs(60));
        let ceiling = Ceiling { keep_ids, max_lifetime, ..Ceiling::default() };
        judge(&query, &intent, &ceiling, 50).unwrap().charges[0].kept.map(Timestamp::unix)
    };
    let keep = Some(Duration::from_secs(1000));
    assert_eq!(kept_until(Some("k1"), None), None);
    assert_eq!(kept_until(Some("k1"), keep), Some(1100));
    assert_eq!(kept_until(None, None), Some(100));
    assert_eq!(kept_until(None, keep), Some(100));
}
