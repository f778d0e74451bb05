//! The clients' world in the browser: sessions of the signed-in role over the page's own relay.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use base::BoxFuture;
use consistency::workload::{Answer, Connection, Failure, World};
use futures_channel::oneshot;
use leptos::task::spawn_local;

use super::run::SCHEMA;
use crate::{
    app::App,
    browser::{
        self,
        pg::{Link, Outcome},
    },
    rows,
};

pub struct PageWorld {
    app: App,
    /// When it began, in milliseconds since the page was opened.
    began_ms: f64,
    idle: Idle,
}

impl PageWorld {
    pub fn new(app: App) -> PageWorld {
        PageWorld { app, began_ms: browser::now(), idle: Idle::default() }
    }
}

impl World for PageWorld {
    /// Browsers blur their clocks, by rounding down to some microseconds: what was one after the other may seem to be at once,
    /// never the other way round.
    fn now(&self) -> u64 {
        ((browser::now() - self.began_ms).max(0.0) * 1e6) as u64
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(browser::sleep(duration))
    }

    fn is_locus(&self) -> bool {
        true
    }

    /// An idle session, or another one.
    fn connect(&self, client: u32) -> BoxFuture<'static, Result<Box<dyn Connection>, Failure>> {
        let (app, idle) = (self.app, self.idle.clone());
        let (tell, told) = oneshot::channel();
        // A socket of the browser belongs to its thread, and workloads are written for many: the future that they wait for
        // knows the outcome only.
        spawn_local(async move {
            let link = match idle.take() {
                Some(link) => Ok(link),
                None => open(app, client).await,
            };
            let session = link.map(|link| Session { link, idle, is_busy: false });
            // Whoever wanted it may have gone; then it is closed, or idle again.
            let _ = tell.send(session);
        });
        Box::pin(async move {
            let session = told.await.unwrap_or_else(|_| Err(Failure::NotSent("the page was left".to_owned())));
            session.map(|session| Box::new(session) as Box<dyn Connection>)
        })
    }
}

async fn open(app: App, client: u32) -> Result<Link, Failure> {
    let link = app.open(&format!("locus page, consistency {client}"), |_| ()).await;
    let link = link.map_err(|failure| Failure::NotSent(failure.message))?;
    let path = link.query(&format!("SET search_path = {SCHEMA}")).await;
    path.map_err(|failure| Failure::NotSent(failure.message))?;
    Ok(link)
}

/// Sessions that a client has left in good order. Clients come and go, and each sign-in leaves a line in the audit log.
#[derive(Clone, Default)]
struct Idle(Arc<Mutex<Vec<Link>>>);

impl Idle {
    fn take(&self) -> Option<Link> {
        let mut links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        links.retain(|link| !link.is_closed());
        links.pop()
    }

    fn give(&self, link: Link) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(link);
    }
}

struct Session {
    link: Link,
    idle: Idle,
    /// A statement is under way. Left so, the session is of no use to anybody.
    is_busy: bool,
}

impl Connection for Session {
    fn query<'a>(&'a mut self, sql: &'a str) -> BoxFuture<'a, Result<Answer, Failure>> {
        Box::pin(async move {
            self.is_busy = true;
            let outcome = self.link.run(sql, usize::MAX).await;
            self.is_busy = false;
            let mut outcomes = outcome.map_err(failure)?;
            Ok(match outcomes.pop() {
                Some(Outcome::Rows(rows)) => Answer { affected: rows.len() as u64, rows: rows.rows },
                Some(Outcome::Done(affected)) => Answer { affected, rows: Vec::new() },
                None => Answer::default(),
            })
        })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.is_busy || self.link.is_closed() {
            return;
        }
        let (link, idle) = (self.link.clone(), self.idle.clone());
        // A transaction that was left open would hold its locks until somebody takes the session.
        spawn_local(async move {
            if link.query("ROLLBACK").await.is_ok() {
                idle.give(link);
            }
        });
    }
}

fn failure(failure: rows::Failure) -> Failure {
    if failure.sqlstate.is_empty() {
        Failure::Lost(failure.message)
    } else {
        Failure::Refused { sqlstate: failure.sqlstate, message: failure.message }
    }
}
