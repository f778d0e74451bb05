//! Workloads × nemeses.

use std::{fmt, fs, path::PathBuf, str::FromStr, sync::Arc};

use anyhow::{Context, Result};
use futures::stream::{self, StreamExt};
use parking_lot::Mutex;

use super::{
    nemesis::Kind,
    pages,
    run::{self, Event, Outcome, RunOptions, names},
};
use crate::{report, workload};

/// One cell: a workload and the nemeses that work at the same time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    pub workload: String,
    pub nemeses: Vec<Kind>,
}

impl Pair {
    /// As the command line takes it.
    pub fn as_written(&self) -> String {
        format!("{}:{}", self.workload, names(&self.nemeses))
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} × {}", self.workload, names(&self.nemeses))
    }
}

/// Reads `list-append:kill-leader+split`.
impl FromStr for Pair {
    type Err = String;

    fn from_str(text: &str) -> Result<Pair, String> {
        let (workload, nemeses) = text.split_once(':').ok_or("as in list-append:kill-leader+split")?;
        if !workload::NAMES.contains(&workload) {
            return Err(format!("no workload is called {workload}; there are: {}", workload::NAMES.join(", ")));
        }
        let nemeses = nemeses.split('+').map(str::parse).collect::<Result<Vec<Kind>, String>>()?;
        Ok(Pair { workload: workload.to_owned(), nemeses })
    }
}

/// The pairs with the most teeth: those that `./test` runs.
pub const QUICK: [&str; 20] = [
    "list-append:kill-leader",
    "list-append:kill-oracle",
    "list-append:kill-all+slow-disk",
    "list-append:pause",
    "list-append:halves",
    "list-append:one-way",
    "list-append:transfer-leader+split",
    "list-append:clock-strobe",
    "list-append:reorder",
    "bank:kill-majority",
    "bank:ring",
    "bank:flapping",
    "bank:slow-disk",
    "bank:rolling-restart",
    "register:isolate-leader",
    "register:pause+transfer-leader",
    "register:delay",
    "register:bridge",
    "set:kill-majority",
    "past:isolate-node",
];

/// The pairs of [`QUICK`].
pub fn quick() -> Vec<Pair> {
    QUICK.iter().filter_map(|text| text.parse().ok()).collect()
}

/// Every workload under every single nemesis.
pub fn all() -> Vec<Pair> {
    let pair = |workload: &str, kind| Pair { workload: workload.to_owned(), nemeses: vec![kind] };
    let pairs = workload::NAMES.iter().flat_map(|name| Kind::ALL.iter().map(move |kind| pair(name, *kind)));
    pairs.collect()
}

/// What became of one pair.
#[derive(Clone, Debug)]
pub enum Cell {
    Ran(Box<Outcome>),
    /// The machine does not have what the nemesis takes.
    Skipped(String),
    /// The harness could not do its work.
    Failed(String),
}

/// What is told while the matrix goes on, with the pair that it concerns.
#[derive(Clone, Debug)]
pub enum MatrixEvent {
    Started,
    Run(Event),
    Ended(Cell),
}

pub type MatrixProgress = Arc<dyn Fn(usize, MatrixEvent) + Send + Sync>;

/// Runs the pairs, `at_once` at a time; `base` has everything but workload and nemeses. In the order of the pairs.
pub async fn run(pairs: &[Pair], base: &RunOptions, at_once: usize, progress: MatrixProgress) -> Result<Vec<Cell>> {
    fs::create_dir_all(&base.out).with_context(|| base.out.display().to_string())?;
    let cells: Mutex<Vec<Option<Cell>>> = Mutex::new(vec![None; pairs.len()]);
    let each = |(number, pair): (usize, &Pair)| {
        let (pair, progress, cells) = (pair.clone(), progress.clone(), &cells);
        let options = RunOptions {
            workload: pair.workload.clone(),
            nemeses: pair.nemeses.clone(),
            seed: base.seed.wrapping_add(number as u64),
            out: directory(base, &pair),
            ..base.clone()
        };
        async move {
            progress(number, MatrixEvent::Started);
            let cell = run_one(&options, number, &progress).await;
            progress(number, MatrixEvent::Ended(cell.clone()));
            cells.lock()[number] = Some(cell);
        }
    };
    stream::iter(pairs.iter().enumerate()).map(each).buffer_unordered(at_once.max(1)).collect::<Vec<()>>().await;
    let cells: Vec<Cell> = cells.into_inner().into_iter().flatten().collect();
    let page = base.out.join("matrix.html");
    fs::write(&page, report::matrix(&pages::of_matrix(pairs, &cells, base)))
        .with_context(|| page.display().to_string())?;
    Ok(cells)
}

/// Where a pair's files go.
fn directory(base: &RunOptions, pair: &Pair) -> PathBuf {
    base.out.join(format!("{}-{}", pair.workload, names(&pair.nemeses)))
}

async fn run_one(options: &RunOptions, number: usize, progress: &MatrixProgress) -> Cell {
    for kind in &options.nemeses {
        if let Some(obstacle) = run::obstacle(*kind).await {
            return Cell::Skipped(format!("{kind}: {obstacle}"));
        }
    }
    let told = progress.clone();
    let tell: run::Progress = Arc::new(move |event| told(number, MatrixEvent::Run(event)));
    match run::run(options, tell).await {
        Ok(outcome) => Cell::Ran(Box::new(outcome)),
        Err(error) => Cell::Failed(format!("{error:#}")),
    }
}
