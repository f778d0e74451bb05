//! The audit log's chain: each row carries the hash of itself and of the row before, so that a row cannot be changed, removed
//! or put in between without all later hashes changing too. Whoever writes down the newest hash elsewhere can tell.

use ring::digest;
use serde::{Deserialize, Serialize};

/// What happened. The texts hold no secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub unix_micros: i64,
    /// `sign-in`, `denied`, `role`, `privilege`, `key`, `ticket`, `rule`, `setting`.
    pub event: String,
    /// Who did it, or tried to.
    pub role: String,
    /// The client's address; empty where there is none.
    pub address: String,
    /// What it was done to.
    pub object: String,
    pub succeeded: bool,
    pub detail: String,
}

pub type Hash = [u8; 32];

/// What the first row is chained to.
pub const ORIGIN: Hash = [0; 32];

impl Record {
    /// The hash of this record as row `number` behind a row with the hash `before`.
    pub fn hash(&self, number: u64, before: &Hash) -> Hash {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(before);
        context.update(&number.to_be_bytes());
        context.update(&self.unix_micros.to_be_bytes());
        context.update(&[u8::from(self.succeeded)]);
        for text in [&self.event, &self.role, &self.address, &self.object, &self.detail] {
            // With its length, so that nothing can be moved from one field into the next.
            context.update(&(text.len() as u64).to_be_bytes());
            context.update(text.as_bytes());
        }
        let mut hash = [0; 32];
        hash.copy_from_slice(context.finish().as_ref());
        hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record {
            unix_micros: 1,
            event: "sign-in".into(),
            role: "clerk".into(),
            address: "127.0.0.1".into(),
            object: String::new(),
            succeeded: true,
            detail: "password".into(),
        }
    }

    #[test]
    fn everything_counts() {
        let hash = record().hash(1, &ORIGIN);
        assert_eq!(hash, record().hash(1, &ORIGIN));
        let changed = [
            record().hash(2, &ORIGIN),
            record().hash(1, &[1; 32]),
            Record { unix_micros: 2, ..record() }.hash(1, &ORIGIN),
            Record { succeeded: false, ..record() }.hash(1, &ORIGIN),
            Record { event: "sign-inc".into(), role: "lerk".into(), ..record() }.hash(1, &ORIGIN),
            Record { detail: String::new(), object: "password".into(), ..record() }.hash(1, &ORIGIN),
        ];
        assert!(!changed.contains(&hash));
    }
}
