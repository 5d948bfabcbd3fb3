//! `GET`, `POST`, `PUT` and `PATCH /me/profile`.

use aws_sdk_dynamodb::types::AttributeValue;
use rollcall_tests::World;
use serde_json::{Value, json};

use super::{arrived, get, with, write};
use crate::ensure::profiles::newcomer;

const WRITABLE: (&str, &str) = ("PROFILE_WRITABLE", r#"["theme","bio","size"]"#);
const DEFAULTS: (&str, &str) = ("PROFILE_DEFAULTS", r#"{"level":1}"#);

/// A caller with a record, and the caller's token.
async fn caller(world: &World) -> (String, String, String) {
    let (ada, acme) = newcomer(world).await;
    let token = world.session(&ada, Some(&acme));
    assert_eq!(world.ensure(&token).await.status, 201);
    let _ = world.wire.take();
    (ada, acme, token)
}

fn operations(world: &World) -> Vec<String> {
    world.wire.take().into_iter().map(|call| call.operation).collect()
}

#[tokio::test]
async fn a4_a_record_is_read_created_and_replaced_by_its_owner() {
    let world = World::with(&[WRITABLE, DEFAULTS]).await;
    let (ada, _) = newcomer(&world).await;
    arrived(&world).await;
    // reconcile provisions records; in these tests the owner creates the record.
    for row in world.profiles().await {
        world
            .stack
            .dynamodb
            .delete_item()
            .table_name(&world.stack.addresses.profiles_table)
            .key("pk", AttributeValue::S(row["pk"].as_str().unwrap().to_owned()))
            .key("sk", AttributeValue::S(row["sk"].as_str().unwrap().to_owned()))
            .send()
            .await
            .unwrap();
    }
    let token = world.session(&ada, None);
    assert_eq!(get(&world, &token, "/me/profile").await.brief(), (404, "profile_not_found"));
    assert_eq!(write(&world, &token, "PUT", &[], json!({})).await.brief(), (404, "profile_not_found"));
    assert_eq!(write(&world, &token, "PATCH", &[], json!({ "bio": "b" })).await.brief(), (404, "profile_not_found"));
    let created = write(&world, &token, "POST", &[], json!({ "theme": "dark" })).await;
    assert_eq!(created.status, 201, "{}", created.text);
    assert_eq!((&created.body["level"], &created.body["theme"]), (&json!(1), &json!("dark")));
    assert_eq!(write(&world, &token, "POST", &[], json!({})).await.brief(), (409, "profile_exists"));
    let read = get(&world, &token, "/me/profile").await;
    assert_eq!((read.status, &read.body), (200, &created.body));
    assert_eq!(read.header("etag"), created.header("etag"));
    let replaced = write(&world, &token, "PUT", &[], json!({ "bio": "Hello", "size": 2.0 })).await;
    assert_eq!(replaced.status, 200, "{}", replaced.text);
    let mut expected = created.body.clone();
    expected.as_object_mut().unwrap().remove("theme");
    expected["bio"] = "Hello".into();
    expected["size"] = 2.into();
    expected["profile_version"] = 1.into();
    assert_eq!(replaced.body, expected);
    let read = get(&world, &token, "/me/profile").await;
    assert_eq!((&read.body, read.header("etag")), (&expected, replaced.header("etag")), "as DynamoDB returns it");
    assert_eq!(get(&world, &world.session("user_other", None), "/me/profile").await.brief(), (404, "user_not_synced"));
}

#[tokio::test]
async fn i14_a_write_is_two_requests_and_a_change_of_nothing_is_one() {
    let world = World::with(&[WRITABLE]).await;
    let (.., token) = caller(&world).await;
    assert_eq!(get(&world, &token, "/me/profile").await.status, 200);
    assert_eq!(operations(&world), ["BatchGetItem"]);
    let clerk_calls = world.clerk_calls();
    assert_eq!(write(&world, &token, "PUT", &[], json!({ "theme": "dark" })).await.status, 200);
    assert_eq!(operations(&world), ["BatchGetItem", "TransactWriteItems"]);
    assert_eq!(write(&world, &token, "PUT", &[], json!({ "theme": "dark" })).await.status, 200);
    assert_eq!(write(&world, &token, "PATCH", &[], json!({ "bio": null })).await.status, 200);
    assert_eq!(operations(&world), ["BatchGetItem", "BatchGetItem"]);
    assert_eq!(world.clerk_calls(), clerk_calls);
}

#[tokio::test]
async fn a_conditional_write_replaces_only_what_its_writer_has_read() {
    let world = World::with(&[WRITABLE]).await;
    let (.., token) = caller(&world).await;
    let etag = get(&world, &token, "/me/profile").await.header("etag").unwrap().to_owned();
    let put =
        async |headers: &[(&str, &str)], bio: &str| write(&world, &token, "PUT", headers, json!({ "bio": bio })).await;
    let first = put(&[("if-match", &etag)], "first").await;
    assert_eq!(first.status, 200, "{}", first.text);
    let second = put(&[("if-match", &etag)], "second").await;
    assert_eq!(second.brief(), (412, "precondition_failed"));
    assert_eq!(second.header("etag"), first.header("etag"), "no further GET is needed");
    let weak = format!("W/{}", first.header("etag").unwrap());
    assert_eq!(put(&[("if-match", &weak)], "third").await.status, 200);
    assert_eq!(put(&[("if-match", "*")], "fourth").await.status, 200);
    assert_eq!(put(&[("if-none-match", "*")], "fifth").await.brief(), (412, "precondition_failed"));
    assert_eq!(get(&world, &token, "/me/profile").await.body["bio"], "fourth");
}

#[tokio::test]
async fn a_failed_precondition_says_nothing_that_is_true_only_of_another_one() {
    let world = World::with(&[WRITABLE]).await;
    let (ada, acme, token) = caller(&world).await;
    // A member without a record of the membership.
    for row in world.profiles().await.into_iter().filter(|row| row["sk"] != "PROFILE") {
        let key = |name: &str| AttributeValue::S(row[name].as_str().unwrap().to_owned());
        let table = &world.stack.addresses.profiles_table;
        let request = world.stack.dynamodb.delete_item().table_name(table).key("pk", key("pk")).key("sk", key("sk"));
        request.send().await.unwrap();
    }
    let without = format!("/me/profile?organization_id={acme}");
    let mut details = std::collections::BTreeSet::new();
    for (method, path, precondition, has_tag) in [
        ("PUT", "/me/profile", ("if-match", "\"old\""), true),
        ("PATCH", "/me/profile", ("if-match", "\"old\""), true),
        ("PUT", "/me/profile", ("if-none-match", "*"), true),
        ("PUT", &*without, ("if-match", "*"), false),
        ("PATCH", &*without, ("if-match", "\"old\""), false),
        ("POST", "/me/profile", ("if-match", "*"), false),
        ("POST", &*without, ("if-match", "\"old\""), false),
    ] {
        let media_type = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let answer =
            with(&world, &token, method, path, &[("content-type", media_type), precondition], "{}".into()).await;
        assert_eq!(answer.brief(), (412, "precondition_failed"), "{method} {path} {precondition:?}");
        assert_eq!(answer.header("etag").is_some(), has_tag, "{method} {path} {precondition:?}");
        details.insert((answer.body["title"].to_string(), answer.body["detail"].to_string()));
    }
    let (title, detail) = details.pop_first().unwrap();
    assert!(details.is_empty(), "{details:?}");
    assert!(!title.contains("changed") && detail.contains("If-Match") && detail.contains("If-None-Match"), "{detail}");
    assert_eq!(get(&world, &token, &without).await.brief(), (404, "profile_not_found"), "{ada}");
}

#[tokio::test]
async fn if_match_may_be_required() {
    let world = World::with(&[WRITABLE, ("PROFILE_IF_MATCH", "required")]).await;
    let (.., token) = caller(&world).await;
    let refused = write(&world, &token, "PATCH", &[], json!({ "bio": "b" })).await;
    assert_eq!(refused.brief(), (428, "precondition_required"));
    let etag = refused.header("etag").unwrap();
    assert_eq!(write(&world, &token, "PATCH", &[("if-match", etag)], json!({ "bio": "b" })).await.status, 200);
}

#[tokio::test]
async fn the_record_of_a_membership_belongs_to_its_member() {
    let world = World::with(&[WRITABLE, ("MEMBERSHIP_PROFILE_DEFAULTS", r#"{"seat":"free"}"#)]).await;
    let (ada, acme, token) = caller(&world).await;
    let path = format!("/me/profile?organization_id={acme}");
    let read = get(&world, &token, &path).await;
    assert_eq!((&read.body["seat"], &read.body["organization_id"]), (&json!("free"), &json!(acme)));
    let json_type = [("content-type", "application/json")];
    let put = with(&world, &token, "PUT", &path, &json_type, r#"{"bio":"here"}"#.to_owned()).await;
    assert_eq!((put.status, &put.body["bio"]), (200, &json!("here")), "{}", put.text);
    assert_eq!(get(&world, &token, "/me/profile").await.body.get("bio"), None, "the other record is untouched");
    // A request without an active organization may name one, too: the membership counts, not the token.
    assert_eq!(get(&world, &world.session(&ada, None), &path).await.body["bio"], "here");
    let foreign = get(&world, &token, "/me/profile?organization_id=org_other").await;
    assert_eq!(foreign.brief(), (404, "organization_not_found"));
}

#[tokio::test]
async fn what_the_owner_may_not_write_stays_as_it_is() {
    let world = World::with(&[WRITABLE, DEFAULTS]).await;
    let (.., token) = caller(&world).await;
    let before = get(&world, &token, "/me/profile").await.body;
    for (method, body, pointer) in [
        ("PUT", json!({ "level": 99 }), "/level"),
        ("PATCH", json!({ "level": null }), "/level"),
        ("PATCH", json!({ "user_id": "other" }), "/user_id"),
        ("PATCH", json!({ "pk": "USER#other" }), "/pk"),
        ("PUT", json!({ "redacted_at": 1 }), "/redacted_at"),
        ("PUT", json!({ "bio": "b", "admin": true }), "/admin"),
        ("PATCH", json!({ "profile_version": 9 }), "/profile_version"),
    ] {
        let answer = write(&world, &token, method, &[], body.clone()).await;
        assert_eq!(answer.brief(), (422, "field_not_writable"), "{method} {body}");
        assert_eq!(answer.body["pointer"], pointer, "{method} {body}");
    }
    assert_eq!(get(&world, &token, "/me/profile").await.body, before);
    // The owner may send the whole record back.
    assert_eq!(write(&world, &token, "PUT", &[], before.clone()).await.body, before);
    // By default no field is writable.
    let closed = world.beside(&[("PROFILE_WRITABLE", "[]")]).await;
    assert_eq!(write(&closed, &token, "PATCH", &[], json!({ "bio": "b" })).await.brief(), (422, "field_not_writable"));
}

#[tokio::test]
async fn an_attribute_that_the_application_adds_meanwhile_survives() {
    let world = World::with(&[WRITABLE]).await;
    let (ada, _, token) = caller(&world).await;
    let mut row = world.profiles().await.into_iter().find(|row| row["sk"] == "PROFILE").unwrap();
    row["points"] = 7.into();
    let mut held = world.wire.hold();
    let put = write(&world, &token, "PUT", &[], json!({ "bio": "b" }));
    let application = async {
        let mut has_written = false;
        while let Some(request) = held.recv().await {
            if request.operation == "TransactWriteItems" && !has_written {
                has_written = true;
                let table = &world.stack.addresses.profiles_table;
                world.put(table, &row).await;
            }
            request.release();
            if has_written {
                held.close();
            }
        }
    };
    let (put, ()) = tokio::join!(put, application);
    assert_eq!(put.status, 200, "{}", put.text);
    let read = get(&world, &token, "/me/profile").await;
    assert_eq!((&read.body["bio"], &read.body["points"]), (&json!("b"), &json!(7)), "{ada}");
}

#[tokio::test]
async fn a_deleted_owner_has_no_record_and_gets_none() {
    let world = World::with(&[WRITABLE]).await;
    let (ada, _, token) = caller(&world).await;
    let before = world.profiles().await;
    let mut held = world.wire.hold();
    let put = write(&world, &token, "PUT", &[], json!({ "bio": "b" }));
    let deletion = async {
        let mut has_come = false;
        while let Some(request) = held.recv().await {
            if request.operation == "TransactWriteItems" && !has_come {
                has_come = true;
                let deleted = json!({ "id": ada, "object": "user", "deleted": true });
                let deleted = rollcall_tests::event("user.deleted", &deleted, world.now().get() + 2);
                let beside = world.beside(&[]).await;
                assert_eq!(beside.post(&deleted).await.brief(), (200, "applied"));
            }
            request.release();
            if has_come {
                held.close();
            }
        }
    };
    let (put, ()) = tokio::join!(put, deletion);
    assert_eq!(put.brief(), (410, "user_deleted"));
    assert_eq!(world.profiles().await, before);
    assert_eq!(write(&world, &token, "POST", &[], Value::Null).await.brief(), (400, "body_invalid"));
    assert_eq!(write(&world, &token, "POST", &[], json!({})).await.brief(), (410, "user_deleted"));
}

#[tokio::test]
async fn a_field_that_the_application_changes_meanwhile_is_not_overwritten_unseen() {
    for is_conditional in [true, false] {
        let world = World::with(&[WRITABLE]).await;
        let (.., token) = caller(&world).await;
        assert_eq!(write(&world, &token, "PUT", &[], json!({ "bio": "first", "theme": { "a": 1 } })).await.status, 200);
        let etag = get(&world, &token, "/me/profile").await.header("etag").unwrap().to_owned();
        let mut row = world.profiles().await.into_iter().find(|row| row["sk"] == "PROFILE").unwrap();
        // A write of the application does not increase the count of the owner's writes.
        row["theme"] = json!({ "b": 2 });
        let mut held = world.wire.hold();
        let headers: &[(&str, &str)] = if is_conditional { &[("if-match", &etag)] } else { &[] };
        let patch = write(&world, &token, "PATCH", headers, json!({ "theme": { "c": 3 } }));
        let application = async {
            let mut has_written = false;
            while let Some(request) = held.recv().await {
                if request.operation == "TransactWriteItems" && !has_written {
                    has_written = true;
                    world.put(&world.stack.addresses.profiles_table, &row).await;
                }
                request.release();
                if has_written {
                    held.close();
                }
            }
        };
        let (patch, ()) = tokio::join!(patch, application);
        let theme = get(&world, &token, "/me/profile").await.body["theme"].clone();
        if is_conditional {
            assert_eq!((patch.brief(), theme), ((412, "precondition_failed"), json!({ "b": 2 })));
        } else {
            assert_eq!((patch.status, theme), (200, json!({ "b": 2, "c": 3 })), "planned again: {}", patch.text);
        }
    }
}

#[tokio::test]
async fn put_with_if_none_match_creates_a_record_and_changes_none() {
    let world = World::with(&[WRITABLE, DEFAULTS]).await;
    let (ada, _) = newcomer(&world).await;
    let fetched = world.clerk("GET", &format!("/users/{ada}"), Value::Null).await;
    let created = rollcall_tests::event("user.created", &fetched, world.now().get());
    assert_eq!(world.post(&created).await.brief(), (200, "applied"));
    let token = world.session(&ada, None);
    let put = async |bio: &str| write(&world, &token, "PUT", &[("if-none-match", "*")], json!({ "bio": bio })).await;
    let first = put("first").await;
    assert_eq!((first.status, &first.body["bio"], &first.body["level"]), (201, &json!("first"), &json!(1)));
    assert_eq!(put("second").await.brief(), (412, "precondition_failed"));
    let read = get(&world, &token, "/me/profile").await;
    assert_eq!((&read.body["bio"], read.header("etag")), (&json!("first"), first.header("etag")));
}

#[tokio::test]
async fn post_stores_what_it_is_sent_beside_the_defaults() {
    let world = World::with(&[WRITABLE, ("PROFILE_DEFAULTS", r#"{"level":1.0,"theme":{"a":1}}"#)]).await;
    let (ada, _) = newcomer(&world).await;
    let fetched = world.clerk("GET", &format!("/users/{ada}"), Value::Null).await;
    let created = rollcall_tests::event("user.created", &fetched, world.now().get());
    assert_eq!(world.post(&created).await.brief(), (200, "applied"));
    let token = world.session(&ada, None);
    let posted = write(&world, &token, "POST", &[], json!({ "theme": { "b": null }, "bio": null })).await;
    assert_eq!((posted.status, &posted.body["theme"], &posted.body["bio"]), (201, &json!({ "b": null }), &Value::Null));
    let read = get(&world, &token, "/me/profile").await;
    assert_eq!((&read.body, read.header("etag")), (&posted.body, posted.header("etag")));
}

#[tokio::test]
async fn a_change_of_many_fields_is_refused_before_dynamodb_refuses_it() {
    let world = World::with(&[("PROFILE_WRITABLE", "*")]).await;
    let (.., token) = caller(&world).await;
    let many =
        |name: &str, count: usize| Value::Object((0..count).map(|at| (format!("{name}{at}"), json!(at))).collect());
    assert_eq!(write(&world, &token, "PUT", &[], many("a", 97)).await.status, 200);
    assert_eq!(write(&world, &token, "PUT", &[], many("b", 97)).await.brief(), (422, "too_many_fields"));
    assert_eq!(write(&world, &token, "PUT", &[], json!({})).await.status, 200, "97 at once");
    assert_eq!(write(&world, &token, "PUT", &[], many("size ", 50)).await.status, 200);
    assert_eq!(write(&world, &token, "PUT", &[], many("b", 50)).await.status, 200, "a hundred at once");
}

#[tokio::test]
async fn what_json_cannot_express_comes_back_as_text_or_as_a_list() {
    let world = World::with(&[WRITABLE]).await;
    let (_, acme, token) = caller(&world).await;
    let number = |text: &str| AttributeValue::N(text.to_owned());
    let binary = |bytes: &[u8]| AttributeValue::B(aws_sdk_dynamodb::primitives::Blob::new(bytes));
    for row in world.profiles().await {
        let key = |name: &str| AttributeValue::S(row[name].as_str().unwrap().to_owned());
        let values = [
            (":above", number("9007199254740993")),
            (":far_above", number("123456789012345678901234567890")),
            (":most", number("9007199254740992")),
            (":binary", binary(b"\x00\xff")),
            (":set", AttributeValue::Ss(vec!["a".to_owned(), "b".to_owned()])),
        ];
        let request = world.stack.dynamodb.update_item().table_name(&world.stack.addresses.profiles_table);
        let request = request.key("pk", key("pk")).key("sk", key("sk")).update_expression(
            "SET above = :above, far_above = :far_above, most = :most, #binary = :binary, tags = :set",
        );
        let request = request.expression_attribute_names("#binary", "binary");
        let values = values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        request.set_expression_attribute_values(Some(values)).send().await.unwrap();
    }
    for path in ["/me/profile".to_owned(), format!("/me/profile?organization_id={acme}")] {
        let read = get(&world, &token, &path).await.body;
        for (name, expected) in [
            ("above", json!("9007199254740993")),
            ("far_above", json!("123456789012345678901234567890")),
            ("most", json!(9_007_199_254_740_992_u64)),
            ("binary", json!("AP8=")),
            ("tags", json!(["a", "b"])),
        ] {
            assert_eq!(read[name], expected, "{path} {name}");
        }
    }
}
