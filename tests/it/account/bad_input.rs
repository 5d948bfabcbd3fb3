//! The response to every invalid input is the documented problem. No response is a 5xx, and no request writes.

use rollcall_tests::World;
use serde_json::json;

use super::{arrived, with};
use crate::ensure::profiles::newcomer;

const JSON: &str = "application/json";
const PATCH: &str = "application/merge-patch+json";

/// Method, path, headers, body; status and code.
type Row<'a> = (&'a str, String, &'a [(&'a str, &'a str)], &'a str, u16, &'a str);

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
    let cases: Vec<Row<'_>> = vec![
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
        ("GET", "/me/authorization?role=a&role=b".into(), &[], "", 400, "parameter_repeated"),
        ("GET", format!("{members}?limit=0"), &[], "", 400, "limit_invalid"),
        ("GET", format!("{members}?limit=49"), &[], "", 400, "limit_invalid"),
        ("GET", format!("{members}?limit=-1"), &[], "", 400, "limit_invalid"),
        ("GET", format!("{members}?limit=1.5"), &[], "", 400, "limit_invalid"),
        ("GET", format!("{members}?limit=%2B5"), &[], "", 400, "limit_invalid"),
        ("GET", format!("{members}?limit=5&limit=6"), &[], "", 400, "parameter_repeated"),
        ("GET", format!("{members}?cursor=x"), &[], "", 400, "cursor_invalid"),
        ("GET", format!("{members}?limit="), &[], "", 400, "limit_invalid"),
        ("GET", format!("{members}?cursor="), &[], "", 400, "cursor_invalid"),
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
    let cases = cases.into_iter().map(|(method, path, headers, body, status, code)| {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Case { method: method.to_owned(), path, headers, body: body.to_owned(), status, code: code.to_owned() }
    });
    let cases: Vec<Case> = cases.chain(bodies()).chain(queries(&acme)).chain(preconditions()).collect();
    assert!(cases.len() >= 150, "{}", cases.len());
    for Case { method, path, headers, body, status, code } in cases {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        let answer = with(&world, &token, &method, &path, &headers, body.clone()).await;
        let shown: String = body.chars().take(40).collect();
        assert_eq!(answer.brief(), (status, &*code), "{method} {path} {headers:?} {shown}: {}", answer.text);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert_eq!(answer.body["type"], format!("urn:rollcall:problem:{code}"));
        if code == "merge_patch_expected" {
            assert_eq!(answer.header("accept-patch"), Some(PATCH));
        }
    }
    assert_eq!((world.directory().await, world.profiles().await, world.operations().await.len()), before);
}

/// A body in another encoding, or of bytes that are no text, is refused as a whole: nothing of it is stored, not even
/// with replacement characters.
#[tokio::test]
async fn a_body_that_is_not_utf_8_is_refused() {
    let world = World::with(&[("PROFILE_WRITABLE", "*")]).await;
    let (ada, _) = newcomer(&world).await;
    arrived(&world).await;
    let token = world.session(&ada, None);
    let bearer = format!("Bearer {token}");
    let before = world.profiles().await;
    let utf_16: Vec<u8> = "{\"bio\":\"b\"}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for body in [&b"{\"bio\":\"\xff\"}"[..], b"{\"b\xe4o\":1}", b"{\"bio\":\"\xed\xa0\x80\"}", b"\xff\xfe{}", &utf_16] {
        for (method, media_type) in [("PUT", JSON), ("PATCH", PATCH), ("POST", JSON)] {
            let headers = [("authorization", &*bearer), ("content-type", media_type)];
            let answer = world.call_with(method, "/me/profile", &headers, body.to_vec()).await;
            assert_eq!(answer.brief(), (400, "body_invalid"), "{method} {body:?}: {}", answer.text);
        }
    }
    for (parameters, is_right) in [
        ("", true),
        (";", true),
        ("; charset=utf-8", true),
        (";charset=\"UTF-8\"", true),
        ("; Charset=utf8", true),
        ("; profile=x; charset=utf-8", true),
        ("; charset=iso-8859-1", false),
        ("; charset=utf-16", false),
        ("; charset=", false),
        ("; charset=utf-8; charset=latin1", false),
    ] {
        for (method, media_type, code) in
            [("PUT", JSON, "media_type_not_supported"), ("PATCH", PATCH, "merge_patch_expected")]
        {
            let media_type = format!("{media_type}{parameters}");
            let headers = [("authorization", &*bearer), ("content-type", &*media_type)];
            let answer = world.call_with(method, "/me/profile", &headers, "{}".to_owned()).await;
            let expected = if is_right { (200, "") } else { (415, code) };
            assert_eq!(answer.brief(), expected, "{method} {media_type}: {}", answer.text);
        }
    }
    assert_eq!(world.profiles().await, before);
}

/// A request and the expected problem.
struct Case {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: String,
    status: u16,
    code: String,
}

fn case(method: &str, path: &str, headers: &[(&str, &str)], body: &str, (status, code): (u16, &str)) -> Case {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Case {
        method: method.to_owned(),
        path: path.to_owned(),
        headers,
        body: body.to_owned(),
        status,
        code: code.to_owned(),
    }
}

/// Bodies of a record, for PUT and for PATCH.
fn bodies() -> Vec<Case> {
    let nested = |levels: usize, value: &str| format!("{}{value}{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
    let name = "n".repeat(256);
    let (body, number, protected) = ((400, "body_invalid"), (422, "number_not_storable"), (422, "field_not_writable"));
    let mut bodies: Vec<(String, (u16, &str))> = vec![
        ("[]".to_owned(), body),
        ("true".to_owned(), body),
        ("1".to_owned(), body),
        ("{".to_owned(), body),
        ("{}{}".to_owned(), body),
        ("{'a':1}".to_owned(), body),
        ("{\"a\":1,}".to_owned(), body),
        ("{\"a\":01}".to_owned(), body),
        ("{\"a\":+1}".to_owned(), body),
        ("{\"a\":\"\\ud800\"}".to_owned(), body),
        ("{\"\\udc00\":1}".to_owned(), body),
        ("{\"a\":\"\t\"}".to_owned(), body),
        ("\u{feff}{}".to_owned(), body),
        (nested(200, "1"), body),
        (nested(120, "{}"), (422, "value_too_deep")),
        (nested(17, "{}"), (422, "value_too_deep")),
        (nested(16, "[]"), (422, "value_too_deep")),
        (format!("{{\"a\":{}1{}}}", "[".repeat(20), "]".repeat(20)), (422, "value_too_deep")),
        (format!("{{\"a\":{{\"{name}\":1}}}}"), (422, "name_invalid")),
        (format!("{{\"{name}\":1}}"), (422, "name_invalid")),
        ("{\"\":1}".to_owned(), (422, "name_invalid")),
        (format!("{{\"a\":\"{}\"}}", "ä".repeat(9_000)), (422, "profile_too_large")),
    ];
    for digits in [
        "9007199254740993",
        "-9007199254740993",
        "18446744073709551615",
        "1e16",
        "1e125",
        "1e-7",
        "5e-324",
        "1.5e300",
        "123456789012345678901234567890",
    ] {
        bodies.push((format!("{{\"a\":{digits}}}"), number));
        bodies.push((format!("{{\"a\":[{{\"b\":{digits}}}]}}"), number));
    }
    for field in
        ["pk", "sk", "user_id", "organization_id", "created_at", "redacted_at", "profile_version", "expires_at"]
    {
        bodies.push((format!("{{\"{field}\":\"x\"}}"), protected));
    }
    let each = |(method, media_type): (&str, &str)| {
        let cases = bodies
            .iter()
            .map(|(body, problem)| case(method, "/me/profile", &[("content-type", media_type)], body, *problem));
        cases.collect::<Vec<_>>()
    };
    [("PUT", JSON), ("PATCH", PATCH)].into_iter().flat_map(each).collect()
}

fn queries(acme: &str) -> Vec<Case> {
    let get = |path: &str, problem| case("GET", path, &[], "", problem);
    let mut cases = Vec::new();
    for id in ["a/b", "a%2Fb", "%00", "ä", "a b", "a%23", &"x".repeat(256)] {
        let id = id.replace('/', "%2F").replace(' ', "%20").replace('ä', "%C3%A4");
        cases.push(get(&format!("/me/profile?organization_id={id}"), (400, "organization_id_invalid")));
        cases.push(get(&format!("/organizations/{id}/members"), (400, "organization_id_invalid")));
        cases.push(get(&format!("/users/{id}"), (400, "user_id_invalid")));
        cases.push(get(&format!("/users?id={id}"), (400, "user_id_invalid")));
    }
    for id in ["1c1157ac33d35114bbd809b23e2ca922", "{1c1157ac-33d3-5114-bbd8-09b23e2ca922}", "org_1", "USER_1"] {
        cases.push(get(&format!("/users/{}", id.replace('{', "%7B").replace('}', "%7D")), (400, "user_id_invalid")));
    }
    for limit in ["x", "1e1", "0x10", "%20", "999999999999999999999", "١"] {
        let limit = limit.replace('١', "%D9%A1");
        cases.push(get(&format!("/organizations/{acme}/members?limit={limit}"), (400, "limit_invalid")));
    }
    for cursor in ["AA", "*", "AQAAAAA", "%20", &"A".repeat(1000)] {
        cases.push(get(&format!("/organizations/{acme}/members?cursor={cursor}"), (400, "cursor_invalid")));
    }
    let long = "r".repeat(4_000);
    for text in ["", "%00", "%FF", "%C3%A4", "a%20b", &"r".repeat(129), &long] {
        for parameter in ["role", "permission"] {
            cases.push(get(&format!("/me/authorization?{parameter}={text}"), (400, "question_invalid")));
            // An empty text is no absent one: a page whose variable is empty must not ask for less.
            let other = if parameter == "role" { "permission" } else { "role" };
            cases.push(get(&format!("/me/authorization?{other}=a&{parameter}={text}"), (400, "question_invalid")));
        }
        cases.push(get(&format!("/organizations/{acme}/members?role={text}"), (400, "question_invalid")));
        cases.push(get(&format!("/organizations/org_other/members?role={text}"), (400, "question_invalid")));
    }
    cases.push(get(&format!("/organizations/{acme}/members?role=a&role=b"), (400, "parameter_repeated")));
    cases.push(get("/me/authorization?organization_id=org_1", (400, "question_missing")));
    cases.push(get("/me/profile?organization_id=", (400, "organization_id_invalid")));
    for path in ["/me", "/me/profile", "/me/authorization", "/users", "/users/user_1", "/organizations/org_1/members"] {
        cases.push(get(&format!("{path}?organisation_id=org_1"), (400, "parameter_unknown")));
    }
    for (method, media_type) in [("PUT", JSON), ("PATCH", PATCH), ("POST", JSON)] {
        let headers = [("content-type", media_type)];
        let foreign = (404, "organization_not_found");
        cases.push(case(method, "/me/profile?organization_id=org_other", &headers, "{}", foreign));
        cases.push(case(method, "/me/profile?organization_id=", &headers, "{}", (400, "organization_id_invalid")));
        cases.push(case(method, "/me/profile?org=org_1", &headers, "{}", (400, "parameter_unknown")));
    }
    cases
}

fn preconditions() -> Vec<Case> {
    let mut cases = Vec::new();
    for tags in ["abc", "\"", "\"a\" \"b\"", "W/abc", "w/\"a\"", ",", "*, \"a\"", "'a'"] {
        for name in ["if-match", "if-none-match"] {
            cases.push(case("GET", "/me/profile", &[(name, tags)], "", (400, "precondition_malformed")));
            let headers = [("content-type", PATCH), (name, tags)];
            cases.push(case("PATCH", "/me/profile", &headers, "{}", (400, "precondition_malformed")));
        }
    }
    for tags in ["\"other\"", "W/\"other\"", "\"a\", \"b\""] {
        let headers = [("content-type", PATCH), ("if-match", tags)];
        cases.push(case("PATCH", "/me/profile", &headers, r#"{"a":1}"#, (412, "precondition_failed")));
    }
    cases
}
