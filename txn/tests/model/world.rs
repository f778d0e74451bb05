//! The world that is explored: clients, cells, the requests between them, and everything that may go wrong. One step is one of
//!
//! | action | what it stands for |
//! |---|---|
//! | `Deliver` | a request is executed by the leader of its range (or the oracle) and its answer arrives |
//! | `Late` | a copy of a request is executed that nobody waits for: the asker has given up, is dead, or has been answered |
//! | `Copy` | a second copy of a request is under way from now on |
//! | `GiveUp` | nobody answers: the client is told so, a copy stays under way |
//! | `Crash` | a client is gone; what it has sent is still under way |
//! | `ChangeLeader` | a range loses locks, signs of life and its timestamp cache, and gets a low-water mark for the latter |
//! | `Split` | a range becomes two |
//! | `Early` | only with a planted mistake: a client goes on as if it had been answered |
//!
//! Delivery executes a request and hands over its answer in one step. Nothing is lost by that: a client that was answered late
//! differs from one that was answered at once and whose next requests are late. A message that is lost is one whose step never
//! comes.

use std::{collections::HashMap, fmt, sync::Arc};

use base::{RangeId, Timestamp};
use bytes::Bytes;
use parking_lot::Mutex;
use stateright::{Model, Property};
use txn::{
    Command,
    command::{self, LockReply, PreventReply, PrewriteReply, ReadReply, RefreshReply, TxnStatus},
};

use crate::{
    client::{self, Answer, Answers, Ask, AskId, View, What},
    intern::Interner,
    leader::{self, Cell, Stored},
    properties,
    scenario::{Faults, Mistake, Program, Scenario, txn_of},
};

/// Small on purpose: millions of them are kept or hashed. Numbers name what the [`Tables`] hold.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// One per key, in key order.
    pub cells: Vec<u32>,
    /// One per program.
    pub clients: Vec<u32>,
    /// Whether the client is dead, one bit each.
    pub dead: u8,
    /// Sorted.
    pub late: Vec<Message>,
    /// The last timestamp handed out.
    pub oracle: u64,
    pub split: bool,
    /// What may still go wrong.
    pub left: Faults,
    /// A leader has refused a request that it should never have got.
    pub refused: bool,
}

/// A request on its way to a range.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Message {
    range: RangeId,
    epoch: u64,
    command: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Deliver { client: usize, ask: AskId },
    Copy { client: usize, ask: AskId },
    GiveUp { client: usize, ask: AskId },
    Early { client: usize, ask: AskId },
    Late(Message),
    Crash { client: usize },
    ChangeLeader(RangeId),
    Split,
}

/// A client: which, and what it was answered.
type Played = (usize, Answers);

#[derive(Default)]
struct Tables {
    commands: Interner<Bytes>,
    cells: Interner<Cell>,
    stored: HashMap<u32, Arc<Stored>>,
    clients: Interner<Played>,
    views: HashMap<u32, Arc<View>>,
    evaluated: HashMap<(RangeId, u64, Vec<u32>, u32), (Answer, Vec<u32>)>,
    settled: HashMap<(Vec<u32>, u64, bool), Arc<properties::Settled>>,
}

/// The model: a scenario, and what was computed of it so far.
pub struct World {
    pub scenario: Scenario,
    sometimes: Vec<Property<World>>,
    observer: Program,
    tables: Mutex<Tables>,
}

impl World {
    pub fn new(scenario: Scenario, sometimes: Vec<Property<World>>) -> World {
        let observer = Program::reader("observer", &scenario.layout.keys);
        World { scenario, sometimes, observer, tables: Mutex::default() }
    }

    /// What is stored at a key.
    pub fn stored(&self, cell: u32) -> Arc<Stored> {
        let mut tables = self.tables.lock();
        if let Some(stored) = tables.stored.get(&cell) {
            return stored.clone();
        }
        let stored = Arc::new(tables.cells.value(cell).decode());
        tables.stored.insert(cell, stored.clone());
        stored
    }

    pub fn view(&self, client: u32) -> Arc<View> {
        let mut tables = self.tables.lock();
        if let Some(view) = tables.views.get(&client) {
            return view.clone();
        }
        let played = tables.clients.value(client);
        let (index, answers) = &*played;
        // One more than the programs: whoever comes at the end and looks.
        let program = self.scenario.programs.get(*index).unwrap_or(&self.observer);
        let view = Arc::new(client::play(program, txn_of(*index), answers, &self.scenario.layout));
        tables.views.insert(client, view.clone());
        view
    }

    /// A client that has just begun.
    pub fn begin(&self, index: usize) -> u32 {
        self.tables.lock().clients.number((index, Answers::new()))
    }

    /// The client after one more answer.
    pub fn answered(&self, client: u32, ask: AskId, answer: Answer) -> u32 {
        let mut tables = self.tables.lock();
        let (index, mut answers) = Played::clone(&tables.clients.value(client));
        answers.insert(ask, answer);
        tables.clients.number((index, answers))
    }

    /// What a client was answered so far.
    pub fn answers(&self, client: u32) -> Arc<Played> {
        self.tables.lock().clients.value(client)
    }

    pub fn settled(&self, state: &State, compute: impl FnOnce() -> properties::Settled) -> Arc<properties::Settled> {
        let key = (state.cells.clone(), state.oracle, state.split);
        if let Some(settled) = self.tables.lock().settled.get(&key) {
            return settled.clone();
        }
        let settled = Arc::new(compute());
        self.tables.lock().settled.insert(key, settled.clone());
        settled
    }

    /// How much of the code was run: distinct states of clients, distinct states of keys, distinct evaluations.
    pub fn sizes(&self) -> (usize, usize, usize) {
        let tables = self.tables.lock();
        (tables.clients.len(), tables.cells.len(), tables.evaluated.len())
    }

    pub fn ask(&self, client: u32, id: AskId) -> Option<Ask> {
        self.view(client).asks.iter().find(|ask| ask.id == id).cloned()
    }

    pub fn initial(&self) -> State {
        let empty = self.tables.lock().cells.number(Cell::default());
        State {
            cells: vec![empty; self.scenario.layout.keys.len()],
            clients: (0..self.scenario.programs.len()).map(|index| self.begin(index)).collect(),
            dead: 0,
            late: Vec::new(),
            oracle: 0,
            split: false,
            left: self.scenario.faults,
            refused: false,
        }
    }

    /// Executes what is asked, and answers.
    pub fn execute(&self, state: &mut State, what: &What) -> Answer {
        match what {
            What::Stamp => {
                state.oracle += 1;
                Answer::Stamp(state.oracle)
            }
            What::Evaluate { range, epoch, command } => {
                let command = self.tables.lock().commands.number(command.clone());
                self.evaluate(state, Message { range: *range, epoch: *epoch, command })
            }
        }
    }

    fn evaluate(&self, state: &mut State, message: Message) -> Answer {
        let layout = &self.scenario.layout;
        let current = |range: &&storage::Descriptor| range.id == message.range && range.epoch == message.epoch;
        let Some(range) = layout.ranges(state.split).iter().find(current) else { return Answer::RangeChanged };
        let places: Vec<usize> = layout.cells(range).collect();
        let before: Vec<u32> = places.iter().map(|place| state.cells[*place]).collect();
        let mut tables = self.tables.lock();
        let key = (message.range, message.epoch, before, message.command);
        let (answer, after) = match tables.evaluated.get(&key) {
            Some(evaluated) => evaluated.clone(),
            None => {
                let keys: Vec<u8> = places.iter().map(|place| layout.keys[*place]).collect();
                let cells: Vec<Arc<Cell>> = key.2.iter().map(|cell| tables.cells.value(*cell)).collect();
                let command = tables.commands.value(message.command);
                let (answer, after) = leader::evaluate(range, &keys, &cells, &command, self.scenario.mistake);
                let after: Vec<u32> = after.into_iter().map(|cell| tables.cells.number(cell)).collect();
                tables.evaluated.insert(key, (answer.clone(), after.clone()));
                (answer, after)
            }
        };
        for (place, cell) in places.into_iter().zip(after) {
            state.cells[place] = cell;
        }
        state.refused |= matches!(answer, Answer::Refused(_));
        answer
    }

    /// A copy of the request stays under way, if that can matter: the late copy of a request that writes nothing is like a change
    /// of leader, or like nothing.
    fn leave(&self, state: &mut State, ask: &Ask) {
        if let Some(message) = self.message(ask) {
            let (Ok(place) | Err(place)) = state.late.binary_search(&message);
            state.late.insert(place, message);
        }
    }

    fn message(&self, ask: &Ask) -> Option<Message> {
        match &ask.what {
            What::Evaluate { range, epoch, command } if ask.writes => {
                let command = self.tables.lock().commands.number(command.clone());
                Some(Message { range: *range, epoch: *epoch, command })
            }
            _ => None,
        }
    }

    /// With a planted mistake, the answer that a client does not wait for.
    fn early(&self, client: usize, ask: &Ask) -> Option<Answer> {
        let mistake = self.scenario.mistake?;
        let What::Evaluate { command, .. } = &ask.what else { return None };
        let answer = match (mistake, Command::decode(command).expect("what was encoded can be decoded")) {
            (Mistake::AcknowledgeBeforePrewrites, Command::Prewrite(_)) => command::encode(&PrewriteReply::Done),
            (Mistake::PrimaryNotFirst, Command::Prewrite(prewrite))
                if prewrite.staged.is_some() && prewrite.write_ts > prewrite.begin_ts =>
            {
                command::encode(&PrewriteReply::Done)
            }
            (Mistake::PrimaryNotResolvedLast, Command::Resolve { .. }) => Bytes::new(),
            (Mistake::OwnerDoesNotSettle, Command::Query { txn, .. }) if txn == txn_of(client) => {
                command::encode(&TxnStatus::Aborted)
            }
            _ => return None,
        };
        Some(Answer::Reply(answer))
    }

    fn change_leader(&self, state: &mut State, range: RangeId) {
        state.oracle += 1;
        let layout = &self.scenario.layout;
        let Some(range) = layout.ranges(state.split).iter().find(|known| known.id == range) else { return };
        let low_water = match self.scenario.mistake {
            Some(Mistake::NewLeaderForgetsReads) => 0,
            _ => state.oracle,
        };
        let mut tables = self.tables.lock();
        for place in layout.cells(range) {
            let cell = Cell { low_water, last_read: None, ..Cell::clone(&tables.cells.value(state.cells[place])) };
            state.cells[place] = tables.cells.number(cell);
        }
    }

    fn name(&self, client: usize) -> &'static str {
        self.scenario.programs.get(client).map_or("observer", |program| program.name)
    }
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.initial()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (client, number) in state.clients.iter().enumerate() {
            if state.dead & (1 << client) != 0 {
                continue;
            }
            let view = self.view(*number);
            for ask in &view.asks {
                actions.push(Action::Deliver { client, ask: ask.id });
                if state.left.copies > 0 && ask.writes {
                    actions.push(Action::Copy { client, ask: ask.id });
                }
                if state.left.losses > 0 {
                    actions.push(Action::GiveUp { client, ask: ask.id });
                }
                if self.early(client, ask).is_some() {
                    actions.push(Action::Early { client, ask: ask.id });
                }
            }
            // A client that asks nothing is as good as dead.
            if state.left.crashes > 0 && !view.asks.is_empty() {
                actions.push(Action::Crash { client });
            }
        }
        let mut late = state.late.clone();
        late.dedup();
        actions.extend(late.into_iter().map(Action::Late));
        if state.left.leaders > 0 {
            let ranges = self.scenario.layout.ranges(state.split).iter();
            actions.extend(ranges.map(|range| Action::ChangeLeader(range.id)));
        }
        if state.left.split {
            actions.push(Action::Split);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        let pending = |client: usize, id: AskId| self.ask(last.clients[client], id);
        match action {
            Action::Deliver { client, ask } => {
                let ask = pending(client, ask)?;
                let answer = self.execute(&mut state, &ask.what);
                state.clients[client] = self.answered(last.clients[client], ask.id, answer);
            }
            Action::Copy { client, ask } => {
                state.left.copies -= 1;
                self.leave(&mut state, &pending(client, ask)?);
            }
            Action::GiveUp { client, ask } => {
                let ask = pending(client, ask)?;
                state.left.losses -= 1;
                self.leave(&mut state, &ask);
                state.clients[client] = self.answered(last.clients[client], ask.id, Answer::Lost);
            }
            Action::Early { client, ask } => {
                let ask = pending(client, ask)?;
                let answer = self.early(client, &ask)?;
                self.leave(&mut state, &ask);
                state.clients[client] = self.answered(last.clients[client], ask.id, answer);
            }
            Action::Late(message) => {
                let place = state.late.binary_search(&message).ok()?;
                state.late.remove(place);
                self.evaluate(&mut state, message);
            }
            Action::Crash { client } => {
                state.left.crashes -= 1;
                state.dead |= 1 << client;
                for ask in &self.view(last.clients[client]).asks {
                    self.leave(&mut state, ask);
                }
            }
            Action::ChangeLeader(range) => {
                state.left.leaders -= 1;
                self.change_leader(&mut state, range);
            }
            Action::Split => {
                state.left.split = false;
                state.split = true;
            }
        }
        Some(state)
    }

    fn within_boundary(&self, state: &State) -> bool {
        state.oracle <= self.scenario.timestamps_max
    }

    fn properties(&self) -> Vec<Property<World>> {
        properties::always().into_iter().chain(self.sometimes.iter().cloned()).collect()
    }

    fn format_step(&self, last: &State, action: Action) -> Option<String> {
        let asked = |client: usize, id: AskId| match self.ask(last.clients[client], id).map(|ask| ask.what) {
            Some(What::Stamp) => "stamp".to_string(),
            Some(What::Evaluate { command, .. }) => describe(&command),
            None => "nothing".to_string(),
        };
        let next = self.next_state(last, action)?;
        let told = |client: usize, id: AskId| {
            let asked = self.ask(last.clients[client], id).map(|ask| ask.what);
            match (asked, self.answers(next.clients[client]).1.get(&id)) {
                (Some(What::Evaluate { command, .. }), Some(Answer::Reply(reply))) => describe_reply(&command, reply),
                (_, Some(Answer::Stamp(ts))) => format!("{:?}", Timestamp(*ts)),
                (_, answer) => format!("{answer:?}"),
            }
        };
        let step = match action {
            Action::Deliver { client, ask } => {
                format!("{}: {} → {}", self.name(client), asked(client, ask), told(client, ask))
            }
            Action::Copy { client, ask } => format!("a copy of {}'s {}", self.name(client), asked(client, ask)),
            Action::GiveUp { client, ask } => format!("{} gives up on {}", self.name(client), asked(client, ask)),
            Action::Early { client, ask } => format!("{} goes on after {}", self.name(client), asked(client, ask)),
            Action::Late(message) => {
                format!("late: {}", describe(&self.tables.lock().commands.value(message.command)))
            }
            Action::Crash { client } => format!("{} dies", self.name(client)),
            Action::ChangeLeader(range) => format!("new leader of range {}", range.0),
            Action::Split => "split".to_string(),
        };
        let ended = next.clients.iter().zip(&last.clients).enumerate().filter(|(_, (next, last))| next != last);
        let ended = ended.filter_map(|(client, (number, last))| {
            let before = self.view(*last).outcome.is_some();
            let outcome = self.view(*number).outcome.clone().filter(|_| !before)?;
            Some(format!("; {} is told {outcome:?}", self.name(client)))
        });
        Some(step + &ended.collect::<String>())
    }
}

/// A command in one short line.
pub fn describe(raw: &Bytes) -> String {
    let keys = |keys: &[Bytes]| keys.iter().map(|key| key.escape_ascii().to_string()).collect::<String>();
    match Command::decode(raw).expect("what was encoded can be decoded") {
        Command::Prewrite(prewrite) => {
            let written: Vec<Bytes> = prewrite.writes.iter().map(|write| write.key.clone()).collect();
            let primary = if prewrite.staged.is_some() { ", staged" } else { "" };
            format!("prewrite({}, {:?}{primary})", keys(&written), prewrite.write_ts)
        }
        Command::CommitOneRange(prewrite) => {
            let written: Vec<Bytes> = prewrite.writes.iter().map(|write| write.key.clone()).collect();
            format!("commit_one_range({}, {:?})", keys(&written), prewrite.write_ts)
        }
        Command::Resolve { txn, keys: resolved, commit_ts } => {
            format!("resolve(t{}, {}, {commit_ts:?})", txn.0, keys(&resolved))
        }
        Command::Query { txn, primary } => format!("query(t{}, {})", txn.0, keys(&[primary])),
        Command::Abort { txn, primary, .. } => format!("abort_primary(t{}, {})", txn.0, keys(&[primary])),
        Command::Prevent { txn, write_ts, keys: prevented } => {
            format!("prevent(t{}, {}, {write_ts:?})", txn.0, keys(&prevented))
        }
        Command::Read(read) => match read.body {
            txn::command::ReadBody::Get { keys: read_keys } => format!("get({}, {:?})", keys(&read_keys), read.read_ts),
            txn::command::ReadBody::Scan(_) => "scan".into(),
        },
        Command::Refresh { from, to, .. } => format!("refresh({from:?}, {to:?})"),
        Command::Lock(lock) => format!("lock({})", keys(&lock.keys)),
        other => format!("{other:?}"),
    }
}

fn describe_reply(command: &Bytes, reply: &[u8]) -> String {
    let shown = match Command::decode(command).expect("what was encoded can be decoded") {
        Command::Prewrite(_) | Command::CommitOneRange(_) => command::decode::<PrewriteReply>(reply).map(show),
        Command::Query { .. } | Command::Abort { .. } => command::decode::<TxnStatus>(reply).map(show),
        Command::Prevent { .. } => command::decode::<PreventReply>(reply).map(show),
        Command::Read(_) => command::decode::<ReadReply>(reply).map(show),
        Command::Refresh { .. } => command::decode::<RefreshReply>(reply).map(show),
        Command::Lock(_) => command::decode::<LockReply>(reply).map(show),
        _ => Ok("done".to_string()),
    };
    shown.expect("a leader's reply can be decoded")
}

fn show(reply: impl fmt::Debug) -> String {
    format!("{reply:?}")
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let State { cells, clients, dead, oracle, .. } = self;
        write!(f, "cells {cells:?}, clients {clients:?}, dead {dead:b}, oracle {:?}", Timestamp(*oracle))
    }
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Deliver { client, ask } => write!(f, "Deliver {client}/{}.{}", ask.task, ask.number),
            Action::Copy { client, ask } => write!(f, "Copy {client}/{}.{}", ask.task, ask.number),
            Action::GiveUp { client, ask } => write!(f, "GiveUp {client}/{}.{}", ask.task, ask.number),
            Action::Early { client, ask } => write!(f, "Early {client}/{}.{}", ask.task, ask.number),
            Action::Late(message) => write!(f, "Late {}", message.command),
            Action::Crash { client } => write!(f, "Crash {client}"),
            Action::ChangeLeader(range) => write!(f, "ChangeLeader {}", range.0),
            Action::Split => f.write_str("Split"),
        }
    }
}
