//! Disks that are slow, or full.

use std::time::Duration;

use anyhow::Result;
use base::{BoxFuture, Rng};

use super::Nemesis;
use crate::real::{cluster::Cluster, places::Member};

/// Each sync takes longer: of one node (mostly), or of all.
#[derive(Default)]
pub struct Slow {
    slow: Vec<Member>,
}

impl Nemesis for Slow {
    fn begin<'a>(&'a mut self, cluster: &'a Cluster, rng: &'a mut Rng) -> BoxFuture<'a, Result<String>> {
        Box::pin(async move {
            let all = rng.chance(1, 4);
            self.slow = if all { cluster.nodes().to_vec() } else { vec![cluster.leader(rng).await] };
            let millis = if all { rng.between(20, 150) } else { rng.between(50, 500) };
            self.slow.iter().try_for_each(|member| cluster.equipment.set_sync_delay(*member, millis))?;
            let who = if all { "all nodes".to_owned() } else { self.slow[0].to_string() };
            Ok(format!("syncs of {who} take {millis} ms longer"))
        })
    }

    fn end<'a>(&'a mut self, cluster: &'a Cluster) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { self.slow.drain(..).try_for_each(|member| cluster.equipment.set_sync_delay(member, 0)) })
    }
}

/// The disk of one node is full. The node may end with a clear message; with room again it must come back with everything.
#[derive(Default)]
pub struct Full {
    full: Vec<Member>,
}

impl Nemesis for Full {
    fn begin<'a>(&'a mut self, cluster: &'a Cluster, rng: &'a mut Rng) -> BoxFuture<'a, Result<String>> {
        Box::pin(async move {
            let victim = if rng.chance(1, 2) { cluster.leader(rng).await } else { cluster.some_node(rng) };
            cluster.expect_ends(true);
            self.full.push(victim);
            cluster.equipment.fill_disk(victim)?;
            Ok(format!("the disk of {victim} is full"))
        })
    }

    fn end<'a>(&'a mut self, cluster: &'a Cluster) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.full.drain(..).try_for_each(|member| cluster.equipment.free_disk(member))?;
            cluster.look_after().await;
            cluster.expect_ends(false);
            cluster.start_dead().await
        })
    }

    fn lasts(&self, rng: &mut Rng) -> Duration {
        // The log has room set aside: it takes a while until somebody needs more.
        Duration::from_millis(rng.between(6000, 12_000))
    }
}
