//! The simple protocol: a text of statements that run in one implicit transaction, unless they say otherwise.

use std::pin::pin;

use pgwire::messages::response::{CommandComplete, EmptyQueryResponse};
use sql::{
    SqlState,
    session::{Ending, Statement, TransactionStatus},
};

use crate::{
    connection::Connection,
    error::{End, Fault, Outcome},
    extended::OpenPortal,
    rows::Formats,
};

impl Connection {
    pub(crate) async fn query(&mut self, text: &str) -> Result<(), End> {
        self.statements.remove("");
        self.portals.remove("");
        self.pipeline.begins_with_text();
        while let Err(fault) = self.run_text(text).await {
            if !self.taken_back(&fault).await? {
                self.report(fault).await?;
                break;
            }
        }
        self.ready().await
    }

    async fn run_text(&mut self, text: &str) -> Outcome<()> {
        let statements = self.session.parse(text)?;
        let Some((last, others)) = statements.split_last() else {
            return Ok(self.wire.put(&EmptyQueryResponse::new())?);
        };
        for statement in others {
            self.run_statement(statement, Ending::More).await?;
        }
        self.run_statement(last, Ending::Commit).await?;
        Ok(self.guard.drive(&mut self.wire, pin!(self.session.sync())).await??)
    }

    async fn run_statement(&mut self, statement: &Statement, ending: Ending) -> Outcome<()> {
        if let Some(name) = deallocated(&statement.text)
            && self.session.status() != TransactionStatus::Failed
            && self.statements.remove(name).is_some()
        {
            return Ok(self.wire.put(&CommandComplete::new("DEALLOCATE".to_owned()))?);
        }
        let prepared = self.guard.drive(&mut self.wire, pin!(self.session.prepare(statement, &[]))).await??;
        if !prepared.parameters.is_empty() {
            return Err(Fault::new(SqlState::UNDEFINED_PARAMETER, "there is no parameter $1"));
        }
        let portal = self.session.bind(&prepared, Vec::new())?;
        let mut portal =
            OpenPortal { portal: Some(portal), prepared: Some(prepared), formats: Formats::text(), exhausted: None };
        self.run_portal(&mut portal, 0, ending, true).await
    }
}

/// The name in a `DEALLOCATE` of one statement. SQL's prepared statements and those of the protocol share their names, and some
/// drivers rely on that; the session knows SQL's only.
fn deallocated(text: &str) -> Option<&str> {
    let mut words = text.trim().trim_end_matches(';').split_ascii_whitespace();
    if !words.next()?.eq_ignore_ascii_case("deallocate") {
        return None;
    }
    let name = words.next().filter(|word| !word.eq_ignore_ascii_case("prepare")).or_else(|| words.next())?;
    (words.next().is_none() && !name.eq_ignore_ascii_case("all")).then(|| name.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::deallocated;

    #[test]
    fn names_of_deallocate() {
        assert_eq!(deallocated("DEALLOCATE \"_pg3_0\""), Some("_pg3_0"));
        assert_eq!(deallocated(" deallocate prepare s ;"), Some("s"));
        for text in ["DEALLOCATE ALL", "deallocate prepare all", "SELECT 1", "DEALLOCATE", "", "deallocate a b"] {
            assert_eq!(deallocated(text), None, "{text}");
        }
    }
}
