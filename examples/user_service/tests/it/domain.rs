//! What makes a user acceptable, case by case.

use user_service::domain::{NewUser, Page, UserChange};

fn long(part: &str, times: usize) -> String {
    part.repeat(times)
}

/// The fields that are refused for this input.
fn refused(name: &str, email: &str) -> Vec<&'static str> {
    NewUser::new(name, email).err().map_or(Vec::new(), |invalid| invalid.fields().collect())
}

#[test]
fn names() {
    let good =
        ["A", "Ann", "Ann Example", "  Ann  ", "Łukasz Żółć", "李小龙", "👩‍👩‍👧‍👦", "O'Brien", "'; DROP TABLE users; --"];
    for name in good.map(str::to_owned).into_iter().chain([long("x", 200), long("😀", 200)]) {
        assert_eq!(refused(&name, "ann@example.com"), Vec::<&str>::new(), "{name:?}");
    }
    let bad =
        ["", " ", "\t\n", "A\0", "A\nB", "A\u{7F}", "A\u{85}B", "\u{202E}nnA", "A\u{2066}B", "A\u{202A}", "A\u{2028}B"];
    for name in bad.map(str::to_owned).into_iter().chain([long("x", 201), long("😀", 201), long("x", 10_000)]) {
        assert_eq!(refused(&name, "ann@example.com"), ["name"], "{name:?}");
    }
}

#[test]
fn emails() {
    let good =
        ["a@b", "ann@example.com", "ANN@EXAMPLE.COM", "ann.b+tag@mail.example.co.uk", "o'brien@example.com", "1@2.3"];
    // 64 bytes before the @, and 254 in all.
    let longest = format!("{}@{}.{}.{}", long("l", 64), long("d", 63), long("e", 63), long("f", 61));
    assert_eq!(longest.len(), 254);
    for email in good.map(str::to_owned).into_iter().chain([longest.clone()]) {
        assert_eq!(refused("Ann", &email), Vec::<&str>::new(), "{email:?}");
    }
    let bad = [
        "",
        "ann",
        "@",
        "ann@",
        "@example.com",
        "ann@@example.com",
        "ann@b@example.com",
        "a nn@example.com",
        " ann@example.com",
        "ann@example.com\r\nBcc: all@example.com",
        "ann\0@example.com",
        "ann@exa\u{202E}mple.com",
        "ann@ex\tample.com",
        ".ann@example.com",
        "ann.@example.com",
        "a..n@example.com",
        "ann@.com",
        "ann@example..com",
        "ann@example.",
        "ann@-example.com",
        "ann@example-.com",
        "ann@exa_mple.com",
        "\"ann\"@example.com",
        "<ann@example.com>",
        "ann@münchen.de",
        "😀@example.com",
        "ann@[127.0.0.1]",
    ];
    let too_long =
        [format!("{longest}x"), long("x", 320), format!("{}@b", long("l", 65)), format!("a@{}", long("d", 64))];
    for email in bad.map(str::to_owned).into_iter().chain(too_long).chain([long("a@", 5_000)]) {
        assert_eq!(refused("Ann", &email), ["email"], "{email:?}");
    }
}

#[test]
fn changes() {
    let refused = |name, email| -> Vec<&'static str> {
        UserChange::new(name, email).err().map_or(Vec::new(), |invalid| invalid.fields().collect())
    };
    let cases: [(Option<&str>, Option<&str>, &[&str]); 7] = [
        (None, None, &["body"]),
        (Some("Ann"), None, &[]),
        (None, Some("a@b"), &[]),
        (Some(" "), Some("a@b"), &["name"]),
        (Some("Ann"), Some(""), &["email"]),
        (Some("A\0"), Some("ann"), &["name", "email"]),
        (None, Some("a@"), &["email"]),
    ];
    for (name, email, faults) in cases {
        assert_eq!(refused(name, email), faults, "{name:?} {email:?}");
    }
    let change = UserChange::new(Some(" Ann "), Some("Ann@Example.COM")).unwrap();
    assert_eq!((change.name(), change.email()), (Some("Ann"), Some("ann@example.com")));
}

#[test]
fn all_faults_are_named_at_once() {
    assert_eq!(refused("", ""), ["name", "email"]);
    let message = NewUser::new("\0", "ann").unwrap_err().to_string();
    assert_eq!(message, "name: must not contain control characters; email: must contain an @");
}

#[test]
fn a_new_user_is_trimmed_lowercased_and_in_order() {
    let one = NewUser::new(" Ann ", "Ann@Example.COM").unwrap().into_user();
    let two = NewUser::new("Bob", "bob@example.com").unwrap().into_user();
    assert_eq!((one.name.as_str(), one.email.as_str()), ("Ann", "ann@example.com"));
    assert_eq!((one.id.get_version_num(), one.created_at), (7, one.updated_at));
    assert!(one.id < two.id);
}

#[test]
fn pages() {
    for (limit, good) in [(0, false), (1, true), (100, true), (101, false), (u32::MAX, false)] {
        assert_eq!(Page::new(limit, u32::MAX).is_ok(), good, "{limit}");
    }
}
