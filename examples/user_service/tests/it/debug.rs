//! The live page: what it shows, and to whom.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::import::{parse, rows, send, total};
use crate::stub::Stub;
use crate::support::{App, config, expect_error, until, within};

#[tokio::test]
async fn the_page_shows_a_running_import() {
    let stub = Stub::held();
    let app = App::over(config(&[]), stub.clone()).await;
    let page = app.get("/debug/flowgate").await;
    assert_eq!(
        (page.status(), &page.headers()["content-type"]),
        (StatusCode::OK, &"text/html; charset=utf-8".parse().unwrap())
    );
    let page = page.text().await.unwrap();
    // Nothing comes from elsewhere, and the state is filled in.
    assert!(page.contains("\"pipelines\":[]") && !page.contains("{{"), "{page}");
    let elsewhere = page.replace("http://www.w3.org/2000/svg", "");
    assert!(!elsewhere.contains("://") && !elsewhere.contains("src=") && !elsewhere.contains("<link"), "{page}");

    let sent = tokio::spawn({
        let url = app.url("");
        async move { send(&url, rows(0, 1400)).await.text().await.unwrap() }
    });
    let state = async || app.get("/debug/flowgate.json").await.json::<Value>().await.unwrap();
    // One batch is inserted, and one waits ahead of it.
    let is_held = |now: &Value| now["taken"] == 1000 && now["stages"][4]["workers"]["running"] == 1;
    until(|| async { is_held(&state().await["pipelines"][0]) }).await;
    let now = state().await;
    let import = &now["pipelines"][0];
    let names: Vec<_> =
        import["stages"].as_array().unwrap().iter().map(|stage| stage["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["parse", "validate", "batch", "ahead", "insert"]);
    assert_eq!(import["bottleneck"], "insert");
    assert_eq!(import["stages"][4]["workers"]["running"], 1);
    assert_eq!((&import["stages"][0]["out"], &import["stages"][2]["out"]), (&json!(1000), &json!(2)));
    assert_eq!(import["bounds"][0]["items"], 1000);
    assert_eq!(now["figures"]["import_rows_in_flight"], 1000);
    assert_eq!(
        (&now["figures"]["notifications_running"], &now["figures"]["user_cache_entries"]),
        (&json!(0), &json!(0))
    );
    // No user is in it.
    assert!(!now.to_string().contains("example.com"), "{now}");
    stub.release();
    assert_eq!(parse(&within(sent).await.unwrap()), [total(1400, 0)]);
    until(|| async { state().await["pipelines"] == json!([]) }).await;
    app.must_be_well().await;
}

#[tokio::test]
async fn the_page_is_open_on_this_machine_alone() {
    let app = App::start(config(&[])).await;
    let stranger = reqwest::Client::builder().no_proxy().build().unwrap();
    for path in ["/debug/flowgate", "/debug/flowgate.json"] {
        assert_eq!(stranger.get(app.url(path)).send().await.unwrap().status(), StatusCode::OK);
        // Whoever comes through a proxy is not known to be here.
        let forwarded = stranger.get(app.url(path)).header("x-forwarded-for", "127.0.0.1").send().await.unwrap();
        expect_error(forwarded, 401, "UNAUTHORIZED").await;
        let known = app.client.get(app.url(path)).header("x-forwarded-for", "192.0.2.1").send().await.unwrap();
        assert_eq!(known.status(), StatusCode::OK);
    }
    app.must_be_well().await;
    let app = App::start(config(&["--trusted-proxies=1"])).await;
    expect_error(stranger.get(app.url("/debug/flowgate")).send().await.unwrap(), 401, "UNAUTHORIZED").await;
    app.must_be_well().await;
}
