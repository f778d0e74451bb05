//! A WebSocket as a stream of bytes: what `tokio-postgres` reads and writes, message boundaries forgotten.

use std::{
    cell::RefCell,
    collections::VecDeque,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use bytes::{Buf, Bytes};
use js_sys::{ArrayBuffer, Uint8Array};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wasm_bindgen::{JsCast, prelude::Closure};
use web_sys::{BinaryType, CloseEvent, Event, MessageEvent, WebSocket};

/// Bytes that the browser may hold unsent before a writer waits.
const UNSENT_BYTES_MAX: u32 = 4 << 20;

pub struct Socket {
    socket: WebSocket,
    state: Rc<RefCell<State>>,
    // What the browser calls; they live as long as the socket.
    _opened: Closure<dyn FnMut(Event)>,
    _message: Closure<dyn FnMut(MessageEvent)>,
    _closed: Closure<dyn FnMut(CloseEvent)>,
}

#[derive(Default)]
struct State {
    phase: Phase,
    incoming: VecDeque<Bytes>,
    waiting: Vec<Waker>,
}

#[derive(Default, Clone)]
enum Phase {
    #[default]
    Connecting,
    Open,
    /// The other side is gone; its reason, if it gave one.
    Closed(String),
}

impl State {
    fn wake(&mut self) {
        self.waiting.drain(..).for_each(Waker::wake);
    }
}

impl Socket {
    /// Opens a connection to the relay that served this page.
    pub async fn connect(url: &str) -> io::Result<Socket> {
        let socket = WebSocket::new(url).map_err(|_| io::Error::other("the browser refuses the address"))?;
        socket.set_binary_type(BinaryType::Arraybuffer);
        let state = Rc::new(RefCell::new(State::default()));
        let shared = state.clone();
        let opened = Closure::<dyn FnMut(Event)>::new(move |_| {
            let mut state = shared.borrow_mut();
            state.phase = Phase::Open;
            state.wake();
        });
        let shared = state.clone();
        let message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
            // The relay sends binary messages only.
            if let Ok(buffer) = event.data().dyn_into::<ArrayBuffer>() {
                let mut state = shared.borrow_mut();
                state.incoming.push_back(Uint8Array::new(&buffer).to_vec().into());
                state.wake();
            }
        });
        let shared = state.clone();
        let closed = Closure::<dyn FnMut(CloseEvent)>::new(move |event: CloseEvent| {
            let mut state = shared.borrow_mut();
            state.phase = Phase::Closed(event.reason());
            state.wake();
        });
        socket.set_onopen(Some(opened.as_ref().unchecked_ref()));
        socket.set_onmessage(Some(message.as_ref().unchecked_ref()));
        socket.set_onclose(Some(closed.as_ref().unchecked_ref()));
        let socket = Socket { socket, state, _opened: opened, _message: message, _closed: closed };
        std::future::poll_fn(|context| socket.poll_open(context)).await?;
        Ok(socket)
    }

    fn poll_open(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state.borrow_mut();
        match &state.phase {
            Phase::Open => Poll::Ready(Ok(())),
            Phase::Closed(reason) => Poll::Ready(Err(gone(reason))),
            Phase::Connecting => {
                state.waiting.push(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

fn gone(reason: &str) -> io::Error {
    let reason = if reason.is_empty() { "the web server does not answer" } else { reason };
    io::Error::new(io::ErrorKind::ConnectionAborted, reason)
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.socket.set_onopen(None);
        self.socket.set_onmessage(None);
        self.socket.set_onclose(None);
        // It may be closed already.
        let _ = self.socket.close();
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state.borrow_mut();
        let Some(mut bytes) = state.incoming.pop_front() else {
            if let Phase::Closed(reason) = &state.phase {
                // An orderly end has no reason; anything else is told.
                return Poll::Ready(if reason.is_empty() { Ok(()) } else { Err(gone(reason)) });
            }
            state.waiting.push(context.waker().clone());
            return Poll::Pending;
        };
        let length = bytes.len().min(buffer.remaining());
        buffer.put_slice(&bytes[..length]);
        bytes.advance(length);
        if !bytes.is_empty() {
            state.incoming.push_front(bytes);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Phase::Closed(reason) = &self.state.borrow().phase {
            return Poll::Ready(Err(gone(reason)));
        }
        // The browser tells nobody when it has sent what it holds; nobody types this much in one statement.
        if self.socket.buffered_amount() > UNSENT_BYTES_MAX {
            return Poll::Ready(Err(io::Error::other("too much to send at once")));
        }
        let length = bytes.len().min(64 << 10);
        match self.socket.send_with_u8_array(&bytes[..length]) {
            Ok(()) => Poll::Ready(Ok(length)),
            Err(_) => Poll::Ready(Err(gone(""))),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // It may be closed already.
        let _ = self.socket.close();
        Poll::Ready(Ok(()))
    }
}
