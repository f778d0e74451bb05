//! How fast a password may be guessed.
//!
//! Failures are counted for a role *from one address* and for the address as a whole, in the transactional store: spreading
//! the attempts over gateways counts them all the same. Never for a role alone: then anybody could lock its owner out by
//! failing in its name. Whoever shows the password *and* a code is not held up by these counts; so an owner with a second
//! factor gets in even from an address that an attacker shares. Neither is a key, a ticket or a recovery code, which cannot
//! be guessed.
//!
//! A code can: whoever has learnt the password has two chances in a million with each try. So wrong codes *behind the right
//! password* are counted for the role, from wherever they come. Only somebody who knows the password can hold up its owner by
//! that, and the owner still gets in by a recovery code, a key or a ticket.
//!
//! | failures in a row | wait before the next attempt |
//! |---|---|
//! | up to 5 (a role from one address), 50 (an address) or 10 (codes of a role) | none |
//! | each one more | doubled from 1 s, at most 60 s |
//!
//! After a quiet hour all is forgotten. So at most 60 guesses an hour come through in the long run. Counts are read once more
//! where a sign-in is written down, in the same transaction: of many attempts at the same time no more come through than of
//! one after the other.

use serde::{Deserialize, Serialize};

const FREE_FAILURES_ROLE: u32 = 5;
const FREE_FAILURES_ADDRESS: u32 = 50;
const FREE_FAILURES_CODE: u32 = 10;
const WAIT_MILLIS_MAX: u64 = 60_000;
const FORGET_MILLIS: u64 = 3600 * 1000;

/// What was counted for one subject.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    pub failures: u32,
    pub last_millis: u64,
}

/// What a count is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    RoleFromAddress,
    Address,
    /// Codes of a role behind its right password.
    CodeOfRole,
}

impl Subject {
    pub const ALL: [Subject; 3] = [Subject::RoleFromAddress, Subject::Address, Subject::CodeOfRole];
}

impl Count {
    /// How long this count still holds up the next attempt, in milliseconds.
    pub fn wait_millis(&self, subject: Subject, now_millis: u64) -> u64 {
        let free = match subject {
            Subject::RoleFromAddress => FREE_FAILURES_ROLE,
            Subject::Address => FREE_FAILURES_ADDRESS,
            Subject::CodeOfRole => FREE_FAILURES_CODE,
        };
        if self.failures <= free || self.is_forgotten(now_millis) {
            return 0;
        }
        let doublings = (self.failures - free - 1).min(16);
        let wait = (1000u64 << doublings).min(WAIT_MILLIS_MAX);
        (self.last_millis + wait).saturating_sub(now_millis)
    }

    /// After one more failure.
    pub fn failed(&self, now_millis: u64) -> Count {
        let before = if self.is_forgotten(now_millis) { 0 } else { self.failures };
        Count { failures: before.saturating_add(1), last_millis: now_millis }
    }

    /// Whether the count may be removed.
    pub fn is_forgotten(&self, now_millis: u64) -> bool {
        now_millis >= self.last_millis.saturating_add(FORGET_MILLIS)
    }
}

/// The address that attempts are counted for: an IPv6 customer has a whole /64 to himself.
pub fn network(address: std::net::IpAddr) -> std::net::IpAddr {
    match address.to_canonical() {
        std::net::IpAddr::V6(address) => {
            let bits = address.to_bits() & !u128::from(u64::MAX);
            std::net::IpAddr::V6(std::net::Ipv6Addr::from_bits(bits))
        }
        four => four,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(failures: u32) -> Count {
        (0..failures).fold(Count::default(), |count, _| count.failed(1000))
    }

    #[test]
    fn waits_double_up_to_a_minute() {
        let wait = |failures| after(failures).wait_millis(Subject::RoleFromAddress, 1000);
        assert_eq!([0, 5, 6, 7, 8, 11, 12, 500].map(wait), [0, 0, 1000, 2000, 4000, 32_000, 60_000, 60_000]);
        assert_eq!(after(6).wait_millis(Subject::RoleFromAddress, 1999), 1);
        assert_eq!(after(6).wait_millis(Subject::RoleFromAddress, 2000), 0);
        assert_eq!(after(50).wait_millis(Subject::Address, 1000), 0);
        assert_eq!(after(51).wait_millis(Subject::Address, 1000), 1000);
        assert_eq!(
            [10, 11, 12].map(|failures| after(failures).wait_millis(Subject::CodeOfRole, 1000)),
            [0, 1000, 2000]
        );
    }

    #[test]
    fn a_quiet_hour_is_forgiven() {
        let count = after(40);
        assert!(!count.is_forgotten(3_600_999));
        assert!(count.is_forgotten(3_601_000));
        assert_eq!(count.failed(3_601_000), Count { failures: 1, last_millis: 3_601_000 });
    }

    #[test]
    fn ipv6_is_counted_by_network() {
        let of = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("::ffff:10.1.2.3"), "10.1.2.3");
        assert_eq!(of("10.1.2.3"), "10.1.2.3");
    }
}
