//! What the terminal shows while clients work: lines for one run, a bar for a matrix. On standard error, which may be a file.

use std::{
    io::{IsTerminal, Write},
    sync::Arc,
    time::Duration,
};

use jepsen::real::{
    matrix::{Cell, MatrixEvent, MatrixProgress, Pair},
    run::{Event, Fault, Judgement, Progress},
};
use parking_lot::Mutex;

/// Lines of one run: each fault, and now and then how far it is.
pub struct RunLines {
    quiet: bool,
}

impl RunLines {
    pub fn new(quiet: bool) -> RunLines {
        RunLines { quiet }
    }

    pub fn progress(self) -> Progress {
        let terminal = std::io::stderr().is_terminal();
        Arc::new(move |event| match event {
            _ if self.quiet => {}
            Event::Tick { elapsed, successes } if terminal => {
                // Overwritten by whatever comes next.
                eprint!("\r\x1b[K{:>4} s  {successes} transactions", elapsed.as_secs());
                flush();
            }
            Event::Tick { elapsed, successes } if elapsed.as_secs().is_multiple_of(10) => {
                eprintln!("{:>4} s  {successes} transactions", elapsed.as_secs());
            }
            Event::Tick { .. } => {}
            Event::Fault(fault) => eprintln!("{}{}", start(terminal), describe(&fault)),
            Event::Healing => eprintln!("{}everything heals", start(terminal)),
            Event::Checking => eprintln!("{}the history is checked", start(terminal)),
        })
    }
}

fn start(terminal: bool) -> &'static str {
    if terminal { "\r\x1b[K" } else { "" }
}

fn describe(fault: &Fault) -> String {
    let seconds = |at: u64| at as f64 / 1e9;
    let (from, to) = (seconds(fault.from_ns), seconds(fault.to_ns));
    format!("{from:>6.1} s  {}: {} ({:.1} s)", fault.nemesis, fault.what, to - from)
}

/// The bar of a matrix; a line for each pair that has ended.
pub struct MatrixBar {
    state: Arc<Mutex<State>>,
    terminal: bool,
}

struct State {
    names: Vec<String>,
    /// Of the pairs that run now: number, elapsed time, transactions.
    running: Vec<(usize, Duration, usize)>,
    ended: usize,
}

const WIDTH: usize = 30;

impl MatrixBar {
    pub fn new(pairs: &[Pair], time: Duration, at_once: usize) -> MatrixBar {
        let count = pairs.len();
        let rounds = count.div_ceil(at_once.max(1)) as u64;
        eprintln!("{count} pairs of {} s, about {} min", time.as_secs(), (rounds * (time.as_secs() + 12)).div_ceil(60));
        let names = pairs.iter().map(Pair::to_string).collect();
        let state = State { names, running: Vec::new(), ended: 0 };
        MatrixBar { state: Arc::new(Mutex::new(state)), terminal: std::io::stderr().is_terminal() }
    }

    pub fn progress(&self) -> MatrixProgress {
        let (state, terminal) = (self.state.clone(), self.terminal);
        Arc::new(move |number, event| {
            let mut state = state.lock();
            state.note(number, &event);
            if let MatrixEvent::Ended(cell) = &event {
                eprintln!("{}{:<44} {}", start(terminal), state.names[number], summary(cell));
            }
            if terminal {
                eprint!("\r\x1b[K{}", state.line());
                flush();
            }
        })
    }

    /// Takes the bar away.
    pub fn clear(&self) {
        eprint!("{}", start(self.terminal));
    }
}

impl State {
    fn note(&mut self, number: usize, event: &MatrixEvent) {
        match event {
            MatrixEvent::Started => self.running.push((number, Duration::ZERO, 0)),
            MatrixEvent::Run(Event::Tick { elapsed, successes }) => {
                for running in self.running.iter_mut().filter(|running| running.0 == number) {
                    (running.1, running.2) = (*elapsed, *successes);
                }
            }
            MatrixEvent::Run(_) => {}
            MatrixEvent::Ended(_) => {
                self.running.retain(|running| running.0 != number);
                self.ended += 1;
            }
        }
    }

    fn line(&self) -> String {
        let filled = WIDTH * self.ended / self.names.len().max(1);
        let running: Vec<String> = self
            .running
            .iter()
            .map(|(number, elapsed, successes)| {
                format!("{} {} s, {successes} transactions", self.names[*number], elapsed.as_secs())
            })
            .collect();
        let (bar, rest) = ("#".repeat(filled), "-".repeat(WIDTH - filled));
        format!("[{bar}{rest}] {}/{}  {}", self.ended, self.names.len(), running.join("; "))
    }
}

fn summary(cell: &Cell) -> String {
    match cell {
        Cell::Ran(outcome) => {
            let word = match outcome.judgement {
                Judgement::Valid => "valid",
                Judgement::Violated => "VIOLATED",
                Judgement::Unknown => "unknown",
            };
            let recovered = outcome.recovery.and_then(|recovery| recovery.half_throughput_ms);
            let recovered = recovered.map_or(String::new(), |millis| format!(", back after {millis} ms"));
            format!("{word}: {} committed, {} unknown{recovered}", outcome.verdict.committed, outcome.verdict.unknown)
        }
        Cell::Skipped(reason) => format!("skipped: {reason}"),
        Cell::Failed(error) => format!("FAILED: {error}"),
    }
}

fn flush() {
    // The terminal may be gone; nobody is there to be told.
    let _ = std::io::stderr().flush();
}
