//! What only a browser has: sockets, storage, the address bar, time.

pub mod pg;
pub mod socket;

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures_channel::oneshot;
use leptos::prelude::{TimeoutHandle, document, set_timeout_with_handle, window};
use wasm_bindgen::JsCast;

/// Kept until the tab is closed.
pub fn tab_storage() -> Option<web_sys::Storage> {
    window().session_storage().ok().flatten()
}

/// Kept for ever.
pub fn storage() -> Option<web_sys::Storage> {
    window().local_storage().ok().flatten()
}

pub fn recall(storage: Option<web_sys::Storage>, name: &str) -> Option<String> {
    storage?.get_item(name).ok().flatten()
}

pub fn keep(storage: Option<web_sys::Storage>, name: &str, value: &str) {
    // A full or forbidden storage keeps nothing; the page works without.
    let _ = storage.map(|storage| storage.set_item(name, value));
}

pub fn forget(storage: Option<web_sys::Storage>, name: &str) {
    let _ = storage.map(|storage| storage.remove_item(name));
}

/// Milliseconds since the page was opened; never goes back.
pub fn now() -> f64 {
    window().performance().map_or(0.0, |performance| performance.now())
}

/// Waits without holding anybody up.
pub fn sleep(duration: Duration) -> Sleep {
    let (ring, rung) = oneshot::channel();
    let ring = move || {
        // Whoever waited may have gone.
        let _ = ring.send(());
    };
    // Without a timer there is no waiting, which is better than never going on: then `ring` is dropped, which wakes too.
    Sleep { rung, timer: set_timeout_with_handle(ring, duration).ok() }
}

/// Completes when its time is over; dropped before, it leaves no timer behind.
pub struct Sleep {
    rung: oneshot::Receiver<()>,
    timer: Option<TimeoutHandle>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.rung).poll(context).map(drop)
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(timer) = self.timer {
            timer.clear();
        }
    }
}

pub fn focus(id: &str) {
    if let Some(element) =
        document().get_element_by_id(id).and_then(|element| element.dyn_into::<web_sys::HtmlElement>().ok())
    {
        let _ = element.focus();
    }
}

pub fn copy(text: &str) {
    // The browser asks nobody and tells nobody.
    let _ = window().navigator().clipboard().write_text(text);
}

/// Hands a text to the person as a file.
pub fn download(name: &str, kind: &str, content: &str) {
    let parts = js_sys::Array::of1(&content.into());
    let options = web_sys::BlobPropertyBag::new();
    options.set_type(kind);
    let url = web_sys::Blob::new_with_str_sequence_and_options(&parts, &options)
        .and_then(|blob| web_sys::Url::create_object_url_with_blob(&blob));
    let anchor = document().create_element("a").ok().and_then(|a| a.dyn_into::<web_sys::HtmlAnchorElement>().ok());
    if let (Ok(url), Some(anchor)) = (url, anchor) {
        anchor.set_href(&url);
        anchor.set_download(name);
        anchor.click();
        let _ = web_sys::Url::revoke_object_url(&url);
    }
}
