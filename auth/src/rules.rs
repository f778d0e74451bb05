//! Who may try to sign in, from where and how: a list of rules, of which the first that fits decides, as in PostgreSQL's
//! `pg_hba.conf`.
//!
//! ```text
//! # type     database  role      address        method
//! host       all       all       127.0.0.1/32   trust
//! hostssl    all       clerk     10.0.0.0/8     password
//! hostssl    all       all       all            auto
//! ```
//!
//! Types: `host` (any), `hostssl` (encrypted), `hostnossl`. Names: `all`, or a list separated by commas, `+role` for its
//! members. Addresses: `all`, `loopback`, one address, or `address/bits`.

use std::net::IpAddr;

/// What a connection is judged by.
#[derive(Clone, Debug)]
pub struct Attempt<'a> {
    pub encrypted: bool,
    pub database: &'a str,
    pub role: &'a str,
    pub address: IpAddr,
}

impl Attempt<'_> {
    /// Whether a password may be asked for in clear: within TLS, or on this machine.
    pub fn may_send_password(&self) -> bool {
        self.encrypted || self.address.to_canonical().is_loopback()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// A pinned key, or the password in the way that its verifier asks for; a code where one is enrolled.
    Auto,
    /// Whoever comes is who they say they are.
    Trust,
    /// The password in clear, within an encrypted connection or on loopback.
    Password,
    Scram,
    /// A pinned key, and nothing else.
    Key,
    Reject,
}

impl Method {
    const NAMES: [(&'static str, Method); 8] = [
        ("auto", Method::Auto),
        ("trust", Method::Trust),
        ("password", Method::Password),
        ("scram-sha-256", Method::Scram),
        ("key", Method::Key),
        ("cert", Method::Key),
        ("reject", Method::Reject),
        ("deny", Method::Reject),
    ];

    pub fn name(self) -> &'static str {
        Method::NAMES.iter().find(|(_, method)| *method == self).map_or("", |(name, _)| name)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub connection: Connection,
    pub databases: Vec<String>,
    pub roles: Vec<String>,
    pub address: Address,
    pub method: Method,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    Any,
    Encrypted,
    Plain,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    All,
    Loopback,
    Network(IpAddr, u8),
}

/// A line that is not a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct Malformed {
    pub line: usize,
    pub problem: String,
}

/// The rules of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules(pub Vec<Rule>);

impl Rules {
    /// Those of a cluster that nobody has given any: everybody shows what they have, within TLS or on the machine itself.
    pub fn standard() -> Rules {
        let rule = |connection, address| Rule { connection, address, ..Rule::any(Method::Auto) };
        Rules(vec![rule(Connection::Any, Address::Loopback), rule(Connection::Encrypted, Address::All)])
    }

    /// Those of a cluster made with `--insecure`: loopback is trusted, and nobody else gets in.
    pub fn insecure() -> Rules {
        Rules(vec![Rule { address: Address::Loopback, ..Rule::any(Method::Trust) }])
    }

    pub fn parse(text: &str) -> Result<Rules, Malformed> {
        let mut rules = Vec::new();
        for (position, line) in text.lines().enumerate() {
            let words: Vec<&str> = line.split('#').next().unwrap_or("").split_whitespace().collect();
            if !words.is_empty() {
                rules.push(Rule::parse(&words).map_err(|problem| Malformed { line: position + 1, problem })?);
            }
        }
        Ok(Rules(rules))
    }

    /// The first rule that fits, with its position. `is_member` answers whether the role is a member of another.
    pub fn decide(&self, attempt: &Attempt<'_>, is_member: &dyn Fn(&str) -> bool) -> Option<(usize, &Rule)> {
        self.0.iter().enumerate().find(|(_, rule)| rule.fits(attempt, is_member))
    }
}

impl std::fmt::Display for Rules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|rule| writeln!(f, "{rule}"))
    }
}

impl Rule {
    fn any(method: Method) -> Rule {
        let all = || vec!["all".to_owned()];
        Rule { connection: Connection::Any, databases: all(), roles: all(), address: Address::All, method }
    }

    fn parse(words: &[&str]) -> Result<Rule, String> {
        let [connection, databases, roles, address, method] = words else {
            return Err("expected type, database, role, address and method".to_owned());
        };
        let connection = match *connection {
            "host" => Connection::Any,
            "hostssl" => Connection::Encrypted,
            "hostnossl" => Connection::Plain,
            other => return Err(format!("invalid connection type \"{other}\"")),
        };
        let list = |text: &str| text.split(',').map(|name| name.trim_matches('"').to_owned()).collect();
        let method = Method::NAMES.iter().find(|(name, _)| name == method).map(|(_, method)| *method);
        Ok(Rule {
            connection,
            databases: list(databases),
            roles: list(roles),
            address: Address::parse(address).ok_or_else(|| format!("invalid address \"{address}\""))?,
            method: method.ok_or_else(|| format!("invalid authentication method \"{}\"", words[4]))?,
        })
    }

    fn fits(&self, attempt: &Attempt<'_>, is_member: &dyn Fn(&str) -> bool) -> bool {
        let connection = match self.connection {
            Connection::Any => true,
            Connection::Encrypted => attempt.encrypted,
            Connection::Plain => !attempt.encrypted,
        };
        let database = |name: &String| {
            name == "all" || name == attempt.database || (name == "sameuser" && attempt.database == attempt.role)
        };
        let role = |name: &String| match name.strip_prefix('+') {
            Some(group) => is_member(group),
            None => name == "all" || name == attempt.role,
        };
        connection
            && self.databases.iter().any(database)
            && self.roles.iter().any(role)
            && self.address.contains(attempt.address)
    }
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let connection = match self.connection {
            Connection::Any => "host",
            Connection::Encrypted => "hostssl",
            Connection::Plain => "hostnossl",
        };
        let (databases, roles) = (self.databases.join(","), self.roles.join(","));
        write!(f, "{connection} {databases} {roles} {} {}", self.address, self.method.name())
    }
}

impl Address {
    fn parse(text: &str) -> Option<Address> {
        match text {
            "all" => return Some(Address::All),
            "loopback" => return Some(Address::Loopback),
            _ => {}
        }
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address.parse::<IpAddr>().ok()?, bits.parse().ok()?),
            None => {
                let address = text.parse::<IpAddr>().ok()?;
                (address, if address.is_ipv4() { 32 } else { 128 })
            }
        };
        (bits <= if address.is_ipv4() { 32 } else { 128 }).then_some(Address::Network(address, bits))
    }

    fn contains(self, address: IpAddr) -> bool {
        // An IPv4 client of a dual-stack listener shows up as ::ffff:127.0.0.1.
        let address = address.to_canonical();
        match self {
            Address::All => true,
            Address::Loopback => address.is_loopback(),
            Address::Network(network, bits) => match (network, address) {
                (IpAddr::V4(network), IpAddr::V4(address)) => {
                    let shift = 32 - u32::from(bits);
                    network.to_bits().checked_shr(shift) == address.to_bits().checked_shr(shift)
                }
                (IpAddr::V6(network), IpAddr::V6(address)) => {
                    let shift = 128 - u32::from(bits);
                    network.to_bits().checked_shr(shift) == address.to_bits().checked_shr(shift)
                }
                _ => false,
            },
        }
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Address::All => f.write_str("all"),
            Address::Loopback => f.write_str("loopback"),
            Address::Network(address, bits) => write!(f, "{address}/{bits}"),
        }
    }
}

#[cfg(test)]
#[path = "rules_test.rs"]
mod tests;
