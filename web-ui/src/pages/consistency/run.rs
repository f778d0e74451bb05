//! Running a workload: its clients live in this very page until the time is over.

use std::{cell::Cell, rc::Rc, sync::Arc, time::Duration};

use base::Rng;
use consistency::{
    check::Verdict,
    workload::{Client, Workload, World, by_name},
};
use leptos::{prelude::*, task::spawn_local};

use super::{Check, Finished, Phase, Watch, world::PageWorld};
use crate::{browser, check::Settings, parts::chart, rows::Failure};

pub const SCHEMA: &str = "locus_consistency";

/// Operations that the page keeps and can judge without being held up for long.
const OPERATIONS_MAX: u32 = 20_000;

/// How often the figures of a run are renewed.
const TICK: Duration = Duration::from_millis(250);
/// Points of its line: half a minute.
const RATES_MAX: usize = 120;

/// So often the schema is tried to be dropped, and with such pauses.
const DROPS_MAX: usize = 20;
const DROP_PAUSE: Duration = Duration::from_millis(500);

pub fn start(check: Check) {
    let settings = check.settings.get_untracked();
    check.stop.set(false);
    check.watch.set(Watch::default());
    check.phase.set(Phase::Running);
    spawn_local(async move {
        let next = match drive(check, settings).await {
            Ok(finished) => Phase::Checked(Arc::new(finished)),
            Err(failure) => Phase::Failed(failure),
        };
        // The page may have been left.
        check.phase.try_set(next);
    });
}

/// Makes the schema, runs the workload in it, and drops it whatever happened.
async fn drive(check: Check, settings: Settings) -> Result<Finished, Failure> {
    let link = check.app.link.get_untracked().ok_or_else(|| Failure::local("there is no session"))?;
    link.query(&format!("CREATE SCHEMA {SCHEMA}")).await?;
    let finished = work(check, settings).await;
    let left = drop_schema(check).await.err();
    finished.map(|finished| Finished { left, ..finished })
}

pub fn drop_sql() -> String {
    format!("DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
}

/// The page's session may be away for a while: who kills nodes in the middle of a run may kill a gateway.
async fn drop_schema(check: Check) -> Result<(), Failure> {
    let mut last = Failure::local("there is no session");
    for _ in 0..DROPS_MAX {
        if let Some(link) = check.app.link.get_untracked() {
            match link.query(&drop_sql()).await {
                Ok(_) => return Ok(()),
                Err(failure) => last = failure,
            }
        }
        browser::sleep(DROP_PAUSE).await;
    }
    Err(last)
}

async fn work(check: Check, settings: Settings) -> Result<Finished, Failure> {
    let parameters = settings.parameters();
    let workload = by_name(settings.workload.name, &parameters).ok_or_else(|| Failure::local("no such workload"))?;
    let world: Arc<dyn World> = Arc::new(PageWorld::new(check.app));
    let mut rng = Rng::new((js_sys::Math::random() * 2f64.powi(53)) as u64);
    let mut client = |number| Client::new(world.clone(), number, &parameters, rng.split());
    let mut first = client(0);
    workload.setup(&mut first).await.map_err(Failure::local)?;
    let end_ms = browser::now() + f64::from(settings.seconds) * 1000.0;
    let shift = Rc::new(Shift { check, end_ms, done: Cell::new(0), under_way: Cell::new(0) });
    spawn_local(watch(check, workload.clone(), shift.clone()));
    let clients: Vec<Client> = (0..settings.clients).map(client).collect();
    let shifts = clients.into_iter().map(|client| shift.clone().serve(workload.clone(), client));
    futures_util::future::join_all(shifts).await;
    let is_cut = shift.done.get() >= OPERATIONS_MAX;
    check.watch.try_update(|watch| watch.is_judging = true);
    let anomalies = workload.finish(&mut first).await.map_err(Failure::local)?;
    first.disconnect();
    let verdict = Verdict::new(workload.promise(), workload.counts(), anomalies);
    check.watch.try_update(|watch| watch.counts = workload.counts());
    Ok(Finished { settings, workload, verdict, is_cut, left: None })
}

/// What all clients of a run share.
struct Shift {
    check: Check,
    /// In milliseconds since the page was opened.
    end_ms: f64,
    /// Operations so far.
    done: Cell<u32>,
    /// Operations that are going on: the history does not know their outcome yet.
    under_way: Cell<u32>,
}

impl Shift {
    fn is_over(&self) -> bool {
        let stopped = self.check.stop.try_get_untracked() != Some(false);
        stopped || browser::now() >= self.end_ms || self.done.get() >= OPERATIONS_MAX
    }

    async fn serve(self: Rc<Shift>, workload: Arc<dyn Workload>, mut client: Client) {
        while !self.is_over() {
            self.under_way.set(self.under_way.get() + 1);
            workload.operate(&mut client).await;
            self.under_way.set(self.under_way.get() - 1);
            self.done.set(self.done.get() + 1);
        }
        client.disconnect();
    }
}

/// Renews the figures until the clients are done.
async fn watch(check: Check, workload: Arc<dyn Workload>, shift: Rc<Shift>) {
    let (mut before, mut then) = (0, browser::now());
    loop {
        browser::sleep(TICK).await;
        if shift.is_over() {
            return;
        }
        let (mut counts, now) = (workload.counts(), browser::now());
        counts.unknown = counts.unknown.saturating_sub(shift.under_way.get() as usize);
        let rate = chart::rate(before as f64, counts.committed as f64, (now - then) / 1000.0);
        (before, then) = (counts.committed, now);
        check.watch.try_update(|watch| {
            watch.counts = counts;
            watch.seconds_left = ((shift.end_ms - now) / 1000.0).max(0.0);
            if watch.rates.len() == RATES_MAX {
                watch.rates.remove(0);
            }
            watch.rates.push(rate);
        });
    }
}
