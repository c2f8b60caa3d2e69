//! The happy paths over HTTP, and what middleware adds to them.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::databases::{Kind, on};
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
async fn change_delete_and_come_back() {
    on(&[Kind::File, Kind::Memory, Kind::Postgres], |db| async move {
        let app = App::start(config(&[&format!("--database-url={}", db.url)])).await;
        let ann = app.create("Ann", "ann@example.com").await;
        let url = app.url(&format!("/api/v1/users/{}", ann["id"].as_str().unwrap()));
        let patch = async |body: Value| {
            let request = app.client.patch(&url).header("content-type", "application/json").body(body.to_string());
            request.send().await.unwrap()
        };
        let changed = patch(json!({ "name": " Bea " })).await;
        assert_eq!(changed.status(), StatusCode::OK);
        let changed: Value = changed.json().await.unwrap();
        assert_eq!((&changed["name"], &changed["email"]), (&json!("Bea"), &json!("ann@example.com")));
        assert_eq!((&changed["id"], &changed["created_at"]), (&ann["id"], &ann["created_at"]));
        assert!(changed["updated_at"].as_str() > ann["updated_at"].as_str());
        let changed: Value = patch(json!({ "email": "BEA@example.com" })).await.json().await.unwrap();
        assert_eq!((&changed["name"], &changed["email"]), (&json!("Bea"), &json!("bea@example.com")));
        assert_eq!(app.client.get(&url).send().await.unwrap().json::<Value>().await.unwrap(), changed);

        let deleted = app.client.delete(&url).send().await.unwrap();
        assert_eq!((deleted.status(), deleted.headers().get("content-length")), (StatusCode::NO_CONTENT, None));
        expect_error(app.client.delete(&url).send().await.unwrap(), 404, "NOT_FOUND").await;
        expect_error(app.client.get(&url).send().await.unwrap(), 404, "NOT_FOUND").await;
        expect_error(patch(json!({ "name": "Cleo" })).await, 404, "NOT_FOUND").await;
        let page = app.get("/api/v1/users").await.json::<Value>().await.unwrap();
        assert_eq!(page["users"], json!([]));
        app.create("Bea", "bea@example.com").await;
        app.must_be_well().await;
    })
    .await;
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
