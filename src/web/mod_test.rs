use super::*;

#[test]
fn sessions_of_other_machines_are_refused_unless_asked_for() {
    let server = |allow_remote| {
        let settings = WebSettings { allow_remote, ..WebSettings::default() };
        Server::new("127.0.0.1:1".to_owned(), &settings).unwrap()
    };
    let may = |server: &Server, peer: &str| server.may_relay(peer.parse().unwrap());
    let (closed, open) = (server(false), server(true));
    for near in ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"] {
        assert!(may(&closed, near) && may(&open, near), "{near}");
    }
    for far in ["192.0.2.7", "10.0.0.1", "2001:db8::1", "::ffff:10.0.0.1", "0.0.0.0"] {
        assert!(!may(&closed, far), "{far}");
        assert!(may(&open, far), "{far}");
    }
}
