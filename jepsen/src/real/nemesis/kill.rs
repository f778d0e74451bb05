//! Processes that die, stand still, or are restarted.

use std::time::Duration;

use anyhow::Result;
use base::{BoxFuture, Rng};

use super::{Kind, Nemesis};
use crate::real::{cluster::Cluster, places::Member};

/// kill -9; the end is a start.
pub struct Kill(pub Kind);

impl Kill {
    async fn victims(&self, cluster: &Cluster, rng: &mut Rng) -> Vec<Member> {
        let mut nodes = cluster.nodes().to_vec();
        rng.shuffle(&mut nodes);
        match self.0 {
            Kind::KillLeader => vec![cluster.leader(rng).await],
            Kind::KillOracle => vec![cluster.oracle(rng).await],
            Kind::KillMajority => nodes[..nodes.len() / 2 + 1].to_vec(),
            Kind::KillAll => cluster.places.members(),
            Kind::KillGateway => rng.pick(cluster.gateways()).copied().into_iter().collect(),
            _ => rng.pick(&cluster.places.members()).copied().into_iter().collect(),
        }
    }
}

impl Nemesis for Kill {
    fn begin<'a>(&'a mut self, cluster: &'a Cluster, rng: &'a mut Rng) -> BoxFuture<'a, Result<String>> {
        Box::pin(async move {
            let victims = self.victims(cluster, rng).await;
            cluster.kill(&victims).await?;
            Ok(format!("killed {}", names(&victims)))
        })
    }

    fn end<'a>(&'a mut self, cluster: &'a Cluster) -> BoxFuture<'a, Result<()>> {
        Box::pin(cluster.start_dead())
    }

    fn lasts(&self, rng: &mut Rng) -> Duration {
        // A leader's successor is elected after one to two seconds; sometimes the dead come back before.
        Duration::from_millis(rng.between(300, 5000))
    }
}

/// SIGSTOP, mostly of a leader: a lease lasts for 0.8 s.
#[derive(Default)]
pub struct Pause {
    paused: Vec<Member>,
}

impl Nemesis for Pause {
    fn begin<'a>(&'a mut self, cluster: &'a Cluster, rng: &'a mut Rng) -> BoxFuture<'a, Result<String>> {
        Box::pin(async move {
            let victim = match rng.below(4) {
                0 => cluster.some_node(rng),
                1 => cluster.oracle(rng).await,
                _ => cluster.leader(rng).await,
            };
            self.paused.push(victim);
            cluster.pause(victim).await?;
            Ok(format!("{victim} stands still"))
        })
    }

    fn end<'a>(&'a mut self, cluster: &'a Cluster) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            for member in self.paused.drain(..) {
                cluster.resume(member).await?;
            }
            Ok(())
        })
    }

    fn lasts(&self, rng: &mut Rng) -> Duration {
        Duration::from_millis(rng.between(1000, 6000))
    }
}

/// As an operator does it: one process after the other, the next when SQL answers again.
pub struct RollingRestart;

impl Nemesis for RollingRestart {
    fn begin<'a>(&'a mut self, cluster: &'a Cluster, _rng: &'a mut Rng) -> BoxFuture<'a, Result<String>> {
        Box::pin(async move {
            for member in cluster.places.members() {
                cluster.restart(member).await?;
                // Beside another nemesis it may not come back soon; the tour goes on.
                let _ = cluster.wait_until_ready(Duration::from_secs(5)).await;
            }
            Ok("every process was restarted".to_owned())
        })
    }

    fn end<'a>(&'a mut self, cluster: &'a Cluster) -> BoxFuture<'a, Result<()>> {
        Box::pin(cluster.start_dead())
    }

    fn lasts(&self, _rng: &mut Rng) -> Duration {
        Duration::ZERO
    }
}

fn names(members: &[Member]) -> String {
    members.iter().map(Member::to_string).collect::<Vec<String>>().join(", ")
}
