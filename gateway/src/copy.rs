//! COPY FROM STDIN: the client sends data until it is done or gives up.

use std::pin::pin;

use pgwire::messages::copy::CopyInResponse;
use sql::session::{Ending, Portal};

use crate::{
    connection::{Connection, too_large},
    error::{End, Fault, Outcome, state},
    message::{ClientMessage, Invalid},
    wire::Incoming,
};

impl Connection {
    /// Takes the client's data; the command tag at its end. After an error what the client still sends of it is ignored by
    /// the connection's loop, as the protocol says. The portal is used up where the client gives up.
    pub(crate) async fn copy_in(
        &mut self,
        portal: &mut Option<Portal>,
        columns: usize,
        binary: bool,
        ending: Ending,
    ) -> Outcome<String> {
        let format = i16::from(binary);
        self.wire.put(&CopyInResponse::new(format as i8, columns as i16, vec![format; columns]))?;
        self.wire.flush().await?;
        loop {
            let message = self.next_of_copy().await?;
            let Some(running) = portal.as_mut() else {
                return Err(End::internal("COPY without a portal").into());
            };
            match message {
                ClientMessage::CopyData(data) => {
                    let call = self.session.copy_data(running, data);
                    self.guard.drive(&mut self.wire, pin!(call)).await??;
                }
                ClientMessage::CopyDone => {
                    let call = self.session.copy_done(running, ending);
                    return Ok(self.guard.drive(&mut self.wire, pin!(call)).await??);
                }
                ClientMessage::CopyFail(reason) => {
                    return Err(self.give_up(portal, &reason).await?);
                }
                // Allowed by the protocol, and without meaning here.
                ClientMessage::Flush | ClientMessage::Sync => {}
                ClientMessage::Terminate => return Err(End::Terminated.into()),
                _ => {
                    let message = "unexpected message type during COPY from stdin";
                    return Err(Fault::new(state::PROTOCOL_VIOLATION, message));
                }
            }
        }
    }

    async fn next_of_copy(&mut self) -> Outcome<ClientMessage> {
        let incoming = tokio::select! {
            biased;
            incoming = self.wire.next() => incoming?,
            () = self.guard.stopping() => return Err(End::shutdown().into()),
        };
        match incoming {
            Incoming::Message { tag, body } => ClientMessage::decode(tag, body).map_err(|invalid| match invalid {
                Invalid::Malformed(message) => End::violation(message).into(),
                Invalid::UnknownType(tag) => End::violation(format!("invalid frontend message type {tag}")).into(),
                Invalid::Encoding(text) => Fault::Error(text.into_error()),
            }),
            Incoming::TooLarge { length, .. } => Err(Fault::Error(too_large(length))),
        }
    }

    async fn give_up(&mut self, portal: &mut Option<Portal>, reason: &str) -> Result<Fault, End> {
        match portal.take() {
            Some(portal) => {
                let call = self.session.copy_fail(portal, reason);
                Ok(Fault::Error(self.guard.drive(&mut self.wire, pin!(call)).await?))
            }
            None => Ok(End::internal("COPY without a portal").into()),
        }
    }
}
