//! Backups in a bucket, over S3's own protocol: what is sent, how it is signed, and what a bad day of S3's does to a
//! purge.

use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use rollcall::adapters::aws::backup_names::BackupNames;
use rollcall::adapters::aws::backups::{BackupError, Backups};
use rollcall::settings::deletion::BackupPlace;
use rollcall_cli::dev::stack;
use rollcall_tests::serve;

type Request = (Method, Uri, String);

/// What has arrived, and how the next requests are answered; 200 when there is no more.
#[derive(Clone, Default)]
struct Bucket(Arc<Mutex<(Vec<Request>, Vec<StatusCode>)>>);

async fn answer(
    State(bucket): State<Bucket>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, String) {
    assert!(!headers.contains_key("authorization"), "the URL is signed, and nothing else");
    let mut bucket = bucket.0.lock().unwrap();
    let stored =
        bucket.0.iter().rev().find(|(method, stored, _)| *method == Method::PUT && stored.path() == uri.path());
    let stored = stored.map(|(_, _, body)| body.clone());
    bucket.0.push((method.clone(), uri, String::from_utf8(body.to_vec()).unwrap()));
    let status = if bucket.1.is_empty() { StatusCode::OK } else { bucket.1.remove(0) };
    match (method, stored) {
        (Method::GET, None) => (StatusCode::NOT_FOUND, String::new()),
        (Method::GET, Some(stored)) => (status, stored),
        _ => (status, String::new()),
    }
}

async fn bucket(answers: &[StatusCode]) -> (Bucket, Backups) {
    let bucket = Bucket::default();
    bucket.0.lock().unwrap().1 = answers.to_vec();
    let url = serve(axum::Router::new().fallback(answer).with_state(bucket.clone())).await;
    let aws = stack::local_config(&url).await;
    (bucket, Backups::at(BackupPlace::Bucket("rollcall-backups".to_owned()), &aws))
}

#[tokio::test]
async fn e10_a_backup_is_one_signed_put_and_reads_back() {
    let (bucket, backups) = bucket(&[]).await;
    assert_eq!(backups.place(), "s3://rollcall-backups");
    let (name, text) = ("2026-01-01/1c1157ac/7-x.ndjson", "{\"a\":\"ä\"}\n{\"b\":1}\n");
    backups.keep(name, text.to_owned()).await.unwrap();
    assert_eq!(backups.read(name).await.unwrap().unwrap(), text.as_bytes());
    assert_eq!(backups.read("2026-01-01/other").await.unwrap(), None);
    let (requests, _) = &*bucket.0.lock().unwrap();
    let (method, uri, body) = &requests[0];
    assert_eq!(
        (method, uri.path(), body.as_str()),
        (&Method::PUT, "/rollcall-backups/2026-01-01/1c1157ac/7-x.ndjson", text)
    );
    let query = uri.query().unwrap();
    for part in [
        "X-Amz-Algorithm=AWS4-HMAC-SHA256",
        "X-Amz-Credential=local%2F",
        "%2Fus-east-1%2Fs3%2Faws4_request",
        "X-Amz-Expires=300",
        "X-Amz-SignedHeaders=host",
        "X-Amz-Signature=",
    ] {
        assert!(query.contains(part), "{part}: {query}");
    }
    assert_eq!(requests.len(), 3);
    // A bucket's own lifecycle lets its backups expire.
    assert_eq!(backups.expire(rollcall::core::millis::Millis::MAX, 1).unwrap(), 0);
}

#[tokio::test]
async fn e10_a_bad_moment_of_s3_is_waited_out_and_a_refusal_is_not() {
    let busy = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::INTERNAL_SERVER_ERROR, StatusCode::TOO_MANY_REQUESTS];
    let (waited, backups) = bucket(&busy).await;
    backups.keep("a", "text".to_owned()).await.unwrap();
    assert_eq!(waited.0.lock().unwrap().0.len(), 4);
    let (down, backups) = bucket(&[StatusCode::SERVICE_UNAVAILABLE; 9]).await;
    let error = backups.keep("a", "text".to_owned()).await.unwrap_err();
    assert!(matches!(error, BackupError::Unreachable(_)) && !format!("{error:?}").contains("Signature"), "{error:?}");
    assert_eq!(down.0.lock().unwrap().0.len(), 4);
    let (refused, backups) = bucket(&[StatusCode::FORBIDDEN]).await;
    let error = backups.keep("a", "text".to_owned()).await.unwrap_err();
    assert!(matches!(error, BackupError::Rejected(403)), "{error:?}");
    assert_eq!(refused.0.lock().unwrap().0.len(), 1);
    // Nobody listens there at all.
    let aws = stack::local_config("http://127.0.0.1:1").await;
    let backups = Backups::at(BackupPlace::Bucket("rollcall-backups".to_owned()), &aws);
    let error = backups.keep("a", "text".to_owned()).await.unwrap_err();
    assert!(
        matches!(error, BackupError::Unreachable(Some(_))) && !format!("{error:?}").contains("Signature"),
        "{error:?}"
    );
}

#[tokio::test]
async fn the_backups_of_a_run_are_listed_page_by_page() {
    // The second page has none of the run, and the token needs an escape.
    let pages = |uri: &Uri| {
        let query = uri.query().unwrap_or_default();
        assert!(uri.path() == "/rollcall-backups/" && query.contains("list-type=2"), "{uri}");
        let page = if query.contains("continuation-token=a%2B%2F%3D") {
            ["d/u/4-0000000a-00000004.ndjson", "d/u/5-0000000b-00000005.ndjson"].map(str::to_owned).to_vec()
        } else if query.contains("continuation-token=second") {
            vec!["d/u/3-0000000b-00000003.ndjson".to_owned()]
        } else {
            vec!["d/u/1-0000000a-00000001.ndjson".to_owned(), "other".to_owned()]
        };
        let next = match page.len() {
            2 if page[1] == "other" => "<NextContinuationToken>second</NextContinuationToken>",
            1 => "<NextContinuationToken>a+/=</NextContinuationToken>",
            _ => "",
        };
        let contents: String = page.iter().map(|key| format!("<Contents><Key>{key}</Key></Contents>")).collect();
        format!("<ListBucketResult>{contents}{next}</ListBucketResult>")
    };
    let answer = move |uri: Uri| async move { pages(&uri) };
    let url = serve(axum::Router::new().fallback(answer)).await;
    let aws = stack::local_config(&url).await;
    let backups = Backups::at(BackupPlace::Bucket("rollcall-backups".to_owned()), &aws);
    let mut names = BackupNames::of(&backups, "0000000a".parse().unwrap());
    let mut found = Vec::new();
    while let Some(page) = names.next_page().await.unwrap() {
        found.push(page);
    }
    let one = |name: &str| vec![name.to_owned()];
    assert_eq!(found, [one("d/u/1-0000000a-00000001.ndjson"), one("d/u/4-0000000a-00000004.ndjson")]);
    assert_eq!(names.next_page().await.unwrap(), None);
}
