use super::*;

fn allows(configured: &[&str], origin: Option<&str>, host: Option<&str>) -> bool {
    let configured: Vec<String> = configured.iter().map(|url| (*url).to_owned()).collect();
    let mut headers = HeaderMap::new();
    for (name, value) in [(header::ORIGIN, origin), (header::HOST, host)] {
        if let Some(value) = value {
            headers.insert(name, value.parse().unwrap());
        }
    }
    Origins::new(&configured).unwrap().allow(&headers)
}

#[test]
fn our_own_page_at_an_address() {
    assert!(allows(&[], Some("http://127.0.0.1:7480"), Some("127.0.0.1:7480")));
    assert!(allows(&[], Some("http://localhost:7480"), Some("localhost:7480")));
    assert!(allows(&[], Some("http://[::1]:7480"), Some("[::1]:7480")));
    assert!(allows(&[], Some("https://10.0.0.7"), Some("10.0.0.7:443")));
}

#[test]
fn pages_of_others() {
    assert!(!allows(&[], Some("http://evil.example"), Some("127.0.0.1:7480")));
    assert!(!allows(&[], Some("http://127.0.0.1:8000"), Some("127.0.0.1:7480")), "another server of this machine");
    assert!(!allows(&[], Some("null"), Some("127.0.0.1:7480")), "a file, a sandboxed frame");
    assert!(!allows(&[], None, Some("127.0.0.1:7480")), "no browser");
    assert!(!allows(&[], Some("http://127.0.0.1:7480"), None));
}

#[test]
fn a_name_that_points_here_is_not_enough() {
    assert!(!allows(&[], Some("http://evil.example:7480"), Some("evil.example:7480")));
    assert!(allows(&["https://locus.example"], Some("https://locus.example"), Some("locus.example")));
    assert!(allows(&["https://locus.example"], Some("https://LOCUS.example:443"), Some("10.0.0.7")), "behind a proxy");
    assert!(!allows(&["https://locus.example"], Some("http://locus.example"), Some("locus.example")));
}

#[test]
fn malformed_origins_are_refused_at_start() {
    for bad in ["locus.example", "ftp://a", "https://a/path", "https://user@a"] {
        assert!(Origins::new(&[bad.to_owned()]).is_err(), "{bad}");
    }
}
