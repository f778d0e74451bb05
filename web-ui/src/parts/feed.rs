//! A statement whose result is shown and kept fresh.

use std::{sync::Arc, time::Duration};

use leptos::{prelude::*, task::spawn_local};

use crate::{
    app::App,
    browser,
    rows::{Failure, Rows},
};

#[derive(Clone, Copy)]
pub struct Feed {
    pub app: App,
    pub sql: Memo<String>,
    pub rows: RwSignal<Option<Arc<Rows>>>,
    pub failure: RwSignal<Option<Failure>>,
    pub busy: RwSignal<bool>,
    /// When the rows came, in milliseconds since the page was opened.
    pub came: RwSignal<f64>,
    /// Counts up at each request for fresh rows.
    again: RwSignal<u32>,
}

impl Feed {
    /// `every` in seconds; 0 for what does not change by itself. An empty statement brings nothing.
    pub fn new(app: App, every: u32, sql: impl Fn() -> String + Send + Sync + 'static) -> Feed {
        let feed = Feed {
            app,
            sql: Memo::new(move |_| sql()),
            rows: RwSignal::new(None),
            failure: RwSignal::new(None),
            busy: RwSignal::new(false),
            came: RwSignal::new(0.0),
            again: RwSignal::new(0),
        };
        Effect::new(move |shown: Option<String>| {
            feed.again.track();
            feed.app.changes.track();
            let sql = feed.sql.get();
            if shown.is_some_and(|shown| shown != sql) {
                feed.rows.set(None);
            }
            feed.fetch(sql.clone());
            sql
        });
        if every > 0 {
            let ticks = set_interval_with_handle(
                move || {
                    // Nobody looks at a hidden tab; a slow server is not asked twice.
                    if !document().hidden() && feed.busy.try_get_untracked() == Some(false) {
                        feed.refresh();
                    }
                },
                Duration::from_secs(u64::from(every)),
            );
            // Without a clock it is refreshed by hand.
            let ticks = ticks.ok();
            on_cleanup(move || {
                if let Some(ticks) = ticks {
                    ticks.clear();
                }
            });
        }
        feed
    }

    pub fn refresh(self) {
        self.again.try_update(|count| *count += 1);
    }

    fn fetch(self, sql: String) {
        let Some(link) = self.app.link.get() else { return };
        if sql.is_empty() {
            return;
        }
        self.busy.set(true);
        spawn_local(async move {
            let result = link.query(&sql).await;
            // The panel may be gone, or want something else by now.
            if self.sql.try_get_untracked() != Some(sql) {
                return;
            }
            match result {
                Ok(rows) => {
                    self.rows.try_set(Some(Arc::new(rows)));
                    self.failure.try_set(None);
                    self.came.try_set(browser::now());
                }
                Err(failure) => drop(self.failure.try_set(Some(failure))),
            }
            self.busy.try_set(false);
        });
    }
}
