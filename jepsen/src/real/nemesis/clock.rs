//! Wall clocks that are wrong. Timestamps come from the oracle and leases from monotonic clocks, so nothing may follow from it.

use std::time::Duration;

use anyhow::Result;
use base::{BoxFuture, Rng};
use tokio::time::{Instant, sleep};

use super::Nemesis;
use crate::real::{cluster::Cluster, places::Member};

/// One process's clock is off by up to a day, in either direction.
#[derive(Default)]
pub struct Jump {
    wrong: Vec<Member>,
}

impl Nemesis for Jump {
    fn begin<'a>(&'a mut self, cluster: &'a Cluster, rng: &'a mut Rng) -> BoxFuture<'a, Result<String>> {
        Box::pin(async move {
            let member = match rng.below(3) {
                0 => cluster.oracle(rng).await,
                _ => rng.pick(&cluster.places.members()).copied().unwrap_or(Member::Node(1)),
            };
            // As often by a fraction of a second as by hours.
            let magnitude = 10f64.powf(rng.unit() * 6.0 - 1.0).min(86_400.0);
            let offset = if rng.chance(1, 2) { magnitude } else { -magnitude };
            self.wrong.push(member);
            cluster.equipment.set_clock(member, offset)?;
            Ok(format!("the clock of {member} is off by {offset:+.1} s"))
        })
    }

    fn end<'a>(&'a mut self, cluster: &'a Cluster) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { self.wrong.drain(..).try_for_each(|member| cluster.equipment.set_clock(member, 0.0)) })
    }
}

/// All clocks jump to and fro, each by itself, ten times a second.
pub struct Strobe;

impl Nemesis for Strobe {
    fn begin<'a>(&'a mut self, cluster: &'a Cluster, rng: &'a mut Rng) -> BoxFuture<'a, Result<String>> {
        Box::pin(async move {
            let until = Instant::now() + Duration::from_millis(rng.between(5000, 10_000));
            let mut jumps = 0;
            while Instant::now() < until {
                for member in cluster.places.members() {
                    let offset = if rng.chance(1, 2) { 0.0 } else { rng.unit() * 60.0 - 30.0 };
                    cluster.equipment.set_clock(member, offset)?;
                    jumps += 1;
                }
                sleep(Duration::from_millis(100)).await;
            }
            Ok(format!("clocks jumped {jumps} times"))
        })
    }

    fn end<'a>(&'a mut self, cluster: &'a Cluster) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            cluster.places.members().into_iter().try_for_each(|member| cluster.equipment.set_clock(member, 0.0))
        })
    }

    fn lasts(&self, _rng: &mut Rng) -> Duration {
        Duration::ZERO
    }
}
