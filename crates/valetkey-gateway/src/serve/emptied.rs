//! Whether all that was sent over an HTTP/1.1 connection has left this machine.
//!
//! Whoever asks for the next object before they have read the last one leaves it in our kernel, where a revocation
//! would find it no more once the connection serves another key. So the next request waits until nothing of the last
//! answer is left here. A client that reads its answers before it asks again does not notice.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};

/// How long the kernel may take to send an answer. It has some MB at most.
const EMPTIED_MAX: Duration = Duration::from_secs(600);
/// How long to wait between two looks, at first and at most.
const LOOK_PAUSE: Duration = Duration::from_millis(1);
const LOOK_PAUSE_MAX: Duration = Duration::from_millis(50);

/// What a connection's requests ask its writer. Shared by the two.
#[derive(Clone, Default)]
pub(super) struct Emptied(Rc<State>);

#[derive(Default)]
struct State {
    is_asked: Cell<bool>,
    is_empty: Cell<bool>,
}

impl Emptied {
    /// Ready when nothing is left of the answers so far.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`] of a client that takes too long to read them.
    pub(super) async fn wait(&self) -> io::Result<()> {
        let Self(state) = self;
        let (until, mut pause) = (Instant::now() + EMPTIED_MAX, LOOK_PAUSE);
        state.is_empty.set(false);
        state.is_asked.set(true);
        // hyper flushes the connection whenever this yields, and the writer looks then.
        yield_now().await;
        while !state.is_empty.get() {
            if Instant::now() >= until {
                return Err(io::ErrorKind::TimedOut.into());
            }
            sleep(pause).await;
            pause = LOOK_PAUSE_MAX.min(2 * pause);
        }
        state.is_asked.set(false);
        Ok(())
    }

    /// Looks, if that was asked, what the kernel has not sent. For the writer that has handed it everything.
    pub(super) fn look(&self, socket: &TcpStream) {
        let Self(state) = self;
        if state.is_asked.get() {
            state.is_empty.set(has_sent_all(socket).unwrap_or(false));
        }
    }
}

/// Whether the kernel has sent all that it was given, be it received or not.
fn has_sent_all(socket: &TcpStream) -> io::Result<bool> {
    // The kernel calls a socket writable only while less than this is unsent: so, while nothing is.
    let low = SockRef::from(socket);
    low.set_tcp_notsent_lowat(1)?;
    let mut asked = [PollFd::new(socket, PollFlags::OUT)];
    let ready = poll(&mut asked, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
    // As the system has it otherwise.
    low.set_tcp_notsent_lowat(0)?;
    Ok(ready? > 0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Read as _;

    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[test]
    fn what_its_reader_leaves_with_us_is_noticed_until_it_is_read() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (mut socket, _) = listener.accept().await.unwrap();
            assert!(has_sent_all(&socket).unwrap());
            let mut sent = 0;
            while let Ok(Ok(bytes)) =
                tokio::time::timeout(Duration::from_millis(100), socket.write(&[7; 65_536])).await
            {
                sent += bytes;
            }
            assert!(!has_sent_all(&socket).unwrap());
            client.read_exact(&mut vec![0; sent]).unwrap();
            assert!(has_sent_all(&socket).unwrap());
        });
    }
}
