//! Golden scripts of a small cluster (`scripts/range`): three stores with one-millisecond networks and disks.
//!
//! - `nodes 1`: begins anew with so many; `closing`: begins anew, and leaders close timestamps; `run MS`: lets time pass
//! - `append KEY ITEM`, `get KEY`, `await KEY`, `fill KEY BYTES`, `stamp`, `fence open|close ID`, `split KEY`, `transfer rN nN`, `lookup KEY`:
//!   sends a request to the node of the prefix (`n1: get a`) and prints its answer; without an answer after `within=MS`
//!   (default 100) prints `…`, and the answer comes with a later command
//! - `past KEY N`: reads at the N-th timestamp that was printed, anywhere; `note KEY ITEM`, `notes KEY`: what only the leader's
//!   memory holds
//! - `crash nN`, `start nN`, `wipe nN`, `pause nN MS`, `isolate nN`, `cut nA nB`, `heal`: faults
//! - `status`: ranges, who leads them, and what each replica has applied

use std::{collections::BTreeMap, error::Error, fmt::Write, path::Path, time::Duration};

use base::{NodeId, RangeId, Span, Timestamp};
use bytes::Bytes;
use goldenscript::{Command, Context, Runner};
use storage::{
    Descriptor, FenceOp,
    message::{ClientId, RequestBody, ResponseBody},
};
use test_each_file::test_each_path;

use crate::world::{
    World,
    toy::{Toy, decode_list},
};

test_each_path! { in "./storage/tests/scripts/range" as scripts => run }

fn run(path: &Path) {
    goldenscript::run(&mut Script::new(3, None), path).expect("golden script");
}

struct Script {
    world: World,
    next_request: u64,
    /// What the client believes, healed by `RangeChanged`.
    ranges: BTreeMap<Bytes, Descriptor>,
    /// Timestamps depend on nothing that a reader of the script could check; their order is.
    stamps: Vec<u64>,
}

impl Script {
    /// Without `close_after` nothing happens while nobody asks for anything.
    fn new(nodes: u64, close_after: Option<Duration>) -> Script {
        let world = World::new(1, nodes, |options| {
            options.close_after = close_after;
            options.spread_leaders = false;
            options.log_bytes_max = 4 << 10;
            options.split_bytes = 64 << 10;
            options.snapshot_chunk_bytes = 256;
        });
        Script { world, next_request: 0, ranges: BTreeMap::new(), stamps: Vec::new() }
    }

    fn range_of(&self, key: &[u8]) -> (RangeId, u64) {
        let known = self.ranges.values().find(|descriptor| descriptor.span.contains(key));
        known.map_or((RangeId(2), 1), |descriptor| (descriptor.id, descriptor.epoch))
    }

    fn evaluate(&self, toy: Toy) -> RequestBody {
        let (range, epoch) = self.range_of(toy.key());
        RequestBody::Evaluate { range, epoch, command: toy.encode() }
    }

    /// The request that a command stands for; `None` when it is not one.
    fn request(&self, name: &str, args: &[String]) -> Result<Option<RequestBody>, Box<dyn Error>> {
        let key = || args.first().map(|key| Bytes::from(key.clone())).ok_or("which key?");
        let number =
            |index: usize| args.get(index).ok_or("a number is missing")?.parse::<u64>().map_err(|e| e.to_string());
        Ok(Some(match name {
            "append" => self.evaluate(Toy::Append { key: key()?, item: number(1)? }),
            "get" => self.evaluate(Toy::Get { key: key()? }),
            "await" => self.evaluate(Toy::Await { key: key()? }),
            "fill" => self.evaluate(Toy::Fill { key: key()?, bytes: number(1)? as u32 }),
            "note" => self.evaluate(Toy::Note { key: key()?, item: number(1)? }),
            "notes" => self.evaluate(Toy::Notes { key: key()? }),
            "past" => {
                let at = *self.stamps.get(number(1)? as usize - 1).ok_or("no such timestamp")?;
                let toy = Toy::Past { key: key()?, at: Timestamp(at) };
                let (range, epoch) = self.range_of(toy.key());
                RequestBody::ReadClosed { range, epoch, command: toy.encode() }
            }
            "stamp" => RequestBody::Stamp { count: 1 },
            "fence" => {
                let id = u128::from(number(1)?);
                let op =
                    if args.first().is_some_and(|op| op == "open") { FenceOp::Open(id) } else { FenceOp::Close(id) };
                RequestBody::Fence { op }
            }
            "split" => RequestBody::Split { range: self.range_of(&key()?).0, key: key()? },
            "transfer" => {
                let range = RangeId(args.first().ok_or("which range?")?.trim_start_matches('r').parse()?);
                RequestBody::TransferLeader { range, to: NodeId(node(args.get(1))?) }
            }
            "lookup" => RequestBody::Lookup { key: key()?, limit: 10 },
            _ => return Ok(None),
        }))
    }

    fn fault(&mut self, name: &str, args: &[String]) -> Result<(), Box<dyn Error>> {
        match name {
            "nodes" => *self = Script::new(args.first().ok_or("how many?")?.parse()?, None),
            "closing" => *self = Script::new(3, Some(Duration::from_secs(3))),
            "run" => self.world.run(Duration::from_millis(args.first().ok_or("how long?")?.parse()?)),
            "crash" => self.world.crash(node(args.first())?),
            "start" => self.world.start(node(args.first())?),
            "wipe" => self.world.wipe(node(args.first())?),
            "pause" => self.world.pause(node(args.first())?, args.get(1).ok_or("how long?")?.parse()?),
            "isolate" => self.world.isolate(node(args.first())?),
            "cut" => {
                let (a, b) = (node(args.first())?, node(args.get(1))?);
                self.world.cut.extend([(a, b), (b, a)]);
            }
            "heal" => self.world.heal(),
            name => return Err(format!("unknown command {name}").into()),
        }
        Ok(())
    }

    fn answers(&mut self, awaited: u64) -> String {
        let mut out = String::new();
        for (node, client, id, body) in std::mem::take(&mut self.world.replies) {
            let text = self.show(body);
            // A late answer names its node and its request.
            let late = if id == awaited { String::new() } else { format!("n{node}, request {}: ", client.0) };
            let _ = writeln!(out, "{late}{text}");
        }
        out
    }

    fn show(&mut self, body: ResponseBody) -> String {
        match body {
            ResponseBody::Evaluated { reply, replicated } => {
                let list = if reply.is_empty() { String::from("ok") } else { format!("{:?}", decode_list(&reply)) };
                format!("{list}{}", if replicated { " (replicated)" } else { "" })
            }
            ResponseBody::Stamp(stamp) => {
                let order =
                    if self.stamps.iter().all(|earlier| *earlier < stamp.timestamp.0) { "newer" } else { "NOT NEWER" };
                self.stamps.push(stamp.timestamp.0);
                format!("{order} timestamp, fence {}", if stamp.fence_open { "open" } else { "closed" })
            }
            ResponseBody::RangeChanged(descriptors) => {
                for descriptor in &descriptors {
                    let span = descriptor.span.clone();
                    self.ranges.retain(|_, known| !known.span.overlaps(&span));
                    self.ranges.insert(span.start.clone(), descriptor.clone());
                }
                format!("range changed: {}", list(descriptors.iter().map(show_descriptor)))
            }
            ResponseBody::Descriptors(found) => list(found.iter().map(|(descriptor, leader)| {
                let leader = leader.map_or("nobody".into(), |leader| leader.to_string());
                format!("{} led by {leader}", show_descriptor(descriptor))
            })),
            ResponseBody::NotLeader { hint, maybe_applied } => {
                let hint = hint.map_or("nobody known".into(), |hint| hint.to_string());
                format!("not the leader, try {hint}{}", if maybe_applied { "; maybe applied" } else { "" })
            }
            ResponseBody::Timeout { maybe_applied } => {
                format!("timeout{}", if maybe_applied { "; maybe applied" } else { "" })
            }
            other => format!("{other:?}"),
        }
    }

    fn status(&self) -> String {
        let mut rows: BTreeMap<RangeId, BTreeMap<u64, String>> = BTreeMap::new();
        let mut spans: BTreeMap<RangeId, (u64, Span)> = BTreeMap::new();
        for node in self.world.nodes.keys() {
            for replica in self.world.store(*node).map(|store| store.status()).unwrap_or_default() {
                if let Some(descriptor) = &replica.descriptor {
                    let newest = spans.entry(replica.range).or_default();
                    if descriptor.epoch > newest.0 {
                        *newest = (descriptor.epoch, descriptor.span.clone());
                    }
                }
                let role = if replica.is_leader { "leads, " } else { "" };
                let what = match replica.descriptor {
                    Some(_) => format!(
                        "{role}term {}, applied {}, log {}..{}",
                        replica.term, replica.applied, replica.log_first, replica.log_last
                    ),
                    None => format!("uninitialised, term {}", replica.term),
                };
                rows.entry(replica.range).or_default().insert(*node, what);
            }
        }
        let mut out = String::new();
        for (range, replicas) in rows {
            let (epoch, span) = spans.get(&range).cloned().unwrap_or_default();
            let _ = writeln!(out, "{range} epoch {epoch} {span:?}");
            for (node, what) in replicas {
                let _ = writeln!(out, "  n{node}: {what}");
            }
        }
        out
    }
}

impl Runner for Script {
    type Command = Command;

    fn run(&mut self, command: &Command, context: &Context) -> Result<String, Box<dyn Error>> {
        let mut args = command.consume_args();
        let within: u64 = args.take_key("within").map(str::parse).transpose()?.unwrap_or(100);
        let timeout: u32 = args.take_key("timeout").map(str::parse).transpose()?.unwrap_or(5000);
        let mut words = Vec::new();
        while let Some(word) = args.next_pos() {
            words.push(word.to_owned());
        }
        args.reject_next()?;
        if command.name == "status" {
            return Ok(self.status());
        }
        let Some(body) = self.request(&command.name, &words)? else {
            self.fault(&command.name, &words)?;
            return Ok(self.answers(0));
        };
        let to = node(context.prefix.as_ref())?;
        self.next_request += 1;
        let id = self.next_request;
        self.world.request(to, ClientId(id), id, timeout, body);
        let answered = self.world.run_until(Duration::from_millis(within), |world| {
            world.replies.iter().any(|(_, _, reply, _)| *reply == id)
        });
        let mut out = self.answers(id);
        if !answered {
            let _ = writeln!(out, "…");
        }
        Ok(out)
    }

    fn end_script(&mut self) -> Result<(), Box<dyn Error>> {
        match self.world.fatal.first() {
            Some(reason) => Err(reason.clone().into()),
            None => Ok(()),
        }
    }
}

fn node(name: Option<&String>) -> Result<u64, Box<dyn Error>> {
    Ok(name.ok_or("which node?")?.trim_start_matches('n').parse()?)
}

fn show_descriptor(descriptor: &Descriptor) -> String {
    format!("{} epoch {} {:?}", descriptor.id, descriptor.epoch, descriptor.span)
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}
