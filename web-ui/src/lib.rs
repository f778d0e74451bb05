//! The page: a PostgreSQL client that runs in a browser, and nothing else.
//!
//! Life of a panel:
//!
//! 1. `start` puts the frame into the document; `shell` asks who is there and opens a session by `browser::pg::Link::open`:
//!    `tokio-postgres` over a WebSocket (`browser::socket`) that the web tier relays to a gateway.
//! 2. `pages` says which statements a place consists of; `parts::feed::Feed` runs each over the session, again and again.
//! 3. The answer is [`rows::Rows`], texts by the names of their columns. Modules that know no browser make sense of it:
//!    [`health`], [`check`], [`plan`], [`waits`], [`diagram`], [`ddl`]; they are tested without one.
//! 4. `parts` draws it: panels with their states, tables, charts.
//!
//! **Invariant**: it depends on no tier of ours (of our crates it knows `consistency`, which knows none either), and everything
//! that it shows it got by SQL, with the rights of whoever signed in.

pub mod check;
pub mod colour;
pub mod ddl;
pub mod diagram;
pub mod drafts;
pub mod export;
pub mod format;
pub mod health;
pub mod plan;
pub mod qr;
pub mod route;
pub mod rows;
pub mod statement;
pub mod waits;

#[cfg(target_arch = "wasm32")]
mod app;
#[cfg(target_arch = "wasm32")]
mod browser;
#[cfg(target_arch = "wasm32")]
mod pages;
#[cfg(target_arch = "wasm32")]
mod palette;
#[cfg(target_arch = "wasm32")]
mod parts;
#[cfg(target_arch = "wasm32")]
mod shell;

/// Called by the browser when the module is loaded.
#[cfg(target_arch = "wasm32")]
#[wasm_bindgen::prelude::wasm_bindgen(start)]
pub fn start() {
    std::panic::set_hook(Box::new(|panic| {
        web_sys::console::error_1(&panic.to_string().into());
        // Browser tests look at it.
        let _ = js_sys::Reflect::set(&leptos::prelude::window(), &"locusPanics".into(), &1.into());
    }));
    leptos::mount::mount_to_body(shell::root);
}
