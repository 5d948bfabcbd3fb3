//! Every bad input gets its documented problem: none is a 5xx, none writes.

use rollcall_tests::World;
use serde_json::json;

use super::{arrived, with};
use crate::ensure::profiles::newcomer;

const JSON: &str = "application/json";
const PATCH: &str = "application/merge-patch+json";

/// Method, path, headers, body; status and code.
type Case<'a> = (&'a str, String, &'a [(&'a str, &'a str)], &'a str, u16, &'a str);

#[tokio::test]
async fn bad_input_gets_its_problem_and_writes_nothing() {
    let world = World::with(&[("PROFILE_WRITABLE", "*")]).await;
    let (ada, acme) = newcomer(&world).await;
    arrived(&world).await;
    let token = world.session(&ada, Some(&acme));
    let before = (world.directory().await, world.profiles().await, world.operations().await.len());
    let members = format!("/organizations/{acme}/members");
    let many = (0..101).map(|at| format!("id=user_{at}")).collect::<Vec<_>>().join("&");
    let deep = format!("{}1{}", r#"{"a":"#.repeat(20), "}".repeat(20));
    let large = json!({ "bio": "x".repeat(17_000) }).to_string();
    let huge = json!({ "bio": "x".repeat(70_000) }).to_string();
    let fields = json!((0..120).map(|at| (format!("f{at}"), at.into())).collect::<serde_json::Map<_, _>>()).to_string();
    let cases: Vec<Case<'_>> = vec![
        ("GET", "/me".into(), &[("if-none-match", "x")], "", 400, "precondition_malformed"),
        ("GET", "/me/profile".into(), &[("if-none-match", "\"")], "", 400, "precondition_malformed"),
        (
            "PUT",
            "/me/profile".into(),
            &[("content-type", JSON), ("if-match", "abc")],
            "{}",
            400,
            "precondition_malformed",
        ),
        (
            "PUT",
            "/me/profile".into(),
            &[("content-type", JSON), ("if-match", "\"abc\"")],
            r#"{"a":1}"#,
            412,
            "precondition_failed",
        ),
        (
            "PUT",
            "/me/profile".into(),
            &[("content-type", JSON), ("if-none-match", "*")],
            "{}",
            412,
            "precondition_failed",
        ),
        ("PUT", "/me/profile".into(), &[], "{}", 415, "media_type_not_supported"),
        ("PUT", "/me/profile".into(), &[("content-type", "text/plain")], "{}", 415, "media_type_not_supported"),
        ("PUT", "/me/profile".into(), &[("content-type", PATCH)], "{}", 415, "media_type_not_supported"),
        (
            "POST",
            "/me/profile".into(),
            &[("content-type", "application/x-www-form-urlencoded")],
            "a=1",
            415,
            "media_type_not_supported",
        ),
        ("PATCH", "/me/profile".into(), &[("content-type", JSON)], "{}", 415, "merge_patch_expected"),
        (
            "PATCH",
            "/me/profile".into(),
            &[("content-type", "application/json-patch+json")],
            "[]",
            415,
            "merge_patch_expected",
        ),
        ("PATCH", "/me/profile".into(), &[("content-type", PATCH)], "", 400, "body_invalid"),
        ("PATCH", "/me/profile".into(), &[("content-type", PATCH)], "null", 400, "body_invalid"),
        ("PATCH", "/me/profile".into(), &[("content-type", PATCH)], "[1]", 400, "body_invalid"),
        ("PATCH", "/me/profile".into(), &[("content-type", PATCH)], "{\"a\":", 400, "body_invalid"),
        ("PUT", "/me/profile".into(), &[("content-type", JSON)], "", 400, "body_invalid"),
        ("PUT", "/me/profile".into(), &[("content-type", JSON)], "\"text\"", 400, "body_invalid"),
        ("PUT", "/me/profile".into(), &[("content-type", JSON)], "{\"a\":NaN}", 400, "body_invalid"),
        ("PUT", "/me/profile".into(), &[("content-type", JSON)], "{\"a\":1e400}", 400, "body_invalid"),
        ("PUT", "/me/profile".into(), &[("content-type", JSON)], &deep, 422, "value_too_deep"),
        ("PUT", "/me/profile".into(), &[("content-type", JSON)], &large, 422, "profile_too_large"),
        ("PUT", "/me/profile".into(), &[("content-type", JSON)], &huge, 413, "body_too_large"),
        ("PUT", "/me/profile".into(), &[("content-type", JSON)], &fields, 422, "too_many_fields"),
        ("PUT", "/me/profile".into(), &[("content-type", JSON)], r#"{"a":1e30}"#, 422, "number_not_storable"),
        (
            "PUT",
            "/me/profile".into(),
            &[("content-type", JSON)],
            r#"{"a":9007199254740993}"#,
            422,
            "number_not_storable",
        ),
        ("PUT", "/me/profile".into(), &[("content-type", JSON)], r#"{"a":{"":1}}"#, 422, "name_invalid"),
        ("PUT", "/me/profile".into(), &[("content-type", JSON)], r#"{"pk":"x"}"#, 422, "field_not_writable"),
        ("POST", "/me/profile".into(), &[], "", 409, "profile_exists"),
        ("GET", "/me/profile?organization_id=a%20b".into(), &[], "", 400, "organization_id_invalid"),
        ("GET", "/me/profile?organization_id=a&organization_id=b".into(), &[], "", 400, "parameter_repeated"),
        ("GET", "/me/profile?organization_id=org_other".into(), &[], "", 404, "organization_not_found"),
        ("GET", "/me/authorization".into(), &[], "", 400, "question_missing"),
        ("GET", "/me/authorization?role=".into(), &[], "", 400, "question_missing"),
        ("GET", "/me/authorization?role=a%20b".into(), &[], "", 400, "question_invalid"),
        ("GET", format!("/me/authorization?role={}", "r".repeat(129)), &[], "", 400, "question_invalid"),
        ("GET", "/me/authorization?role=a&role=b".into(), &[], "", 400, "parameter_repeated"),
        ("GET", format!("{members}?limit=0"), &[], "", 400, "limit_invalid"),
        ("GET", format!("{members}?limit=49"), &[], "", 400, "limit_invalid"),
        ("GET", format!("{members}?limit=-1"), &[], "", 400, "limit_invalid"),
        ("GET", format!("{members}?limit=1.5"), &[], "", 400, "limit_invalid"),
        ("GET", format!("{members}?limit=%2B5"), &[], "", 400, "limit_invalid"),
        ("GET", format!("{members}?limit=5&limit=6"), &[], "", 400, "parameter_repeated"),
        ("GET", format!("{members}?cursor=x"), &[], "", 400, "cursor_invalid"),
        ("GET", "/organizations/a%20b/members".into(), &[], "", 400, "organization_id_invalid"),
        ("GET", "/organizations/org_other/members".into(), &[], "", 404, "organization_not_found"),
        ("GET", "/users".into(), &[], "", 400, "user_ids_missing"),
        ("GET", "/users?id=".into(), &[], "", 400, "user_ids_missing"),
        ("GET", format!("/users?{many}"), &[], "", 400, "too_many_user_ids"),
        ("GET", "/users?id=x".into(), &[], "", 400, "user_id_invalid"),
        ("GET", "/users/x".into(), &[], "", 400, "user_id_invalid"),
        ("GET", "/users/user_%23".into(), &[], "", 400, "user_id_invalid"),
        ("GET", "/users/1C1157AC-33D3-5114-BBD8-09B23E2CA922".into(), &[], "", 400, "user_id_invalid"),
        ("GET", "/users/user_unknown".into(), &[], "", 404, "no_such_user"),
        ("DELETE", "/me".into(), &[], "", 404, "account_deletion_off"),
    ];
    assert!(cases.len() > 50);
    for (method, path, headers, body, status, code) in cases {
        let answer = with(&world, &token, method, &path, headers, body.to_owned()).await;
        let shown = &body[..body.len().min(40)];
        assert_eq!(answer.brief(), (status, code), "{method} {path} {headers:?} {shown}: {}", answer.text);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert_eq!(answer.body["type"], format!("urn:rollcall:problem:{code}"));
        if code == "merge_patch_expected" {
            assert_eq!(answer.header("accept-patch"), Some(PATCH));
        }
    }
    assert_eq!((world.directory().await, world.profiles().await, world.operations().await.len()), before);
}
