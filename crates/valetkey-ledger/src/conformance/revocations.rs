//! What is revoked, from when on and until when.

use super::*;
use crate::{NewRevocation, Revocable, Revocation, Target};

const DAY: u64 = 86_400;

fn new(target: Target) -> NewRevocation {
    NewRevocation { target, before: None, now: NOW, keep_until: UnixSeconds::MAX }
}

fn level(name: &str) -> Target {
    Target::Level(Meter::new(name))
}

fn id(signer: Option<&str>, id: &str) -> Target {
    Target::Id { signer: signer.map(Into::into), id: id.into() }
}

fn subject(signer: Option<&str>, subject: &str) -> Target {
    Target::Subject { signer: signer.map(Into::into), subject: subject.into() }
}

fn revoke(ledger: &impl Ledger, new: NewRevocation) -> Revocation {
    wait(ledger.revoke(new)).expect("it is revoked")
}

fn all(ledger: &impl Ledger) -> Vec<Revocation> {
    wait(ledger.revocations(0, 1000)).expect("they are listed")
}

fn is(ledger: &impl Ledger, name: Revocable<'_>, issued: Option<UnixSeconds>) -> bool {
    ledger.revocations_view().read().is_some_and(|reading| reading.revokes(name, issued))
}

#[track_caller]
fn check(ledger: &impl Ledger, name: Revocable<'_>, expected: bool) {
    assert_eq!(is(ledger, name, Some(NOW)), expected, "{name:?}");
}

/// And gone from it when its end is answered.
pub fn revocation_is_in_the_view_when_it_is_answered(ledger: &impl Ledger) {
    let view = ledger.revocations_view();
    assert!(view.is_empty() && view.read().is_none());
    for round in 0..100 {
        let name = format!("m{round}");
        let made = revoke(ledger, new(level(&name)));
        check(ledger, Revocable::Level(&name), true);
        assert_eq!(view.len(), 1);
        assert_eq!(wait(ledger.lift(made.number)).expect("it is lifted"), Some(made.clone()));
        check(ledger, Revocable::Level(&name), false);
        assert_eq!(wait(ledger.lift(made.number)).expect("it is answered"), None);
    }
    assert!(view.is_empty() && view.read().is_none() && all(ledger).is_empty());
}

/// A signer's id is not another's, an id is no subject, and no two names joined are a third.
pub fn every_kind_of_target_reaches_its_own_and_nothing_else(ledger: &impl Ledger) {
    let names = |text: &'static str| {
        [
            Revocable::Level(text),
            Revocable::Id { signer: "web", id: text },
            Revocable::Subject { signer: "web", subject: text },
            Revocable::Signer(text),
            Revocable::Policy(text),
            Revocable::Path(text),
        ]
    };
    let targets = [
        level("x"),
        id(Some("web"), "x"),
        subject(Some("web"), "x"),
        Target::Signer("x".into()),
        Target::Policy("x".into()),
        Target::Path("x".into()),
    ];
    for (place, target) in targets.into_iter().enumerate() {
        let made = revoke(ledger, new(target.clone()));
        assert_eq!(made.target, target);
        for (other, name) in names("x").into_iter().enumerate() {
            check(ledger, name, other == place);
        }
        for name in names("xx").into_iter().chain(names("")) {
            check(ledger, name, false);
        }
        check(ledger, Revocable::Id { signer: "api", id: "x" }, false);
        check(ledger, Revocable::Subject { signer: "api", subject: "x" }, false);
        check(ledger, Revocable::Id { signer: "webx", id: "" }, false);
        wait(ledger.lift(made.number)).expect("it is lifted");
    }
    for (target, name) in [
        (id(None, "x"), Revocable::Id { signer: "api", id: "x" }),
        (subject(None, "x"), Revocable::Subject { signer: "api", subject: "x" }),
        (Target::Fingerprint([7; 16]), Revocable::Fingerprint([7; 16])),
    ] {
        let made = revoke(ledger, new(target));
        check(ledger, name, true);
        check(ledger, Revocable::Fingerprint([8; 16]), false);
        check(ledger, Revocable::Level("x"), false);
        wait(ledger.lift(made.number)).expect("it is lifted");
    }
}

/// A folder is what is below it; an object is itself.
pub fn path_reaches_what_lies_below_it_by_whole_segments(ledger: &impl Ledger) {
    revoke(ledger, new(Target::Path("/files/u42/".into())));
    revoke(ledger, new(Target::Path("/files/a".into())));
    revoke(ledger, new(Target::Path("/other/".into())));
    for (path, expected) in [
        ("/files/u42/", true),
        ("/files/u42/x", true),
        ("/files/u42/deep/er/x", true),
        ("/files/u42", false),
        ("/files/u420/x", false),
        ("/files/u4", false),
        ("/files/", false),
        ("/files/u43/u42/x", false),
        ("/files/a", true),
        ("/files/a/b", false),
        ("/files/ab", false),
        ("/other/", true),
        ("/other/x", true),
        ("/others/x", false),
    ] {
        check(ledger, Revocable::Path(path), expected);
    }
}

/// The first moment that is spared is the one that is named.
pub fn before_reaches_what_was_issued_earlier_or_does_not_say(ledger: &impl Ledger) {
    let name = Revocable::Signer("web");
    let early = NewRevocation { before: Some(NOW), ..new(Target::Signer("web".into())) };
    let early = revoke(ledger, early);
    assert!(is(ledger, name, Some(UnixSeconds(NOW.0 - 1))));
    assert!(!is(ledger, name, Some(NOW)));
    assert!(is(ledger, name, None));
    // Of several the latest counts, and none is later than no moment at all.
    let late = NewRevocation { before: Some(NOW.plus(9)), ..new(Target::Signer("web".into())) };
    let late = revoke(ledger, late);
    assert!(is(ledger, name, Some(NOW.plus(8))) && !is(ledger, name, Some(NOW.plus(9))));
    let whenever = revoke(ledger, new(Target::Signer("web".into())));
    assert!(is(ledger, name, Some(UnixSeconds::MAX)));
    for lifted in [whenever, late] {
        wait(ledger.lift(lifted.number)).expect("it is lifted");
    }
    assert!(is(ledger, name, Some(UnixSeconds(NOW.0 - 1))) && !is(ledger, name, Some(NOW)));
    assert_eq!(all(ledger), [early]);
    for beyond in [
        NewRevocation { before: Some(UnixSeconds(u64::MAX)), ..new(level("m")) },
        NewRevocation { keep_until: UnixSeconds(u64::MAX), ..new(level("m")) },
        NewRevocation { now: UnixSeconds(u64::MAX), ..new(level("m")) },
    ] {
        check_is!(wait(ledger.revoke(beyond)), Err(LedgerError::OutOfRange { .. }));
    }
    check(ledger, Revocable::Level("m"), false);
}

/// Its number stays, and when it was made.
pub fn revoking_twice_is_one_revocation_kept_longer(ledger: &impl Ledger) {
    let until = |keep_until, now| NewRevocation { keep_until, now, ..new(level("m")) };
    let first = revoke(ledger, until(END, NOW));
    let longer = revoke(ledger, until(END.plus(5), NOW.plus(1)));
    assert_eq!(longer, Revocation { keep_until: END.plus(5), ..first });
    assert_eq!(revoke(ledger, until(END, NOW.plus(2))), longer);
    assert_eq!(all(ledger).as_slice(), std::slice::from_ref(&longer));
    let other = NewRevocation { before: Some(NOW), ..until(END, NOW) };
    assert_ne!(revoke(ledger, other).number, longer.number);
}

/// As when a subject is revoked twice, for different times.
pub fn lifting_leaves_what_another_revocation_holds(ledger: &impl Ledger) {
    let every = revoke(ledger, new(subject(None, "ann")));
    let one = revoke(ledger, new(subject(Some("web"), "ann")));
    let ann = Revocable::Subject { signer: "web", subject: "ann" };
    wait(ledger.lift(every.number)).expect("it is lifted");
    check(ledger, ann, true);
    check(ledger, Revocable::Subject { signer: "api", subject: "ann" }, false);
    wait(ledger.lift(one.number)).expect("it is lifted");
    check(ledger, ann, false);
}

/// Each page begins after the number that ends the one before.
pub fn revocations_are_listed_in_pages_by_numbers_never_given_twice(ledger: &impl Ledger) {
    let made: Vec<_> = (0..7).map(|at| revoke(ledger, new(level(&format!("m{at}"))))).collect();
    assert!(made.is_sorted_by_key(|row| row.number));
    let mut listed: Vec<Revocation> = Vec::new();
    loop {
        let after = listed.last().map_or(0, |row| row.number);
        let page = wait(ledger.revocations(after, 3)).expect("they are listed");
        assert!(page.len() <= 3);
        if page.is_empty() {
            break;
        }
        listed.extend(page);
    }
    assert_eq!(listed, made);
    assert_eq!(wait(ledger.revocations(UnixSeconds::MAX.0, 3)).expect("they are listed"), []);
    assert_eq!(wait(ledger.revocations(u64::MAX, 3)).expect("they are listed"), []);
    assert_eq!(wait(ledger.lift(u64::MAX)).expect("it is answered"), None);
    let last = made[6].number;
    wait(ledger.lift(last)).expect("it is lifted");
    assert!(revoke(ledger, new(level("another"))).number > last);
}

/// Whichever of its fingerprints is named.
pub fn fingerprint_revokes_the_level_that_is_known_by_it(ledger: &impl Ledger) {
    for fingerprint in [[1; 16], [2; 16]] {
        wait(ledger.note_alias(fingerprint, Meter::new("renewed"), END)).expect("it is noted");
    }
    let first = revoke(ledger, new(Target::Fingerprint([1; 16])));
    assert_eq!(first.target, level("renewed"));
    assert_eq!(revoke(ledger, new(Target::Fingerprint([2; 16]))), first);
    check(ledger, Revocable::Level("renewed"), true);
    assert_eq!(revoke(ledger, new(Target::Fingerprint([3; 16]))).target, Target::Fingerprint([3; 16]));
    check(ledger, Revocable::Fingerprint([1; 16]), false);
    check(ledger, Revocable::Fingerprint([3; 16]), true);
    check_is!(
        wait(ledger.note_alias([4; 16], Meter::new("m"), UnixSeconds(u64::MAX))),
        Err(LedgerError::OutOfRange { .. })
    );
}

/// By the highest time seen; and a clock that is set back afterwards revives nothing.
pub fn revocation_goes_a_day_after_all_that_it_revokes_ended(ledger: &impl Ledger) {
    let view = ledger.revocations_view();
    revoke(ledger, NewRevocation { keep_until: END, ..new(level("m")) });
    revoke(ledger, new(level("for ever")));
    wait(ledger.note_alias([1; 16], Meter::new("m"), END)).expect("it is noted");
    wait(ledger.observe(END.plus(DAY))).expect("time is observed");
    check(ledger, Revocable::Level("m"), true);
    assert_eq!(view.cleared_before(), UnixSeconds(0));
    // The next look at what is due comes a minute after one that found nothing.
    wait(ledger.observe(END.plus(DAY + 61))).expect("time is observed");
    check(ledger, Revocable::Level("m"), false);
    check(ledger, Revocable::Level("for ever"), true);
    assert_eq!(view.cleared_before(), END.plus(1));
    assert_eq!(all(ledger).len(), 1);
    wait(ledger.observe(NOW)).expect("time is observed");
    assert_eq!(view.cleared_before(), END.plus(1));
    let known = revoke(ledger, new(Target::Fingerprint([1; 16])));
    assert_eq!(known.target, Target::Fingerprint([1; 16]), "what was known of it is gone");
}

/// Once each, to whoever asked before.
pub fn every_change_is_told(ledger: &impl Ledger) {
    let mut changes = ledger.revocations_view().changes();
    let mut told = || {
        let told = changes.has_changed().expect("the view lives");
        changes.borrow_and_update();
        told
    };
    assert!(!told());
    let made = revoke(ledger, new(level("m")));
    assert!(told() && !told());
    revoke(ledger, new(level("m")));
    assert!(!told(), "nothing was changed");
    wait(ledger.lift(made.number)).expect("it is lifted");
    assert!(told());
    wait(ledger.lift(made.number)).expect("it is answered");
    assert!(!told());
}
