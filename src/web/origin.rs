//! Which pages may open a session. A browser sends cookies of nobody here, but on a machine where people sign in without a
//! password any page that they visit could open a session of theirs: so only our own page may.

use anyhow::{Context, Result, bail};
use hyper::{HeaderMap, Uri, header};

/// Names under which the page is reached, each as `host:port` with the scheme's port filled in.
pub struct Origins(Vec<(String, String)>);

impl Origins {
    pub fn new(urls: &[String]) -> Result<Origins> {
        let parse = |url: &String| parse(url).with_context(|| format!("\"{url}\" is not an origin (https://host)"));
        urls.iter().map(parse).collect::<Result<_>>().map(Origins)
    }

    /// The page's origin must be this server as the browser named it. A name is believed only if it was configured: a
    /// stranger can make a name of his own point here (DNS rebinding), but neither an address nor `localhost`.
    pub fn allow(&self, headers: &HeaderMap) -> bool {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let Some(origin) = text(header::ORIGIN).and_then(|origin| parse(origin).ok()) else { return false };
        if self.0.contains(&origin) {
            return true;
        }
        let Some(host) = text(header::HOST).and_then(|host| host.parse::<hyper::http::uri::Authority>().ok()) else {
            return false;
        };
        let named = host.host().trim_start_matches('[').trim_end_matches(']');
        let is_address = named == "localhost" || named.parse::<std::net::IpAddr>().is_ok();
        is_address && origin.1 == with_port(&host, &origin.0)
    }
}

/// Scheme and `host:port`.
fn parse(origin: &str) -> Result<(String, String)> {
    let uri: Uri = origin.parse()?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { bail!("no scheme or no host") };
    if !matches!(scheme, "http" | "https") || authority.as_str().contains('@') || uri.path() != "/" {
        bail!("more or less than scheme and host");
    }
    Ok((scheme.to_owned(), with_port(authority, scheme)))
}

fn with_port(authority: &hyper::http::uri::Authority, scheme: &str) -> String {
    let port = authority.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
    format!("{}:{port}", authority.host().to_ascii_lowercase())
}

#[cfg(test)]
#[path = "origin_test.rs"]
mod tests;
