//! Bad input: each a typed 4xx that says what was wrong, never a 5xx, and the service is well after it.

use futures_util::stream;
use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;

use crate::support::{App, config, expect_error, read_to_end, within};

#[tokio::test]
async fn bodies() {
    let app = App::start(config(&[])).await;
    let deep = format!(r#"{{"name":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("empty", vec![], "body: "),
        ("blank", b" \n\t ".to_vec(), "body: "),
        ("not JSON", b"name=Ann&email=ann@example.com".to_vec(), "body: "),
        ("truncated", br#"{"name":"Ann","email":"#.to_vec(), ""),
        ("trailing", br#"{"name":"Ann","email":"a@b"} {}"#.to_vec(), "body: "),
        ("duplicate key", br#"{"name":"Ann","name":"Bob","email":"a@b"}"#.to_vec(), "name"),
        ("unknown key", br#"{"id":1,"name":"Ann","email":"a@b"}"#.to_vec(), "id"),
        ("10,000 deep", deep.into_bytes(), "name: "),
        ("10,000 arrays", vec![b'['; 10_000], "body: "),
        ("array of the fields", br#"["Ann","a@b"]"#.to_vec(), "body: "),
        ("string", br#""Ann""#.to_vec(), "body: "),
        ("null", b"null".to_vec(), "body: "),
        ("no name", br#"{"email":"a@b"}"#.to_vec(), "name"),
        ("no email", br#"{"name":"Ann"}"#.to_vec(), "email"),
        ("null name", br#"{"name":null,"email":"a@b"}"#.to_vec(), "name: "),
        ("number for name", br#"{"name":5,"email":"a@b"}"#.to_vec(), "name: "),
        ("object for email", br#"{"name":"Ann","email":{"a":"b"}}"#.to_vec(), "email: "),
        ("huge number", br#"{"name":1e999,"email":"a@b"}"#.to_vec(), ""),
        ("not UTF-8", b"{\"name\":\"\xFF\xFE\",\"email\":\"a@b\"}".to_vec(), "name: "),
        ("byte order mark", b"\xEF\xBB\xBF{\"name\":\"Ann\",\"email\":\"a@b\"}".to_vec(), "body: "),
        ("half a surrogate pair", br#"{"name":"\ud800","email":"a@b"}"#.to_vec(), "name: "),
        ("NUL in name", br#"{"name":"A\u0000","email":"a@b"}"#.to_vec(), "name: "),
        ("U+202E in name", br#"{"name":"A\u202e","email":"a@b"}"#.to_vec(), "name: "),
        ("10,000-character name", json!({ "name": "x".repeat(10_000), "email": "a@b" }).to_string().into(), "name: "),
        ("10,000-character key", json!({ "x".repeat(10_000): 1 }).to_string().into(), "xxx"),
        ("10,000 emoji", json!({ "name": "😀".repeat(10_000), "email": "a@b" }).to_string().into(), "name: "),
        ("email without @", br#"{"name":"Ann","email":"ann"}"#.to_vec(), "email: "),
        (
            "320-character email",
            json!({ "name": "Ann", "email": "a".repeat(318) + "@b" }).to_string().into(),
            "email: ",
        ),
        ("CRLF in email", br#"{"name":"Ann","email":"a@b\r\nBcc: c@d"}"#.to_vec(), "email: "),
    ];
    for (what, body, names) in cases {
        let message = expect_error(app.post(body).await, 400, "INVALID_INPUT").await;
        assert!(message.contains(names) && message.len() <= 800, "{what}: {message}");
    }
    assert_eq!(app.get("/api/v1/users").await.text().await.unwrap(), r#"{"users":[],"limit":20,"offset":0}"#);
    app.must_be_well().await;
}

#[tokio::test]
async fn bodies_that_are_too_large() {
    let app = App::start(config(&[])).await;
    let padded = |size: usize| {
        let body = r#"{"name":"Ann","email":"ann@example.com"}"#;
        format!("{body}{}", " ".repeat(size - body.len()))
    };
    for size in [64 * 1024 + 1, 1024 * 1024 + 1] {
        expect_error(app.post(padded(size)).await, 413, "PAYLOAD_TOO_LARGE").await;
        // Without a declared length.
        let pieces =
            padded(size).into_bytes().chunks(8_000).map(|c| Ok::<_, std::io::Error>(c.to_vec())).collect::<Vec<_>>();
        let streamed = reqwest::Body::wrap_stream(stream::iter(pieces));
        expect_error(app.post(streamed).await, 413, "PAYLOAD_TOO_LARGE").await;
    }
    assert_eq!(app.post(padded(64 * 1024)).await.status(), StatusCode::CREATED);
    app.must_be_well().await;
}

#[tokio::test]
async fn a_client_that_writes_before_it_reads_sees_that_its_body_is_too_large() {
    let app = App::start(config(&[])).await;
    let head = "POST /api/v1/users HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer dev-token\r\n\
                Content-Length: 1048577\r\nConnection: close\r\n\r\n";
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_send_buffer_size(4096).unwrap();
    let mut stream = within(socket.connect(app.addr)).await.unwrap();
    let request = format!("{head}{}", " ".repeat(1_048_577));
    within(stream.write_all(request.as_bytes())).await.unwrap();
    let answer = read_to_end(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("PAYLOAD_TOO_LARGE"), "{answer}");
    app.must_be_well().await;
}

#[tokio::test]
async fn a_refused_expectation_costs_no_body() {
    let app = App::start(config(&[])).await;
    let head = "POST /api/v1/users HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer dev-token\r\n\
                Content-Length: 1048577\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n";
    let answer = read_to_end(&mut app.raw(head).await).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    app.must_be_well().await;
}

#[tokio::test]
async fn changes() {
    let app = App::start(config(&[])).await;
    let ann = app.create("Ann", "ann@example.com").await;
    app.create("Bob", "bob@example.com").await;
    let url = app.url(&format!("/api/v1/users/{}", ann["id"].as_str().unwrap()));
    let patch = |url: &str, body: &str| {
        let request = app.client.patch(url).header("content-type", "application/json");
        request.body(body.to_owned()).send()
    };
    let cases = [
        ("", "body: "),
        ("{}", "body: "),
        ("[]", "body: "),
        (r#"{"name":null}"#, "name: "),
        (r#"{"name":7}"#, "name: "),
        (r#"{"name":""}"#, "name: "),
        (r#"{"name":"A\u202e"}"#, "name: "),
        (r#"{"name":"A","name":"B"}"#, "name"),
        (r#"{"email":"ann"}"#, "email: "),
        (r#"{"name":"Bea","email":"a@b\r\nBcc: c@d"}"#, "email: "),
        (r#"{"id":"01a20834-c7e0-76d6-83ab-f2a57d1b9730"}"#, "id"),
        (r#"{"name":"Bea","deleted_at":"2026-01-01T00:00:00Z"}"#, "deleted_at"),
    ];
    for (body, names) in cases {
        let message = expect_error(patch(&url, body).await.unwrap(), 400, "INVALID_INPUT").await;
        assert!(message.contains(names), "{body}: {message}");
    }
    let taken = patch(&url, r#"{"name":"Bea","email":"BOB@example.com"}"#).await.unwrap();
    assert!(expect_error(taken, 409, "CONFLICT").await.contains("email"));
    let not_json = app.client.patch(&url).body("{}").send().await.unwrap();
    expect_error(not_json, 415, "UNSUPPORTED_MEDIA_TYPE").await;
    let missing = app.url("/api/v1/users/01a20834-c7e0-76d6-83ab-f2a57d1b9730");
    expect_error(patch(&missing, r#"{"name":"Bea"}"#).await.unwrap(), 404, "NOT_FOUND").await;
    expect_error(app.client.delete(&missing).send().await.unwrap(), 404, "NOT_FOUND").await;
    for id in ["1", "..%2f", "%00", "1%27%20OR%20%271%27=%271"] {
        let url = app.url(&format!("/api/v1/users/{id}"));
        expect_error(patch(&url, r#"{"name":"Bea"}"#).await.unwrap(), 400, "INVALID_INPUT").await;
        expect_error(app.client.delete(&url).send().await.unwrap(), 400, "INVALID_INPUT").await;
    }
    assert_eq!(app.client.get(&url).send().await.unwrap().json::<serde_json::Value>().await.unwrap(), ann);
    app.must_be_well().await;
}

#[tokio::test]
async fn content_types() {
    let app = App::start(config(&[])).await;
    let body = r#"{"name":"Ann","email":"ann@example.com"}"#;
    let missing = app.client.post(app.url("/api/v1/users")).body(body).send().await.unwrap();
    expect_error(missing, 415, "UNSUPPORTED_MEDIA_TYPE").await;
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "text/json",
        "json",
        "",
        ";",
        "application/jsonx",
        "x/y+json",
    ] {
        let request = app.client.post(app.url("/api/v1/users")).header("content-type", kind).body(body);
        expect_error(request.send().await.unwrap(), 415, "UNSUPPORTED_MEDIA_TYPE").await;
    }
    app.must_be_well().await;
}

#[tokio::test]
async fn a_taken_email() {
    let app = App::start(config(&[])).await;
    app.create("Ann", "ann@example.com").await;
    for email in ["ann@example.com", "ANN@example.COM"] {
        let again = app.post(json!({ "name": "Other", "email": email }).to_string()).await;
        assert!(expect_error(again, 409, "CONFLICT").await.contains("email"));
    }
    app.must_be_well().await;
}

#[tokio::test]
async fn ids() {
    let app = App::start(config(&[])).await;
    let (long, sql) = ("x".repeat(10_000), "1%27%20OR%20%271%27=%271");
    let bad = ["1", "-1", "abc", "..%2f", "..%2f..%2fetc%2fpasswd", "%00", "%ff", "%F0%9F%98%80", sql, &long];
    for id in bad {
        let message = expect_error(app.get(&format!("/api/v1/users/{id}")).await, 400, "INVALID_INPUT").await;
        assert_eq!(message, "id: must be a UUID", "{id}");
    }
    for id in ["00000000-0000-0000-0000-000000000000", "01a20834-c7e0-76d6-83ab-f2a57d1b9730"] {
        expect_error(app.get(&format!("/api/v1/users/{id}")).await, 404, "NOT_FOUND").await;
    }
    app.must_be_well().await;
}

#[tokio::test]
async fn pages() {
    let app = App::start(config(&[])).await;
    let cases = [
        ("limit", ["0", "-1", "18446744073709551616", "NaN", "101", "1.5", "", "%00", "1%20OR%201=1", "+-1"]),
        ("offset", ["-1", "18446744073709551616", "NaN", "4294967296", "1.5", "", "%00", "1;", "0x1", "%ff"]),
    ];
    for (field, values) in cases {
        for value in values {
            let message =
                expect_error(app.get(&format!("/api/v1/users?{field}={value}")).await, 400, "INVALID_INPUT").await;
            assert!(message.starts_with(&format!("{field}: ")), "{field}={value}: {message}");
        }
        let twice = app.get(&format!("/api/v1/users?{field}=1&{field}=2")).await;
        assert!(expect_error(twice, 400, "INVALID_INPUT").await.contains(field));
    }
    app.must_be_well().await;
}

#[tokio::test]
async fn paths_and_methods() {
    let app = App::start(config(&[])).await;
    let id = "01a20834-c7e0-76d6-83ab-f2a57d1b9730";
    for path in ["/", "/api", "/api/v1", "/api/v1/users/", "/api/v2/users", "/%2e%2e/etc/passwd", "//health"] {
        expect_error(app.get(path).await, 404, "NOT_FOUND").await;
    }
    expect_error(app.get(&format!("/api/v1/users/{id}/more")).await, 404, "NOT_FOUND").await;
    let cases = [
        (Method::DELETE, "/api/v1/users".to_owned(), vec!["GET", "HEAD", "POST"]),
        (Method::PUT, "/api/v1/users".to_owned(), vec!["GET", "HEAD", "POST"]),
        (Method::POST, format!("/api/v1/users/{id}"), vec!["DELETE", "GET", "HEAD", "PATCH"]),
        (Method::from_bytes(b"BREW").unwrap(), "/health".to_owned(), vec!["GET", "HEAD"]),
        (Method::POST, "/ready".to_owned(), vec!["GET", "HEAD"]),
    ];
    for (method, path, allow) in cases {
        let response = app.client.request(method, app.url(&path)).send().await.unwrap();
        let mut allowed: Vec<&str> = response.headers()["allow"].to_str().unwrap().split(',').map(str::trim).collect();
        allowed.sort_unstable();
        assert_eq!(allowed, allow, "{path}");
        expect_error(response, 405, "METHOD_NOT_ALLOWED").await;
    }
    app.must_be_well().await;
}

#[tokio::test]
async fn headers() {
    let app = App::start(config(&[])).await;
    let request = (0..90).fold(app.client.get(app.url("/health")), |r, i| r.header(format!("x-{i}"), "y"));
    assert_eq!(request.send().await.unwrap().status(), StatusCode::OK);
    let request = (0..101).fold(app.client.get(app.url("/health")), |r, i| r.header(format!("x-{i}"), "y"));
    assert_eq!(request.send().await.unwrap().status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    app.must_be_well().await;
}

#[tokio::test]
async fn what_is_not_http_is_cut_off() {
    let app = App::start(config(&[])).await;
    let length_and_chunks = "POST /api/v1/users HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\
                             Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n";
    let two_lengths = "POST /api/v1/users HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello";
    let long_path = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(70_000));
    let cases = [
        b"\0\0\0\0\r\n\r\n".as_slice(),
        b"HELLO\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\r\n\r\n",
        two_lengths.as_bytes(),
    ];
    for bytes in cases.into_iter().chain([length_and_chunks.as_bytes(), long_path.as_bytes()]) {
        let answer = read_to_end(&mut app.raw(bytes).await).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{:?}: {answer}", String::from_utf8_lossy(bytes));
    }
    app.must_be_well().await;
}
