//! Sequences and counters. Numbers are reserved in blocks, each by a transaction of its own that commits at once: they are
//! not rolled back, and a gateway that dies leaves a gap.
//!
//! A block is used by a transaction whose stamp has the fence number that the block was last checked at. `setval` and ALTER
//! SEQUENCE open a fence and raise the sequence's generation, so that every other gateway checks its block before it hands
//! out another number.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use auth::privilege::Privileges;
use base::{BoxFuture, Monotonic, TableId};
use futures::lock::Mutex as AsyncMutex;
use parking_lot::Mutex;
use txn::{LockMode, Stamp, Txn, TxnClient, WaitPolicy};

use super::{
    CatalogView, RelationKind, Sequence, SessionCatalog,
    store::{self, Counter, SequenceState},
};
use crate::{
    access,
    error::{Result, SqlError, SqlState},
    exec::Sequences,
};

/// Numbers reserved at once; doubled while they are used up quickly.
const BLOCK_MIN: u64 = 32;
const BLOCK_MAX: u64 = 8192;
const QUICKLY: Duration = Duration::from_secs(1);
/// OIDs and key spaces reserved at once, and row ids.
const OID_BLOCK: u64 = 16;
const ROW_BLOCK: u64 = 4096;
/// Attempts of a reservation that meets other gateways.
const ATTEMPTS_MAX: u32 = 20;

/// Numbers reserved for this gateway, shared by its sessions.
pub struct SequenceCache {
    client: TxnClient,
    /// Each under a lock of its own: whoever waits for one sequence must not stop the others.
    blocks: Mutex<BTreeMap<TableId, SharedBlock>>,
    counters: AsyncMutex<BTreeMap<Counter, (u64, u64)>>,
}

type SharedBlock = Arc<AsyncMutex<Option<Block>>>;

#[derive(Clone, Copy, Debug)]
struct Block {
    next: i64,
    left: u64,
    generation: u64,
    /// The fence number at which the generation was last known to be right.
    fence: Option<u64>,
    size: u64,
    reserved_at: Monotonic,
}

impl SequenceCache {
    pub fn new(client: TxnClient) -> SequenceCache {
        SequenceCache { client, blocks: Mutex::new(BTreeMap::new()), counters: AsyncMutex::new(BTreeMap::new()) }
    }

    /// The next number for a transaction with this stamp.
    async fn next(&self, id: TableId, name: &str, sequence: &Sequence, stamp: Stamp) -> Result<i64> {
        let shared = self.block(id);
        let mut held = shared.lock().await;
        let fence = (!stamp.fence_open).then_some(stamp.fence);
        let mut block = held.take();
        if let Some(old) = &mut block
            && (old.fence.is_none() || old.fence != fence)
        {
            let state = self.read_state(id).await?;
            old.fence = fence;
            if state.is_none_or(|state| state.generation != old.generation) {
                old.left = 0;
            }
        }
        let mut block = match block {
            Some(block) if block.left > 0 => block,
            old => self.reserve(id, name, sequence, old, fence).await?,
        };
        let value = block.next;
        block.left -= 1;
        // Past the last number of a block the sum is not used.
        block.next = block.next.wrapping_add(sequence.increment);
        *held = Some(block);
        Ok(value)
    }

    fn block(&self, id: TableId) -> SharedBlock {
        Arc::clone(self.blocks.lock().entry(id).or_default())
    }

    async fn read_state(&self, id: TableId) -> Result<Option<SequenceState>> {
        let mut txn = self.client.begin();
        let values = txn.get(&[store::sequence_key(id)]).await?;
        txn.rollback().await;
        values.into_iter().flatten().next().map(|value| store::decode(&value)).transpose()
    }

    async fn reserve(
        &self,
        id: TableId,
        name: &str,
        sequence: &Sequence,
        old: Option<Block>,
        fence: Option<u64>,
    ) -> Result<Block> {
        let now = self.client.runtime.now();
        let least = BLOCK_MIN.max(sequence.cache.unsigned_abs());
        let size = match old {
            Some(old) if now.since(old.reserved_at) < QUICKLY => (old.size * 2).clamp(least, BLOCK_MAX.max(least)),
            _ => least,
        };
        let (name, sequence) = (name.to_owned(), sequence.clone());
        let (first, count, generation) = self
            .retrying(|txn| {
                let (name, sequence) = (name.clone(), sequence.clone());
                Box::pin(async move {
                    let state = locked_state(txn, id).await?;
                    let (first, count) = advance(&name, &sequence, state, size)?;
                    let last = first + sequence.increment * (count as i64 - 1);
                    let state = SequenceState { last, called: true, ..state };
                    txn.put(store::sequence_key(id), store::encode(&state)?)?;
                    Ok((first, count, state.generation))
                })
            })
            .await?;
        Ok(Block { next: first, left: count, generation, fence, size, reserved_at: now })
    }

    /// Sets a sequence for everybody, at once.
    async fn set(&self, id: TableId, value: i64, called: bool) -> Result<()> {
        let shared = self.block(id);
        let mut held = shared.lock().await;
        *held = None;
        self.retrying(|txn| {
            Box::pin(async move {
                txn.open_fence().await?;
                let state = locked_state(txn, id).await?;
                let state = SequenceState { last: value, called, generation: state.generation + 1 };
                txn.put(store::sequence_key(id), store::encode(&state)?)?;
                Ok(())
            })
        })
        .await
    }

    /// Forgets what is reserved of a sequence (it is being changed or dropped).
    pub async fn forget(&self, id: TableId) {
        *self.block(id).lock().await = None;
    }

    /// The first of `count` consecutive numbers that nobody else gets.
    pub async fn numbers(&self, counter: Counter, count: u64) -> Result<u64> {
        let mut counters = self.counters.lock().await;
        let (next, left) = counters.get(&counter).copied().unwrap_or((0, 0));
        let (next, left) = if left >= count {
            (next, left)
        } else {
            let (block, least) = match counter {
                Counter::Oid => (OID_BLOCK, u64::from(store::FIRST_USER_OID)),
                Counter::Row => (ROW_BLOCK, 1),
            };
            let block = block.max(count);
            let first = self
                .retrying(|txn| {
                    Box::pin(async move {
                        let key = store::counter_key(counter);
                        let next = store::locked_number(txn, key.clone(), WaitPolicy::Wait).await?.max(least);
                        txn.put(key, store::encode(&(next + block))?)?;
                        Ok(next)
                    })
                })
                .await?;
            (first, block)
        };
        counters.insert(counter, (next + count, left - count));
        Ok(next)
    }

    /// A fresh OID, also used as the id of a key space.
    pub async fn oid(&self) -> Result<u32> {
        let oid = self.numbers(Counter::Oid, 1).await?;
        u32::try_from(oid).map_err(|_| SqlError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "out of object identifiers"))
    }

    /// Runs a small transaction of its own until it commits.
    async fn retrying<T>(&self, body: impl for<'t> Fn(&'t mut Txn) -> BoxFuture<'t, Result<T>>) -> Result<T> {
        let mut attempt = 0;
        loop {
            let mut txn = self.client.begin();
            let outcome = match body(&mut txn).await {
                Ok(value) => txn.commit().await.map(|_| value).map_err(SqlError::from),
                Err(error) => {
                    txn.rollback().await;
                    Err(error)
                }
            };
            match outcome {
                // An ambiguous reservation may have happened: its numbers are lost, which is allowed.
                Err(error) if retry_reservation(&error) && attempt < ATTEMPTS_MAX => {
                    attempt += 1;
                    let jitter = self.client.runtime.random_u64() % 10;
                    self.client.runtime.sleep(Duration::from_millis(jitter * u64::from(attempt))).await;
                }
                other => return other,
            }
        }
    }
}

fn retry_reservation(error: &SqlError) -> bool {
    error.fields().retryable || error.state() == SqlState::STATEMENT_COMPLETION_UNKNOWN
}

async fn locked_state(txn: &mut Txn, id: TableId) -> Result<SequenceState> {
    let rows = txn.lock(&[store::sequence_key(id)], LockMode::Update, WaitPolicy::Wait).await?;
    match rows.into_iter().next().and_then(|row| row.value) {
        Some(value) => store::decode(&value),
        None => {
            let message = format!("relation with OID {} does not exist", id.0);
            Err(SqlError::new(SqlState::UNDEFINED_TABLE, message))
        }
    }
}

/// The first number after `state` and how many (at most `wanted`) can be had without passing a limit.
fn advance(name: &str, sequence: &Sequence, state: SequenceState, wanted: u64) -> Result<(i64, u64)> {
    let Sequence { increment, min, max, cycle, .. } = *sequence;
    let within = |value: i64| (min..=max).contains(&value);
    let first =
        if state.called { state.last.checked_add(increment).filter(|next| within(*next)) } else { Some(state.last) };
    let first = match first {
        Some(first) => first,
        None if cycle => {
            if increment > 0 {
                min
            } else {
                max
            }
        }
        None => {
            let (which, limit) = if increment > 0 { ("maximum", max) } else { ("minimum", min) };
            let message = format!("nextval: reached {which} value of sequence \"{name}\" ({limit})");
            return Err(SqlError::new(SqlState("2200H"), message));
        }
    };
    let room = if increment > 0 { i128::from(max) - i128::from(first) } else { i128::from(first) - i128::from(min) };
    let count = (room / i128::from(increment).abs() + 1).min(i128::from(wanted)).max(1);
    Ok((first, count as u64))
}

/// What a session remembers of sequences.
#[derive(Debug, Default)]
pub struct SequenceMemory {
    values: BTreeMap<TableId, i64>,
    last: Option<TableId>,
}

impl SequenceMemory {
    fn note(&mut self, id: TableId, value: i64) {
        self.values.insert(id, value);
        self.last = Some(id);
    }

    /// `DISCARD SEQUENCES`.
    pub fn clear(&mut self) {
        *self = SequenceMemory::default();
    }
}

/// Sequences as one statement uses them.
pub struct StatementSequences {
    pub cache: Arc<SequenceCache>,
    pub memory: Arc<Mutex<SequenceMemory>>,
    pub catalog: SessionCatalog,
    /// Sequences created or restarted by this transaction: nobody else sees their state yet, so their numbers are drawn
    /// within the transaction.
    pub own: BTreeSet<TableId>,
    /// With whose rights they are used.
    pub user: String,
}

impl StatementSequences {
    /// The sequence, if one of these privileges on it is held. The sequence of an identity column belongs to the table: who may
    /// insert there uses it.
    fn find(&self, id: TableId, any_of: Privileges) -> Result<(String, Sequence)> {
        let Some(relation) = self.catalog.relation_by_id(id) else {
            let message = format!("relation with OID {} does not exist", id.0);
            return Err(SqlError::new(SqlState::UNDEFINED_TABLE, message));
        };
        match &relation.kind {
            RelationKind::Sequence(sequence) => {
                let snapshot = &self.catalog.snapshot;
                let held = access::held(snapshot, &relation, snapshot.roles.oid(&self.user));
                if !held.intersects(any_of) && !self.is_identity(id, sequence) {
                    return Err(access::denied_relation(&relation));
                }
                Ok((relation.name.clone(), sequence.clone()))
            }
            _ => {
                let message = format!("\"{}\" is not a sequence", relation.name);
                Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message))
            }
        }
    }

    fn is_identity(&self, id: TableId, sequence: &Sequence) -> bool {
        let owner = sequence.owned_by.and_then(|(table, column)| {
            let relation = self.catalog.snapshot.get(table)?;
            relation.columns().iter().find(|known| known.id == column)
        });
        owner.is_some_and(|column| column.identity.is_some() && column.owned_sequence == Some(id))
    }

    async fn next_within(&self, id: TableId, name: &str, sequence: &Sequence, txn: &mut Txn) -> Result<i64> {
        let state = locked_state(txn, id).await?;
        let (value, _) = advance(name, sequence, state, 1)?;
        let state = SequenceState { last: value, called: true, ..state };
        txn.put(store::sequence_key(id), store::encode(&state)?)?;
        Ok(value)
    }
}

#[async_trait]
impl Sequences for StatementSequences {
    async fn next_value(&self, id: TableId, txn: &mut Txn) -> Result<i64> {
        let (name, sequence) = self.find(id, Privileges::USAGE | Privileges::UPDATE)?;
        let value = if self.own.contains(&id) {
            self.next_within(id, &name, &sequence, txn).await?
        } else {
            let stamp = txn.stamp().await?;
            self.cache.next(id, &name, &sequence, stamp).await?
        };
        self.memory.lock().note(id, value);
        Ok(value)
    }

    async fn current_value(&self, id: TableId) -> Result<i64> {
        let (name, _) = self.find(id, Privileges::USAGE | Privileges::SELECT)?;
        self.memory.lock().values.get(&id).copied().ok_or_else(|| {
            let message = format!("currval of sequence \"{name}\" is not yet defined in this session");
            SqlError::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
        })
    }

    async fn set_value(&self, id: TableId, value: i64, is_called: bool, txn: &mut Txn) -> Result<i64> {
        let (name, sequence) = self.find(id, Privileges::UPDATE)?;
        if !(sequence.min..=sequence.max).contains(&value) {
            let message = format!(
                "setval: value {value} is out of bounds for sequence \"{name}\" ({}..{})",
                sequence.min, sequence.max
            );
            return Err(SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message));
        }
        if self.own.contains(&id) {
            let state = locked_state(txn, id).await?;
            let state = SequenceState { last: value, called: is_called, generation: state.generation + 1 };
            txn.put(store::sequence_key(id), store::encode(&state)?)?;
        } else {
            self.cache.set(id, value, is_called).await?;
        }
        if is_called {
            self.memory.lock().note(id, value);
        }
        Ok(value)
    }

    async fn last_value(&self) -> Result<i64> {
        let memory = self.memory.lock();
        let value = memory.last.and_then(|id| memory.values.get(&id).copied());
        value.ok_or_else(|| {
            let message = "lastval is not yet defined in this session";
            SqlError::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
        })
    }

    async fn row_ids(&self, count: u64) -> Result<i64> {
        let first = self.cache.numbers(Counter::Row, count).await?;
        i64::try_from(first).map_err(|_| SqlError::internal("out of row ids"))
    }
}
