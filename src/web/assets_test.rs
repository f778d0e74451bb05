use super::*;

fn assets() -> Assets {
    let files = [("index.html", "page"), ("app-1.wasm", "raw"), ("app-1.wasm.gz", "gz"), ("app-1.wasm.br", "br")];
    Assets { files: files.map(|(name, content)| (name.into(), Bytes::from_static(content.as_bytes()))).into() }
}

fn get(path: &str, headers: &[(header::HeaderName, &str)]) -> (StatusCode, Response<Full<Bytes>>) {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    let answer = assets().answer(&request.body(()).unwrap());
    (answer.status(), answer)
}

fn header_of(answer: &Response<Full<Bytes>>, name: header::HeaderName) -> &str {
    answer.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[test]
fn the_smallest_form_that_the_browser_takes() {
    for (accepted, expected) in [("gzip, br", "br"), ("gzip", "gzip"), ("gzip, br;q=0", "gzip"), ("identity", "")] {
        let (_, answer) = get("/assets/app-1.wasm", &[(header::ACCEPT_ENCODING, accepted)]);
        assert_eq!(header_of(&answer, header::CONTENT_ENCODING), expected, "{accepted}");
        assert_eq!(header_of(&answer, header::CONTENT_TYPE), "application/wasm");
        assert_eq!(header_of(&answer, header::CACHE_CONTROL), FOR_EVER);
    }
}

#[test]
fn every_place_of_the_page_is_the_page() {
    for path in ["/", "/ranges?table=orders", "/schema/public/orders"] {
        let (status, answer) = get(path, &[]);
        assert_eq!((status, header_of(&answer, header::CACHE_CONTROL)), (StatusCode::OK, ASK_AGAIN), "{path}");
        assert_eq!(header_of(&answer, header::CONTENT_TYPE), "text/html; charset=utf-8");
    }
}

#[test]
fn what_is_no_file_is_not_found() {
    for path in ["/assets/none.js", "/assets/../Cargo.toml", "/assets/app-1.wasm.gz", "/assets/"] {
        assert_eq!(get(path, &[]).0, StatusCode::NOT_FOUND, "{path}");
    }
}

#[test]
fn an_unchanged_page_is_not_sent_again() {
    let tag = header_of(&get("/", &[]).1, header::ETAG).to_owned();
    assert_eq!(get("/", &[(header::IF_NONE_MATCH, &tag)]).0, StatusCode::NOT_MODIFIED);
    assert_eq!(get("/", &[(header::IF_NONE_MATCH, "\"other\"")]).0, StatusCode::OK);
}

#[test]
fn without_a_bundle_there_is_an_explanation() {
    let answer = Assets { files: BTreeMap::new() }.answer(&Request::get("/").body(()).unwrap());
    assert_eq!((answer.status(), header_of(&answer, header::CACHE_CONTROL)), (StatusCode::OK, "no-store"));
}
