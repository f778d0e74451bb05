//! The files of the page: compiled in by `build.rs`, or read from a directory at the start.

use std::{borrow::Cow, collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request, Response, StatusCode,
    header::{self, HeaderValue},
};

/// Names and contents as `build.rs` found them; empty when there was no bundle for this checkout.
mod embedded {
    include!(concat!(env!("OUT_DIR"), "/page.rs"));
}

const PAGE: &str = "index.html";
/// Files under `/assets/` carry the hash of their content in their names.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
const ASK_AGAIN: &str = "no-cache";

/// What is shown when nothing was compiled in.
const WITHOUT_PAGE: &str = "<!doctype html>
<html lang=\"en\"><meta charset=\"utf-8\"><title>Locus</title>
<h1>Locus was built without its page</h1>
<p>Everything else works. To get the page, run <code>cargo xtask web</code> in the checkout (it says what it needs) and
start again. The views that the page shows can be read with psql as well: <code>SELECT * FROM locus.nodes</code>.</p>
";

pub struct Assets {
    files: BTreeMap<Cow<'static, str>, Bytes>,
}

impl Assets {
    pub fn open(directory: Option<&Path>) -> Result<Assets> {
        let Some(directory) = directory else {
            let files = embedded::FILES.iter();
            return Ok(Assets {
                files: files.map(|(name, file)| ((*name).into(), Bytes::from_static(file))).collect(),
            });
        };
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))? {
            let entry = entry?;
            if let (Ok(name), true) = (entry.file_name().into_string(), entry.file_type()?.is_file()) {
                files.insert(name.into(), fs::read(entry.path())?.into());
            }
        }
        Ok(Assets { files })
    }

    pub fn is_empty(&self) -> bool {
        !self.files.contains_key(PAGE)
    }

    pub fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        // Everything that is no file is a place inside the page, which finds its way by the address itself.
        let (name, cache) = match path.strip_prefix("/assets/") {
            Some(name) => (name, FOR_EVER),
            None => (PAGE, ASK_AGAIN),
        };
        let is_variant = name.ends_with(".gz") || name.ends_with(".br");
        let Some(plain) = self.files.get(name).filter(|_| !is_variant && !name.contains('/')) else {
            return if name == PAGE { without_page() } else { super::plain(StatusCode::NOT_FOUND, "No such file.\n") };
        };
        let (content, encoding) = self.variant(name, request).unwrap_or((plain, None));
        let tag = format!("\"{:08x}-{}\"", crc32fast::hash(plain), plain.len());
        let mut answer = Response::new(Full::new(content.clone()));
        let unchanged =
            request.headers().get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
        if unchanged {
            answer = Response::new(Full::default());
            *answer.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let headers = answer.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(name)));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        if let Some(encoding) = encoding {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            headers.insert(header::ETAG, tag);
        }
        answer
    }

    /// The smallest form that the browser takes.
    fn variant<B>(&self, name: &str, request: &Request<B>) -> Option<(&Bytes, Option<&'static str>)> {
        let accepted = request.headers().get(header::ACCEPT_ENCODING)?.to_str().ok()?;
        let takes = |wanted| {
            accepted.split(',').any(|entry| {
                let mut parts = entry.split(';').map(str::trim);
                parts.next() == Some(wanted)
                    && !parts.any(|weight| matches!(weight, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
            })
        };
        [("br", "br"), ("gzip", "gz")].into_iter().find_map(|(encoding, extension)| {
            let file = self.files.get(format!("{name}.{extension}").as_str())?;
            takes(encoding).then_some((file, Some(encoding)))
        })
    }
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("wasm") => "application/wasm",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

fn without_page() -> Response<Full<Bytes>> {
    let mut answer = super::plain(StatusCode::OK, WITHOUT_PAGE);
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

#[cfg(test)]
#[path = "assets_test.rs"]
mod tests;
