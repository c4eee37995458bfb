//! One direction of one connection: what passes, and where it ends.

use std::io::{self, BufReader, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use super::framing::Head;
use super::{Cut, Fault, Link, Point, Shared, broken, lock};

/// How often per second a slowed body moves.
const STEPS: u64 = 20;

/// Hands on requests until the client ends, or a fault ends the way.
pub(super) fn requests(shared: &Shared, link: &Link) -> io::Result<()> {
    let mut client = BufReader::new(&link.client);
    while let Some(head) = Head::read(&mut client)? {
        let (method, target) = head.asked()?;
        let fault = shared.fault_of(method, target);
        if let Some(Fault::Instead(bytes)) = &fault {
            // A client that is still sending would find the connection reset and the answer gone.
            head.body().pass(&mut client, &mut |_| Ok(()))?;
            (&link.client).write_all(bytes)?;
            return Err(broken("answered in another's place"));
        }
        lock(&link.asked).push_back((method.to_owned(), fault.clone()));
        let gate = match fault {
            Some(Fault::Request(point, cut)) => Gate::cut_at(&link.server, shared, point, cut),
            Some(Fault::SlowRequest(rate)) => Gate::slow(&link.server, shared, rate),
            _ => Gate::open(&link.server, shared),
        };
        if !gate.pass(&head, |sink| head.body().pass(&mut client, sink), link)? {
            return Ok(());
        }
    }
    // The client has said all; its answers may still be on the way.
    link.server.shutdown(Shutdown::Write)
}

/// Hands on answers until the server ends, or a fault ends the way.
pub(super) fn answers(shared: &Shared, link: &Link) -> io::Result<()> {
    let mut server = BufReader::new(&link.server);
    while let Some(head) = Head::read(&mut server)? {
        let is_interim = head.status()? < 200;
        let (method, fault) = match lock(&link.asked).pop_front() {
            Some(asked) if is_interim => {
                lock(&link.asked).push_front(asked);
                (String::new(), None)
            }
            Some(asked) => asked,
            // A server that ends a connection may say why without being asked.
            None => ("GET".to_owned(), None),
        };
        if is_interim {
            (&link.client).write_all(&head.bytes)?;
            continue;
        }
        let gate = match fault {
            Some(Fault::Answer(point, cut)) => Gate::cut_at(&link.client, shared, point, cut),
            Some(Fault::SlowAnswer(rate)) => Gate::slow(&link.client, shared, rate),
            _ => Gate::open(&link.client, shared),
        };
        let body = head.body_for(&method)?;
        if !gate.pass(&head, |sink| body.pass(&mut server, sink), link)? {
            return Ok(());
        }
    }
    link.client.shutdown(Shutdown::Write)
}

/// Where a message goes on to, how far and how fast.
struct Gate<'a> {
    to: &'a TcpStream,
    shared: &'a Shared,
    cut: Option<(Point, Cut)>,
    rate: Option<u64>,
}

/// What a message's way ended with.
enum Passed {
    Whole,
    Cut(Cut),
    Failed(io::Error),
}

impl<'a> Gate<'a> {
    fn open(to: &'a TcpStream, shared: &'a Shared) -> Self {
        Self { to, shared, cut: None, rate: None }
    }

    fn cut_at(to: &'a TcpStream, shared: &'a Shared, point: Point, cut: Cut) -> Self {
        Self { cut: Some((point, cut)), ..Self::open(to, shared) }
    }

    fn slow(to: &'a TcpStream, shared: &'a Shared, rate: u64) -> Self {
        Self { rate: Some(rate.max(1)), ..Self::open(to, shared) }
    }

    /// Hands on a message; whether another may follow it.
    fn pass(
        &self,
        head: &Head,
        body: impl FnOnce(&mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()>,
        link: &Link,
    ) -> io::Result<bool> {
        match self.passed(head, body) {
            Passed::Whole => Ok(true),
            Passed::Failed(error) => Err(error),
            Passed::Cut(Cut::Stall) => {
                self.shared.stall();
                Ok(false)
            }
            Passed::Cut(Cut::HalfClose) => {
                self.to.shutdown(Shutdown::Write)?;
                Ok(false)
            }
            Passed::Cut(cut) => {
                link.cut(cut);
                Ok(false)
            }
        }
    }

    fn passed(
        &self,
        head: &Head,
        body: impl FnOnce(&mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()>,
    ) -> Passed {
        let (mut left, cut) = match self.cut {
            Some((Point::Head, cut)) => return Passed::Cut(cut),
            Some((Point::Body(bytes), cut)) => (bytes, Some(cut)),
            None => (u64::MAX, None),
        };
        let mut to = self.to;
        if let Err(error) = to.write_all(&head.bytes) {
            return Passed::Failed(error);
        }
        let mut is_cut = left == 0;
        if !is_cut {
            let outcome = body(&mut |piece| {
                let room = usize::try_from(left).map_or(piece.len(), |left| left.min(piece.len()));
                self.write(&piece[..room])?;
                left -= u64::try_from(room).expect("a length fits");
                is_cut = left == 0;
                if is_cut { Err(broken("cut")) } else { Ok(()) }
            });
            if let (Err(error), false) = (outcome, is_cut) {
                return Passed::Failed(error);
            }
        }
        match cut {
            // A message that is shorter than the point ends where it ends.
            Some(cut) if is_cut => Passed::Cut(cut),
            _ => Passed::Whole,
        }
    }

    fn write(&self, piece: &[u8]) -> io::Result<()> {
        self.shared.passed_bytes.fetch_add(piece.len(), Ordering::SeqCst);
        let mut to = self.to;
        let Some(rate) = self.rate else { return to.write_all(piece) };
        let step = usize::try_from(rate / STEPS).unwrap_or(usize::MAX).max(1);
        for bytes in piece.chunks(step) {
            to.write_all(bytes)?;
            let bytes = u64::try_from(bytes.len()).expect("a length fits");
            thread::sleep(Duration::from_micros(bytes.saturating_mul(1_000_000) / rate));
        }
        Ok(())
    }
}
