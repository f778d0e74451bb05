//! The sending half of a connection, usable from any thread.
//!
//! Whoever has something to send appends it to the buffer and, when its batch is complete, writes the buffer to the socket
//! himself, without waking another thread first. Only when the socket is full does a task take over.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use parking_lot::Mutex;
use tokio::{io::AsyncWrite, sync::Notify};

/// A buffer that has grown beyond this is given back when it is empty.
const KEPT_BYTES: usize = 1 << 20;

pub struct Link {
    state: Mutex<State>,
    signals: Arc<Signals>,
    waker: Waker,
    /// More than this is never buffered.
    buffered_bytes_max: usize,
    /// In somebody's list of links to flush.
    listed: AtomicBool,
}

struct State {
    stream: Box<dyn AsyncWrite + Send + Unpin>,
    buffer: Vec<u8>,
    /// So much of the buffer has been written.
    written: usize,
    /// The socket is full; the task will be woken.
    blocked: bool,
    closed: bool,
}

#[derive(Default)]
struct Signals {
    writable: Notify,
    closed: Notify,
}

impl Wake for Signals {
    fn wake(self: Arc<Self>) {
        self.writable.notify_one();
    }
}

/// What was appended may not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushError {
    /// The connection is closed.
    Closed,
    /// The other side does not read fast enough.
    Full,
    /// The frame is longer than frames may be.
    TooLong,
}

impl Link {
    /// Takes over the sending half; the task that helps out runs until the link is closed.
    pub fn start(
        stream: Box<dyn AsyncWrite + Send + Unpin>,
        buffered_bytes_max: usize,
        tokio: &tokio::runtime::Handle,
    ) -> Arc<Link> {
        let signals = Arc::new(Signals::default());
        let state = State { stream, buffer: Vec::new(), written: 0, blocked: false, closed: false };
        let link = Arc::new(Link {
            state: Mutex::new(state),
            waker: Waker::from(signals.clone()),
            signals,
            buffered_bytes_max,
            listed: AtomicBool::new(false),
        });
        let helper = link.clone();
        drop(tokio.spawn(async move {
            loop {
                helper.signals.writable.notified().await;
                helper.state.lock().blocked = false;
                if helper.flush().is_err() {
                    return;
                }
            }
        }));
        link
    }

    /// Appends a frame by means of `encode`, which returns `false` when it is too long.
    pub fn push(&self, encode: impl FnOnce(&mut Vec<u8>) -> bool) -> Result<(), PushError> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(PushError::Closed);
        }
        let before = state.buffer.len();
        if !encode(&mut state.buffer) {
            return Err(PushError::TooLong);
        }
        // A single frame always fits.
        if before > state.written && state.buffer.len() - state.written > self.buffered_bytes_max {
            state.buffer.truncate(before);
            return Err(PushError::Full);
        }
        Ok(())
    }

    /// Writes as much as the socket takes. An error closes the link.
    pub fn flush(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let result = state.write(&self.waker);
        if result.is_err() {
            self.close_locked(&mut state);
        }
        result
    }

    /// Drops what was not sent; both halves of the connection end.
    pub fn close(&self) {
        let mut state = self.state.lock();
        self.close_locked(&mut state);
    }

    fn close_locked(&self, state: &mut State) {
        state.closed = true;
        state.buffer = Vec::new();
        state.written = 0;
        // The half of the socket goes, so that the other side sees the end even if our reader is slow to notice.
        state.stream = Box::new(tokio::io::sink());
        self.signals.writable.notify_one();
        self.signals.closed.notify_one();
    }

    /// Completes when the link was closed. One task may wait for it.
    pub async fn closed(&self) {
        self.signals.closed.notified().await;
    }

    /// Whether the caller is the first to put the link on a list since [`Link::unlist`].
    pub fn list(&self) -> bool {
        !self.listed.swap(true, Ordering::AcqRel)
    }

    pub fn unlist(&self) {
        self.listed.store(false, Ordering::Release);
    }
}

impl State {
    fn write(&mut self, waker: &Waker) -> io::Result<()> {
        let mut context = Context::from_waker(waker);
        while !self.blocked && self.written < self.buffer.len() {
            match Pin::new(&mut self.stream).poll_write(&mut context, &self.buffer[self.written..]) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => self.written += count,
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => self.blocked = true,
            }
        }
        if self.written == self.buffer.len() {
            self.written = 0;
            self.buffer.clear();
            if self.buffer.capacity() > KEPT_BYTES {
                self.buffer = Vec::new();
            }
            // A stream that buffers itself (TLS) must be told to pass everything on.
            if let Poll::Ready(result) = Pin::new(&mut self.stream).poll_flush(&mut context) {
                return result;
            }
        } else if self.written > KEPT_BYTES {
            self.buffer.drain(..self.written);
            self.written = 0;
        }
        Ok(())
    }
}
