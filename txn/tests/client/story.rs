//! Golden scripts: transactions `t1:`, `t2:` ... take turns, each on a gateway of its own.
//!
//! | command | |
//! |---|---|
//! | `get KEY...`, `scan FROM TO [limit=N] [reverse=true]` | reads; `TO` may be `end` |
//! | `begin LEVEL` | `serializable`, `repeatable_read` or `read_committed`: for the transaction that begins with this |
//! | `statement` | the next statement begins |
//! | `lock KEY... [mode=key_share\|share\|no_key_update] [wait=nowait\|skip] [timeout=MS] [latest=true]` | locks |
//! | `get_latest KEY...`, `scan_latest FROM TO` | reads for the sake of constraints |
//! | `put KEY=VALUE...`, `blind KEY=VALUE...`, `delete KEY...` | buffered writes |
//! | `bulk KEY=VALUE... [unique=true]`, `fence`, `depend FROM TO` | |
//! | `savepoint NAME`, `rollback_to NAME`, `release NAME` | |
//! | `commit`, `rollback`, `drop` | the transaction is over; the next command begins another |
//! | `commit crash_after=N` | the gateway dies as soon as N proposals have been made |
//! | `split KEY`, `leader KEY`, `transfer KEY` | without a prefix: a split; a change of leader (locks and caches are lost), one \
//! in order (locks are handed over) |
//! | `wait MS`, `show`, `intents`, `ranges`, `fences` | time passes; committed rows; intents left in the store; … |
//! | `options orphan_grace=MS staged_keys_max=N skip_refresh=true ...` | for gateways begun from now on |
//!
//! A command that is not done after 400 ms prints `waits`; it is reported when it gets done. The tag `[rounds]` prints how many
//! Raft rounds and requests a commit needed.

use std::{collections::BTreeMap, error::Error, fmt::Write as _, path::Path, sync::Arc, time::Duration};

use base::{BoxFuture, Runtime, Span};
use bytes::Bytes;
use futures::FutureExt;
use goldenscript::{Argument, Command, Context};
use parking_lot::Mutex;
use txn::{
    Isolation, LockMode, Options, Savepoint, ScanRequest, Txn, TxnClient, WaitPolicy,
    testing::{Group, World},
};

pub fn run(path: &Path) {
    goldenscript::run(&mut Story::new(), path).expect("the script runs");
}

/// After so long a command is said to wait.
const PATIENCE_MS: u64 = 400;

struct Story {
    world: World,
    actors: BTreeMap<String, Actor>,
    options: Options,
}

/// One `tN`: its gateway, and its transaction while nobody works with it.
struct Actor {
    group: Group,
    client: TxnClient,
    runtime: Arc<dyn Runtime>,
    seat: Arc<Mutex<Seat>>,
    busy: bool,
}

#[derive(Default)]
struct Seat {
    txn: Option<Txn>,
    savepoints: BTreeMap<String, Savepoint>,
    output: Option<String>,
}

impl Story {
    fn new() -> Story {
        Story { world: World::real(7), actors: BTreeMap::new(), options: Options::default() }
    }

    fn actor(&mut self, name: &str) -> &mut Actor {
        if !self.actors.contains_key(name) {
            let (group, client) = self.world.gateway(self.options.clone());
            let runtime = client.runtime.clone();
            let actor = Actor { group, client, runtime, seat: Arc::default(), busy: false };
            self.actors.insert(name.to_string(), actor);
        }
        self.actors.get_mut(name).expect("just inserted")
    }

    /// Starts an operation of a transaction and waits for it a while.
    fn act(&mut self, name: &str, command: &Command, rounds: bool) -> Result<String, Box<dyn Error>> {
        let operation = operation(command, rounds)?;
        let crash_after = key_value(command, "crash_after").map(str::parse::<u64>).transpose()?;
        let proposals = self.world.cell.proposals();
        let actor = self.actor(name);
        if actor.busy {
            return Err(format!("{name} is still waiting").into());
        }
        actor.busy = true;
        let (seat, client) = (actor.seat.clone(), actor.client.clone());
        actor.runtime.spawn(Box::pin(async move {
            let txn = seat.lock().txn.take();
            let mut savepoints = std::mem::take(&mut seat.lock().savepoints);
            let (txn, output) = operation(txn.unwrap_or_else(|| client.begin()), &mut savepoints).await;
            *seat.lock() = Seat { txn, savepoints, output: Some(output) };
        }));
        for _ in 0..PATIENCE_MS * 20 {
            if let Some(after) = crash_after
                && self.world.cell.proposals() - proposals >= after
            {
                let actor = self.actors.remove(name).ok_or("no such transaction")?;
                self.world.kill(actor.group);
                return Ok("its gateway is dead".into());
            }
            if let Some(output) = self.take_output(name) {
                return Ok(output);
            }
            self.world.run_for(Duration::from_micros(50));
        }
        Ok("waits".into())
    }

    fn take_output(&mut self, name: &str) -> Option<String> {
        let actor = self.actors.get_mut(name)?;
        let output = actor.seat.lock().output.take()?;
        actor.busy = false;
        Some(output)
    }

    /// What waited and is done now.
    fn report(&mut self) -> String {
        self.world.run_for(Duration::from_millis(5));
        let names: Vec<String> = self.actors.keys().cloned().collect();
        let mut report = String::new();
        for name in names {
            if let Some(output) = self.take_output(&name) {
                let _ = writeln!(report, "({name} goes on: {})", output.trim_end().replace('\n', ", "));
            }
        }
        report
    }

    fn whole(&mut self, command: &Command) -> Result<String, Box<dyn Error>> {
        let key = || positional(command).first().map(|key| key.to_string()).ok_or("a key is missing");
        match &command.name[..] {
            "split" => self.world.cell.split(key()?.as_bytes()),
            "transfer" => self.world.cell.hand_over(key()?.as_bytes()),
            "leader" => self.world.cell.change_leader(key()?.as_bytes()),
            "wait" => self.world.run_for(Duration::from_millis(key()?.parse()?)),
            "ranges" => {
                let spans = self.world.cell.descriptors().into_iter().map(|range| format!("{:?}", range.span));
                return Ok(spans.collect::<Vec<_>>().join(" "));
            }
            "intents" => {
                let intents = self.world.cell.intents().into_iter().map(|key| text(&key));
                return Ok(format!("intents: {}", intents.collect::<Vec<_>>().join(" ")));
            }
            "fences" => {
                let stamp = self.world.cell.stamp();
                return Ok(if stamp.fence_open { "open" } else { "closed" }.into());
            }
            "show" => {
                let (group, client) = self.world.gateway(Options::default());
                let rows = self.world.block_on(async move {
                    client.begin().scan(&ScanRequest { span: Span::new("!", ""), ..ScanRequest::default() }).await
                })?;
                self.world.kill(group);
                return Ok(show_rows(&rows.rows));
            }
            "options" => self.set_options(command)?,
            other => return Err(format!("unknown command {other}").into()),
        }
        Ok(String::new())
    }

    fn set_options(&mut self, command: &Command) -> Result<(), Box<dyn Error>> {
        for argument in &command.args {
            let Argument::KeyValue(key, value) = argument else { continue };
            match &key[..] {
                "orphan_grace" => self.options.orphan_grace = Duration::from_millis(value.parse()?),
                "operation_timeout" => self.options.operation_timeout = Duration::from_millis(value.parse()?),
                "staged_keys_max" => self.options.staged_keys_max = value.parse()?,
                "skip_refresh" => self.options.faults.skip_refresh = value.parse()?,
                "resolve_orphan_as_committed" => {
                    self.options.faults.resolve_orphan_as_committed = value.parse()?;
                }
                other => return Err(format!("unknown option {other}").into()),
            }
        }
        Ok(())
    }
}

impl goldenscript::Runner for Story {
    type Command = Command;

    fn run(&mut self, command: &Command, context: &Context) -> Result<String, Box<dyn Error>> {
        let rounds = context.tags.contains("rounds");
        let output = match &context.prefix {
            Some(name) => self.act(name, command, rounds)?,
            None => self.whole(command)?,
        };
        let report = self.report();
        Ok(match (output.is_empty(), report.is_empty()) {
            (true, _) => report,
            (_, true) => output,
            _ => format!("{}\n{report}", output.trim_end()),
        })
    }
}

/// Works with a transaction and gives it back, unless that was its end.
type Operation =
    Box<dyn for<'a> FnOnce(Txn, &'a mut BTreeMap<String, Savepoint>) -> BoxFuture<'a, (Option<Txn>, String)> + Send>;

fn operation(command: &Command, rounds: bool) -> Result<Operation, Box<dyn Error>> {
    let name = command.name.clone();
    let keys: Vec<Bytes> = positional(command).into_iter().map(bytes).collect();
    let pairs = pairs(command);
    let flag = |name: &str| key_value(command, name).map(str::to_string);
    let (limit, reverse, mode, wait, timeout, unique, latest) =
        (flag("limit"), flag("reverse"), flag("mode"), flag("wait"), flag("timeout"), flag("unique"), flag("latest"));
    let limit: u64 = limit.map_or(Ok(0), |limit| limit.parse())?;
    let timeout: Option<u64> = timeout.map(|timeout| timeout.parse()).transpose()?;
    Ok(Box::new(move |mut txn, savepoints| {
        async move {
            let result: Result<String, txn::Error> = match &name[..] {
                "begin" => match level(&text(&keys[0])) {
                    Some(level) if txn.set_isolation(level) => Ok(String::new()),
                    Some(_) => Ok("too late".into()),
                    None => Ok("no such level".into()),
                },
                "statement" => {
                    txn.begin_statement();
                    Ok(String::new())
                }
                "get" | "get_latest" => {
                    let values = if name == "get" { txn.get(&keys).await } else { txn.get_latest(&keys).await };
                    values.map(|values| {
                        let shown = keys.iter().zip(values).map(|(key, value)| show(key, value.as_ref()));
                        shown.collect::<Vec<_>>().join(" ")
                    })
                }
                "scan" | "scan_latest" => {
                    let request = ScanRequest {
                        span: span(&keys),
                        reverse: reverse.is_some(),
                        limit_rows: limit,
                        pushdown: None,
                    };
                    let page = if name == "scan" { txn.scan(&request).await } else { txn.scan_latest(&request).await };
                    page.map(|page| {
                        let more = page.resume.map_or(String::new(), |resume| format!(" ... {resume:?}"));
                        show_rows(&page.rows) + &more
                    })
                }
                "lock" => {
                    let mode = match mode.as_deref() {
                        Some("key_share") => LockMode::KeyShare,
                        Some("share") => LockMode::Share,
                        Some("no_key_update") => LockMode::NoKeyUpdate,
                        _ => LockMode::Update,
                    };
                    let wait = match wait.as_deref() {
                        Some("nowait") => WaitPolicy::NoWait,
                        Some("skip") => WaitPolicy::SkipLocked,
                        _ => WaitPolicy::Wait,
                    };
                    txn.set_lock_timeout(timeout.map(Duration::from_millis));
                    let rows = match latest {
                        Some(_) => txn.lock_latest(&keys, mode, wait).await,
                        None => txn.lock(&keys, mode, wait).await,
                    };
                    rows.map(|rows| {
                        let shown = keys.iter().zip(rows).map(|(key, row)| {
                            if row.granted { show(key, row.value.as_ref()) } else { format!("{}:skipped", text(key)) }
                        });
                        shown.collect::<Vec<_>>().join(" ")
                    })
                }
                "put" => pairs.into_iter().try_for_each(|(key, value)| txn.put(key, value)).map(|()| String::new()),
                "blind" => {
                    pairs.into_iter().try_for_each(|(key, value)| txn.put_blind(key, value)).map(|()| String::new())
                }
                "delete" => keys.iter().try_for_each(|key| txn.delete(key.clone(), false)).map(|()| String::new()),
                "bulk" => {
                    let rows = pairs.into_iter().filter(|(key, _)| key != "unique").collect();
                    txn.bulk_write(rows, unique.is_some()).await.map(|()| String::new())
                }
                "fence" => txn.open_fence().await.map(|()| String::new()),
                "depend" => {
                    txn.depend_on(span(&keys));
                    Ok(String::new())
                }
                "savepoint" => {
                    savepoints.insert(text(&keys[0]), txn.savepoint());
                    Ok(String::new())
                }
                "rollback_to" => {
                    txn.rollback_to(savepoints[&text(&keys[0])]);
                    Ok(String::new())
                }
                "release" => {
                    txn.release(savepoints[&text(&keys[0])]);
                    Ok(String::new())
                }
                "commit" => {
                    savepoints.clear();
                    let output = match txn.commit().await {
                        Ok(info) if rounds => format!(
                            "committed (rounds of consensus: {}, requests: {}, refreshes: {})",
                            info.stats.consensus_rounds, info.stats.range_requests, info.stats.refreshes
                        ),
                        Ok(_) => "committed".into(),
                        Err(error) => show_error(&error),
                    };
                    return (None, output);
                }
                "rollback" => {
                    savepoints.clear();
                    txn.rollback().await;
                    return (None, "rolled back".into());
                }
                "drop" => {
                    savepoints.clear();
                    drop(txn);
                    return (None, String::new());
                }
                other => return (Some(txn), format!("unknown command {other}")),
            };
            (Some(txn), result.unwrap_or_else(|error| show_error(&error)))
        }
        .boxed()
    }))
}

fn show_error(error: &txn::Error) -> String {
    match error {
        txn::Error::Retry { key: Some(key), .. } => format!("error: {error} ({})", text(key)),
        txn::Error::LockNotAvailable { key, .. } | txn::Error::LockTimeout { key, .. } => {
            format!("error: {error} ({})", text(key))
        }
        txn::Error::Deadlock(cycle) => format!("error: {error} (of {}: {})", cycle.len(), show_waits(cycle)),
        txn::Error::Duplicate { key } => format!("error: {error} ({})", text(key)),
        other => format!("error: {other}"),
    }
}

/// Each member of a deadlock by what it waits for.
fn show_waits(cycle: &[txn::WaitEdge]) -> String {
    let wants = |edge: &txn::WaitEdge| match edge.mode {
        Some(mode) => format!("{} for {mode}", text(&edge.key)),
        None => format!("to read {}", text(&edge.key)),
    };
    cycle.iter().map(wants).collect::<Vec<_>>().join(", ")
}

fn level(name: &str) -> Option<Isolation> {
    Some(match name {
        "serializable" => Isolation::Serializable,
        "repeatable_read" => Isolation::RepeatableRead,
        "read_committed" => Isolation::ReadCommitted,
        _ => return None,
    })
}

fn show(key: &Bytes, value: Option<&Bytes>) -> String {
    format!("{}={}", text(key), value.map_or("none".into(), text))
}

fn show_rows(rows: &[(Bytes, Bytes)]) -> String {
    let rows: Vec<String> = rows.iter().map(|(key, value)| show(key, Some(value))).collect();
    if rows.is_empty() { "nothing".into() } else { rows.join(" ") }
}

fn text(bytes: &Bytes) -> String {
    bytes.escape_ascii().to_string()
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn span(keys: &[Bytes]) -> Span {
    let end = keys[1].clone();
    Span { start: keys[0].clone(), end: if end == "end" { Bytes::new() } else { end } }
}

fn positional(command: &Command) -> Vec<&str> {
    command
        .args
        .iter()
        .filter_map(|argument| match argument {
            Argument::Positional(value) => Some(&value[..]),
            _ => None,
        })
        .collect()
}

fn pairs(command: &Command) -> Vec<(Bytes, Bytes)> {
    command
        .args
        .iter()
        .filter_map(|argument| match argument {
            Argument::KeyValue(key, value) => Some((bytes(key), bytes(value))),
            _ => None,
        })
        .collect()
}

fn key_value<'c>(command: &'c Command, name: &str) -> Option<&'c str> {
    command.args.iter().find_map(|argument| match argument {
        Argument::KeyValue(key, value) if key == name => Some(&value[..]),
        _ => None,
    })
}
