//! One connection: the loop that takes messages and drives one [`sql::Session`].

use std::{
    collections::BTreeMap,
    future::Future,
    panic::AssertUnwindSafe,
    pin::{Pin, pin},
    sync::Arc,
};

use futures::FutureExt;
use pgwire::messages::{
    response::{ReadyForQuery, TransactionStatus as WireStatus},
    startup::ParameterStatus,
};
use sql::{
    Session, SqlError, SqlState,
    session::{Canceller, TransactionStatus},
};
use tokio::sync::watch;

use crate::{
    error::{End, Fault, Outcome, error_response, notice_response},
    extended::{OpenPortal, PreparedStatement},
    message::{ClientMessage, Invalid, SqlErrorText},
    pipeline::Pipeline,
    wire::{Incoming, Wire},
};

pub(crate) struct Connection {
    pub(crate) wire: Wire,
    pub(crate) session: Session,
    /// Statements of the extended protocol by name; the unnamed one has the empty name.
    pub(crate) statements: BTreeMap<String, Arc<PreparedStatement>>,
    pub(crate) portals: BTreeMap<String, OpenPortal>,
    pub(crate) guard: Guard,
    pub(crate) pipeline: Pipeline,
    /// An error in the extended protocol: everything up to the next Sync is thrown away.
    skipping: bool,
    /// The client has the turn: ReadyForQuery was the last word.
    clients_turn: bool,
}

/// What may disturb a running statement.
pub(crate) struct Guard {
    canceller: Canceller,
    shutdown: watch::Receiver<bool>,
}

impl Connection {
    pub(crate) fn new(wire: Wire, session: Session, shutdown: watch::Receiver<bool>) -> Connection {
        let guard = Guard { canceller: session.canceller(), shutdown };
        Connection {
            wire,
            session,
            statements: BTreeMap::new(),
            portals: BTreeMap::new(),
            guard,
            pipeline: Pipeline::new(),
            skipping: false,
            clients_turn: false,
        }
    }

    /// Serves the client until one side ends it. The client has been told why, where it can be told.
    pub(crate) async fn run(mut self) {
        let end = match self.ready().await {
            Ok(()) => self.serve().await,
            Err(end) => end,
        };
        match &end {
            End::Closed => tracing::debug!("client closed the connection"),
            End::Terminated => {}
            End::Fatal(error) => {
                tracing::info!(%error, "connection ended");
                if self.wire.put(&error_response("FATAL", error)).is_ok() {
                    self.wire.finish().await;
                }
            }
        }
        self.session.close().await;
    }

    async fn serve(&mut self) -> End {
        loop {
            let incoming = match self.wire.try_next() {
                Ok(Some(incoming)) => Ok(incoming),
                Ok(None) => self.wait().await,
                Err(end) => Err(end),
            };
            let handled = match incoming {
                Ok(incoming) => self.handle(incoming).await,
                Err(end) => Err(end),
            };
            if let Err(end) = handled {
                return end;
            }
            if self.guard.canceller.is_terminated() {
                return End::Fatal(terminated());
            }
        }
    }

    /// Waits for the client, if it does not take too long.
    async fn wait(&mut self) -> Result<Incoming, End> {
        let limit = self.session.idle_limit().filter(|_| self.clients_turn);
        let too_long = async {
            match limit {
                Some((limit, error)) => {
                    tokio::time::sleep(limit).await;
                    error
                }
                None => std::future::pending().await,
            }
        };
        let canceller = self.guard.canceller.clone();
        tokio::select! {
            biased;
            incoming = self.wire.next() => incoming,
            () = self.guard.stopping() => Err(End::shutdown()),
            error = too_long => Err(End::Fatal(error)),
            () = canceller.terminated() => Err(End::Fatal(terminated())),
        }
    }

    /// Takes one message from its arrival to its answer.
    async fn handle(&mut self, incoming: Incoming) -> Result<(), End> {
        self.clients_turn = false;
        let (tag, body) = match incoming {
            Incoming::Message { tag, body } => (tag, body),
            Incoming::TooLarge { tag, length } => {
                return self.refuse(tag, too_large(length)).await;
            }
        };
        if !self.skipping {
            self.note_message(tag, &body);
        }
        match ClientMessage::decode(tag, body) {
            Ok(ClientMessage::Terminate) => Err(End::Terminated),
            Ok(ClientMessage::Sync) => self.sync().await,
            Ok(_) if self.skipping => Ok(()),
            Ok(ClientMessage::Query(text)) => Box::pin(self.query(&text)).await,
            Ok(message) => {
                self.forget_unrepeatable(&message);
                let outcome = self.extended(message).await;
                self.settle(outcome).await
            }
            Err(Invalid::Malformed(message)) => Err(End::violation(message)),
            Err(Invalid::UnknownType(tag)) => Err(End::violation(format!("invalid frontend message type {tag}"))),
            Err(Invalid::Encoding(text)) => self.refuse(tag, text.into_error()).await,
        }
    }

    /// The outcome of a message of the extended protocol: after an error everything up to the next Sync is skipped, unless the
    /// pipeline so far can be repeated.
    async fn settle(&mut self, mut outcome: Outcome<()>) -> Result<(), End> {
        while let Err(fault) = outcome {
            if !self.taken_back(&fault).await? {
                self.report(fault).await?;
                self.skipping = true;
                return Ok(());
            }
            outcome = Box::pin(self.replay()).await;
        }
        Ok(())
    }

    /// Answers a message that cannot be executed, in the way of the protocol that it belongs to.
    async fn refuse(&mut self, tag: u8, error: SqlError) -> Result<(), End> {
        // Data of a COPY that has failed already is not answered either.
        if self.skipping || matches!(tag, b'd' | b'f') {
            return Ok(());
        }
        self.report(Fault::Error(error)).await?;
        if matches!(tag, b'Q' | b'F') {
            self.ready().await
        } else {
            self.skipping = true;
            Ok(())
        }
    }

    pub(crate) async fn extended(&mut self, message: ClientMessage) -> Outcome<()> {
        match message {
            ClientMessage::Parse { name, query, types } => Box::pin(self.parse(name, &query, &types)).await,
            ClientMessage::Bind(bind) => self.bind(&bind),
            ClientMessage::Describe { target, name } => self.describe(target, &name),
            ClientMessage::Execute { portal, max_rows } => Box::pin(self.execute(&portal, max_rows)).await,
            ClientMessage::Close { target, name } => self.close(target, &name),
            ClientMessage::Flush => Ok(self.wire.flush().await?),
            // Left over from a COPY that failed; the protocol says to ignore them.
            ClientMessage::CopyData(_) | ClientMessage::CopyDone | ClientMessage::CopyFail(_) => Ok(()),
            ClientMessage::FunctionCall => {
                self.report(Fault::Error(SqlError::unsupported("the function call message"))).await?;
                Ok(self.ready().await?)
            }
            ClientMessage::Password(_) => Err(End::violation("unexpected authentication message").into()),
            // Handled before.
            ClientMessage::Query(_) | ClientMessage::Sync | ClientMessage::Terminate => Ok(()),
        }
    }

    /// The end of a pipeline.
    async fn sync(&mut self) -> Result<(), End> {
        if !std::mem::take(&mut self.skipping) {
            let outcome = self.guard.drive(&mut self.wire, pin!(self.session.sync())).await?;
            self.settle(outcome.map_err(Fault::Error)).await?;
            self.skipping = false;
        }
        self.ready().await
    }

    /// Tells the client of an error; ends the connection where the fault says so.
    pub(crate) async fn report(&mut self, fault: Fault) -> Result<(), End> {
        let error = match fault {
            Fault::Error(error) => error,
            Fault::End(end) => return Err(end),
        };
        self.guard.drive(&mut self.wire, pin!(self.session.fail())).await?;
        self.put_notices()?;
        self.wire.put(&error_response("ERROR", &error))
    }

    /// Hands the turn to the client: changed parameters, ReadyForQuery, and everything goes out.
    pub(crate) async fn ready(&mut self) -> Result<(), End> {
        self.put_notices()?;
        for (name, value) in self.session.take_parameter_changes() {
            self.wire.put(&ParameterStatus::new(name, value))?;
        }
        let status = match self.session.status() {
            TransactionStatus::Idle => WireStatus::Idle,
            TransactionStatus::Open => WireStatus::Transaction,
            TransactionStatus::Failed => WireStatus::Error,
        };
        if status == WireStatus::Idle {
            // Portals live as long as their transaction.
            self.portals.clear();
        }
        self.wire.put(&ReadyForQuery::new(status))?;
        self.pipeline.end();
        self.clients_turn = true;
        self.wire.flush().await
    }

    pub(crate) fn put_notices(&mut self) -> Result<(), End> {
        for notice in self.session.take_notices() {
            self.wire.put(&notice_response(&notice))?;
        }
        Ok(())
    }
}

impl Guard {
    /// Completes when the gateway shuts down.
    pub(crate) async fn stopping(&mut self) {
        // An error means that the sender is gone, which is the end as well.
        let _ = self.shutdown.wait_for(|stop| *stop).await;
    }

    /// Drives a call of the session to its end, whatever happens meanwhile: a call that is dropped half way could leave a
    /// commit undecided. A client that disappears and a shutdown cancel the statement instead. Input that arrives is read
    /// (up to a limit), because that is how a disconnect is noticed.
    ///
    /// The call comes pinned: these futures have kilobytes, and each one that is handed on by value is copied.
    pub(crate) async fn drive<T>(
        &mut self,
        wire: &mut Wire,
        call: Pin<&mut impl Future<Output = T>>,
    ) -> Result<T, End> {
        let call = AssertUnwindSafe(call).catch_unwind();
        futures::pin_mut!(call);
        let mut stopping = false;
        loop {
            tokio::select! {
                biased;
                result = &mut call => {
                    // The panic itself was logged by the hook; the session cannot be trusted any more.
                    return result.map_err(|_| End::internal("the statement failed by an internal error"));
                }
                () = wire.fill(), if wire.may_read_ahead() => {
                    if wire.is_closed() {
                        self.canceller.cancel();
                    }
                }
                () = self.stopping(), if !stopping => {
                    stopping = true;
                    self.canceller.cancel();
                }
            }
        }
    }
}

/// `pg_terminate_backend`.
fn terminated() -> SqlError {
    SqlError::new(SqlState("57P01"), "terminating connection due to administrator command")
}

pub(crate) fn too_large(length: usize) -> SqlError {
    SqlError::new(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        format!("message of {length} bytes exceeds the limit of this server"),
    )
}

impl From<SqlErrorText> for Fault {
    fn from(text: SqlErrorText) -> Fault {
        Fault::Error(text.into_error())
    }
}
