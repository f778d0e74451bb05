//! Where the processes of a cluster are: who they are, and under which addresses the others see them.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr, TcpListener},
};

use anyhow::{Context, Result};

use super::namespaces::{GATEWAY_PORT, NODE_PORT, Namespaces};

/// A process of the cluster: the nodes come first, then the gateways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Member {
    /// From 1 on.
    Node(u8),
    /// From 1 on.
    Gateway(u8),
}

impl Member {
    /// Short, for names of namespaces, interfaces and files.
    pub fn short(self) -> String {
        match self {
            Member::Node(id) => format!("n{id}"),
            Member::Gateway(id) => format!("g{id}"),
        }
    }

    /// In its namespace.
    pub fn address(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, 0, self.number())
    }

    /// The address of the relay that carries connections from this member to `to`.
    pub fn relay_to(self, to: Member) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, self.number(), to.number())
    }

    fn number(self) -> u8 {
        match self {
            Member::Node(id) => id,
            Member::Gateway(id) => 100 + id,
        }
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Member::Node(id) => write!(f, "node {id}"),
            Member::Gateway(id) => write!(f, "gateway {id}"),
        }
    }
}

/// The members and where each listens.
pub struct Places {
    pub nodes: Vec<Member>,
    pub gateways: Vec<Member>,
    /// `None` on one loopback interface for all.
    pub namespaces: Option<Namespaces>,
    /// Whether connections to nodes go through relays.
    pub relayed: bool,
    ports: Vec<(Member, u16)>,
}

impl Places {
    /// Each in a namespace of its own.
    pub async fn in_namespaces(nodes: u8, gateways: u8, relayed: bool) -> Result<Places> {
        let mut places = Places::new(nodes, gateways);
        places.relayed = relayed;
        let members: Vec<(String, Ipv4Addr)> =
            places.members().iter().map(|member| (member.short(), member.address())).collect();
        let relays: Vec<Ipv4Addr> = match relayed {
            true => places.links().iter().map(|(from, to)| from.relay_to(*to)).collect(),
            false => Vec::new(),
        };
        places.namespaces = Some(Namespaces::create(&members, &relays).await.context("cannot make the namespaces")?);
        Ok(places)
    }

    /// All on 127.0.0.1, at ports that the system chooses.
    pub fn on_loopback(nodes: u8, gateways: u8) -> Result<Places> {
        let mut places = Places::new(nodes, gateways);
        let members = places.members();
        // Held until all are chosen, so that no two get the same one.
        let listeners: Vec<TcpListener> =
            members.iter().map(|_| TcpListener::bind("127.0.0.1:0")).collect::<std::io::Result<_>>()?;
        for (member, listener) in members.iter().zip(&listeners) {
            places.ports.push((*member, listener.local_addr()?.port()));
        }
        Ok(places)
    }

    fn new(nodes: u8, gateways: u8) -> Places {
        Places {
            nodes: (1..=nodes).map(Member::Node).collect(),
            gateways: (1..=gateways).map(Member::Gateway).collect(),
            namespaces: None,
            relayed: false,
            ports: Vec::new(),
        }
    }

    pub fn members(&self) -> Vec<Member> {
        self.nodes.iter().chain(&self.gateways).copied().collect()
    }

    /// Who opens connections to whom: everybody to every (other) node.
    pub fn links(&self) -> Vec<(Member, Member)> {
        let pairs = self.members().into_iter().flat_map(|from| self.nodes.iter().map(move |to| (from, *to)));
        pairs.filter(|(from, to)| from != to).collect()
    }

    /// Where a member listens. Gateways listen on loopback only: there anybody may sign in (`auth`'s trust); the harness
    /// goes into their namespace to connect.
    pub fn listens_at(&self, member: Member) -> SocketAddr {
        match (&self.namespaces, member) {
            (Some(_), Member::Node(_)) => SocketAddr::from((member.address(), NODE_PORT)),
            (Some(_), Member::Gateway(_)) => SocketAddr::from((Ipv4Addr::LOCALHOST, GATEWAY_PORT)),
            (None, _) => {
                let port = self.ports.iter().find(|(of, _)| *of == member).map_or(0, |(_, port)| *port);
                SocketAddr::from((Ipv4Addr::LOCALHOST, port))
            }
        }
    }

    /// Where `from` reaches the node `to`.
    pub fn seen_from(&self, from: Member, to: Member) -> SocketAddr {
        match self.relayed && from != to {
            true => SocketAddr::from((from.relay_to(to), NODE_PORT)),
            false => self.listens_at(to),
        }
    }

    /// The source addresses of packets at `to` that carry what `from` says: its own, and those of the relays between the two
    /// (whichever of them opened the connection).
    pub fn sources(&self, from: Member, to: Member) -> Vec<Ipv4Addr> {
        let mut sources = vec![from.address()];
        if self.relayed {
            sources.extend([from.relay_to(to), to.relay_to(from)]);
        }
        sources
    }

    /// The list of nodes as `from` is to be told it: `1=HOST:PORT,…`.
    pub fn node_list(&self, from: Member) -> String {
        let entries = self.nodes.iter().map(|node| {
            let id = node.number();
            format!("{id}={}", self.seen_from(from, *node))
        });
        entries.collect::<Vec<String>>().join(",")
    }
}
