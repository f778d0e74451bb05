//! The clients' world over the wire.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use base::BoxFuture;

use super::{
    meter::Meter,
    wire::{Session, Target},
};
use crate::workload::{
    is_reader,
    world::{Answer, Connection, Failure, World},
};

pub struct RealWorld {
    targets: Vec<Target>,
    meter: Arc<Meter>,
    is_locus: bool,
    turn: AtomicUsize,
}

impl RealWorld {
    pub fn new(targets: Vec<Target>, meter: Arc<Meter>, is_locus: bool) -> RealWorld {
        RealWorld { targets, meter, is_locus, turn: AtomicUsize::new(0) }
    }

    /// The gateways in the order in which a client tries them. As in the simulated world, readers have the last one to
    /// themselves as long as it is there.
    fn order(&self, client: u32) -> Vec<Target> {
        let (count, turn) = (self.targets.len(), self.turn.fetch_add(1, Ordering::Relaxed));
        let first = match is_reader(client) || count == 1 {
            true => count - 1,
            false => turn % (count - 1),
        };
        (0..count).map(|step| self.targets[(first + step) % count].clone()).collect()
    }
}

impl World for RealWorld {
    fn now(&self) -> u64 {
        self.meter.now()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }

    fn is_locus(&self) -> bool {
        self.is_locus
    }

    fn connect(&self, client: u32) -> BoxFuture<'static, Result<Box<dyn Connection>, Failure>> {
        let (targets, meter) = (self.order(client), self.meter.clone());
        Box::pin(async move {
            let mut last = Failure::NotSent("there is no gateway".into());
            for target in targets {
                match Session::connect(&target).await {
                    Ok(session) => return Ok(Box::new(Metered { session, meter, in_block: false }) as Box<_>),
                    Err(failure) => last = failure,
                }
            }
            Err(last)
        })
    }
}

/// A session whose successes are counted.
struct Metered {
    session: Session,
    meter: Arc<Meter>,
    in_block: bool,
}

impl Connection for Metered {
    fn query<'a>(&'a mut self, sql: &'a str) -> BoxFuture<'a, Result<Answer, Failure>> {
        Box::pin(async move {
            let answer = self.session.query(sql).await?;
            match sql.split_whitespace().next().unwrap_or_default() {
                "BEGIN" => self.in_block = true,
                "COMMIT" => {
                    self.in_block = false;
                    self.meter.note_success();
                }
                "ROLLBACK" if !sql.contains(" TO ") => self.in_block = false,
                "SET" => {}
                _ if !self.in_block => self.meter.note_success(),
                _ => {}
            }
            Ok(answer)
        })
    }
}
