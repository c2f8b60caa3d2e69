//! The happy paths over HTTP, and what middleware adds to them.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{App, config, expect_error};

#[tokio::test]
async fn create_get_list() {
    let app = App::start(config(&[])).await;
    let response = app.post(r#"{"name":"Ann","email":"Ann@Example.com"}"#).await;
    assert_eq!(response.status(), StatusCode::CREATED);
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let ann: Value = response.json().await.unwrap();
    assert_eq!((&ann["name"], &ann["email"]), (&json!("Ann"), &json!("ann@example.com")));
    assert_eq!(location, format!("/api/v1/users/{}", ann["id"].as_str().unwrap()));

    let read = app.get(&location).await;
    assert_eq!(read.status(), StatusCode::OK);
    assert_eq!(read.json::<Value>().await.unwrap(), ann);

    let bob = app.create("Bob", "bob@example.com").await;
    let page = app.get("/api/v1/users").await.json::<Value>().await.unwrap();
    assert_eq!(page, json!({ "users": [ann, bob], "limit": 20, "offset": 0 }));
    let page = app.get("/api/v1/users?limit=1&offset=1").await.json::<Value>().await.unwrap();
    assert_eq!(page, json!({ "users": [bob], "limit": 1, "offset": 1 }));
    let page = app.get("/api/v1/users?offset=4294967295").await.json::<Value>().await.unwrap();
    assert_eq!(page["users"], json!([]));
    app.must_be_well().await;
}

#[tokio::test]
async fn content_types_that_are_json() {
    let app = App::start(config(&[])).await;
    for (i, kind) in
        ["application/json", "Application/JSON; charset=utf-8", "application/vnd.x+json"].iter().enumerate()
    {
        let body = json!({ "name": "Ann", "email": format!("ann{i}@example.com") }).to_string();
        let request = app.client.post(app.url("/api/v1/users")).header("content-type", *kind).body(body);
        assert_eq!(request.send().await.unwrap().status(), StatusCode::CREATED, "{kind}");
    }
    app.must_be_well().await;
}

#[tokio::test]
async fn names_of_every_script_come_back_as_sent() {
    let app = App::start(config(&[])).await;
    let names =
        ["👩‍👩‍👧‍👦 😀", "Łukasz", "李小龙", "مريم", "'; DROP TABLE users; --", "<script>alert(1)</script>", r#"a"b\c"#];
    for (i, name) in names.iter().enumerate() {
        let user = app.create(name, &format!("ann{i}@example.com")).await;
        assert_eq!(user["name"], json!(name));
        let read = app.get(&format!("/api/v1/users/{}", user["id"].as_str().unwrap())).await;
        assert_eq!(read.json::<Value>().await.unwrap(), user);
    }
    app.must_be_well().await;
}

#[tokio::test]
async fn a_request_id_is_kept_or_given() {
    let app = App::start(config(&[])).await;
    let ask = |id: Vec<u8>| {
        let request = app.client.get(app.url("/nothing"));
        async { request.header("x-request-id", id).send().await.unwrap() }
    };
    let longest = "x".repeat(128);
    for id in ["abc-123", "01a2", longest.as_str()] {
        let response = ask(id.as_bytes().to_vec()).await;
        assert_eq!(response.headers()["x-request-id"], id);
        expect_error(response, 404, "NOT_FOUND").await;
    }
    let not_ascii = "ä".as_bytes().to_vec();
    for id in [b"".to_vec(), b"a b".to_vec(), vec![b'x'; 129], vec![b'x'; 10_000], not_ascii, vec![0xFF]] {
        let response = ask(id.clone()).await;
        let given = response.headers()["x-request-id"].to_str().unwrap().to_owned();
        assert_eq!(given.len(), 36, "{id:?} became {given}");
        expect_error(response, 404, "NOT_FOUND").await;
    }
    app.must_be_well().await;
}
