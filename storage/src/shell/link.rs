//! The sending half of a connection, usable from any thread.
//!
//! Whoever has something to send appends it to the buffer and, when its batch is complete, writes the buffer to the socket
//! himself, without waking another thread first. Only when the socket is full does a task take over.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use parking_lot::Mutex;
use tokio::{io::AsyncWrite, sync::Notify};

/// A buffer that has grown beyond this is given back when it is empty.
const KEPT_BYTES: usize = 1 << 20;

pub struct Link {
    queue: Mutex<Queue>,
    writer: Mutex<Writer>,
    /// What the writer has taken off the queue and not written yet, in bytes.
    unsent_bytes: AtomicUsize,
    signals: Arc<Signals>,
    waker: Waker,
    /// More than this is never buffered.
    buffered_bytes_max: usize,
    /// In somebody's list of links to flush.
    listed: AtomicBool,
}

/// What waits for a writer. Locked for the time of an append only: nobody waits here for a system call of somebody else.
#[derive(Default)]
struct Queue {
    buffer: Vec<u8>,
    closed: bool,
}

/// Whoever holds it writes for everybody.
struct Writer {
    stream: Box<dyn AsyncWrite + Send + Unpin>,
    buffer: Vec<u8>,
    /// So much of the buffer has been written.
    written: usize,
    /// The socket is full; the task will be woken.
    blocked: bool,
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
        let link = Arc::new(Link {
            queue: Mutex::default(),
            writer: Mutex::new(Writer { stream, buffer: Vec::new(), written: 0, blocked: false }),
            unsent_bytes: AtomicUsize::new(0),
            waker: Waker::from(signals.clone()),
            signals,
            buffered_bytes_max,
            listed: AtomicBool::new(false),
        });
        let helper = link.clone();
        drop(tokio.spawn(async move {
            loop {
                helper.signals.writable.notified().await;
                helper.writer.lock().blocked = false;
                if helper.flush().is_err() {
                    return;
                }
            }
        }));
        link
    }

    /// Appends a frame by means of `encode`, which returns `false` when it is too long.
    pub fn push(&self, encode: impl FnOnce(&mut Vec<u8>) -> bool) -> Result<(), PushError> {
        let mut queue = self.queue.lock();
        if queue.closed {
            return Err(PushError::Closed);
        }
        let before = queue.buffer.len();
        if !encode(&mut queue.buffer) {
            return Err(PushError::TooLong);
        }
        let unsent = self.unsent_bytes.load(Ordering::Acquire);
        // A single frame always fits.
        if before + unsent > 0 && queue.buffer.len() + unsent > self.buffered_bytes_max {
            queue.buffer.truncate(before);
            return Err(PushError::Full);
        }
        Ok(())
    }

    /// Writes as much as the socket takes, unless somebody else is writing: who does looks into the queue once more when he
    /// is done. An error closes the link.
    pub fn flush(&self) -> io::Result<()> {
        loop {
            let Some(mut writer) = self.writer.try_lock() else { return Ok(()) };
            if !self.refill(&mut writer) {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            let result = writer.write(&self.waker);
            self.unsent_bytes.store(writer.buffer.len() - writer.written, Ordering::Release);
            if result.is_err() {
                self.close_locked(&mut writer);
                return result;
            }
            let blocked = writer.blocked;
            drop(writer);
            // What was appended while the writer was taken is ours to write.
            if blocked || self.queue.lock().buffer.is_empty() {
                return Ok(());
            }
        }
    }

    /// Takes the queue over into an empty buffer; `false` when the link is closed.
    fn refill(&self, writer: &mut Writer) -> bool {
        let mut queue = self.queue.lock();
        if writer.buffer.is_empty() && !writer.blocked {
            std::mem::swap(&mut queue.buffer, &mut writer.buffer);
            self.unsent_bytes.store(writer.buffer.len(), Ordering::Release);
        }
        !queue.closed
    }

    /// Drops what was not sent; both halves of the connection end.
    pub fn close(&self) {
        self.close_locked(&mut self.writer.lock());
    }

    fn close_locked(&self, writer: &mut Writer) {
        *self.queue.lock() = Queue { buffer: Vec::new(), closed: true };
        writer.buffer = Vec::new();
        writer.written = 0;
        // The half of the socket goes, so that the other side sees the end even if our reader is slow to notice.
        writer.stream = Box::new(tokio::io::sink());
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

impl Writer {
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
