//! Scripts: the prefix says which transaction speaks (`t1: lock a`). Transaction `tN` begins at timestamp N unless it says
//! `begin`. What becomes of requests that waited is printed where they are answered.
//!
//! ```text
//! t1: begin 10                           timestamp of its begin and reads
//! t1: get a b [ts=20] [unprotected]      t1: scan a d [reverse] [limit=2] [bytes=9] [program=count] [ts=20]
//! t1: lock a b [shared] [nowait] [skip]  t1: unlock a b
//! t1: prewrite a=1 b= ts=20 [primary=a] [others=c/d] [seen=15] [blind] [check=e/f] [unlock]        `b=` deletes
//! t1: commit a=1 ts=20 …                 in one range
//! t1: resolve a b [commit=20]            t1: query a      t1: abort a at=20      t1: prevent a b ts=20
//! t1: refresh a d from=10 to=20          t1: heartbeat    t1: wait t2 t3         t1: bulk a=1 ts=10 batch=1 [unique]
//! gc a z below=20 limit=100              clear a c        tick 60 (ms)           split m
//! lead 50 (new leaders, low water)       t1: gone         dump                   options retention=… page=… cache=… fault=…
//! ```

use std::{collections::BTreeMap, error::Error, fmt::Write as _, time::Duration};

use base::{Span, Timestamp, TxnId};
use bytes::Bytes;
use goldenscript::{Argument, Context};
use storage::{ColumnFamily, Reader};
use txn::{
    Command, LockMode, WaitPolicy,
    command::{
        self, Blocker, BulkReply, BulkWrite, Check, CollectReply, Key, Lock, LockReply, PreventReply, Prewrite,
        PrewriteReply, Read, ReadBody, ReadReply, RefreshReply, Scan, TxnStatus, WaitEdge, WaitFor, WaitNode,
        WaitReply, Write,
    },
    mvcc::{Record, Version, parse_data_key},
    server::Options,
};

use crate::range::{Answer, Ranges, refused};

pub fn run(path: &std::path::Path) {
    let mut runner = Runner { ranges: Ranges::new(Options::default()), begins: BTreeMap::new() };
    goldenscript::run(&mut runner, path).unwrap();
}

struct Runner {
    ranges: Ranges,
    begins: BTreeMap<u128, Timestamp>,
}

/// The arguments of one command.
struct Args {
    positional: Vec<String>,
    named: BTreeMap<String, String>,
    /// Keys and values of writes; an empty value deletes.
    writes: Vec<(Key, Option<Bytes>)>,
}

type Outcome<T> = Result<T, Box<dyn Error>>;

const NAMES: &[&str] = &[
    "ts",
    "primary",
    "others",
    "seen",
    "check",
    "limit",
    "bytes",
    "program",
    "from",
    "to",
    "below",
    "batch",
    "at",
    "commit",
    "retention",
    "page",
    "cache",
    "fault",
];

impl Args {
    fn new(command: &goldenscript::Command) -> Outcome<Args> {
        let mut args = Args { positional: Vec::new(), named: BTreeMap::new(), writes: Vec::new() };
        for argument in &command.args {
            match argument {
                Argument::Positional(value) => args.positional.push(value.clone()),
                Argument::KeyValue(name, value) if NAMES.contains(&name.as_str()) => {
                    args.named.insert(name.clone(), value.clone());
                }
                Argument::KeyValue(key, value) => {
                    let value = Some(value).filter(|value| !value.is_empty());
                    args.writes.push((key.clone().into(), value.map(|value| Bytes::from(value.clone()))));
                }
                other => return Err(format!("what is {other:?}?").into()),
            }
        }
        Ok(args)
    }

    fn keys(&self) -> Vec<Key> {
        self.positional.iter().map(|key| Bytes::from(key.clone())).collect()
    }

    fn key(&self) -> Outcome<Key> {
        self.keys().first().cloned().ok_or("which key?".into())
    }

    fn span(&self) -> Outcome<Span> {
        let mut keys = self.keys().into_iter();
        Ok(Span::new(keys.next().ok_or("from where?")?, keys.next().unwrap_or_default()))
    }

    fn has(&mut self, flag: &str) -> bool {
        let before = self.positional.len();
        self.positional.retain(|argument| argument != flag);
        self.positional.len() < before
    }

    fn list(&self, name: &str) -> Option<Vec<Key>> {
        let list = self.named.get(name)?;
        Some(list.split('/').filter(|key| !key.is_empty()).map(|key| Bytes::from(key.to_string())).collect())
    }

    fn number(&self, name: &str) -> Outcome<Option<u64>> {
        Ok(self.named.get(name).map(|value| value.parse()).transpose()?)
    }

    fn ts(&self, name: &str) -> Outcome<Timestamp> {
        Ok(Timestamp(self.number(name)?.ok_or(format!("{name}=?"))?))
    }
}

impl goldenscript::Runner for Runner {
    type Command = goldenscript::Command;

    fn run(&mut self, command: &goldenscript::Command, context: &Context) -> Outcome<String> {
        let mut args = Args::new(command)?;
        let who = context.prefix.clone().unwrap_or("t0".into());
        let mut output = match self.control(&command.name, &args, &who)? {
            Some(output) => output,
            None => {
                let command = self.parse(&command.name, &mut args, &who)?;
                let answer = self.ranges.send(&who, &command).map_err(refused)?;
                format!("{}\n", show(&command, &answer)?)
            }
        };
        for (who, command, answer) in self.ranges.settle() {
            let told = match answer {
                Ok(answer) => show(&command, &answer)?,
                Err(error) => error.to_string(),
            };
            writeln!(output, "→ {who}'s {} {told}", name(&command))?;
        }
        Ok(output)
    }
}

impl Runner {
    /// Commands to the world rather than to a range.
    fn control(&mut self, name: &str, args: &Args, who: &str) -> Outcome<Option<String>> {
        let number = |at: usize| -> Outcome<u64> { Ok(args.positional.get(at).ok_or("a number is missing")?.parse()?) };
        match name {
            "begin" => drop(self.begins.insert(txn(who)?.0, Timestamp(number(0)?))),
            "tick" => self.ranges.tick(Duration::from_millis(number(0)?)),
            "split" => self.ranges.split(&args.key()?),
            "lead" => self.ranges.lead(Timestamp(number(0)?)),
            "gone" => self.ranges.cancel(who),
            "dump" => return Ok(Some(self.dump()?)),
            "options" => {
                let mut options = Options::default();
                if let Some(retention) = args.number("retention")? {
                    options.retention = Duration::from_millis(retention);
                }
                options.page_versions_max = args.number("page")?.unwrap_or(options.page_versions_max);
                options.cache_entries_max = args.number("cache")?.map_or(options.cache_entries_max, |n| n as usize);
                let faults = &mut options.faults;
                match args.named.get("fault").map(String::as_str) {
                    None => {}
                    Some("ignore_timestamp_cache") => faults.ignore_timestamp_cache = true,
                    Some("skip_refresh_check") => faults.skip_refresh_check = true,
                    Some("lose_locks") => faults.lose_locks = true,
                    Some("resolve_orphan_as_committed") => faults.resolve_orphan_as_committed = true,
                    Some("ignore_conflicts") => faults.ignore_conflicts = true,
                    Some(other) => return Err(format!("unknown fault {other}").into()),
                }
                self.ranges = Ranges::new(options);
            }
            _ => return Ok(None),
        }
        Ok(Some(String::new()))
    }

    fn parse(&mut self, name: &str, args: &mut Args, who: &str) -> Outcome<Command> {
        let txn = txn(who)?;
        let begin_ts = self.begins.get(&txn.0).copied().unwrap_or(Timestamp((txn.0 >> 96) as u64));
        Ok(match name {
            "get" | "scan" => {
                let protect = !args.has("unprotected");
                let read_ts = args.number("ts")?.map_or(begin_ts, Timestamp);
                let body = match name {
                    "get" => ReadBody::Get { keys: args.keys() },
                    _ => ReadBody::Scan(Scan {
                        reverse: args.has("reverse"),
                        span: args.span()?,
                        limit_rows: args.number("limit")?.unwrap_or(0),
                        limit_bytes: args.number("bytes")?.unwrap_or(0),
                        pushdown: args.named.get("program").map(|program| Bytes::from(program.clone())),
                    }),
                };
                Command::Read(Read { txn, read_ts, protect, anywhere: false, body })
            }
            "lock" => {
                let mode = lock_mode(args);
                let wait = match (args.has("nowait"), args.has("skip")) {
                    (true, _) => WaitPolicy::NoWait,
                    (_, true) => WaitPolicy::SkipLocked,
                    _ => WaitPolicy::Wait,
                };
                Command::Lock(Lock { txn, begin_ts, mode, wait, keys: args.keys() })
            }
            "unlock" => Command::Unlock { txn, keys: args.keys(), weaken: Vec::new() },
            "weaken" => {
                let mode = lock_mode(args);
                Command::Unlock {
                    txn,
                    keys: Vec::new(),
                    weaken: args.keys().into_iter().map(|key| (key, mode)).collect(),
                }
            }
            "prewrite" => Command::Prewrite(prewrite(args, txn, begin_ts)?),
            "commit" => Command::CommitOneRange(prewrite(args, txn, begin_ts)?),
            "resolve" => Command::Resolve { txn, keys: args.keys(), commit_ts: args.number("commit")?.map(Timestamp) },
            "query" => Command::Query { txn, primary: args.key()? },
            "abort" => Command::Abort { txn, primary: args.key()?, at: args.ts("at")? },
            "prevent" => Command::Prevent { txn, write_ts: args.ts("ts")?, keys: args.keys() },
            "refresh" => {
                Command::Refresh { txn, spans: vec![args.span()?], from: args.ts("from")?, to: args.ts("to")? }
            }
            "heartbeat" => Command::Heartbeat { txn, primary: None },
            "wait" => {
                let key = Bytes::from_static(b"k");
                let holder = |who: &String| Ok(WaitFor { txn: self::txn(who)?, key: key.clone() });
                let holders = args.positional.iter().map(holder).collect::<Outcome<_>>()?;
                Command::Wait { waiter: WaitNode { txn, begin_ts, mode: Some(LockMode::Update) }, holders }
            }
            "bulk" => Command::BulkWrite(BulkWrite {
                txn,
                batch: args.number("batch")?.unwrap_or(1) as u32,
                write_ts: args.ts("ts")?,
                rows: args.writes.iter().map(|(key, value)| (key.clone(), value.clone().unwrap_or_default())).collect(),
                unique: args.has("unique"),
            }),
            "gc" => Command::CollectGarbage {
                span: args.span()?,
                below: args.ts("below")?,
                limit: args.number("limit")?.unwrap_or(100) as u32,
            },
            "clear" => Command::ClearSpan { span: args.span()? },
            other => return Err(format!("unknown command {other}").into()),
        })
    }

    fn dump(&self) -> Outcome<String> {
        let mut output = String::new();
        for cf in [ColumnFamily::Data, ColumnFamily::Intent] {
            let mut cursor = self.ranges.engine.cursor(cf, &[], &[])?;
            cursor.seek(&[])?;
            while let Some(raw) = cursor.key() {
                match cf {
                    ColumnFamily::Data => {
                        let (key, ts) = parse_data_key(raw)?;
                        let version = Version::decode(cursor.value())?;
                        let value = version.value.map_or("deleted".into(), |value| value.escape_ascii().to_string());
                        let bulk = version.batch.map_or(String::new(), |batch| format!(", bulk batch {batch}"));
                        writeln!(output, "{} @{ts} = {value}, by {}{bulk}", key.escape_ascii(), who(version.writer))?;
                    }
                    _ => match Record::decode(cursor.value())? {
                        Record::Intent(intent) => {
                            let value = intent.value.map_or("deleted".into(), |v| v.escape_ascii().to_string());
                            let staged =
                                intent.staged.map_or(String::new(), |keys| format!(", staged with {}", list(&keys)));
                            let key = raw.escape_ascii();
                            let (owner, primary) = (who(intent.txn), intent.primary.escape_ascii());
                            let ts = intent.write_ts;
                            writeln!(output, "intent {key} @{ts} = {value}, by {owner}, primary {primary}{staged}")?;
                        }
                        Record::Marker { at } => {
                            let (key, txn) = raw.split_at(raw.len() - 17);
                            let txn = TxnId(u128::from_be_bytes(txn[1..].try_into()?));
                            writeln!(output, "marker {} against {}, @{at}", key.escape_ascii(), who(txn))?;
                        }
                    },
                }
                cursor.next()?;
            }
        }
        Ok(if output.is_empty() { "nothing\n".into() } else { output })
    }
}

fn prewrite(args: &mut Args, txn: TxnId, begin_ts: Timestamp) -> Outcome<Prewrite> {
    let seen = args.number("seen")?.map_or(begin_ts, Timestamp);
    let seen = if args.has("blind") { Timestamp::MAX } else { seen };
    let writes: Vec<Write> =
        args.writes.iter().map(|(key, value)| Write { key: key.clone(), value: value.clone(), seen }).collect();
    let checks = args.list("check").unwrap_or_default();
    let presence = args.has("presence");
    let written = writes.iter().map(|write| write.key.clone());
    let unlock = if args.has("unlock") { written.chain(checks.iter().cloned()).collect() } else { Vec::new() };
    let first = writes.first().map(|write| write.key.clone()).unwrap_or_default();
    Ok(Prewrite {
        txn,
        begin_ts,
        write_ts: args.number("ts")?.map_or(begin_ts, Timestamp),
        primary: args.named.get("primary").map_or(first, |primary| Bytes::from(primary.clone())),
        staged: args.list("others"),
        writes,
        checks: checks.into_iter().map(|key| Check { key, seen, presence }).collect(),
        unlock,
    })
}

fn txn(who: &str) -> Outcome<TxnId> {
    let number: u128 = who.strip_prefix('t').ok_or(format!("{who} is not a transaction"))?.parse()?;
    Ok(TxnId(number << 96))
}

fn who(txn: TxnId) -> String {
    format!("t{}", txn.0 >> 96)
}

fn show_cycle(cycle: &[WaitEdge]) -> String {
    let show = |edge: &WaitEdge| {
        let mode = edge.mode.map_or("read".into(), |mode| mode.to_string());
        format!("{} waits for {} on {} ({mode})", who(edge.waiter), who(edge.holder), edge.key.escape_ascii())
    };
    cycle.iter().map(show).collect::<Vec<_>>().join(", ")
}

fn lock_mode(args: &mut Args) -> LockMode {
    match (args.has("key_share"), args.has("share"), args.has("no_key_update")) {
        (true, _, _) => LockMode::KeyShare,
        (_, true, _) => LockMode::Share,
        (_, _, true) => LockMode::NoKeyUpdate,
        _ => LockMode::Update,
    }
}

fn list(keys: &[Key]) -> String {
    let keys: Vec<String> = keys.iter().map(|key| key.escape_ascii().to_string()).collect();
    format!("[{}]", keys.join(" "))
}

fn name(command: &Command) -> &'static str {
    match command {
        Command::Read(_) => "read",
        Command::Lock(_) => "lock",
        Command::Refresh { .. } => "refresh",
        Command::CommitOneRange(_) => "commit",
        Command::Prewrite(_) => "prewrite",
        _ => "request",
    }
}

fn show(command: &Command, answer: &Answer) -> Outcome<String> {
    let (reply, replicated) = match answer {
        Answer::Parked => return Ok("waits".into()),
        Answer::RangeChanged => return Ok("range changed".into()),
        Answer::Reply { reply, replicated } => (reply, *replicated),
    };
    let text = match command {
        Command::Read(read) => show_read(read, &command::decode(reply)?),
        Command::Lock(lock) => show_lock(lock, &command::decode(reply)?),
        Command::Refresh { .. } => match command::decode(reply)? {
            RefreshReply::Done => "unchanged".into(),
            RefreshReply::Changed { key, other } => format!("changed: {} by {}", key.escape_ascii(), who(other)),
        },
        Command::CommitOneRange(_) | Command::Prewrite(_) => show_prewrite(&command::decode(reply)?),
        Command::Query { .. } | Command::Abort { .. } => match command::decode(reply)? {
            TxnStatus::Committed(ts) => format!("committed @{ts}"),
            TxnStatus::Aborted => "aborted".into(),
            TxnStatus::Unknown => "unknown".into(),
            TxnStatus::Pending { write_ts, alive } => format!("pending @{write_ts}, {}", show_alive(alive)),
            TxnStatus::Staged { write_ts, others, alive } => {
                format!("staged @{write_ts} with {}, {}", list(&others), show_alive(alive))
            }
        },
        Command::Prevent { .. } => match command::decode(reply)? {
            PreventReply::AllPresent => "all present".into(),
            PreventReply::Missing => "missing, prevented".into(),
            PreventReply::Superseded => "superseded".into(),
        },
        Command::Wait { .. } => match command::decode(reply)? {
            WaitReply::Wait => "wait on".into(),
            WaitReply::Deadlock(cycle) => format!("deadlock: {}", show_cycle(&cycle)),
        },
        Command::BulkWrite(_) => match command::decode(reply)? {
            BulkReply::Done => "done".into(),
            BulkReply::Duplicate { key } => format!("duplicate {}", key.escape_ascii()),
        },
        Command::CollectGarbage { .. } => {
            let reply: CollectReply = command::decode(reply)?;
            let resume = reply.resume.map_or(String::new(), |span| format!(", go on with {span:?}"));
            let old: String = reply.intents.iter().map(|blocker| format!(", {}", show_blocker(blocker))).collect();
            format!("dropped {}{resume}{old}", reply.dropped)
        }
        _ => "done".into(),
    };
    Ok(if replicated { format!("{text} [replicated]") } else { text })
}

fn show_alive(alive: bool) -> &'static str {
    if alive { "alive" } else { "gone" }
}

fn show_blocker(blocker: &Blocker) -> String {
    let (key, owner) = (blocker.key.escape_ascii(), who(blocker.txn));
    match &blocker.primary {
        Some(primary) => {
            format!("{owner}'s intent on {key} @{} (primary {})", blocker.write_ts, primary.escape_ascii())
        }
        None => format!("{owner}'s lock on {key}"),
    }
}

fn show_blockers(blockers: &[Blocker]) -> String {
    match blockers {
        [] => "nobody".into(),
        _ => blockers.iter().map(show_blocker).collect::<Vec<_>>().join(", "),
    }
}

fn show_read(read: &Read, reply: &ReadReply) -> String {
    match (&read.body, reply) {
        (_, ReadReply::Blocked(blockers)) => format!("blocked by {}", show_blockers(blockers)),
        (ReadBody::Get { keys }, ReadReply::Values(values)) => {
            let show = |value: &Option<Bytes>| value.as_ref().map_or("none".into(), |v| v.escape_ascii().to_string());
            let pairs = keys.iter().zip(values).map(|(key, value)| format!("{}={}", key.escape_ascii(), show(value)));
            pairs.collect::<Vec<_>>().join(" ")
        }
        (_, ReadReply::Rows(page)) => {
            let rows = page.rows.iter().map(|(key, value)| format!("{}={}", key.escape_ascii(), value.escape_ascii()));
            let mut text = rows.collect::<Vec<_>>().join(" ");
            if let Some(pushed) = &page.pushed {
                text = format!("{text} pushed {}", pushed.escape_ascii());
            }
            let resume = page.resume.as_ref().map_or("end".into(), |span| format!("go on with {span:?}"));
            format!("{} ({} versions, {resume})", if text.is_empty() { "nothing" } else { text.trim() }, page.scanned)
        }
        other => format!("an answer to another question: {other:?}"),
    }
}

fn show_lock(lock: &Lock, reply: &LockReply) -> String {
    match reply {
        LockReply::Granted(locked) => {
            let show = |locked: &command::Locked| match (locked.granted, &locked.value) {
                (false, _) => "skipped".into(),
                (true, Some(value)) => format!("{}@{}", value.escape_ascii(), locked.version_ts),
                (true, None) => format!("none@{}", locked.version_ts),
            };
            let pairs =
                lock.keys.iter().zip(locked).map(|(key, value)| format!("{}={}", key.escape_ascii(), show(value)));
            format!("granted {}", pairs.collect::<Vec<_>>().join(" "))
        }
        LockReply::Waiting(blockers) => format!("still waiting for {}", show_blockers(blockers)),
        LockReply::Locked(blocker) => format!("not available: {}", show_blocker(blocker)),
        LockReply::Deadlock(cycle) => format!("deadlock: {}", show_cycle(cycle)),
    }
}

fn show_prewrite(reply: &PrewriteReply) -> String {
    match reply {
        PrewriteReply::Done => "done".into(),
        PrewriteReply::Committed(ts) => format!("committed already @{ts}"),
        PrewriteReply::Pushed { at_least } => format!("pushed, at least @{at_least}"),
        PrewriteReply::Conflict { key, other, version_ts } => {
            format!("conflict on {} with {} @{version_ts}", key.escape_ascii(), who(*other))
        }
        PrewriteReply::Blocked(blockers) => format!("blocked by {}", show_blockers(blockers)),
        PrewriteReply::Aborted => "aborted".into(),
        PrewriteReply::Deadlock(cycle) => format!("deadlock: {}", show_cycle(cycle)),
    }
}
