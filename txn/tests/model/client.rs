//! The client half as the model sees it: a pure function. What a gateway does next depends on nothing but what it was answered
//! so far, so a client's state *is* the set of its answers, and [`play`] runs the real `TxnClient` from the start, with these
//! answers, to the point where it waits for one that is not among them.
//!
//! Time stands still and every patience is zero: whoever may lose patience does. To be patient is to be scheduled later, which the
//! model does as well.

use std::{
    collections::BTreeMap,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use base::{BoxFuture, Monotonic, NodeId, RangeId, Runtime, Timestamp, TxnId};
use bytes::Bytes;
use parking_lot::Mutex;
use storage::{Cluster, Error, Evaluated, FenceOp, NodeStatus, RangeStatus, Result, Route, Stamp};
use txn::{
    Command, LockMode, Options, TxnClient, WaitPolicy,
    command::{self, Key, LockReply, PreventReply, PrewriteReply, ReadBody, ReadReply},
};

use crate::scenario::{Layout, Program, Step};

/// Sleeps longer than this never end: they are the pauses between heartbeats.
const FOR_EVER: Duration = Duration::from_secs(3600);

/// Names a request of a client: which task made it, and the how many-th of that task it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AskId {
    pub task: u16,
    pub number: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    Stamp(u64),
    Reply(Bytes),
    RangeChanged,
    /// The leader refused it: an invariant is broken.
    Refused(String),
    /// No answer, and a copy may still be executed.
    Lost,
}

pub type Answers = BTreeMap<AskId, Answer>;

/// A request that waits for its answer.
#[derive(Clone, Debug)]
pub struct Ask {
    pub id: AskId,
    pub what: What,
    /// Whether it may change what is stored.
    pub writes: bool,
}

#[derive(Clone, Debug)]
pub enum What {
    Stamp,
    /// To the leader of a range, as the client knows the range.
    Evaluate {
        range: RangeId,
        epoch: u64,
        command: Bytes,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Committed(Timestamp),
    /// Not committed, and never will be.
    Failed(String),
    Ambiguous,
}

/// What a transaction has seen of a key: at a timestamp, or under a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub key: Key,
    pub at: Option<Timestamp>,
    pub value: Option<Bytes>,
}

/// An answer that tells how the protocol went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    Prewrite(PrewriteReply),
    Prevent(PreventReply),
    RangeChanged,
    Lost,
}

/// Where a client stands.
#[derive(Clone, Debug, Default)]
pub struct View {
    pub asks: Vec<Ask>,
    /// What the program was told at its end.
    pub outcome: Option<Outcome>,
    pub seen: Vec<Seen>,
    pub told: Vec<Told>,
}

/// Runs a program with these answers.
pub fn play(program: &Program, txn: TxnId, answers: &Answers, layout: &Layout) -> View {
    let world = Arc::new(World { txn, answers: answers.clone(), layout: layout.clone(), progress: Mutex::default() });
    let options = Options {
        staged_keys_max: program.staged_keys_max,
        heartbeat_interval: FOR_EVER * 2,
        orphan_grace: Duration::ZERO,
        ..Options::default()
    };
    let client = TxnClient::new(world.clone(), world.clone(), options);
    let outcome = Arc::new(Mutex::new(None));
    let (told, steps) = (outcome.clone(), program.steps.clone());
    let main = async move { *told.lock() = Some(run(client, txn, &steps).await) };
    let mut tasks: Vec<(u16, BoxFuture<'static, ()>)> = vec![(0, Box::pin(main))];
    let mut next = 0;
    let mut context = Context::from_waker(futures::task::noop_waker_ref());
    // Every future is ready at once or for ever pending, so one look at each task is enough.
    while next < tasks.len() {
        let (id, task) = &mut tasks[next];
        world.progress.lock().task = *id;
        let _done: Poll<()> = task.as_mut().poll(&mut context);
        next += 1;
        tasks.append(&mut world.progress.lock().spawned);
    }
    let outcome = outcome.lock().take();
    let mut progress = world.progress.lock();
    progress.over = true;
    let mut view = std::mem::take(&mut progress.view);
    drop(progress);
    view.outcome = outcome;
    // Dropped transactions would like to unlock: nobody listens any more.
    drop(tasks);
    view
}

async fn run(client: TxnClient, id: TxnId, steps: &[Step]) -> Outcome {
    let mut txn = client.begin();
    for step in steps {
        let result = match step {
            Step::Get(keys) => txn.get(&complete(keys)).await.map(drop),
            Step::Lock(keys) => txn.lock(&complete(keys), LockMode::Update, WaitPolicy::Wait).await.map(drop),
            Step::Put(key) => txn.put(Key::copy_from_slice(&[*key]), value_of(id)),
            Step::PutBlind(key) => txn.put_blind(Key::copy_from_slice(&[*key]), value_of(id)),
        };
        if let Err(error) = result {
            return Outcome::Failed(error.to_string());
        }
    }
    match txn.commit().await {
        Ok(info) => Outcome::Committed(info.commit_ts),
        Err(txn::Error::Ambiguous(_)) => Outcome::Ambiguous,
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

fn complete(keys: &[u8]) -> Vec<Key> {
    keys.iter().map(|key| Key::copy_from_slice(&[*key])).collect()
}

/// What a transaction writes everywhere.
pub fn value_of(txn: TxnId) -> Bytes {
    Bytes::from(txn.0.to_string())
}

/// The cluster and the runtime of one run.
struct World {
    txn: TxnId,
    answers: Answers,
    layout: Layout,
    progress: Mutex<Progress>,
}

#[derive(Default)]
struct Progress {
    /// The task that is being polled. Tasks are named by their line of descent, so that an answer more or less to one of them
    /// does not rename the others.
    task: u16,
    asked: BTreeMap<u16, u16>,
    children: BTreeMap<u16, u16>,
    spawned: Vec<(u16, BoxFuture<'static, ()>)>,
    view: View,
    /// The client has been told that a range was split.
    knows_split: bool,
    over: bool,
}

impl World {
    /// The answer to the next request of the task, if there is one.
    fn ask(&self, what: What) -> Option<Answer> {
        let mut progress = self.progress.lock();
        if progress.over {
            return None;
        }
        let task = progress.task;
        let asked = progress.asked.entry(task).or_default();
        let id = AskId { task, number: *asked };
        *asked += 1;
        let Some(answer) = self.answers.get(&id).cloned() else {
            let writes = writes(&what);
            progress.view.asks.push(Ask { id, what, writes });
            return None;
        };
        match (&what, &answer) {
            (What::Evaluate { command, .. }, Answer::Reply(reply)) => {
                let command = Command::decode(command).expect("what was encoded can be decoded");
                progress.view.seen.extend(seen(&command, reply));
                progress.view.told.extend(told(&command, reply));
            }
            (_, Answer::RangeChanged) => {
                progress.knows_split = true;
                progress.view.told.push(Told::RangeChanged);
            }
            (_, Answer::Lost) => progress.view.told.push(Told::Lost),
            _ => {}
        }
        Some(answer)
    }
}

fn writes(what: &What) -> bool {
    let What::Evaluate { command, .. } = what else { return false };
    match Command::decode(command).expect("what was encoded can be decoded") {
        Command::Prewrite(prewrite) | Command::CommitOneRange(prewrite) => !prewrite.writes.is_empty(),
        Command::Resolve { .. } | Command::Abort { .. } | Command::Prevent { .. } => true,
        _ => false,
    }
}

/// What an answer has shown to the transaction.
fn seen(command: &Command, reply: &[u8]) -> Vec<Seen> {
    match command {
        Command::Read(read) => match (&read.body, command::decode(reply)) {
            (ReadBody::Get { keys }, Ok(ReadReply::Values(values))) => keys
                .iter()
                .zip(values)
                .map(|(key, value)| Seen { key: key.clone(), at: Some(read.read_ts), value })
                .collect(),
            _ => Vec::new(),
        },
        Command::Lock(lock) => match command::decode(reply) {
            Ok(LockReply::Granted(locked)) => lock
                .keys
                .iter()
                .zip(locked)
                .map(|(key, locked)| Seen { key: key.clone(), at: None, value: locked.value })
                .collect(),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

fn told(command: &Command, reply: &[u8]) -> Option<Told> {
    match command {
        Command::Prewrite(_) | Command::CommitOneRange(_) => command::decode(reply).ok().map(Told::Prewrite),
        Command::Prevent { .. } => command::decode(reply).ok().map(Told::Prevent),
        _ => None,
    }
}

fn lost() -> Error {
    Error::Unavailable { reason: "lost".into(), maybe_applied: true }
}

async fn never<T>() -> T {
    futures::future::pending().await
}

impl Cluster for World {
    fn stamp(&self, _deadline: Monotonic) -> BoxFuture<'_, Result<Stamp>> {
        match self.ask(What::Stamp) {
            Some(Answer::Stamp(ts)) => {
                let stamp = Stamp { timestamp: Timestamp(ts), fence: 1, fence_open: false };
                Box::pin(async move { Ok(stamp) })
            }
            Some(_) => Box::pin(async { Err(lost()) }),
            None => Box::pin(never()),
        }
    }

    fn fence(&self, _op: FenceOp, _deadline: Monotonic) -> BoxFuture<'_, Result<Stamp>> {
        Box::pin(async { Err(Error::Refused("no fences here".into())) })
    }

    fn locate(&self, key: &[u8], _deadline: Monotonic) -> BoxFuture<'_, Result<Route>> {
        let split = self.progress.lock().knows_split;
        let descriptor = self.layout.holding(key, split).clone();
        Box::pin(async move { Ok(Route { descriptor, leader: Some(NodeId(1)) }) })
    }

    fn evaluate(&self, route: &Route, command: Bytes, _deadline: Monotonic) -> BoxFuture<'_, Result<Evaluated>> {
        // These touch volatile state only, on which nothing rests.
        let decoded = Command::decode(&command).expect("what was encoded can be decoded");
        if matches!(decoded, Command::Unlock { .. } | Command::Heartbeat { .. }) {
            return Box::pin(async { Ok(Evaluated { reply: Bytes::new(), replicated: false }) });
        }
        let (range, epoch) = (route.descriptor.id, route.descriptor.epoch);
        let result = match self.ask(What::Evaluate { range, epoch, command }) {
            None => return Box::pin(never()),
            Some(Answer::Reply(reply)) => Ok(Evaluated { reply, replicated: false }),
            Some(Answer::RangeChanged) => Err(Error::RangeChanged(Vec::new())),
            Some(Answer::Refused(reason)) => Err(Error::Refused(reason)),
            Some(Answer::Lost | Answer::Stamp(_)) => Err(lost()),
        };
        Box::pin(async move { result })
    }

    fn split(&self, _key: &[u8], _deadline: Monotonic) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Err(Error::Refused("the model splits".into())) })
    }

    fn transfer_leader(&self, _range: RangeId, _to: NodeId, _deadline: Monotonic) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Err(Error::Refused("the model changes leaders".into())) })
    }

    fn ranges(&self, _deadline: Monotonic) -> BoxFuture<'_, Result<Vec<RangeStatus>>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn nodes(&self, _deadline: Monotonic) -> BoxFuture<'_, Result<Vec<NodeStatus>>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

impl Runtime for World {
    fn now(&self) -> Monotonic {
        Monotonic(0)
    }

    fn wall_micros(&self) -> i64 {
        0
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        if duration >= FOR_EVER { Box::pin(never()) } else { Box::pin(async {}) }
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        let mut progress = self.progress.lock();
        if progress.over {
            return;
        }
        let parent = progress.task;
        let children = progress.children.entry(parent).or_default();
        *children += 1;
        let id = parent * 8 + *children;
        progress.spawned.push((id, task));
    }

    fn random_u64(&self) -> u64 {
        self.txn.0 as u64
    }

    fn random_u128(&self) -> u128 {
        self.txn.0
    }
}
