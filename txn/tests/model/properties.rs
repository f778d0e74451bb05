//! What must hold in every state, and what must happen in some.
//!
//! "Committed" is what the protocol says it is: a version is there, or the primary is staged and every key it lists has its intent
//! at the same timestamp. So the properties are about that, and not about what anybody has noticed yet.

use std::sync::Arc;

use base::{Timestamp, TxnId};
use bytes::Bytes;
use stateright::Property;
use txn::command::{PreventReply, PrewriteReply};

use crate::{
    client::{Outcome, Told},
    leader::Stored,
    scenario::txn_of,
    world::{State, World},
};

/// Requests of somebody who comes and reads everything; far more than there can be work.
const SETTLE_STEPS_MAX: usize = 400;

pub fn always() -> Vec<Property<World>> {
    vec![
        Property::always("committed or aborted, never both", never_both),
        Property::always("all or nothing", all_or_nothing),
        Property::always("what was acknowledged stays committed", acknowledged_stays),
        Property::always("what was refused is never committed", refused_stays),
        Property::always("one fresh timestamp per commit", fresh_timestamps),
        Property::always("what was read stays true", reads_hold),
        Property::always("the primary is resolved last", primary_last),
        Property::always("no leader is asked for the impossible", |_, state: &State| !state.refused),
        Property::always("whoever comes gets through", gets_through),
        Property::always("recovery decides what the owner was told", recovery_agrees),
    ]
}

/// What is stored at the keys, and what became of the transactions.
struct Facts {
    keys: Vec<u8>,
    stored: Vec<Arc<Stored>>,
    /// By client.
    committed: Vec<Option<Timestamp>>,
}

impl Facts {
    fn of(world: &World, state: &State) -> Facts {
        let keys = world.scenario.layout.keys.clone();
        let stored: Vec<Arc<Stored>> = state.cells.iter().map(|cell| world.stored(*cell)).collect();
        let mut facts = Facts { keys, stored, committed: Vec::new() };
        facts.committed = (0..world.scenario.programs.len()).map(|client| facts.fate(world, client)).collect();
        facts
    }

    fn at(&self, key: u8) -> &Stored {
        let place =
            self.keys.iter().position(|known| *known == key).expect("a program keeps to the keys of the layout");
        &self.stored[place]
    }

    fn version(&self, key: u8, txn: TxnId) -> Option<Timestamp> {
        self.at(key).versions.iter().find(|(_, writer, _)| *writer == txn).map(|(at, _, _)| *at)
    }

    fn intent(&self, key: u8, txn: TxnId) -> Option<Timestamp> {
        self.at(key).intent.as_ref().filter(|intent| intent.txn == txn).map(|intent| intent.write_ts)
    }

    fn fate(&self, world: &World, client: usize) -> Option<Timestamp> {
        let txn = txn_of(client);
        let written: Vec<u8> = world.scenario.programs[client].written().collect();
        if let Some(at) = written.iter().find_map(|key| self.version(*key, txn)) {
            return Some(at);
        }
        let staged = |key: &u8| {
            let intent = self.at(*key).intent.as_ref().filter(|intent| intent.txn == txn && intent.staged.is_some())?;
            Some(intent.write_ts)
        };
        let at = written.iter().find_map(staged)?;
        written.iter().all(|key| self.intent(*key, txn) == Some(at)).then_some(at)
    }

    /// The newest committed value of a key at or below a timestamp, by others than `txn`.
    fn value(&self, key: u8, at: Timestamp, txn: TxnId) -> Option<Bytes> {
        let stored = self.at(key);
        let versions = stored.versions.iter().filter(|(_, writer, _)| *writer != txn).cloned();
        let versions = versions.map(|(at, _, value)| (at, value));
        let intent = stored.intent.as_ref().filter(|intent| {
            let writer = (intent.txn.0 as usize).checked_sub(1);
            let fate = writer.and_then(|client| self.committed.get(client).copied().flatten());
            intent.txn != txn && fate == Some(intent.write_ts)
        });
        let intent = intent.map(|intent| (intent.write_ts, intent.value.clone()));
        versions
            .chain(intent)
            .filter(|(when, _)| *when <= at)
            .max_by_key(|(when, _)| *when)
            .and_then(|(_, value)| value)
    }
}

/// A marker against a transaction means that it can never commit.
fn never_both(world: &World, state: &State) -> bool {
    let facts = Facts::of(world, state);
    writers(world).all(|client| {
        let marked = |key: u8| facts.at(key).markers.contains(&txn_of(client));
        facts.committed[client].is_none() || !world.scenario.programs[client].written().any(marked)
    })
}

/// A version of one key, and all other keys have theirs, or the intent that becomes one.
fn all_or_nothing(world: &World, state: &State) -> bool {
    let facts = Facts::of(world, state);
    writers(world).all(|client| {
        let txn = txn_of(client);
        let there = |key: u8, at| facts.version(key, txn) == Some(at) || facts.intent(key, txn) == Some(at);
        facts.committed[client].is_none_or(|at| world.scenario.programs[client].written().all(|key| there(key, at)))
    })
}

fn acknowledged_stays(world: &World, state: &State) -> bool {
    let facts = Facts::of(world, state);
    writers(world).all(|client| match &world.view(state.clients[client]).outcome {
        Some(Outcome::Committed(at)) => facts.committed[client] == Some(*at),
        _ => true,
    })
}

fn refused_stays(world: &World, state: &State) -> bool {
    let facts = Facts::of(world, state);
    writers(world).all(|client| match &world.view(state.clients[client]).outcome {
        Some(Outcome::Failed(_)) => facts.committed[client].is_none(),
        _ => true,
    })
}

/// Handed out before, to nobody else, and the same for all keys: so whoever begins later comes later.
fn fresh_timestamps(world: &World, state: &State) -> bool {
    let facts = Facts::of(world, state);
    let mut taken: Vec<Timestamp> = facts.committed.iter().flatten().copied().collect();
    let count = taken.len();
    taken.sort_unstable();
    taken.dedup();
    let same = |client: usize| {
        let mut written = world.scenario.programs[client].written();
        written.all(|key| facts.version(key, txn_of(client)).is_none_or(|at| Some(at) == facts.committed[client]))
    };
    taken.len() == count && taken.iter().all(|at| at.0 <= state.oracle) && writers(world).all(same)
}

/// What was read at a timestamp is what is there at that timestamp, for ever; and what a committed transaction has read or
/// seen under a lock is so at its commit timestamp: the serial order.
fn reads_hold(world: &World, state: &State) -> bool {
    let facts = Facts::of(world, state);
    state.clients.iter().enumerate().all(|(client, number)| {
        let committed = facts.committed[client];
        world.view(*number).seen.iter().all(|seen| {
            let holds = |at: Timestamp| facts.value(seen.key[0], at, txn_of(client)) == seen.value;
            seen.at.is_none_or(holds) && committed.is_none_or(holds)
        })
    })
}

/// When the list of a staged transaction is gone, nothing is left that would have to ask for it.
fn primary_last(world: &World, state: &State) -> bool {
    let facts = Facts::of(world, state);
    writers(world).filter(|client| world.scenario.programs[*client].staged_keys_max > 0).all(|client| {
        let txn = txn_of(client);
        let written: Vec<u8> = world.scenario.programs[client].written().collect();
        let left = |key: &u8| facts.at(*key).intent.clone().filter(|intent| intent.txn == txn);
        let mut primaries = written.iter().filter_map(left).map(|intent| intent.primary);
        primaries.all(|primary| facts.version(primary[0], txn).is_none())
    })
}

/// From here a reader who comes now, alone, reads everything and leaves no intent behind.
fn gets_through(world: &World, state: &State) -> bool {
    settled(world, state).through
}

fn recovery_agrees(world: &World, state: &State) -> bool {
    let facts = Facts::of(world, state);
    let settled = settled(world, state);
    writers(world).all(|client| {
        let agreed = match &world.view(state.clients[client]).outcome {
            Some(Outcome::Committed(at)) => settled.committed[client] == Some(*at),
            Some(Outcome::Failed(_)) => settled.committed[client].is_none(),
            Some(Outcome::Ambiguous) | None => true,
        };
        agreed && facts.committed[client].is_none_or(|at| settled.committed[client] == Some(at))
    })
}

/// What somebody makes of a state who comes and reads everything.
#[derive(Debug)]
pub struct Settled {
    through: bool,
    committed: Vec<Option<Timestamp>>,
}

fn settled(world: &World, state: &State) -> Arc<Settled> {
    world.settled(state, || {
        let mut state = state.clone();
        let mut observer = world.begin(world.scenario.programs.len());
        let mut through = false;
        for _ in 0..SETTLE_STEPS_MAX {
            let view = world.view(observer);
            let Some(ask) = view.asks.first() else {
                through = matches!(view.outcome, Some(Outcome::Committed(_)));
                break;
            };
            let answer = world.execute(&mut state, &ask.what);
            observer = world.answered(observer, ask.id, answer);
        }
        let facts = Facts::of(world, &state);
        through &= facts.stored.iter().all(|stored| stored.intent.is_none());
        Settled { through, committed: facts.committed }
    })
}

fn writers(world: &World) -> impl Iterator<Item = usize> {
    (0..world.scenario.programs.len()).filter(|client| world.scenario.programs[*client].written().next().is_some())
}

/// What a scenario should show, so that nothing holds for want of it.
pub mod sometimes {
    use super::*;

    fn anybody(world: &World, state: &State, is: impl Fn(&[Told], &Option<Outcome>) -> bool) -> bool {
        state.clients.iter().any(|number| {
            let view = world.view(*number);
            is(&view.told, &view.outcome)
        })
    }

    fn was_told(world: &World, state: &State, what: &Told) -> bool {
        anybody(world, state, |told, _| told.contains(what))
    }

    fn was_pushed(told: &[Told]) -> bool {
        told.iter().any(|told| matches!(told, Told::Prewrite(PrewriteReply::Pushed { .. })))
    }

    pub fn acknowledged() -> Property<World> {
        Property::sometimes("a writer is acknowledged", |world: &World, state: &State| {
            writers(world)
                .any(|client| matches!(world.view(state.clients[client]).outcome, Some(Outcome::Committed(_))))
        })
    }

    pub fn refused() -> Property<World> {
        Property::sometimes("a writer is refused", |world: &World, state: &State| {
            writers(world).any(|client| matches!(world.view(state.clients[client]).outcome, Some(Outcome::Failed(_))))
        })
    }

    pub fn ambiguous() -> Property<World> {
        Property::sometimes("an outcome stays unknown", |world, state| {
            anybody(world, state, |_, outcome| *outcome == Some(Outcome::Ambiguous))
        })
    }

    pub fn committed_after_push() -> Property<World> {
        Property::sometimes("a pushed transaction commits later", |world, state| {
            anybody(world, state, |told, outcome| was_pushed(told) && matches!(outcome, Some(Outcome::Committed(_))))
        })
    }

    pub fn settled_own() -> Property<World> {
        Property::sometimes("an owner without answers learns that it is committed", |world: &World, state: &State| {
            let lost = |told: &[Told]| told.contains(&Told::Lost);
            writers(world).any(|client| {
                let view = world.view(state.clients[client]);
                lost(&view.told) && matches!(view.outcome, Some(Outcome::Committed(_)))
            })
        })
    }

    pub fn recovered_committed() -> Property<World> {
        Property::sometimes("a recovery finds all there", |world, state| {
            was_told(world, state, &Told::Prevent(PreventReply::AllPresent))
        })
    }

    pub fn recovered_aborted() -> Property<World> {
        Property::sometimes("a recovery finds one missing", |world, state| {
            was_told(world, state, &Told::Prevent(PreventReply::Missing))
        })
    }

    pub fn superseded() -> Property<World> {
        Property::sometimes("a recovery is superseded", |world, state| {
            was_told(world, state, &Told::Prevent(PreventReply::Superseded))
        })
    }

    pub fn stopped_by_marker() -> Property<World> {
        Property::sometimes("a marker stops a writer", |world, state| {
            was_told(world, state, &Told::Prewrite(PrewriteReply::Aborted))
        })
    }

    pub fn found_own_version() -> Property<World> {
        Property::sometimes("a repeated request finds its own version", |world, state| {
            anybody(world, state, |told, _| {
                told.iter().any(|told| matches!(told, Told::Prewrite(PrewriteReply::Committed(_))))
            })
        })
    }

    pub fn conflict() -> Property<World> {
        Property::sometimes("a writer meets a newer version", |world, state| {
            anybody(world, state, |told, _| {
                told.iter().any(|told| matches!(told, Told::Prewrite(PrewriteReply::Conflict { .. })))
            })
        })
    }

    pub fn prewritten_after_split() -> Property<World> {
        Property::sometimes("a commit over a range that was split succeeds", |world, state| {
            anybody(world, state, |told, outcome| {
                told.contains(&Told::RangeChanged) && matches!(outcome, Some(Outcome::Committed(_)))
            })
        })
    }
}
