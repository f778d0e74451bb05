//! Tickets: a name and a secret for pools, graphical tools and the page, which keep it instead of a password and a code. A
//! ticket lives for hours, dies with the role's factors, and can be taken back.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use ring::digest;
use serde::{Deserialize, Serialize};

use crate::{
    factor::Factors,
    mechanism::{Challenge, Input, Mechanism, Proof, Reason, Step, Used},
    otp::same,
};

/// What a user name begins with that is a ticket's.
pub const PREFIX: &str = "tok_";
pub const SECRET_BYTES: usize = 32;
pub const ID_BYTES: usize = 9;

const LIFE_MILLIS: u64 = 8 * 3600 * 1000;
const IDLE_MILLIS: u64 = 3600 * 1000;

/// What is stored of a ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    pub role: u32,
    /// SHA-256 of the secret: 256 random bits need no slow hash.
    pub hash: [u8; 32],
    /// How the role had proved itself when the ticket was made.
    pub factors: String,
    pub created_millis: u64,
    pub used_millis: u64,
    /// The generation of the role's factors at that time: another one ends the ticket.
    pub generation: u64,
    /// For whoever lists tickets: `application_name` of the session that made it.
    pub note: String,
}

/// What the owner gets, once.
pub struct Issued {
    pub name: String,
    pub secret: String,
}

impl Ticket {
    /// A new ticket from random bytes.
    pub fn issue(id: [u8; ID_BYTES], secret: [u8; SECRET_BYTES]) -> (Issued, [u8; 32]) {
        let secret = BASE64.encode(secret);
        let issued = Issued { name: format!("{PREFIX}{}", BASE64.encode(id)), secret };
        let hash = hash(issued.secret.as_bytes());
        (issued, hash)
    }

    pub fn expires_millis(&self) -> u64 {
        (self.created_millis + LIFE_MILLIS).min(self.used_millis + IDLE_MILLIS)
    }

    pub fn is_alive(&self, now_millis: u64, generation: u64) -> bool {
        self.generation == generation && now_millis < self.expires_millis()
    }
}

fn hash(secret: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, secret).as_ref());
    hash
}

/// Asks for a ticket's secret as for a password.
pub struct ByTicket {
    /// `None`: there is no such ticket, or it is dead.
    hash: Option<[u8; 32]>,
}

impl ByTicket {
    pub fn new(hash: Option<[u8; 32]>) -> ByTicket {
        ByTicket { hash }
    }
}

impl Mechanism for ByTicket {
    fn exchange(&mut self, input: Input<'_>) -> Step {
        match input {
            Input::Start => Step::Continue(Challenge::Password),
            Input::Password(secret) => {
                let given = hash(secret);
                if self.hash.is_some_and(|known| same(&known, &given)) {
                    Step::Success(Proof { factors: Factors::TICKET, used: Used::Nothing, ..Proof::default() })
                } else {
                    Step::Failure(Reason::WrongTicket)
                }
            }
            Input::SaslFirst { .. } | Input::Sasl(_) => Step::Failure(Reason::Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_takes_its_secret_and_no_other() {
        let (issued, hash) = Ticket::issue([1; ID_BYTES], [2; SECRET_BYTES]);
        assert!(issued.name.starts_with("tok_"));
        let ask = |hash, secret: &str| ByTicket::new(hash).exchange(Input::Password(secret.as_bytes()));
        assert!(matches!(ask(Some(hash), &issued.secret), Step::Success(proof) if proof.factors == Factors::TICKET));
        assert_eq!(ask(Some(hash), "other"), Step::Failure(Reason::WrongTicket));
        assert_eq!(ask(None, &issued.secret), Step::Failure(Reason::WrongTicket));
    }

    #[test]
    fn tickets_end() {
        let hour = 3600 * 1000;
        let mut ticket = Ticket {
            role: 10,
            hash: [0; 32],
            factors: "password".into(),
            created_millis: 0,
            used_millis: 0,
            generation: 3,
            note: String::new(),
        };
        assert!(ticket.is_alive(hour - 1, 3));
        assert!(!ticket.is_alive(hour, 3), "idle");
        assert!(!ticket.is_alive(0, 4), "the factors have changed");
        ticket.used_millis = 8 * hour - 1;
        assert!(ticket.is_alive(8 * hour - 1, 3));
        assert!(!ticket.is_alive(8 * hour, 3), "too old");
    }
}
