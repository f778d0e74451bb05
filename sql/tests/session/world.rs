//! Two gateways, any number of sessions.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use base::Runtime;
use parking_lot::Mutex;
use sql::{
    Database, Row, Session, SqlError, Value,
    plan::OutputColumn,
    pushdown::Compiler,
    session::{ClientInfo, Ending, Notice, Options, Portal, Startup, Step, TransactionStatus},
    types::to_text,
};
use txn::testing::Group;

pub struct World {
    inner: txn::testing::World,
    gateways: Vec<Arc<Database>>,
    sessions: BTreeMap<String, Session>,
    /// Sessions whose statement waits for somebody.
    waiting: BTreeMap<String, Slot>,
    copies: BTreeMap<String, Portal>,
}

/// Where a text that was run leaves its session, its output and the COPY that it has begun.
type Slot = Arc<Mutex<Option<(Session, String, Option<Portal>)>>>;

/// A text that has not ended after so long waits for somebody. Deadlocks are found much sooner.
const PATIENCE: Duration = Duration::from_secs(3);

impl World {
    pub fn new() -> World {
        let factory = txn::server::evaluate_factory(Arc::new(Compiler), txn::server::Options::default());
        let mut inner = txn::testing::World::new(1, factory);
        let options = Options { retention: Duration::from_secs(1000), garbage_interval: None, ..Options::default() };
        let gateways: Vec<Arc<Database>> = (0..2)
            .map(|_| {
                let (_, client) = inner.gateway(txn::Options::default());
                Database::new(client, options.clone())
            })
            .collect();
        for gateway in gateways.clone() {
            inner.block_on(async move { gateway.bootstrap().await }).expect("bootstrap");
        }
        World { inner, gateways, sessions: BTreeMap::new(), waiting: BTreeMap::new(), copies: BTreeMap::new() }
    }

    fn take(&mut self, name: &str) -> Session {
        if let Some(session) = self.sessions.remove(name) {
            return session;
        }
        let gateway = usize::from(name.starts_with("g2"));
        let client = ClientInfo { superuser: true, ..ClientInfo::default() };
        let (user, database) = ("locus".to_owned(), "locus".to_owned());
        let startup = Startup { user, database, client, ..Startup::default() };
        Session::new(Arc::clone(&self.gateways[gateway]), startup).expect("session")
    }

    pub fn run(&mut self, name: &str, text: String, tags: &BTreeSet<String>) -> String {
        if self.waiting.contains_key(name) {
            return "still waiting\n".to_owned();
        }
        let mut session = self.take(name);
        let tags = tags.clone();
        let slot: Slot = Arc::default();
        let result = Arc::clone(&slot);
        self.inner.executor.runtime(Group(0)).spawn(Box::pin(async move {
            let mut output = String::new();
            let copy = match run_text(&mut session, &text, &tags, &mut output).await {
                Ok(copy) => copy,
                Err(error) => {
                    show_notices(session.take_notices(), &mut output);
                    session.fail().await;
                    output.push_str(&show_error(&error));
                    None
                }
            };
            if tags.contains("status") {
                output.push_str(match session.status() {
                    TransactionStatus::Idle => "idle\n",
                    TransactionStatus::Open => "in a block\n",
                    TransactionStatus::Failed => "in a failed block\n",
                });
            }
            *result.lock() = Some((session, output, copy));
        }));
        self.await_slot(&slot);
        let mut output = match slot.lock().take() {
            Some((session, output, copy)) => self.give_back(name, session, output, copy),
            None => {
                self.waiting.insert(name.to_owned(), Arc::clone(&slot));
                "waits\n".to_owned()
            }
        };
        output.push_str(&self.others());
        output
    }

    fn await_slot(&mut self, slot: &Slot) {
        let deadline = self.inner.now() + PATIENCE;
        let runtime = self.inner.executor.runtime(Group(0));
        let slot = Arc::clone(slot);
        self.inner.block_on(async move {
            while slot.lock().is_none() && runtime.now() < deadline {
                runtime.sleep(Duration::from_millis(1)).await;
            }
        });
    }

    fn give_back(&mut self, name: &str, session: Session, output: String, copy: Option<Portal>) -> String {
        self.sessions.insert(name.to_owned(), session);
        if let Some(portal) = copy {
            self.copies.insert(name.to_owned(), portal);
        }
        output
    }

    /// What has become of the sessions that were waiting.
    fn others(&mut self) -> String {
        if self.waiting.is_empty() {
            return String::new();
        }
        self.inner.run_for(Duration::from_secs(1));
        let mut output = String::new();
        for (name, slot) in std::mem::take(&mut self.waiting) {
            let done = slot.lock().take();
            match done {
                Some((session, text, copy)) => {
                    let text = self.give_back(&name, session, text, copy);
                    output.push_str(&format!("[{name} goes on]\n{text}"));
                }
                None => {
                    self.waiting.insert(name, slot);
                }
            }
        }
        output
    }

    pub fn data(&mut self, name: &str, data: String) -> String {
        let (Some(mut session), Some(mut portal)) = (self.sessions.remove(name), self.copies.remove(name)) else {
            return "no COPY\n".to_owned();
        };
        let (session, portal, result) = self.inner.block_on(async move {
            let result = session.copy_data(&mut portal, data.into()).await;
            (session, portal, result)
        });
        self.sessions.insert(name.to_owned(), session);
        match result {
            Ok(()) => {
                self.copies.insert(name.to_owned(), portal);
                String::new()
            }
            Err(error) => show_error(&error),
        }
    }

    pub fn done(&mut self, name: &str) -> String {
        let (Some(mut session), Some(mut portal)) = (self.sessions.remove(name), self.copies.remove(name)) else {
            return "no COPY\n".to_owned();
        };
        let (session, result) = self.inner.block_on(async move {
            let mut result = session.copy_done(&mut portal, Ending::Commit).await;
            if let Err(error) = session.sync().await {
                result = Err(error);
            }
            (session, result)
        });
        self.sessions.insert(name.to_owned(), session);
        result.map_or_else(|error| show_error(&error), |tag| format!("{tag}\n"))
    }

    pub fn fail(&mut self, name: &str, message: String) -> String {
        let (Some(mut session), Some(portal)) = (self.sessions.remove(name), self.copies.remove(name)) else {
            return "no COPY\n".to_owned();
        };
        let (session, error) = self.inner.block_on(async move {
            let error = session.copy_fail(portal, &message).await;
            (session, error)
        });
        self.sessions.insert(name.to_owned(), session);
        show_error(&error)
    }

    pub fn close(&mut self, name: &str) -> String {
        if let Some(session) = self.sessions.remove(name) {
            self.inner.block_on(async move { session.close().await });
        }
        String::new()
    }

    pub fn wait(&mut self, seconds: u64) -> String {
        self.inner.run_for(Duration::from_secs(seconds));
        self.others()
    }

    pub fn settings(&mut self, name: &str) -> String {
        let mut session = self.take(name);
        let lines: Vec<String> =
            session.take_parameter_changes().into_iter().map(|(name, value)| format!("{name} = {value}\n")).collect();
        self.sessions.insert(name.to_owned(), session);
        lines.concat()
    }

    /// Clears key spaces that are due; prints how many keys with data there are before and after.
    pub fn garbage(&mut self) -> String {
        let count = |world: &World| {
            let mut keys: Vec<_> = world.inner.cell.versions().into_iter().map(|version| version.key).collect();
            keys.dedup();
            // Without the catalog's own.
            keys.retain(|key| !key.starts_with(&[0x10, 0, 0, 0, 1]));
            keys.len()
        };
        let before = count(self);
        let gateway = Arc::clone(&self.gateways[0]);
        let result = self.inner.block_on(async move { gateway.clear_dropped().await });
        match result {
            Ok(()) => format!("{before} keys, then {}\n", count(self)),
            Err(error) => show_error(&error),
        }
    }
}

/// Runs a text as the simple protocol does: all its statements in one implicit transaction unless there is only one.
async fn run_text(
    session: &mut Session,
    text: &str,
    tags: &BTreeSet<String>,
    output: &mut String,
) -> Result<Option<Portal>, SqlError> {
    let statements = session.parse(text)?;
    let count = statements.len();
    for statement in statements {
        let prepared = session.prepare(&statement, &[]).await?;
        let mut portal = session.bind(&prepared, Vec::new())?;
        if tags.contains("types") {
            let columns = prepared.columns.iter().flatten();
            let shown: Vec<String> = columns
                .map(|column| format!("{} {}", column.name, sql::types::format_type(column.ty, column.typmod)))
                .collect();
            output.push_str(&format!("({})\n", shown.join(", ")));
        }
        let limit = tags.iter().find_map(|tag| tag.strip_prefix("fetch=")?.parse().ok()).unwrap_or(0);
        let ending = if count == 1 { Ending::Commit } else { Ending::More };
        if run_portal(session, &mut portal, prepared.columns.as_deref(), limit, ending, output).await? {
            return Ok(Some(portal));
        }
    }
    session.sync().await?;
    Ok(None)
}

/// True when it waits for COPY data.
async fn run_portal(
    session: &mut Session,
    portal: &mut Portal,
    columns: Option<&[OutputColumn]>,
    limit: usize,
    ending: Ending,
    output: &mut String,
) -> Result<bool, SqlError> {
    loop {
        let step = session.execute(portal, limit, ending).await;
        show_notices(session.take_notices(), output);
        match step? {
            Step::Rows(rows) => show_rows(session, rows, columns, output),
            Step::Suspended(rows) => {
                show_rows(session, rows, columns, output);
                output.push_str("suspended\n");
            }
            Step::Complete(rows, tag) => {
                show_rows(session, rows, columns, output);
                output.push_str(&format!("{tag}\n"));
                return Ok(false);
            }
            Step::Empty => return Ok(false),
            Step::CopyIn { columns, .. } => {
                output.push_str(&format!("copy in, {columns} columns\n"));
                return Ok(true);
            }
            Step::CopyOut { .. } => {}
            Step::CopyData(lines) => {
                for line in lines {
                    output.push_str(&String::from_utf8_lossy(&line));
                }
            }
        }
    }
}

fn show_rows(session: &Session, rows: Vec<Row>, columns: Option<&[OutputColumn]>, output: &mut String) {
    let format = session.format_options();
    for row in rows {
        let types = columns.unwrap_or_default();
        assert_eq!(row.len(), types.len(), "a row as wide as its description");
        let shown: Vec<String> = row
            .iter()
            .zip(types)
            .map(|(value, column): (&Value, &OutputColumn)| match value {
                Value::Null => "NULL".to_owned(),
                value => to_text(value, column.ty, &format),
            })
            .collect();
        output.push_str(&shown.join(" | "));
        output.push('\n');
    }
}

fn show_notices(notices: Vec<Notice>, output: &mut String) {
    for notice in notices {
        let fields = notice.error.fields();
        output.push_str(&format!("{} {}: {}\n", notice.severity, fields.state.0, fields.message));
    }
}

fn show_error(error: &SqlError) -> String {
    let fields = error.fields();
    let mut text = format!("ERROR {}: {}", fields.state.0, fields.message);
    if let Some(position) = fields.position {
        text.push_str(&format!(" at {position}"));
    }
    for (name, value) in [("DETAIL", &fields.detail), ("HINT", &fields.hint), ("CONTEXT", &fields.context)] {
        if let Some(value) = value {
            text.push_str(&format!("\n{name}: {value}"));
        }
    }
    text.push('\n');
    text
}
