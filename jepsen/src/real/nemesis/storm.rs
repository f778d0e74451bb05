//! Storms of what operators do once a week: leaders change, ranges are split.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use base::{BoxFuture, Rng};
use tokio::time::{Instant, sleep};

use super::Nemesis;
use crate::{real::cluster::Cluster, workload::Workload};

/// Hands the leadership of random ranges, the system range's too, to random nodes.
pub struct Transfers;

impl Nemesis for Transfers {
    fn begin<'a>(&'a mut self, cluster: &'a Cluster, rng: &'a mut Rng) -> BoxFuture<'a, Result<String>> {
        Box::pin(async move {
            let until = Instant::now() + Duration::from_millis(rng.between(3000, 8000));
            let (mut done, mut refused) = (0, 0);
            while Instant::now() < until {
                let ranges = cluster.leaders().await.unwrap_or_default();
                for _ in 0..10 {
                    let Some((range, _)) = rng.pick(&ranges) else { break };
                    let to = rng.between(1, cluster.nodes().len() as u64);
                    match cluster.ask(&format!("ALTER RANGE {range} TRANSFER LEADER TO {to}")).await {
                        Ok(_) => done += 1,
                        Err(_) => refused += 1,
                    }
                    sleep(Duration::from_millis(rng.between(20, 150))).await;
                }
            }
            Ok(format!("{done} leaders changed, {refused} changes refused"))
        })
    }

    fn end<'a>(&'a mut self, _cluster: &'a Cluster) -> BoxFuture<'a, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn lasts(&self, _rng: &mut Rng) -> Duration {
        Duration::ZERO
    }
}

/// Runs the workload's own splits.
pub struct Splits(pub Arc<dyn Workload>);

impl Nemesis for Splits {
    fn begin<'a>(&'a mut self, cluster: &'a Cluster, rng: &'a mut Rng) -> BoxFuture<'a, Result<String>> {
        Box::pin(async move {
            let until = Instant::now() + Duration::from_millis(rng.between(1000, 4000));
            let (mut done, mut refused) = (0, 0);
            while Instant::now() < until {
                let Some(split) = self.0.split(rng) else { break };
                match cluster.ask(&split).await {
                    Ok(_) => done += 1,
                    Err(_) => refused += 1,
                }
                sleep(Duration::from_millis(rng.between(20, 300))).await;
            }
            Ok(format!("{done} splits, {refused} refused"))
        })
    }

    fn end<'a>(&'a mut self, _cluster: &'a Cluster) -> BoxFuture<'a, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn lasts(&self, _rng: &mut Rng) -> Duration {
        Duration::ZERO
    }
}
