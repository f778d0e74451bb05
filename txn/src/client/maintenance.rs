//! Work on whole spans outside any transaction: clearing dropped key spaces, dropping old versions.

use base::{Span, Timestamp};
use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::{
    client::TxnClient,
    command::{self, CollectReply, Command},
    error::{Error, Result},
};

/// Versions dropped by one command: one proposal of moderate size.
const DROP_LIMIT: u32 = 5000;
/// Rounds of settling what is undecided before a collection is given up.
const ROUNDS_MAX: u32 = 100;

impl TxnClient {
    /// Deletes all data in a span that nobody can name any more. Idempotent; may be broken off anywhere and repeated.
    pub async fn clear_span(&self, span: Span) -> Result<()> {
        let mut rest = Some(span);
        while let Some(span) = rest {
            let (_, next) = self.ask_first_range(&span, |span| Command::ClearSpan { span }).await?;
            rest = next;
        }
        Ok(())
    }

    /// Drops what no read at or after `below` can see; how many versions. `below` must be at least the retention of the
    /// leaders in the past. What is undecided below is settled first, in all ranges, before anything is dropped in any.
    pub async fn collect_garbage(&self, span: Span, below: Timestamp) -> Result<u64> {
        for round in 0.. {
            let undecided = self.undecided(&span, below).await?;
            if undecided.is_empty() {
                break;
            }
            if round == ROUNDS_MAX {
                return Err(Error::Unavailable("intents keep appearing below the mark".into()));
            }
            // Whoever reads over an intent settles it.
            let mut reader = self.begin();
            let read = reader.get(&undecided).await;
            reader.rollback().await;
            read?;
        }
        let mut dropped = 0;
        let mut rest = Some(span);
        while let Some(span) = rest {
            let collect = |span| Command::CollectGarbage { span, below, limit: DROP_LIMIT };
            let (reply, next) = self.ask_first_range(&span, collect).await?;
            let reply: CollectReply = decode(&reply)?;
            dropped += reply.dropped;
            rest = match reply.resume {
                Some(resume) => Some(Span { start: resume.start, end: span.end }),
                None => next,
            };
        }
        Ok(dropped)
    }

    async fn undecided(&self, span: &Span, below: Timestamp) -> Result<Vec<Bytes>> {
        let mut keys = Vec::new();
        let mut rest = Some(span.clone());
        while let Some(span) = rest {
            let list = |span| Command::CollectGarbage { span, below, limit: 0 };
            let (reply, next) = self.ask_first_range(&span, list).await?;
            let reply: CollectReply = decode(&reply)?;
            keys.extend(reply.intents.into_iter().map(|blocker| blocker.key));
            rest = next;
        }
        Ok(keys)
    }

    /// Sends a command to the range that holds the start of the span; the reply, and the part of the span behind that range.
    async fn ask_first_range(&self, span: &Span, make: impl Fn(Span) -> Command) -> Result<(Bytes, Option<Span>)> {
        let deadline = self.deadline();
        loop {
            let route = self.cluster.locate(&span.start, deadline).await?;
            let Some(part) = route.descriptor.span.intersect(span) else {
                return Err(Error::Internal("a route that does not hold its key".into()));
            };
            let end = part.end.clone();
            let goes_on = !end.is_empty() && (span.end.is_empty() || end < span.end);
            match self.cluster.evaluate(&route, make(part).encode(), deadline).await {
                Ok(evaluated) => {
                    let rest = goes_on.then(|| Span { start: end, end: span.end.clone() });
                    return Ok((evaluated.reply, rest));
                }
                Err(storage::Error::RangeChanged(_)) if self.runtime.now() < deadline => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn decode<T: DeserializeOwned>(reply: &[u8]) -> Result<T> {
    command::decode(reply).map_err(|error| Error::Internal(format!("malformed reply: {error}")))
}
