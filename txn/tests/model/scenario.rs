//! What is explored: who does what on which ranges, and how much may go wrong.

use base::{NodeId, RangeId, Span, TxnId};
use bytes::Bytes;
use storage::Descriptor;

/// What one client does, in one transaction.
#[derive(Clone, Debug)]
pub struct Program {
    pub name: &'static str,
    pub steps: Vec<Step>,
    /// `Options::staged_keys_max`: zero makes every commit over several ranges a *pending* one.
    pub staged_keys_max: usize,
}

/// Keys are single bytes.
#[derive(Clone, Debug)]
pub enum Step {
    /// Reads all of these at once.
    Get(Vec<u8>),
    Lock(Vec<u8>),
    /// Of a key that was read or locked.
    Put(u8),
    PutBlind(u8),
}

impl Program {
    pub fn new(name: &'static str, steps: impl IntoIterator<Item = Step>) -> Program {
        Program { name, steps: steps.into_iter().collect(), staged_keys_max: 1024 }
    }

    pub fn reader(name: &'static str, keys: &[u8]) -> Program {
        Program::new(name, [Step::Get(keys.to_vec())])
    }

    pub fn pending(self) -> Program {
        Program { staged_keys_max: 0, ..self }
    }

    /// The keys that it writes.
    pub fn written(&self) -> impl Iterator<Item = u8> {
        self.steps.iter().filter_map(|step| match step {
            Step::Put(key) | Step::PutBlind(key) => Some(*key),
            Step::Get(_) | Step::Lock(_) => None,
        })
    }
}

/// How much may go wrong on one path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Faults {
    /// Clients that die.
    pub crashes: u8,
    /// Requests that are not answered, though they may be executed, at any later time.
    pub losses: u8,
    /// Second copies of requests.
    pub copies: u8,
    /// Changes of a range's leader.
    pub leaders: u8,
    /// Whether the range that is to be split may be.
    pub split: bool,
}

/// Ranges before and after the one split that may happen.
#[derive(Clone, Debug)]
pub struct Layout {
    pub keys: Vec<u8>,
    before: Vec<Descriptor>,
    after: Vec<Descriptor>,
}

impl Layout {
    /// One range for each of the groups, which are in key order and adjacent. `split_at` cuts one of them.
    pub fn new(groups: &[&[u8]], split_at: Option<u8>) -> Layout {
        let keys: Vec<u8> = groups.concat();
        let before: Vec<Descriptor> = groups
            .iter()
            .enumerate()
            .map(|(index, group)| {
                let end = groups.get(index + 1).map_or(Bytes::new(), |next| Bytes::copy_from_slice(&next[..1]));
                descriptor(index as u64 + 2, 1, Bytes::copy_from_slice(&group[..1]), end)
            })
            .collect();
        let mut after = before.clone();
        if let Some(at) = split_at.map(|at| Bytes::copy_from_slice(&[at])) {
            let index = after.iter().position(|range| range.span.contains(&at)).expect("every key has a range");
            let end = std::mem::replace(&mut after[index].span.end, at.clone());
            after[index].epoch += 1;
            after.insert(index + 1, descriptor(before.len() as u64 + 2, 2, at, end));
        }
        Layout { keys, before, after }
    }

    pub fn ranges(&self, split: bool) -> &[Descriptor] {
        if split { &self.after } else { &self.before }
    }

    pub fn holding(&self, key: &[u8], split: bool) -> &Descriptor {
        self.ranges(split).iter().find(|range| range.span.contains(key)).expect("every key has a range")
    }

    /// The positions of the keys of a range.
    pub fn cells<'l>(&'l self, range: &'l Descriptor) -> impl Iterator<Item = usize> + 'l {
        self.keys.iter().enumerate().filter(|(_, key)| range.span.contains(&[**key])).map(|(index, _)| index)
    }
}

fn descriptor(id: u64, epoch: u64, start: Bytes, end: Bytes) -> Descriptor {
    Descriptor { id: RangeId(id), epoch, span: Span { start, end }, replicas: vec![NodeId(1)] }
}

/// A planted mistake, to see that the model finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// `resolve::prevent` says `Missing` and leaves no marker.
    PreventLeavesNoMarker,
    /// A marker is against one attempt only: prewrites of later ones pass it.
    MarkerStopsOneAttempt,
    /// `resolve::prevent` takes the intent of a later attempt for a missing one.
    SupersededIsMissing,
    /// A late copy of an earlier attempt's prewrite replaces the intent of a later one.
    EarlierIntentReplacesLater,
    /// `drive` counts prewrites as done that nobody has answered.
    AcknowledgeBeforePrewrites,
    /// At the next timestamp the primary does not go first.
    PrimaryNotFirst,
    /// `recovery::resolve` does not keep the primary for the end.
    PrimaryNotResolvedLast,
    /// A new leader does not learn that there were reads before it.
    NewLeaderForgetsReads,
    /// The owner of an unclear commit reports its error instead of settling the transaction.
    OwnerDoesNotSettle,
}

/// One thing to explore.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub name: &'static str,
    pub layout: Layout,
    pub programs: Vec<Program>,
    pub faults: Faults,
    /// The oracle is not asked more often than this.
    pub timestamps_max: u64,
    pub mistake: Option<Mistake>,
}

/// The transaction of a client.
pub fn txn_of(client: usize) -> TxnId {
    TxnId(client as u128 + 1)
}
