//! The extended protocol: statements and portals by name, and the running of portals, which both protocols share.

use std::{pin::pin, sync::Arc};

use pgwire::messages::{
    copy::{CopyData, CopyDone, CopyOutResponse},
    data::{NoData, ParameterDescription},
    extendedquery::{BindComplete, CloseComplete, ParseComplete, PortalSuspended},
    response::{CommandComplete, EmptyQueryResponse},
};
use sql::{
    DataType, Row, SqlState,
    session::{Ending, Portal, Prepared, Step, TransactionStatus},
};

use crate::{
    connection::Connection,
    error::{Fault, Outcome, state},
    message::{Bind, Target},
    rows::{self, Formats},
};

/// Limit of named statements, and of portals, of one connection.
const NAMES_MAX: usize = 65_536;

/// A statement that the client has named.
pub(crate) struct PreparedStatement {
    /// `None` for the empty statement.
    pub(crate) prepared: Option<Arc<Prepared>>,
}

/// A portal that the client has named, or the only one of the simple protocol.
pub(crate) struct OpenPortal {
    /// `None` for the empty statement.
    pub(crate) portal: Option<Portal>,
    pub(crate) prepared: Option<Arc<Prepared>>,
    pub(crate) formats: Formats,
    /// Its rows have all been brought: asked again, it brings none.
    pub(crate) exhausted: Option<String>,
}

impl Connection {
    pub(crate) async fn parse(&mut self, name: String, query: &str, types: &[u32]) -> Outcome<()> {
        if name.is_empty() {
            self.statements.remove("");
        } else if self.statements.contains_key(&name) {
            let message = format!("prepared statement \"{name}\" already exists");
            return Err(Fault::new(SqlState::DUPLICATE_PREPARED_STATEMENT, message));
        }
        check_room(self.statements.len(), "prepared statements")?;
        let mut statements = self.session.parse(query)?;
        if statements.len() > 1 {
            let message = "cannot insert multiple commands into a prepared statement";
            return Err(Fault::new(SqlState::SYNTAX_ERROR, message));
        }
        let prepared = match statements.pop() {
            Some(statement) => {
                // UNKNOWN says nothing, as an absent type does.
                let given = |oid: &u32| if *oid == DataType::UNKNOWN.0 { DataType(0) } else { DataType(*oid) };
                let types: Vec<DataType> = types.iter().map(given).collect();
                let call = self.session.prepare(&statement, &types);
                Some(self.guard.drive(&mut self.wire, pin!(call)).await??)
            }
            None => None,
        };
        self.statements.insert(name, Arc::new(PreparedStatement { prepared }));
        self.put_notices()?;
        Ok(self.wire.put(&ParseComplete::new())?)
    }

    pub(crate) fn bind(&mut self, bind: &Bind) -> Outcome<()> {
        let prepared = self.statement(&bind.statement)?.prepared.clone();
        if bind.portal.is_empty() {
            self.portals.remove("");
        } else if self.portals.contains_key(&bind.portal) {
            let message = format!("portal \"{}\" already exists", bind.portal);
            return Err(Fault::new(state::DUPLICATE_CURSOR, message));
        }
        check_room(self.portals.len(), "portals")?;
        let types = prepared.as_ref().map_or(&[][..], |prepared| &prepared.parameters);
        let values = rows::parameters(bind, types, &self.session.format_options())?;
        let columns = prepared.as_ref().and_then(|prepared| prepared.columns.as_ref()).map_or(0, Vec::len);
        let formats = Formats::new(&bind.result_formats, columns)?.ok_or_else(|| {
            let codes = bind.result_formats.len();
            let message = format!("bind message has {codes} result formats but query has {columns} columns");
            Fault::new(state::PROTOCOL_VIOLATION, message)
        })?;
        let portal = match &prepared {
            Some(prepared) => Some(self.session.bind(prepared, values)?),
            None => None,
        };
        self.portals.insert(bind.portal.clone(), OpenPortal { portal, prepared, formats, exhausted: None });
        Ok(self.wire.put(&BindComplete::new())?)
    }

    pub(crate) fn describe(&mut self, target: Target, name: &str) -> Outcome<()> {
        let (prepared, formats) = match target {
            Target::Statement => {
                let prepared = self.statement(name)?.prepared.clone();
                let types = prepared.as_ref().map_or(&[][..], |prepared| &prepared.parameters);
                self.wire.put(&ParameterDescription::new(types.iter().map(|ty| ty.0).collect()))?;
                (prepared, Formats::text())
            }
            Target::Portal => {
                let portal = self.portals.get(name).ok_or_else(|| no_portal(name))?;
                (portal.prepared.clone(), portal.formats.clone())
            }
        };
        match prepared.as_ref().and_then(|prepared| prepared.columns.as_ref()) {
            Some(columns) => self.wire.put(&rows::row_description(columns, &formats))?,
            None => self.wire.put(&NoData::new())?,
        }
        Ok(())
    }

    pub(crate) async fn execute(&mut self, name: &str, max_rows: usize) -> Outcome<()> {
        // Taken out so that the portal and the connection can be borrowed side by side.
        let mut portal = self.portals.remove(name).ok_or_else(|| no_portal(name))?;
        let ending = if self.sync_follows() { Ending::Commit } else { Ending::More };
        let in_block = self.session.status() != TransactionStatus::Idle;
        self.run_portal(&mut portal, max_rows, ending, false).await?;
        if in_block && self.session.status() == TransactionStatus::Idle {
            // COMMIT or ROLLBACK: portals end with their transaction.
            self.portals.clear();
        } else {
            self.portals.insert(name.to_owned(), portal);
        }
        Ok(())
    }

    pub(crate) fn close(&mut self, target: Target, name: &str) -> Outcome<()> {
        // Closing what does not exist is no error.
        match target {
            Target::Statement => drop(self.statements.remove(name)),
            Target::Portal => drop(self.portals.remove(name)),
        }
        Ok(self.wire.put(&CloseComplete::new())?)
    }

    /// Whether a Sync has arrived already and nothing that runs stands before it: then the implicit transaction ends with
    /// this statement, and an error of its commit can take the place of its CommandComplete.
    fn sync_follows(&self) -> bool {
        self.wire.arrived().find(|tag| !matches!(tag, b'C' | b'H')) == Some(b'S')
    }

    fn statement(&self, name: &str) -> Outcome<&PreparedStatement> {
        self.statements.get(name).map(|statement| &**statement).ok_or_else(|| {
            let message = if name.is_empty() {
                "unnamed prepared statement does not exist".to_owned()
            } else {
                format!("prepared statement \"{name}\" does not exist")
            };
            Fault::new(SqlState::INVALID_SQL_STATEMENT_NAME, message)
        })
    }

    /// Runs a portal until it is complete or has brought `max_rows` rows (0: no limit). Rows go to the socket as they come.
    pub(crate) async fn run_portal(
        &mut self,
        open: &mut OpenPortal,
        max_rows: usize,
        ending: Ending,
        mut describe: bool,
    ) -> Outcome<()> {
        let Some(portal) = &mut open.portal else {
            return Ok(self.wire.put(&EmptyQueryResponse::new())?);
        };
        if let Some(tag) = &open.exhausted {
            return Ok(self.wire.put(&CommandComplete::new(tag.clone()))?);
        }
        let prepared = open.prepared.clone();
        let columns = prepared.as_ref().and_then(|prepared| prepared.columns.as_deref()).unwrap_or(&[]);
        let mut copying_out = false;
        loop {
            let call = self.session.execute(portal, max_rows, ending);
            let step = self.guard.drive(&mut self.wire, pin!(call)).await??;
            self.put_notices()?;
            if describe && !columns.is_empty() && !matches!(step, Step::Empty) {
                describe = false;
                self.wire.put(&rows::row_description(columns, &open.formats))?;
            }
            match step {
                Step::Rows(rows) => self.put_rows(&rows, columns, &open.formats)?,
                Step::Suspended(rows) => {
                    self.put_rows(&rows, columns, &open.formats)?;
                    return Ok(self.wire.put(&PortalSuspended::new())?);
                }
                Step::Complete(rows, tag) => {
                    self.put_rows(&rows, columns, &open.formats)?;
                    if copying_out {
                        self.wire.put(&CopyDone::new())?;
                    }
                    if !columns.is_empty() {
                        open.exhausted = Some(without_count(&tag));
                    }
                    return self.complete(tag);
                }
                Step::Empty => return Ok(self.wire.put(&EmptyQueryResponse::new())?),
                Step::CopyIn { columns, binary } => {
                    let tag = Box::pin(self.copy_in(&mut open.portal, columns, binary, ending)).await?;
                    return self.complete(tag);
                }
                Step::CopyOut { columns, binary } => {
                    copying_out = true;
                    let format = i16::from(binary);
                    let formats = vec![format; columns];
                    self.wire.put(&CopyOutResponse::new(format as i8, columns as i16, formats))?;
                }
                Step::CopyData(chunks) => {
                    for chunk in chunks {
                        self.wire.put(&CopyData::new(chunk))?;
                        self.wire.flush_if_large().await?;
                    }
                }
            }
            self.wire.flush_if_large().await?;
        }
    }

    fn put_rows(&mut self, rows: &[Row], columns: &[sql::plan::OutputColumn], formats: &Formats) -> Outcome<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let options = self.session.format_options();
        for row in rows {
            rows::put_row(self.wire.output(), row, columns, formats, &options)?;
        }
        Ok(())
    }

    fn complete(&mut self, tag: String) -> Outcome<()> {
        if matches!(tag.as_str(), "DEALLOCATE ALL" | "DISCARD ALL") {
            self.statements.clear();
        }
        self.put_notices()?;
        Ok(self.wire.put(&CommandComplete::new(tag))?)
    }
}

/// The tag of an execution that brought nothing: `SELECT 0` for `SELECT 7`.
fn without_count(tag: &str) -> String {
    match tag.rsplit_once(' ') {
        Some((words, count)) if count.parse::<u64>().is_ok() => format!("{words} 0"),
        _ => tag.to_owned(),
    }
}

fn no_portal(name: &str) -> Fault {
    Fault::new(SqlState::INVALID_CURSOR_NAME, format!("portal \"{name}\" does not exist"))
}

fn check_room(count: usize, what: &str) -> Outcome<()> {
    if count < NAMES_MAX {
        return Ok(());
    }
    Err(Fault::new(SqlState::PROGRAM_LIMIT_EXCEEDED, format!("too many {what} (limit {NAMES_MAX})")))
}
