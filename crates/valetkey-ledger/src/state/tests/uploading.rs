//! Random histories of upload sessions, and a model that looks at all parts whenever it is asked for a sum.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;
use crate::{FinishedPart, NewPart, NewSession, PartId, PartStart, SessionId};

const USES: u64 = 4;
const BYTES: u64 = 100;
const OWNER_SESSIONS: u64 = 3;

#[derive(Clone, Debug)]
enum Step {
    Begin(Option<u64>),
    Reserve {
        session: Index,
        number: u32,
        /// Goes on where the finished part of its number ends, or beside it.
        goes_on: Option<u64>,
        bytes: u64,
    },
    Grow(Index, u64),
    Finish(Index, u64),
    Drop(Index),
    Complete(Index),
    Reopen(Index),
    /// The object showed, with as many bytes as the finished parts have, or did not.
    Settle(Index, bool),
    Abort(Index),
    Restart,
}

#[derive(Clone)]
struct Part {
    id: PartId,
    finished: Option<u64>,
    receiving: Option<u64>,
}

impl Part {
    fn held(&self) -> u64 {
        self.receiving.or(self.finished).unwrap_or(0)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Open,
    Completing,
    Done,
    GivenBack,
}

#[derive(Clone)]
struct Upload {
    id: SessionId,
    hold: HoldId,
    bytes_max: Option<u64>,
    stage: Stage,
    parts: Vec<Part>,
}

impl Upload {
    fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Done | Stage::GivenBack)
    }

    fn finished(&self) -> u64 {
        self.parts.iter().filter_map(|part| part.finished).sum()
    }

    /// What counts under the largest size: of every number the more of what is finished and what is received.
    fn counted(&self) -> u64 {
        let of = |number: u32| {
            let parts = || self.parts.iter().filter(move |part| part.id.number == number);
            let received: u64 = parts().filter_map(|part| part.receiving).sum();
            received.max(parts().filter_map(|part| part.finished).sum())
        };
        NUMBERS.into_iter().map(of).sum()
    }

    fn room(&self) -> u64 {
        self.bytes_max.map_or(u64::MAX, |most| most.saturating_sub(self.counted()))
    }
}

const NUMBERS: [u32; 2] = [1, 2];

#[derive(Clone, Default)]
struct Model {
    uploads: Vec<Upload>,
}

impl Model {
    fn uses(&self) -> u64 {
        self.uploads.iter().filter(|upload| upload.stage != Stage::GivenBack).map(|_| 1).sum()
    }

    /// What came and is kept, and all that is on the way.
    fn in_bytes(&self) -> u64 {
        let of = |upload: &Upload| match upload.stage {
            Stage::Open | Stage::Completing => upload.parts.iter().map(Part::held).sum(),
            Stage::Done => upload.finished(),
            Stage::GivenBack => 0,
        };
        self.uploads.iter().map(of).sum()
    }

    /// The upload and the place of a part that was ever reserved.
    fn place(&self, id: PartId) -> Option<(usize, usize)> {
        let upload = self.uploads.iter().position(|upload| upload.id == id.session && !upload.is_over())?;
        let parts = &self.uploads[upload].parts;
        let part = parts.iter().position(|part| part.id == id && part.receiving.is_some())?;
        Some((upload, part))
    }

    /// The kind of refusal of a part that is to be received, if there is one.
    fn refuses(&self, upload: usize, number: u32, goes_on: Option<u64>, bytes: u64) -> Option<&'static str> {
        let Upload { stage, parts, .. } = &self.uploads[upload];
        let of_number = || parts.iter().filter(|part| part.id.number == number);
        let finished = of_number().find(|part| part.finished.is_some());
        match (stage, goes_on) {
            (Stage::Done | Stage::GivenBack, _) => return Some("UnknownSession"),
            (Stage::Completing, _) => return Some("SessionBusy"),
            (Stage::Open, Some(at)) if finished.is_none_or(|part| part.finished != Some(at)) => {
                return Some("WrongOffset");
            }
            (Stage::Open, Some(_)) if finished.is_some_and(|part| part.receiving.is_some()) => {
                return Some("PartBusy");
            }
            (Stage::Open, _) => {}
        }
        let mut would_be = self.uploads[upload].clone();
        would_be.receive(number, goes_on, bytes, None);
        if would_be.bytes_max.is_some_and(|most| would_be.counted() > most) {
            return Some("SessionFull");
        }
        (bytes > BYTES - self.in_bytes()).then_some("Exhausted")
    }
}

impl Upload {
    fn receive(&mut self, number: u32, goes_on: Option<u64>, bytes: u64, id: Option<PartId>) {
        let mut of_number = self.parts.iter_mut().filter(|part| part.id.number == number);
        match (goes_on, of_number.find(|part| part.finished.is_some())) {
            (Some(at), Some(part)) => part.receiving = Some(at + bytes),
            _ => {
                let id = id.unwrap_or(PartId { session: self.id, number, attempt: u64::MAX });
                self.parts.push(Part { id, finished: None, receiving: Some(bytes) });
            }
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<(Step, bool)>> {
    let any = any::<Index>;
    let reserve = (any(), select(NUMBERS.to_vec()), prop::option::weighted(0.4, 0..30_u64), 0..40_u64);
    let step = prop_oneof![
        2 => prop::option::of(0..60_u64).prop_map(Step::Begin),
        6 => reserve.prop_map(|(session, number, goes_on, bytes)| Step::Reserve { session, number, goes_on, bytes }),
        3 => (any(), 1..30_u64).prop_map(|(part, bytes)| Step::Grow(part, bytes)),
        6 => (any(), 0..40_u64).prop_map(|(part, bytes)| Step::Finish(part, bytes)),
        2 => any().prop_map(Step::Drop),
        2 => any().prop_map(Step::Complete),
        1 => any().prop_map(Step::Reopen),
        2 => (any(), prop::bool::weighted(0.7)).prop_map(|(session, done)| Step::Settle(session, done)),
        1 => any().prop_map(Step::Abort),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec((step, prop::bool::weighted(0.1)), 1..80)
}

fn kind(error: &LedgerError) -> &'static str {
    match error {
        LedgerError::UnknownSession(_) => "UnknownSession",
        LedgerError::SessionBusy(_) => "SessionBusy",
        LedgerError::SessionFull { .. } => "SessionFull",
        LedgerError::WrongOffset { .. } => "WrongOffset",
        LedgerError::PartBusy(_) => "PartBusy",
        LedgerError::UnknownPart(_) => "UnknownPart",
        LedgerError::TooManySessions(_) => "TooManySessions",
        LedgerError::Exhausted { .. } => "Exhausted",
        LedgerError::OutOfRange { .. } => "OutOfRange",
        LedgerError::UnknownHold(_) => "UnknownHold",
        _ => "another",
    }
}

#[track_caller]
fn check_refusal<T>(result: &Result<T, LedgerError>, expected: Option<&'static str>) {
    assert_eq!(result.as_ref().err().map(kind), expected);
}

struct History {
    machine: Machine<FailingStore>,
    /// All parts that were ever reserved, ended ones too.
    parts: Vec<PartId>,
    drawn: u128,
}

impl History {
    fn begin(&mut self, model: &mut Model, bytes_max: Option<u64>) {
        self.drawn += 1;
        let charge = Charge {
            meter: Meter::new("m"),
            limits: Limits { uses: Some(USES), in_bytes: Some(BYTES), ..Limits::default() },
            ends: UnixSeconds::MAX,
            keep_until: UnixSeconds::MAX,
        };
        let purpose = Purpose::Upload {
            object: "o".to_owned(),
            file: "a".to_owned(),
            declared_bytes: None,
            copied_bytes: 0,
        };
        let new = NewSession {
            owner: "owner".to_owned(),
            owner_sessions_max: OWNER_SESSIONS,
            path: "/files/a".to_owned(),
            bytes_max,
            expires: UnixSeconds::MAX,
            details: String::new(),
        };
        let request = HoldRequest { charges: vec![charge], purpose, now: START };
        let result = self.machine.begin_session(SessionId(self.drawn), request, new).unwrap();
        let open = model.uploads.iter().filter(|upload| !upload.is_over()).map(|_| 1).sum::<u64>();
        let expected = match (open >= OWNER_SESSIONS, model.uses() >= USES) {
            (true, _) => Some("TooManySessions"),
            (false, true) => Some("Exhausted"),
            (false, false) => None,
        };
        check_refusal(&result, expected);
        if let Ok(id) = result {
            let hold = self.machine.session(id).unwrap().unwrap().unwrap().hold;
            model.uploads.push(Upload { id, hold, bytes_max, stage: Stage::Open, parts: Vec::new() });
        }
    }

    fn of_part(&mut self, model: &mut Model, step: &Step, id: PartId) {
        let place = model.place(id);
        let completing = place.is_some_and(|(upload, _)| model.uploads[upload].stage == Stage::Completing);
        let lost = model
            .uploads
            .iter()
            .find(|upload| upload.id == id.session && upload.stage == Stage::Completing)
            .map_or("UnknownPart", |_| "SessionBusy");
        match *step {
            Step::Grow(_, bytes) => {
                let result = self.machine.grow_part(id, bytes).unwrap();
                let Some((upload, part)) = place.filter(|_| !completing) else {
                    return check_refusal(&result, Some(lost));
                };
                let of_number = |part: &&Part| part.id.number == id.number;
                // A number that is sent again may be as long as what it replaces, at no cost.
                let received: u64 = model.uploads[upload]
                    .parts
                    .iter()
                    .filter(of_number)
                    .filter_map(|part| part.receiving)
                    .sum();
                let finished: u64 = model.uploads[upload]
                    .parts
                    .iter()
                    .filter(of_number)
                    .filter_map(|part| part.finished)
                    .sum();
                let room = model.uploads[upload].room().saturating_add(finished.saturating_sub(received));
                let granted = bytes.min(room).min(BYTES - model.in_bytes());
                let expected = (room == 0).then_some("SessionFull");
                let expected = expected.or_else(|| (granted == 0).then_some("Exhausted"));
                check_refusal(&result, expected);
                if let Ok(told) = result {
                    assert_eq!(told, granted);
                    let receiving = &mut model.uploads[upload].parts[part].receiving;
                    *receiving = receiving.map(|had| had + granted);
                }
            }
            Step::Finish(_, bytes) => {
                let finished = FinishedPart { bytes, details: String::new(), now: START };
                let result = self.machine.finish_part(id, finished).unwrap();
                let Some((upload, part)) = place.filter(|_| !completing) else {
                    return check_refusal(&result, Some(lost));
                };
                let parts = &mut model.uploads[upload].parts;
                let fits = bytes <= parts[part].held() && bytes >= parts[part].finished.unwrap_or(0);
                check_refusal(&result, (!fits).then_some("OutOfRange"));
                if let Ok(replaced) = result {
                    let others = |part: &Part| part.id != id && part.id.number == id.number;
                    let gone = parts.iter().find(|part| others(part) && part.finished.is_some());
                    assert_eq!(replaced, gone.map(|part| part.id));
                    parts[part].finished = Some(bytes);
                    parts[part].receiving = None;
                    parts.retain(|part| Some(part.id) != replaced);
                }
            }
            _ => {
                let result = self.machine.drop_part(id).unwrap();
                check_refusal(&result, place.is_none().then_some("UnknownPart"));
                if let Some((upload, part)) = place {
                    let parts = &mut model.uploads[upload].parts;
                    parts[part].receiving = None;
                    parts.retain(|part| part.finished.is_some() || part.receiving.is_some());
                }
            }
        }
    }

    fn of_session(&mut self, model: &mut Model, step: &Step, upload: &mut Upload) {
        let over = upload.is_over().then_some("UnknownSession");
        let busy = (upload.stage == Stage::Completing).then_some("SessionBusy");
        match step {
            Step::Complete(_) => {
                let appended =
                    upload.parts.iter().any(|part| part.finished.is_some() && part.receiving.is_some());
                let result = self.machine.complete_session(upload.id, "words".to_owned()).unwrap();
                check_refusal(&result, over.or(busy).or_else(|| appended.then_some("SessionBusy")));
                if let Ok(hold) = result {
                    assert_eq!(hold, upload.hold);
                    upload.stage = Stage::Completing;
                }
            }
            Step::Reopen(_) => {
                check_refusal(&self.machine.reopen_session(upload.id).unwrap(), over);
                if !upload.is_over() {
                    upload.stage = Stage::Open;
                }
            }
            Step::Settle(_, done) if upload.stage != Stage::Open => {
                let settlement = match done {
                    true => Settlement::Done { bytes: upload.finished() },
                    false => Settlement::Released,
                };
                let result = self.machine.settle(upload.hold, settlement, START).unwrap();
                check_refusal(&result, upload.is_over().then_some("UnknownHold"));
                if result.is_ok() {
                    upload.stage = if *done { Stage::Done } else { Stage::GivenBack };
                }
            }
            Step::Abort(_) => {
                let result = self.machine.abort_session(upload.id).unwrap();
                check_refusal(&result, over.or(busy));
                if result.is_ok() {
                    upload.stage = Stage::GivenBack;
                }
            }
            Step::Reserve { number, goes_on, bytes, .. } => {
                let at = model.uploads.iter().position(|other| other.id == upload.id).unwrap();
                let finished = upload.parts.iter().filter(|part| part.id.number == *number);
                // Half of what goes on does so where it should.
                let end = finished.filter_map(|part| part.finished).next();
                let goes_on = goes_on.map(|at| if at % 2 == 0 { end.unwrap_or(at) } else { at });
                let start = goes_on.map_or(PartStart::Anew, PartStart::At);
                let new = NewPart {
                    session: upload.id,
                    number: *number,
                    start,
                    bytes: *bytes,
                    charges: vec![],
                    now: START,
                };
                let result = self.machine.reserve_part(new).unwrap();
                check_refusal(&result, model.refuses(at, *number, goes_on, *bytes));
                if let Ok(id) = result {
                    upload.receive(*number, goes_on, *bytes, Some(id));
                    self.parts.push(id);
                }
            }
            _ => {}
        }
    }

    fn step(&mut self, model: &mut Model, step: &Step, faults: bool) {
        let mut would_be = model.clone();
        match step {
            Step::Begin(bytes_max) => self.begin(&mut would_be, *bytes_max),
            Step::Grow(index, _) | Step::Finish(index, _) | Step::Drop(index) if !self.parts.is_empty() => {
                let id = self.parts[index.index(self.parts.len())];
                self.of_part(&mut would_be, step, id);
            }
            Step::Complete(index)
            | Step::Reopen(index)
            | Step::Settle(index, _)
            | Step::Abort(index)
            | Step::Reserve { session: index, .. }
                if !model.uploads.is_empty() =>
            {
                let place = index.index(model.uploads.len());
                let mut upload = model.uploads[place].clone();
                self.of_session(&mut would_be, step, &mut upload);
                would_be.uploads[place] = upload;
            }
            _ => {}
        }
        match faults {
            true => self.machine.roll_back(),
            false => {
                self.machine.commit().unwrap();
                *model = would_be;
            }
        }
    }

    fn check(&mut self, model: &Model) {
        let usage = self.machine.usage(&Meter::new("m")).unwrap().unwrap();
        assert_eq!((usage.uses, usage.in_bytes), (model.uses(), model.in_bytes()));
        assert!(usage.uses <= USES && usage.in_bytes <= BYTES);
        for upload in &model.uploads {
            let found = self.machine.session(upload.id).unwrap().unwrap();
            assert_eq!(found.is_none(), upload.is_over());
            let Some(found) = found else { continue };
            let finished = upload.parts.iter().filter(|part| part.finished.is_some());
            assert_eq!((found.parts, found.bytes), (finished.map(|_| 1).sum(), upload.finished()));
            assert!(upload.bytes_max.is_none_or(|most| found.bytes <= most));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn sessions_keep_their_bounds_and_their_parts(steps in steps()) {
        let machine = Machine::new(FailingStore::new(), 1).unwrap();
        let mut history = History { machine, parts: Vec::new(), drawn: 0 };
        let mut model = Model::default();
        for (life, (step, faults)) in (2..).zip(&steps) {
            if matches!(step, Step::Restart) {
                let mut machine = Machine::new(history.machine.store, life).unwrap();
                machine.commit().unwrap();
                history.machine = machine;
                // What was being received is given back; what was finished stands, and so does every session.
                for upload in &mut model.uploads {
                    upload.parts.iter_mut().for_each(|part| part.receiving = None);
                    upload.parts.retain(|part| part.finished.is_some());
                }
            } else {
                history.step(&mut model, step, *faults);
            }
            history.check(&model);
        }
    }
}
