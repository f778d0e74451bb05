//! The simulated network: delay, loss, duplication, reordering and partitions between endpoints.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use base::{Monotonic, NodeId, Rng};

/// A process on the network.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Endpoint {
    Node(NodeId),
    Gateway(u32),
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Node(node) => write!(f, "{node}"),
            Endpoint::Gateway(gateway) => write!(f, "g{gateway}"),
        }
    }
}

/// How bad the network is now. Chances are in 10,000.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    pub delay_min: Duration,
    pub delay_max: Duration,
    pub loss: u64,
    pub duplication: u64,
    /// Messages that ignore the order of their connection.
    pub reordering: u64,
}

impl Weather {
    pub const FAIR: Weather = Weather {
        delay_min: Duration::from_micros(100),
        delay_max: Duration::from_micros(600),
        loss: 0,
        duplication: 0,
        reordering: 0,
    };
}

pub struct Network {
    rng: Rng,
    pub weather: Weather,
    /// Directed links that are cut.
    cut: BTreeSet<(Endpoint, Endpoint)>,
    /// When the last message of each directed connection arrives: the next one arrives later.
    last: BTreeMap<(Endpoint, Endpoint), Monotonic>,
    pub lost: u64,
    pub duplicated: u64,
    pub reordered: u64,
}

impl Network {
    pub fn new(rng: Rng) -> Network {
        Network {
            rng,
            weather: Weather::FAIR,
            cut: BTreeSet::new(),
            last: BTreeMap::new(),
            lost: 0,
            duplicated: 0,
            reordered: 0,
        }
    }

    /// When copies of a message sent now arrive: none (lost), one, or two.
    pub fn send(&mut self, now: Monotonic, from: Endpoint, to: Endpoint) -> Vec<Monotonic> {
        if self.cut.contains(&(from, to)) || self.rng.chance(self.weather.loss, 10_000) {
            self.lost += 1;
            return Vec::new();
        }
        let copies = if self.rng.chance(self.weather.duplication, 10_000) { 2 } else { 1 };
        self.duplicated += copies - 1;
        (0..copies).map(|_| self.arrival(now, from, to)).collect()
    }

    fn arrival(&mut self, now: Monotonic, from: Endpoint, to: Endpoint) -> Monotonic {
        let (low, high) = (self.weather.delay_min.as_nanos() as u64, self.weather.delay_max.as_nanos() as u64);
        let arrival = now + Duration::from_nanos(self.rng.between(low, high));
        if self.rng.chance(self.weather.reordering, 10_000) {
            self.reordered += 1;
            return arrival + Duration::from_nanos(self.rng.below(high * 4));
        }
        let last = self.last.entry((from, to)).or_default();
        *last = arrival.max(*last + Duration::from_nanos(1));
        *last
    }

    /// Cuts the directed link.
    pub fn cut(&mut self, from: Endpoint, to: Endpoint) {
        self.cut.insert((from, to));
    }

    /// Cuts both directions between every member of `left` and every member of `right`.
    pub fn partition(&mut self, left: &[Endpoint], right: &[Endpoint]) {
        for a in left {
            for b in right {
                self.cut(*a, *b);
                self.cut(*b, *a);
            }
        }
    }

    pub fn heal(&mut self) {
        self.cut.clear();
        self.weather = Weather::FAIR;
    }
}
