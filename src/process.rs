//! Processes: when this one shall stop, and what becomes of others.

use std::{fs, time::Duration};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{oneshot, watch},
};

/// Becomes true when this process shall stop: by SIGINT, by SIGTERM, or by the end of standard input if that was asked for.
#[derive(Clone)]
pub struct StopSignal(watch::Receiver<bool>);

impl StopSignal {
    #[allow(clippy::disallowed_methods)]
    pub fn listen(with_stdin: bool) -> Result<StopSignal> {
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot handle SIGINT")?;
        let mut terminate = signal(SignalKind::terminate()).context("cannot handle SIGTERM")?;
        let (sender, receiver) = watch::channel(false);
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => tracing::info!("stopping: interrupted"),
                _ = terminate.recv() => tracing::info!("stopping: terminated"),
                () = end_of_stdin(), if with_stdin => tracing::info!("stopping: the parent is gone"),
            }
            // Nobody listens any more when the program is about to end anyway.
            let _ = sender.send(true);
            // From now on the program stops in its own time; a second signal is not heard.
            std::future::pending::<()>().await;
        });
        Ok(StopSignal(receiver))
    }

    pub fn receiver(&self) -> watch::Receiver<bool> {
        self.0.clone()
    }

    pub fn is_raised(&self) -> bool {
        *self.0.borrow()
    }

    pub async fn raised(&mut self) {
        // An error means that the listener is gone, which happens at the very end.
        let _ = self.0.wait_for(|stop| *stop).await;
    }
}

/// Completes when standard input has ended. Reads in a thread of its own, which ends with the process.
async fn end_of_stdin() {
    let (sender, receiver) = oneshot::channel::<()>();
    let read = move || {
        // An error is an end as well.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        drop(sender);
    };
    match std::thread::Builder::new().name("stdin".into()).spawn(read) {
        // The sender says nothing; it goes.
        Ok(_) => drop(receiver.await),
        Err(error) => {
            tracing::error!(%error, "cannot watch standard input");
            std::future::pending().await
        }
    }
}

/// Names a process for good: ids are used again, but not with the same start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ProcessId {
    pub pid: u32,
    /// When it started, in the kernel's ticks since boot.
    pub started: u64,
}

impl ProcessId {
    /// The process that has this id now; `None` when there is none (or it has ended and waits for its parent).
    pub fn of(pid: u32) -> Option<ProcessId> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The command's name may hold spaces and parentheses; fields are counted from behind it.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        if matches!(*fields.first()?, "Z" | "X") {
            return None;
        }
        Some(ProcessId { pid, started: fields.get(19)?.parse().ok()? })
    }

    pub fn is_alive(self) -> bool {
        ProcessId::of(self.pid) == Some(self)
    }

    fn send(self, signal: Signal) {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        if let (Some(pid), true) = (pid, self.is_alive()) {
            // It may have ended in between.
            let _ = kill_process(pid, signal);
        }
    }

    /// Asks the process to stop, and kills it when it has not stopped in time.
    pub async fn stop(self, patience: Duration) {
        self.send(Signal::TERM);
        if !self.ended_within(patience).await {
            tracing::warn!(pid = self.pid, "process did not stop in time and is killed");
            self.send(Signal::KILL);
            self.ended_within(patience).await;
        }
    }

    /// Waits for the end; false when it has not come in time.
    pub async fn ended_within(self, patience: Duration) -> bool {
        let ended = async {
            while self.is_alive() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(patience, ended).await.is_ok()
    }
}
