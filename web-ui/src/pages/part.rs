//! Places that are fetched when somebody goes to them. The program is split by `cargo xtask web`: what only such a place reaches is
//! a file of its own, which shares memory and everything else with the rest.

use std::future::Future;

use leptos::{prelude::*, task::spawn_local};
use wasm_split_helpers::{SplitLoaderError, wasm_split};

use super::consistency;
use crate::{app::App, parts::panel::failure_text, rows::Failure};

type Place = fn(App) -> AnyView;

/// All workloads and checkers of `locus jepsen`: a third of the page, and most visits never see it.
#[wasm_split(consistency, fallible)]
pub fn consistency() -> Result<Place, SplitLoaderError> {
    Ok(consistency::page)
}

/// Fetches a part, and shows the place that it is. What was fetched once is there.
pub fn page<F>(app: App, fetch: fn() -> F) -> AnyView
where
    F: Future<Output = Result<Place, SplitLoaderError>> + 'static,
{
    let place = RwSignal::new(None::<Result<Place, Failure>>);
    let load = move || {
        place.set(None);
        spawn_local(async move {
            // What went wrong is in the browser's console.
            let fetched = fetch().await.map_err(|_| {
                Failure::local("this part of the page could not be fetched; if the server was updated, reload the page")
            });
            // The place may have been left.
            place.try_set(Some(fetched));
        });
    };
    load();
    view! {
        {move || match place.get() {
            None => view! { <p class="loading" role="status">"Loading…"</p> }.into_any(),
            Some(Ok(place)) => place(app),
            Some(Err(failure)) => view! {
                <section class="panel failed" role="alert">
                    {failure_text(&failure)}
                    <button on:click=move |_| load()>"Try again"</button>
                </section>
            }
            .into_any(),
        }}
    }
    .into_any()
}
