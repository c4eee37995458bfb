//! What a plain HTTP/1.1 connection still has to hand to its socket of the objects that it sends.
//!
//! hyper takes the last piece of a body long before the socket has it, and a large object should not pass
//! through our memory at all. So a response body gives hyper pieces that the connection's writer knows again
//! by their address: a piece of memory, or a piece of [`RESERVED`] that stands for a range of a file and is
//! sent by `sendfile(2)`. Each piece keeps its [`Transfer`] alive and tells it what the socket took.
//!
//! The reserved range is zeroes that nobody may send: a path that copied one would send zeroes, so it is
//! offered only on connections whose writer is [`Wire`](super::wire::Wire).

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs::File;
use std::io::IoSlice;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use crate::transfer::Transfer;

/// The largest piece that stands for a range of a file, in bytes.
pub(crate) const PIECE_BYTES_MAX: usize = 1 << 20;

/// The address range that stands for file content. It is never read, so it takes no memory.
static RESERVED: [u8; PIECE_BYTES_MAX] = [0; PIECE_BYTES_MAX];

/// The pieces that a connection has yet to send, in order. Shared by a connection's bodies and its writer.
#[derive(Clone, Default)]
pub(crate) struct Outbox(Rc<RefCell<VecDeque<Piece>>>);

struct Piece {
    /// The address of its first byte that was not sent.
    address: usize,
    bytes_left: usize,
    source: Source,
    transfer: Rc<Transfer>,
}

enum Source {
    Memory,
    File { file: Arc<File>, offset: u64 },
}

/// What the writer has to do next with the slices that hyper offers.
pub(crate) enum Next {
    /// Write this many slices as they are; `more` follows at once.
    Write { slices: usize, more: bool },
    /// Send this range of a file instead of the first slice.
    Send { file: Arc<File>, offset: u64, bytes: usize },
    /// End the connection: what stands for a file is not where its file is known. It must never be sent.
    Mistake,
}

impl Outbox {
    /// Registers a piece of memory and hands it back for hyper.
    pub(crate) fn memory(&self, piece: Bytes, transfer: Rc<Transfer>) -> Bytes {
        self.push(&piece, Source::Memory, transfer);
        piece
    }

    /// Registers a range of a file, at most [`PIECE_BYTES_MAX`], and returns what stands for it.
    pub(crate) fn file(&self, file: Arc<File>, offset: u64, bytes: usize, transfer: Rc<Transfer>) -> Bytes {
        let piece = Bytes::from_static(&RESERVED[..bytes]);
        self.push(&piece, Source::File { file, offset }, transfer);
        piece
    }

    fn push(&self, piece: &Bytes, source: Source, transfer: Rc<Transfer>) {
        if !piece.is_empty() {
            let address = piece.as_ptr().addr();
            self.0.borrow_mut().push_back(Piece { address, bytes_left: piece.len(), source, transfer });
        }
    }

    /// Decides how the slices that hyper offers reach the socket.
    pub(crate) fn next(&self, slices: &[IoSlice<'_>]) -> Next {
        let pieces = self.0.borrow();
        let mut pieces = pieces.iter().peekable();
        for (at, slice) in slices.iter().enumerate() {
            let Some(piece) = pieces.next_if(|piece| piece.is(slice)) else {
                if is_reserved(slice) {
                    return Next::Mistake;
                }
                continue;
            };
            if let Source::File { file, offset } = &piece.source {
                return if at == 0 {
                    let bytes = piece.bytes_left.min(slice.len());
                    Next::Send { file: Arc::clone(file), offset: *offset, bytes }
                } else {
                    Next::Write { slices: at, more: true }
                };
            }
        }
        Next::Write { slices: slices.len(), more: false }
    }

    /// Notes that the socket took the first `bytes` of `slices`.
    pub(crate) fn sent(&self, slices: &[IoSlice<'_>], mut bytes: usize) {
        for slice in slices {
            let taken = bytes.min(slice.len());
            if taken == 0 {
                break;
            }
            self.sent_of(slice, taken);
            bytes -= taken;
        }
    }

    fn sent_of(&self, slice: &IoSlice<'_>, taken: usize) {
        let mut pieces = self.0.borrow_mut();
        let Some(piece) = pieces.front_mut().filter(|piece| piece.is(slice)) else { return };
        piece.advance(taken);
        // The transfer may end with its last piece, and ends outside the borrow.
        let done = if piece.bytes_left == 0 { pieces.pop_front() } else { None };
        drop(pieces);
        drop(done);
    }

    /// Forgets what was not sent, when the connection has ended.
    pub(crate) fn clear(&self) {
        let pieces = std::mem::take(&mut *self.0.borrow_mut());
        drop(pieces);
    }
}

/// Whether a slice lies in the range that stands for file content.
fn is_reserved(slice: &IoSlice<'_>) -> bool {
    let range = RESERVED.as_ptr_range();
    (range.start.addr()..range.end.addr()).contains(&slice.as_ptr().addr())
}

impl Piece {
    fn is(&self, slice: &IoSlice<'_>) -> bool {
        self.address == slice.as_ptr().addr()
    }

    fn advance(&mut self, bytes: usize) {
        self.address += bytes;
        self.bytes_left -= bytes.min(self.bytes_left);
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        if let Source::File { offset, .. } = &mut self.source {
            *offset += bytes;
        }
        self.transfer.sent(bytes);
    }
}
