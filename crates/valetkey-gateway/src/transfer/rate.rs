//! How fast bytes move: what several transfers share, and nobody exceeds.
//!
//! All transfers under one name draw from one [`Bucket`], on whichever thread they run. A transfer draws a small
//! piece at a time and waits for its turn, so that they share evenly, and a slow client holds up nobody: what it was
//! granted is paid, and the others go on.
//!
//! In any time from a bucket's beginning on, what moves is at most what the rate gives in that time and one second
//! more. A rate slows and refuses nothing.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::time::{Duration, Instant, Sleep};
use valetkey::{MeterName, Rate};

/// How many pieces a second's worth is cut into: so many transfers can take their turn within a second.
const PIECES_PER_SEC: u64 = 16;

/// The largest piece, in bytes.
const PIECE_BYTES_MAX: u64 = 1 << 20;

const SEC_NANOS: u64 = 1_000_000_000;

/// How many buckets there may be before idle ones are looked for.
const SWEEP_AT_MIN: usize = 1024;

/// The buckets of all names under which something moves, or moved within the last second.
pub(crate) struct Rates {
    begun: Instant,
    book: Mutex<Book>,
}

struct Book {
    buckets: HashMap<MeterName, Arc<Bucket>>,
    /// Idle buckets are swept when there are so many.
    sweep_at: usize,
}

/// What moves under one name, as the moment until which it is paid for, in nanoseconds from [`Rates::begun`] on.
///
/// Each transfer pays by its own rate: keys that share a name and not a rate each keep to their own.
#[derive(Default)]
struct Bucket(AtomicU64);

impl Bucket {
    /// Pays `cost`, and returns when what it is for may move: as soon as no more than a second is paid ahead.
    fn pay(&self, cost: u64, now: u64) -> u64 {
        let pay = |paid: u64| Some(paid.max(now).saturating_add(cost));
        let before =
            self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, pay).unwrap_or_else(|paid| paid);
        before.max(now).saturating_add(cost).saturating_sub(SEC_NANOS)
    }

    /// Takes back a payment for what did not move.
    fn refund(&self, cost: u64) {
        let refund = |paid: u64| Some(paid.saturating_sub(cost));
        // The closure always gives a value.
        let _ = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, refund);
    }

    fn is_idle(&self, now: u64) -> bool {
        self.0.load(Ordering::Acquire) <= now
    }
}

/// How many nanoseconds' worth of a rate some bytes are, rounded up.
fn cost(bytes: u64, rate: u64) -> u64 {
    let nanos = (u128::from(bytes) * u128::from(SEC_NANOS)).div_ceil(u128::from(rate.max(1)));
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

impl Rates {
    pub(crate) fn new() -> Self {
        let book = Book { buckets: HashMap::new(), sweep_at: SWEEP_AT_MIN };
        Self { begun: Instant::now(), book: Mutex::new(book) }
    }

    /// What slows a transfer under these rates; `None` where none is set.
    pub(crate) fn throttle(&self, rates: &[Rate]) -> Option<Throttle> {
        if rates.is_empty() {
            return None;
        }
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        book.sweep(self.begun);
        let draws = rates.iter().map(|rate| {
            let bucket = book.buckets.entry(rate.meter.clone()).or_default();
            Draw { bucket: Arc::clone(bucket), rate: rate.bytes_per_sec }
        });
        let draws: Vec<_> = draws.collect();
        let slowest = draws.iter().map(|draw| draw.rate).min().unwrap_or(u64::MAX);
        let piece_bytes = (slowest / PIECES_PER_SEC).clamp(1, PIECE_BYTES_MAX);
        Some(Throttle { begun: self.begun, draws, slowest, piece_bytes, state: State::Idle })
    }
}

impl Book {
    /// Forgets buckets from which nobody draws and that are paid: a new one would be the same.
    fn sweep(&mut self, begun: Instant) {
        if self.buckets.len() < self.sweep_at {
            return;
        }
        let now = nanos_since(begun);
        self.buckets.retain(|_, bucket| Arc::strong_count(bucket) > 1 || !bucket.is_idle(now));
        self.sweep_at = (self.buckets.len() * 2).max(SWEEP_AT_MIN);
    }
}

fn nanos_since(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// What slows one transfer. Dropping it gives back what was paid and did not move.
pub(crate) struct Throttle {
    begun: Instant,
    draws: Vec<Draw>,
    /// The lowest of its rates, in bytes per second.
    slowest: u64,
    piece_bytes: u64,
    state: State,
}

struct Draw {
    bucket: Arc<Bucket>,
    rate: u64,
}

enum State {
    Idle,
    /// So many bytes are paid, and may move once the time has come.
    Waiting(u64, Pin<Box<Sleep>>),
    /// So many bytes may move.
    Granted(u64),
}

impl Throttle {
    /// The lowest of its rates, in bytes per second.
    pub(crate) fn slowest(&self) -> u64 {
        self.slowest
    }

    /// Ready with how many bytes may move now, of `wanted` at most, of at least 1 that are wanted. The grant stands
    /// until it is [used](Self::moved).
    pub(crate) fn poll_grant(&mut self, cx: &mut Context<'_>, wanted: u64) -> Poll<u64> {
        loop {
            match &mut self.state {
                State::Granted(bytes) => return Poll::Ready(*bytes),
                State::Waiting(bytes, sleep) => {
                    ready!(sleep.as_mut().poll(cx));
                    self.state = State::Granted(*bytes);
                }
                State::Idle => {
                    let bytes = self.piece_bytes.min(wanted);
                    let now = nanos_since(self.begun);
                    let pay = |draw: &Draw| draw.bucket.pay(cost(bytes, draw.rate), now);
                    let due = self.draws.iter().map(pay).max().unwrap_or(0);
                    self.state = match due.checked_sub(now) {
                        None | Some(0) => State::Granted(bytes),
                        Some(wait) => {
                            let sleep = tokio::time::sleep(Duration::from_nanos(wait));
                            State::Waiting(bytes, Box::pin(sleep))
                        }
                    };
                }
            }
        }
    }

    /// Notes that `bytes` of what was granted moved.
    pub(crate) fn moved(&mut self, bytes: u64) {
        if let State::Granted(granted) = self.state {
            let left = granted.saturating_sub(bytes);
            self.state = if left == 0 { State::Idle } else { State::Granted(left) };
        }
    }

    /// Waits until `bytes` that have moved already are paid for.
    pub(crate) async fn pay(&mut self, bytes: u64) {
        let mut left = bytes;
        while left > 0 {
            let granted = std::future::poll_fn(|cx| self.poll_grant(cx, left)).await.min(left);
            self.moved(granted);
            left -= granted;
        }
    }
}

impl Drop for Throttle {
    fn drop(&mut self) {
        let (State::Waiting(bytes, _) | State::Granted(bytes)) = self.state else { return };
        for draw in &self.draws {
            draw.bucket.refund(cost(bytes, draw.rate));
        }
    }
}

#[cfg(test)]
mod tests;
