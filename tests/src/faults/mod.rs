//! A proxy that breaks what passes through it: between a gateway and its store, or a client and a gateway.
//!
//! It understands as much of HTTP/1.1 as it needs to tell one request from the next on a connection, changes no byte, and
//! does to each request what the first fault says that fits it.

mod framing;
mod passage;

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The request goes as far as the point, and there its way ends so.
    Request(Point, Cut),
    /// The request passes; its answer goes as far as the point, and there its way ends so.
    Answer(Point, Cut),
    /// The request's body passes at so many bytes per second.
    SlowRequest(u64),
    /// The answer's body passes at so many bytes per second.
    SlowAnswer(u64),
    /// The request is taken and reaches nobody; these bytes are the answer, and then the connection ends.
    Instead(Vec<u8>),
}

/// How far something goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// Nothing of it passes.
    Head,
    /// Its head passes, and so many bytes of its body as they travel, framing too.
    Body(u64),
}

/// How the way of something ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Both ends find the connection reset.
    Reset,
    /// Both ends find the connection ended in good order.
    Close,
    /// The receiver finds that nothing more is sent; the other direction goes on.
    HalfClose,
    /// Nothing more passes, and nobody is told.
    Stall,
}

impl Fault {
    /// An answer of S3's with this status, code and message.
    pub fn s3_error(status: u16, code: &str, message: &str) -> Self {
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
        );
        Self::Instead(
            format!(
                "HTTP/1.1 {status} {code}\r\nContent-Type: application/xml\r\nContent-Length: {}\r\n\
                 Connection: close\r\n\r\n{body}",
                body.len()
            )
            .into_bytes(),
        )
    }

    /// An answer that sends whoever asked elsewhere.
    pub fn redirect(url: &str) -> Self {
        let head = "HTTP/1.1 307 Temporary Redirect\r\nContent-Length: 0\r\nConnection: close\r\nLocation: ";
        Self::Instead(format!("{head}{url}\r\n\r\n").into_bytes())
    }

    /// An answer that is no HTTP.
    pub fn garbage() -> Self {
        Self::Instead(b"\x16\x03\x01 what is this?\r\n\r\n\0\0\0".to_vec())
    }
}

/// A proxy with faults. What passes it when it is dropped is cut off.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    target: SocketAddr,
    plans: Mutex<Vec<Plan>>,
    requests: Mutex<Vec<String>>,
    connections: AtomicUsize,
    /// Of the bodies, either way.
    passed_bytes: AtomicUsize,
    refuses: AtomicBool,
    open: Mutex<Vec<Weak<Link>>>,
    stopped: Mutex<bool>,
    stop: Condvar,
}

#[derive(Debug)]
struct Plan {
    method: String,
    part: String,
    left: Option<usize>,
    fault: Fault,
}

/// The two connections of one client.
#[derive(Debug)]
struct Link {
    client: TcpStream,
    server: TcpStream,
    /// What is asked and not answered yet: the method, and what becomes of its answer.
    asked: Mutex<VecDeque<(String, Option<Fault>)>>,
}

impl FaultProxy {
    /// A proxy before `target`, on a free port, without faults.
    ///
    /// # Panics
    /// If there is no port to be had: the test cannot go on.
    pub fn before(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind the proxy");
        let address = listener.local_addr().expect("the proxy's address");
        let shared = Arc::new(Shared {
            target,
            plans: Mutex::default(),
            requests: Mutex::default(),
            connections: AtomicUsize::new(0),
            passed_bytes: AtomicUsize::new(0),
            refuses: AtomicBool::new(false),
            open: Mutex::default(),
            stopped: Mutex::new(false),
            stop: Condvar::new(),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accepting.accept(&listener));
        Self { address, shared }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on, does this to every request of `method` (any, where it is empty) in whose target `part` stands.
    pub fn always(&self, method: &str, part: &str, fault: Fault) {
        self.plan(method, part, None, fault);
    }

    /// Does this to the next such request only.
    pub fn once(&self, method: &str, part: &str, fault: Fault) {
        self.plan(method, part, Some(1), fault);
    }

    /// Does this to the next `times` such requests.
    pub fn times(&self, times: usize, method: &str, part: &str, fault: Fault) {
        self.plan(method, part, Some(times), fault);
    }

    /// Forgets all faults for requests that come from now on.
    pub fn heal(&self) {
        lock(&self.shared.plans).clear();
    }

    /// From now on resets every new connection, or no longer.
    pub fn refuse(&self, refuses: bool) {
        self.shared.refuses.store(refuses, Ordering::SeqCst);
    }

    /// Resets every connection that is open.
    pub fn cut_all(&self) {
        for link in lock(&self.shared.open).iter().filter_map(Weak::upgrade) {
            link.cut(Cut::Reset);
        }
    }

    /// How many connections were made to it.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many bytes of bodies passed it, of requests and of answers.
    pub fn passed_bytes(&self) -> usize {
        self.shared.passed_bytes.load(Ordering::SeqCst)
    }

    /// The method and target of every request that came, in order.
    pub fn requests(&self) -> Vec<String> {
        lock(&self.shared.requests).clone()
    }

    fn plan(&self, method: &str, part: &str, left: Option<usize>, fault: Fault) {
        let plan = Plan { method: method.to_owned(), part: part.to_owned(), left, fault };
        lock(&self.shared.plans).push(plan);
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        *lock(&self.shared.stopped) = true;
        self.shared.stop.notify_all();
        self.cut_all();
        // The thread that accepts looks up once more, and ends. Where nothing can be connected it has ended.
        drop(TcpStream::connect(self.address));
    }
}

impl Shared {
    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        for client in listener.incoming() {
            if *lock(&self.stopped) {
                return;
            }
            let Ok(client) = client else { continue };
            self.connections.fetch_add(1, Ordering::SeqCst);
            if self.refuses.load(Ordering::SeqCst) {
                reset_at_close(&client);
                continue;
            }
            let Ok(server) = TcpStream::connect_timeout(&self.target, Duration::from_secs(20)) else {
                reset_at_close(&client);
                continue;
            };
            // Without them it would only be slower.
            drop((client.set_nodelay(true), server.set_nodelay(true)));
            let link = Arc::new(Link { client, server, asked: Mutex::default() });
            let mut open = lock(&self.open);
            open.retain(|link| link.strong_count() > 0);
            open.push(Arc::downgrade(&link));
            drop(open);
            for pass in [passage::requests, passage::answers] {
                let (shared, link) = (Arc::clone(self), Arc::clone(&link));
                thread::spawn(move || match pass(&shared, &link) {
                    // What ended, ended; whoever waits at the other side is told the same.
                    Ok(()) => {}
                    Err(_) => link.cut(Cut::Close),
                });
            }
        }
    }

    /// What is to become of a request.
    fn fault_of(&self, method: &str, target: &str) -> Option<Fault> {
        lock(&self.requests).push(format!("{method} {target}"));
        let mut plans = lock(&self.plans);
        let fits =
            |plan: &Plan| (plan.method.is_empty() || plan.method == method) && target.contains(&plan.part);
        let at = plans.iter().position(fits)?;
        let fault = plans[at].fault.clone();
        if let Some(left) = &mut plans[at].left {
            *left -= 1;
            if *left == 0 {
                plans.remove(at);
            }
        }
        Some(fault)
    }

    /// Waits for the end of the proxy.
    fn stall(&self) {
        let stopped = lock(&self.stopped);
        drop(self.stop.wait_while(stopped, |stopped| !*stopped).unwrap_or_else(PoisonError::into_inner));
    }
}

impl Link {
    /// Ends both connections; whoever reads or writes on them is told at once.
    fn cut(&self, cut: Cut) {
        let how = match cut {
            Cut::Reset => {
                reset_at_close(&self.client);
                reset_at_close(&self.server);
                // A shutdown of the writing side would send the end in good order; that of the reading side sends nothing.
                Shutdown::Read
            }
            _ => Shutdown::Both,
        };
        // One that is gone already needs no telling.
        drop((self.client.shutdown(how), self.server.shutdown(how)));
    }
}

fn reset_at_close(stream: &TcpStream) {
    set_socket_linger(stream, Some(Duration::ZERO)).expect("a socket lingers as long as it is told to");
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn broken(what: &str) -> io::Error {
    io::Error::other(what.to_owned())
}

#[cfg(test)]
mod tests;
