//! What the client has sent since it was last told anything, so that it can be executed once more where the cluster asks for it
//! (40001, a deadlock) and the client cannot notice: a text of the simple protocol, or a pipeline up to its Sync.

use std::pin::pin;

use bytes::Bytes;
use sql::{SqlError, session::Progress};

use crate::{
    connection::Connection,
    error::{End, Fault, Outcome},
    message::{ClientMessage, Target},
    wire::Mark,
};

/// Longer pipelines are not kept.
const MESSAGES_MAX: usize = 256;
const BYTES_MAX: usize = 256 << 10;

pub(crate) struct Pipeline {
    /// Where everything stood before the first message.
    start: Option<(Mark, Progress)>,
    messages: Vec<(u8, Bytes)>,
    bytes: usize,
    attempts: u32,
}

impl Pipeline {
    pub(crate) fn new() -> Pipeline {
        Pipeline { start: None, messages: Vec::new(), bytes: 0, attempts: 0 }
    }

    /// A text of the simple protocol is about to run: it is repeated alone, so nothing may stand before it.
    pub(crate) fn begins_with_text(&mut self) {
        if self.messages.len() > 1 {
            self.start = None;
        }
    }

    /// The client has been told: nothing before can be repeated.
    pub(crate) fn end(&mut self) {
        self.start = None;
        self.messages.clear();
        self.bytes = 0;
        self.attempts = 0;
    }
}

impl Connection {
    /// Notes a message before it is handled.
    pub(crate) fn note_message(&mut self, tag: u8, body: &Bytes) {
        let pipeline = &mut self.pipeline;
        if pipeline.messages.is_empty() && pipeline.bytes == 0 {
            pipeline.start = Some((self.wire.mark(), self.session.progress()));
        }
        pipeline.bytes += 1 + body.len();
        if pipeline.messages.len() >= MESSAGES_MAX || pipeline.bytes > BYTES_MAX {
            pipeline.start = None;
            pipeline.messages.clear();
        }
        if pipeline.start.is_some() {
            pipeline.messages.push((tag, body.clone()));
        }
    }

    /// After an error: whether everything since the pipeline's start has been undone, to be repeated now.
    pub(crate) async fn taken_back(&mut self, fault: &Fault) -> Result<bool, End> {
        let (Fault::Error(error), Some((mark, progress))) = (fault, self.pipeline.start) else { return Ok(false) };
        if !self.wire.is_all_here(mark) || !self.undone(error, progress).await? {
            return Ok(false);
        }
        self.wire.take_back(mark);
        Ok(true)
    }

    async fn undone(&mut self, error: &SqlError, progress: Progress) -> Result<bool, End> {
        self.pipeline.attempts += 1;
        let call = self.session.may_repeat(error, progress, self.pipeline.attempts);
        self.guard.drive(&mut self.wire, pin!(call)).await
    }

    /// Executes the messages of the pipeline again.
    pub(crate) async fn replay(&mut self) -> Outcome<()> {
        for (tag, body) in self.pipeline.messages.clone() {
            match ClientMessage::decode(tag, body) {
                Ok(ClientMessage::Sync) => self.guard.drive(&mut self.wire, pin!(self.session.sync())).await??,
                Ok(message) => {
                    // What the first attempt has named makes room.
                    match &message {
                        ClientMessage::Parse { name, .. } => drop(self.statements.remove(name)),
                        ClientMessage::Bind(bind) => drop(self.portals.remove(&bind.portal)),
                        _ => {}
                    }
                    self.extended(message).await?;
                }
                Err(_) => return Err(End::internal("a message that was handled before cannot be read again").into()),
            }
        }
        Ok(())
    }

    /// Whether a message can be handled twice.
    pub(crate) fn forget_unrepeatable(&mut self, message: &ClientMessage) {
        let closes = matches!(message, ClientMessage::Close { target: Target::Statement, .. });
        if closes || matches!(message, ClientMessage::FunctionCall) {
            self.pipeline.start = None;
        }
    }
}
