//! A small evaluator: lists under keys. One version per key, at the fixed timestamp 0 in the data family.

use std::collections::BTreeMap;

use base::{Monotonic, Span, Timestamp};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use storage::{Access, ColumnFamily, Error, Evaluate, EvaluateContext, Outcome, Reader, Result, Token, WriteBatch};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Toy {
    Append {
        key: Bytes,
        item: u64,
    },
    Get {
        key: Bytes,
    },
    /// Waits until the key exists.
    Await {
        key: Bytes,
    },
    /// A value of so many bytes.
    Fill {
        key: Bytes,
        bytes: u32,
    },
    /// Reads, if everything up to this timestamp is closed.
    Past {
        key: Bytes,
        at: Timestamp,
    },
    /// Leaves a note with the leader, in memory only.
    Note {
        key: Bytes,
        item: u64,
    },
    /// The notes on a key.
    Notes {
        key: Bytes,
    },
}

impl Toy {
    pub fn encode(&self) -> Bytes {
        postcard::to_stdvec(self).unwrap().into()
    }

    pub fn key(&self) -> &Bytes {
        match self {
            Toy::Append { key, .. } | Toy::Get { key } | Toy::Await { key } | Toy::Fill { key, .. } => key,
            Toy::Past { key, .. } | Toy::Note { key, .. } | Toy::Notes { key } => key,
        }
    }
}

pub fn decode_list(bytes: &[u8]) -> Vec<u64> {
    postcard::from_bytes(bytes).unwrap()
}

#[derive(Default)]
pub struct ToyEvaluator {
    /// By key, those who wait for it.
    waiting: BTreeMap<Bytes, Vec<Token>>,
    /// Keys written by proposals in flight.
    proposed: BTreeMap<Token, Bytes>,
    woken: Vec<Token>,
    notes: BTreeMap<Bytes, Vec<u64>>,
    pub low_water: Timestamp,
}

fn engine_key(key: &[u8]) -> Bytes {
    [key, &[0; 8]].concat().into()
}

fn decode(command: &[u8]) -> Result<Toy> {
    postcard::from_bytes(command).map_err(|error| Error::Refused(error.to_string()))
}

pub fn read(reader: &dyn Reader, key: &[u8]) -> Result<Vec<u64>> {
    let bytes = reader.get(ColumnFamily::Data, &engine_key(key))?;
    Ok(bytes.map(|bytes| postcard::from_bytes(&bytes).unwrap_or_default()).unwrap_or_default())
}

impl Evaluate for ToyEvaluator {
    fn access(&self, command: &Bytes) -> Result<Vec<Access>> {
        let toy = decode(command)?;
        let exclusive = matches!(toy, Toy::Append { .. } | Toy::Fill { .. });
        Ok(vec![Access { span: Span::point(toy.key().clone()), exclusive }])
    }

    fn evaluate(
        &mut self,
        token: Token,
        command: &Bytes,
        context: EvaluateContext<'_>,
        reader: &dyn Reader,
    ) -> Result<Outcome> {
        let toy = decode(command)?;
        assert!(context.descriptor.span.contains(toy.key()), "evaluated outside of the range");
        let list = match &toy {
            Toy::Fill { .. } | Toy::Note { .. } | Toy::Notes { .. } => Vec::new(),
            _ => read(reader, toy.key())?,
        };
        let mut batch = WriteBatch::default();
        match toy {
            Toy::Note { key, item } => {
                self.notes.entry(key).or_default().push(item);
                Ok(Outcome::Reply(Bytes::new()))
            }
            Toy::Notes { key } => {
                let notes = self.notes.get(&key).cloned().unwrap_or_default();
                Ok(Outcome::Reply(postcard::to_stdvec(&notes).unwrap().into()))
            }
            Toy::Get { .. } | Toy::Past { .. } => Ok(Outcome::Reply(postcard::to_stdvec(&list).unwrap().into())),
            Toy::Await { .. } if !list.is_empty() => Ok(Outcome::Reply(postcard::to_stdvec(&list).unwrap().into())),
            Toy::Await { key } => {
                self.waiting.entry(key).or_default().push(token);
                Ok(Outcome::Blocked)
            }
            Toy::Append { key, item } => {
                let mut list = list;
                list.push(item);
                let value = Bytes::from(postcard::to_stdvec(&list).unwrap());
                batch.put(ColumnFamily::Data, engine_key(&key), value.clone());
                self.proposed.insert(token, key);
                Ok(Outcome::Propose { batch, reply: value })
            }
            Toy::Fill { key, bytes } => {
                batch.put(ColumnFamily::Data, engine_key(&key), vec![7; bytes as usize]);
                Ok(Outcome::Propose { batch, reply: Bytes::new() })
            }
        }
    }

    fn finished(&mut self, token: Token, applied: bool) {
        if let Some(key) = self.proposed.remove(&token)
            && applied
        {
            self.woken.extend(self.waiting.remove(&key).unwrap_or_default());
        }
    }

    fn cancel(&mut self, token: Token) {
        self.waiting.values_mut().for_each(|tokens| tokens.retain(|other| *other != token));
        self.woken.retain(|other| *other != token);
    }

    fn take_woken(&mut self) -> Vec<Token> {
        std::mem::take(&mut self.woken)
    }

    fn tick(&mut self, _now: Monotonic) {}

    fn lead(&mut self, low_water: Timestamp, _now: Monotonic) {
        *self = ToyEvaluator { low_water, ..ToyEvaluator::default() };
    }

    fn unlead(&mut self) {
        *self = ToyEvaluator { low_water: self.low_water, ..ToyEvaluator::default() };
    }

    fn split(&mut self, at: &[u8]) -> Box<dyn Evaluate> {
        for tokens in self.waiting.split_off(at).into_values() {
            self.woken.extend(tokens);
        }
        Box::new(ToyEvaluator { notes: self.notes.split_off(at), ..ToyEvaluator::default() })
    }

    fn export(&self) -> Bytes {
        if self.notes.is_empty() { Bytes::new() } else { postcard::to_stdvec(&self.notes).unwrap().into() }
    }

    fn adopt(&mut self, exported: &[u8]) {
        self.notes = postcard::from_bytes(exported).unwrap();
    }

    fn close(&mut self, timestamp: Timestamp) -> bool {
        self.low_water = self.low_water.max(timestamp);
        true
    }

    fn read_closed(&self, command: &Bytes, closed: Timestamp, reader: &dyn Reader) -> Result<Option<Bytes>> {
        match decode(command)? {
            Toy::Past { key, at } if at <= closed => {
                Ok(Some(postcard::to_stdvec(&read(reader, &key)?).unwrap().into()))
            }
            _ => Ok(None),
        }
    }

    fn split_key(&self, engine_key: &[u8]) -> Bytes {
        Bytes::copy_from_slice(&engine_key[..engine_key.len() - 8])
    }
}
