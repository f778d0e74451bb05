//! Work inside a network namespace: a socket belongs for good to the namespace of the thread that made it, so each namespace
//! gets a thread of its own in which the harness connects and listens.

use std::{fs::File, future::Future, path::PathBuf, sync::mpsc, thread};

use anyhow::{Context, Result};
use rustix::{
    fd::AsFd,
    thread::{LinkNameSpaceType, move_into_link_name_space},
};
use tokio::{runtime::Handle, sync::oneshot, task::JoinHandle};

/// A thread in a namespace; dropping it ends the thread and everything that it runs.
pub struct Inside {
    handle: Handle,
    /// Keeps the thread going. `None` for work that stays where it is.
    _thread: Option<oneshot::Sender<()>>,
}

impl Inside {
    /// Starts a thread in the namespace with this path.
    pub fn enter(namespace: PathBuf) -> Result<Inside> {
        let (report, started) = mpsc::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let run = move || match enter(&namespace) {
            Ok(runtime) => {
                let handle = runtime.handle().clone();
                if report.send(Ok(handle)).is_ok() {
                    // Nothing is ever sent: it completes when the other end is dropped.
                    let _ = runtime.block_on(stopped);
                }
                runtime.shutdown_background();
            }
            // Whoever started the thread is waiting for this.
            Err(error) => drop(report.send(Err(error))),
        };
        thread::Builder::new().name("namespace".into()).spawn(run).context("cannot start a thread")?;
        let handle = started.recv().context("the thread in the namespace has ended")??;
        Ok(Inside { handle, _thread: Some(stop) })
    }

    /// Where there are no namespaces: work stays in the calling runtime.
    pub fn here() -> Inside {
        Inside { handle: Handle::current(), _thread: None }
    }

    /// Runs a task there.
    pub fn spawn<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        self.handle.spawn(work)
    }
}

fn enter(namespace: &PathBuf) -> Result<tokio::runtime::Runtime> {
    let context = || format!("cannot enter {}", namespace.display());
    let file = File::open(namespace).with_context(context)?;
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).with_context(context)?;
    tokio::runtime::Builder::new_current_thread().enable_all().build().with_context(context)
}
