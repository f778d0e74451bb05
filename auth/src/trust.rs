//! Trust: the client is who it says it is. Admitted on loopback only, where the operating system's own users are the only
//! ones who can knock.

use std::net::IpAddr;

use crate::mechanism::{Denied, Identity, Mechanism, Step};

pub struct Trust {
    role: String,
    address: IpAddr,
}

impl Trust {
    /// `address` is the far end of the client's connection as the socket reports it.
    pub fn new(role: impl Into<String>, address: IpAddr) -> Trust {
        Trust { role: role.into(), address }
    }
}

impl Mechanism for Trust {
    fn exchange(&mut self, _input: &[u8]) -> Step {
        // An IPv4 client of a dual-stack listener shows up as ::ffff:127.0.0.1.
        if self.address.to_canonical().is_loopback() {
            Step::Success(Identity { role: self.role.clone() })
        } else {
            Step::Failure(Denied::NotAdmitted { role: self.role.clone(), address: self.address.to_string() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(address: &str) -> Step {
        Trust::new("clerk", address.parse().unwrap()).exchange(b"")
    }

    #[test]
    fn loopback_is_trusted() {
        for address in ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(decide(address), Step::Success(Identity { role: "clerk".into() }), "{address}");
        }
    }

    #[test]
    fn other_addresses_are_not() {
        for address in ["10.0.0.1", "0.0.0.0", "::", "192.168.1.1", "fe80::1", "::ffff:10.0.0.1", "128.0.0.1"] {
            assert!(matches!(decide(address), Step::Failure(Denied::NotAdmitted { .. })), "{address}");
        }
    }
}
