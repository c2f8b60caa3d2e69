//! Every bad input at once, as bytes on a socket: what is answered, and that nothing is left behind. The table that
//! this prints stands in the README.

use std::time::Duration;

use tokio::io::AsyncWriteExt;

use crate::support::{App, config, read_to_end, until};

/// An input, the requests that make it (the last one's answer counts), its status and code. Status 0: cut off.
type Row = (&'static str, Vec<Vec<u8>>, u16, &'static str);

const CLOSED: u16 = 0;
const ANN: &str = r#"{"name":"Ann","email":"ann@example.com"}"#;

/// A request with a token, which closes its connection.
fn request(method: &str, target: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer dev-token\r\nConnection: close\r\n{headers}\r\n"
    );
    [head.as_bytes(), body].concat()
}

fn get(target: &str) -> Vec<u8> {
    request("GET", target, "", b"")
}

fn user(id: &str) -> Vec<u8> {
    get(&format!("/api/v1/users/{id}"))
}

fn post_as(kind: &str, body: &[u8]) -> Vec<u8> {
    request("POST", "/api/v1/users", &format!("{kind}Content-Length: {}\r\n", body.len()), body)
}

fn post(body: impl AsRef<[u8]>) -> Vec<u8> {
    post_as("Content-Type: application/json\r\n", body.as_ref())
}

fn named(name: &str) -> Vec<u8> {
    post(serde_json::json!({ "name": name, "email": "a@b" }).to_string())
}

fn mailed(email: &str) -> Vec<u8> {
    post(serde_json::json!({ "name": "Ann", "email": email }).to_string())
}

/// A request with this header in the place of a token.
fn shown(authorization: &[u8]) -> Vec<u8> {
    [b"GET /api/v1/users HTTP/1.1\r\nHost: x\r\nConnection: close\r\n", authorization, b"\r\n"].concat()
}

fn bodies() -> Vec<Row> {
    let (bad, id) = ("INVALID_INPUT", b"\"name\":\"Ann\"");
    let deep = format!(r#"{{"name":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    let latin = [b"{\"name\":\"\xE4\",", &id[..], b"}"].concat();
    let chunked = "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n";
    let expect = "Content-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: 1048577\r\n";
    vec![
        ("body empty", vec![post("")], 400, bad),
        ("body not JSON", vec![post("name=Ann")], 400, bad),
        ("a key twice", vec![post(r#"{"name":"A","name":"B","email":"a@b"}"#)], 400, bad),
        ("JSON 10,000 deep", vec![post(deep)], 400, bad),
        ("a number for a name", vec![post(r#"{"name":5,"email":"a@b"}"#)], 400, bad),
        ("body not UTF-8", vec![post(latin)], 400, bad),
        ("body of 1 MiB + 1", vec![post(vec![b' '; 1_048_577])], 413, "PAYLOAD_TOO_LARGE"),
        (
            "the same, with `Expect: 100-continue`",
            vec![request("POST", "/api/v1/users", expect, b"")],
            413,
            "PAYLOAD_TOO_LARGE",
        ),
        ("no `Content-Type`", vec![post_as("", ANN.as_bytes())], 415, "UNSUPPORTED_MEDIA_TYPE"),
        (
            "a foreign `Content-Type`",
            vec![post_as("Content-Type: text/xml\r\n", ANN.as_bytes())],
            415,
            "UNSUPPORTED_MEDIA_TYPE",
        ),
        ("NUL in a name", vec![named("A\0")], 400, bad),
        ("U+202E in a name", vec![named("A\u{202E}")], 400, bad),
        ("a name of 10,000 characters", vec![named(&"x".repeat(10_000))], 400, bad),
        ("a name of 10,000 emoji", vec![named(&"😀".repeat(10_000))], 400, bad),
        ("an email without @", vec![mailed("ann")], 400, bad),
        ("an email of 320 characters", vec![mailed(&("a".repeat(318) + "@b"))], 400, bad),
        ("CRLF in an email", vec![mailed("a@b\r\nBcc: c@d")], 400, bad),
        ("an email that is taken", vec![post(ANN)], 409, "CONFLICT"),
        (
            "`Content-Length` and `Transfer-Encoding`",
            vec![request("POST", "/api/v1/users", chunked, b"0\r\n\r\n")],
            400,
            bad,
        ),
        (
            "a body that stops midway",
            vec![request("POST", "/api/v1/users", "Content-Type: application/json\r\nContent-Length: 40\r\n", b"{")],
            408,
            "TIMEOUT",
        ),
    ]
}

fn targets(ann: &str) -> Vec<Row> {
    let bad = "INVALID_INPUT";
    let list = |query: &str| vec![get(&format!("/api/v1/users?{query}"))];
    let delete = request("DELETE", &format!("/api/v1/users/{ann}"), "", b"");
    vec![
        ("an id that is no UUID", vec![user("1")], 400, bad),
        ("`..%2f` for an id", vec![user("..%2f..%2fetc%2fpasswd")], 400, bad),
        ("an id of 10,000 characters", vec![user(&"x".repeat(10_000))], 400, bad),
        ("SQL for an id", vec![user("1%27%20OR%20%271%27=%271")], 400, bad),
        ("limit 0", list("limit=0"), 400, bad),
        ("limit -1", list("limit=-1"), 400, bad),
        ("limit 2⁶⁴", list("limit=18446744073709551616"), 400, bad),
        ("limit NaN", list("limit=NaN"), 400, bad),
        ("a path that is no route", vec![get("/api/v2/users")], 404, "NOT_FOUND"),
        ("a path of 70,000 characters", vec![get(&format!("/{}", "x".repeat(70_000)))], 414, ""),
        ("a method that a route has not", vec![request("PUT", "/api/v1/users", "", b"")], 405, "METHOD_NOT_ALLOWED"),
        ("a user deleted twice", vec![delete.clone(), delete], 404, "NOT_FOUND"),
        ("a user read after its deletion, in the cache before", vec![user(ann)], 404, "NOT_FOUND"),
    ]
}

fn heads() -> Vec<Row> {
    let many = (0..101).map(|i| format!("x-{i}: y\r\n")).collect::<String>();
    let oversized = format!("Authorization: Bearer {}\r\n", "x".repeat(10_000));
    vec![
        ("no token", vec![shown(b"")], 401, "UNAUTHORIZED"),
        ("a garbage token", vec![shown(b"Authorization: Bearer \xFF\xFE\r\n")], 401, "UNAUTHORIZED"),
        ("a token of 10,000 characters", vec![shown(oversized.as_bytes())], 401, "UNAUTHORIZED"),
        ("a request id that is not ASCII", vec![request("GET", "/x", "x-request-id: ä\r\n", b"")], 404, "NOT_FOUND"),
        ("more than 100 header fields", vec![request("GET", "/health", &many, b"")], 431, ""),
        ("a header that stops midway", vec![b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: ".to_vec()], CLOSED, ""),
        ("what is not HTTP", vec![b"HELLO\r\n\r\n".to_vec()], 400, ""),
    ]
}

/// The status and the error's code of the answer to these bytes.
async fn answer(app: &App, bytes: &[u8]) -> (u16, String, String) {
    let stream = app.raw("").await;
    let (mut reader, mut writer) = stream.into_split();
    // A refusal may come before the last byte was sent, and then closes the connection under it.
    let (_, text) = tokio::join!(writer.write_all(bytes), read_to_end(&mut reader));
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(CLOSED);
    let code = text.split(r#""code":""#).nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default().to_owned();
    (status, code, text)
}

/// What is wrong with the answer to a row, if anything is.
async fn fault(app: &App, (input, requests, status, code): &Row) -> Option<String> {
    let mut last = None;
    for request in requests {
        last = Some(answer(app, request).await);
    }
    let (seen, seen_code, text) = last?;
    let is_ours = code.is_empty() || (text.contains(r#""request_id":""#) && text.contains("\r\nx-request-id: "));
    let is_discreet = !text.contains("sqlx") && !text.contains("panic");
    let allows = text.contains("\r\nallow: ") == (*status == 405);
    let is_expected = (seen, seen_code.as_str()) == (*status, *code);
    let is_right = is_expected && is_ours && is_discreet && allows;
    (!is_right).then(|| format!("{input}: {status} {code} was expected, and not: {text}\n"))
}

fn print((input, _, status, code): &Row) -> String {
    let answer = match (*status, *code) {
        (CLOSED, _) => "the connection is closed".to_owned(),
        (status, "") => format!("{status}, by hyper"),
        (status, code) => format!("{status} `{code}`"),
    };
    format!("| {input} | {answer} |\n")
}

#[tokio::test]
async fn each_is_refused_as_the_readme_says_and_leaves_nothing_behind() {
    let mut limits = config(&[]);
    limits.http.read_timeout = Duration::from_millis(300);
    let app = App::start(limits).await;
    let ann = app.create("Ann", "ann@example.com").await["id"].as_str().unwrap().to_owned();
    for expected in ["MISS", "HIT"] {
        assert_eq!(app.get(&format!("/api/v1/users/{ann}")).await.headers()["x-cache"], expected);
    }
    let rows: Vec<Row> = bodies().into_iter().chain(targets(&ann)).chain(heads()).collect();
    let mut faults = Vec::new();
    for row in &rows {
        faults.extend(fault(&app, row).await);
    }
    assert!(faults.is_empty(), "{}", faults.concat());
    let page = app.get("/metrics").await.text().await.unwrap();
    assert!(!page.contains(r#"status="5"#), "{page}");
    until(|| async { app.metric("http_connections").await == 1.0 }).await;
    assert_eq!(app.metric("http_active_requests").await, 1.0);
    app.must_be_well().await;

    let table = rows.iter().map(print).collect::<String>();
    println!("{table}");
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    assert!(readme.contains(&table), "the README has another table than this one:\n{table}");
}
