use super::*;

fn decide(rules: &Rules, encrypted: bool, database: &str, role: &str, address: &str) -> Option<Method> {
    let attempt = Attempt { encrypted, database, role, address: address.parse().unwrap() };
    rules.decide(&attempt, &|group| group == "staff" && role == "clerk").map(|(_, rule)| rule.method)
}

#[test]
fn the_first_rule_that_fits_decides() {
    let rules = Rules::parse(
        "# comment\n\n\
         host all mallory all reject\n\
         hostssl shop,stock +staff 10.0.0.0/8 password # within the house\n\
         hostssl all all 2001:db8::/32 scram-sha-256\n\
         hostnossl all all 192.168.1.7 key\n\
         host sameuser all 0.0.0.0/0 auto\n",
    )
    .unwrap();
    assert_eq!(decide(&rules, true, "shop", "mallory", "10.1.2.3"), Some(Method::Reject));
    assert_eq!(decide(&rules, true, "shop", "clerk", "10.1.2.3"), Some(Method::Password));
    assert_eq!(decide(&rules, false, "shop", "clerk", "10.1.2.3"), None);
    assert_eq!(decide(&rules, true, "shop", "guest", "10.1.2.3"), None);
    assert_eq!(decide(&rules, true, "shop", "clerk", "11.1.2.3"), None);
    assert_eq!(decide(&rules, true, "x", "y", "2001:db8:1::1"), Some(Method::Scram));
    assert_eq!(decide(&rules, true, "x", "y", "2001:db9::1"), None);
    assert_eq!(decide(&rules, false, "x", "y", "192.168.1.7"), Some(Method::Key));
    assert_eq!(decide(&rules, true, "x", "y", "192.168.1.7"), None);
    assert_eq!(decide(&rules, true, "y", "y", "192.168.1.8"), Some(Method::Auto));
    assert_eq!(decide(&rules, true, "y", "y", "::ffff:192.168.1.8"), Some(Method::Auto));
}

#[test]
fn loopback_is_loopback() {
    for address in ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"] {
        assert_eq!(decide(&Rules::insecure(), false, "locus", "clerk", address), Some(Method::Trust), "{address}");
        assert_eq!(decide(&Rules::standard(), false, "locus", "clerk", address), Some(Method::Auto), "{address}");
    }
    for address in ["10.0.0.1", "0.0.0.0", "::", "192.168.1.1", "fe80::1", "::ffff:10.0.0.1", "128.0.0.1"] {
        assert_eq!(decide(&Rules::insecure(), true, "locus", "clerk", address), None, "{address}");
        assert_eq!(decide(&Rules::standard(), false, "locus", "clerk", address), None, "{address}");
        assert_eq!(decide(&Rules::standard(), true, "locus", "clerk", address), Some(Method::Auto), "{address}");
    }
}

#[test]
fn lines_that_are_no_rules() {
    for (text, problem) in [
        ("host all all", "line 1: expected type, database, role, address and method"),
        ("\nlocal all all all trust", "line 2: invalid connection type \"local\""),
        ("host all all 10.0.0.0/33 trust", "line 1: invalid address \"10.0.0.0/33\""),
        ("host all all 10.0.0 trust", "line 1: invalid address \"10.0.0\""),
        ("host all all all md5", "line 1: invalid authentication method \"md5\""),
    ] {
        assert_eq!(Rules::parse(text).unwrap_err().to_string(), problem);
    }
}

#[test]
fn rules_are_written_as_they_are_read() {
    for rules in [Rules::standard(), Rules::insecure(), Rules::parse("hostssl a,b +c 10.0.0.0/8 cert").unwrap()] {
        assert_eq!(Rules::parse(&rules.to_string()).unwrap(), rules);
    }
}
