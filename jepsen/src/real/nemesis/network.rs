//! Cut links, lost packets, bad weather.

use std::time::Duration;

use anyhow::{Context, Result};
use base::{BoxFuture, Rng};
use tokio::time::{Instant, sleep};

use super::{Kind, Nemesis};
use crate::real::{cluster::Cluster, firewall::Rule, partition, relay::Weather};

/// One set of packet filters from beginning to end.
pub struct Filter {
    kind: Kind,
    owner: u64,
}

impl Filter {
    pub fn new(kind: Kind, cluster: &Cluster) -> Filter {
        Filter { kind, owner: cluster.new_owner() }
    }

    async fn rules(&self, cluster: &Cluster, rng: &mut Rng) -> (Vec<Rule>, String) {
        let (nodes, gateways) = (cluster.nodes(), cluster.gateways());
        match self.kind {
            Kind::Halves => partition::halves(nodes, gateways, rng),
            Kind::Ring => partition::ring(nodes, gateways, rng),
            Kind::Bridge => partition::bridge(nodes, rng),
            Kind::OneWay => partition::one_way(nodes, rng),
            Kind::IsolateLeader => {
                // The oracle and the leaders of tables take turns.
                let leader = if rng.chance(1, 3) { cluster.oracle(rng).await } else { cluster.leader(rng).await };
                partition::isolate(leader, nodes, gateways, false)
            }
            Kind::IsolateNode => partition::isolate(cluster.some_node(rng), nodes, gateways, true),
            Kind::IsolateGateway => partition::gateway(nodes, gateways, rng),
            _ => {
                let links = cluster.places.links().into_iter().flat_map(|(a, b)| [(a, b), (b, a)]);
                let rules = links.map(|(from, to)| Rule { from, to, lost_percent: 20 });
                let rules: std::collections::BTreeSet<Rule> = rules.collect();
                (rules.into_iter().collect(), "20 % of all packets are lost".to_owned())
            }
        }
    }
}

impl Nemesis for Filter {
    fn begin<'a>(&'a mut self, cluster: &'a Cluster, rng: &'a mut Rng) -> BoxFuture<'a, Result<String>> {
        Box::pin(async move {
            let (rules, what) = self.rules(cluster, rng).await;
            cluster.set_rules(self.owner, rules).await?;
            Ok(what)
        })
    }

    fn end<'a>(&'a mut self, cluster: &'a Cluster) -> BoxFuture<'a, Result<()>> {
        Box::pin(cluster.set_rules(self.owner, Vec::new()))
    }
}

/// Cuts nodes off and lets them back faster than anybody can settle.
pub struct Flapping {
    owner: u64,
}

impl Flapping {
    pub fn new(cluster: &Cluster) -> Flapping {
        Flapping { owner: cluster.new_owner() }
    }
}

impl Nemesis for Flapping {
    fn begin<'a>(&'a mut self, cluster: &'a Cluster, rng: &'a mut Rng) -> BoxFuture<'a, Result<String>> {
        Box::pin(async move {
            let until = Instant::now() + Duration::from_millis(rng.between(4000, 10_000));
            let mut times = 0;
            while Instant::now() < until {
                let (rules, _) = partition::isolate(cluster.some_node(rng), cluster.nodes(), cluster.gateways(), true);
                cluster.set_rules(self.owner, rules).await?;
                sleep(Duration::from_millis(rng.between(50, 1200))).await;
                cluster.set_rules(self.owner, Vec::new()).await?;
                sleep(Duration::from_millis(rng.between(20, 400))).await;
                times += 1;
            }
            Ok(format!("nodes were cut off {times} times"))
        })
    }

    fn end<'a>(&'a mut self, cluster: &'a Cluster) -> BoxFuture<'a, Result<()>> {
        Box::pin(cluster.set_rules(self.owner, Vec::new()))
    }

    fn lasts(&self, _rng: &mut Rng) -> Duration {
        Duration::ZERO
    }
}

/// What the relays can do.
pub struct BadWeather(pub Kind);

impl Nemesis for BadWeather {
    fn begin<'a>(&'a mut self, cluster: &'a Cluster, rng: &'a mut Rng) -> BoxFuture<'a, Result<String>> {
        Box::pin(async move {
            let millis = Duration::from_millis;
            let weather = match self.0 {
                Kind::Delay => {
                    let most = rng.between(20, 200);
                    Weather { delay_min: millis(most / 4), delay_max: millis(most), ..Weather::default() }
                }
                Kind::Duplicate => Weather { delay_max: millis(2), duplicated: 200, ..Weather::default() },
                _ => Weather { delay_max: millis(10), reordered: 200, ..Weather::default() },
            };
            let relays = cluster.relays.as_ref().context("there are no relays")?;
            relays.sky.set(weather);
            Ok(match self.0 {
                Kind::Delay => {
                    format!("messages take {} to {} ms", weather.delay_min.as_millis(), weather.delay_max.as_millis())
                }
                Kind::Duplicate => "20 % of all messages arrive twice".to_owned(),
                _ => "20 % of all messages may be overtaken".to_owned(),
            })
        })
    }

    fn end<'a>(&'a mut self, cluster: &'a Cluster) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            cluster.relays.as_ref().context("there are no relays")?.sky.set(Weather::default());
            Ok(())
        })
    }
}
