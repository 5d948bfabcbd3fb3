//! Bad input, in a table: each case has its answer, none panics, none writes a state.

use rollcall_tests::{SAMPLE_TIME, Sent, World, gateway_event, sample};
use serde_json::{Value, json};

const HEADERS: (u16, &str) = (400, "signature_headers");
const SIGNATURE: (u16, &str) = (400, "signature_invalid");
const STALE: (u16, &str) = (400, "timestamp_stale");
const QUARANTINED: (u16, &str) = (422, "unprocessable_event");
const IGNORED: (u16, &str) = (200, "ignored");

struct Case {
    name: String,
    event: Value,
    expected: (u16, &'static str),
}

fn case(name: impl Into<String>, event: Value, expected: (u16, &'static str)) -> Case {
    Case { name: name.into(), event, expected }
}

fn message(name: &str, sent: &Sent, expected: (u16, &'static str)) -> Case {
    case(name, gateway_event(sent, false), expected)
}

/// Headers that do not prove anything.
fn headers(world: &World) -> Vec<Case> {
    let good = world.sign(&sample("user.created"));
    let signature = good.headers.iter().find(|(name, _)| name == "svix-signature").unwrap().1.clone();
    let mac = signature.trim_start_matches("v1,").to_owned();
    let mut cases = Vec::new();
    for header in ["svix-id", "svix-timestamp", "svix-signature"] {
        cases.push(message(&format!("without {header}"), &good.clone().with(header, None), HEADERS));
        cases.push(message(&format!("empty {header}"), &good.clone().with(header, Some("")), HEADERS));
    }
    for id in ["msg one", "msg/1", "msg#1", "{}", "'", &"m".repeat(256)] {
        cases.push(message(&format!("id {id:.20}"), &good.clone().with("svix-id", Some(id)), HEADERS));
    }
    for time in ["now", "1.5", "0x10", "1e9", " 1767225660", "1767225660 ", "99999999999999999999", "-", "١٢"] {
        cases.push(message(&format!("time {time:?}"), &good.clone().with("svix-timestamp", Some(time)), HEADERS));
    }
    for time in ["0", "-1", "1767225659", "1767225661", "9223372036854775807", "-9223372036854775808"] {
        cases.push(message(
            &format!("another time {time}"),
            &good.clone().with("svix-timestamp", Some(time)),
            SIGNATURE,
        ));
    }
    for bad in [
        "v1,".to_owned(),
        "v1".to_owned(),
        ",".to_owned(),
        mac.clone(),
        format!("v1a,{mac}"),
        format!("V1,{mac}"),
        format!("v2,{mac}"),
        format!("v1 ,{mac}"),
        format!("v1,{}", &mac[1..]),
        format!("v1,{}", mac.trim_end_matches('=')),
        format!("v1,{mac}="),
        format!("v1,{}", mac.to_lowercase()),
        "v1,%%%".to_owned(),
        "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".to_owned(),
        "v1,".repeat(5_000),
    ] {
        cases.push(message(
            &format!("signature {bad:.24}"),
            &good.clone().with("svix-signature", Some(&bad)),
            SIGNATURE,
        ));
    }
    let other = Sent::signed(good.body.clone(), "msg_0", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", world.now());
    cases.push(message("another secret", &other, SIGNATURE));
    cases.push(message("another message's id", &good.clone().with("svix-id", Some("msg_other")), SIGNATURE));
    for (name, change) in [("one byte more", b" ".as_slice()), ("another document", b"{}")] {
        let mut changed = good.clone();
        changed.body.extend_from_slice(change);
        cases.push(message(name, &changed, SIGNATURE));
    }
    cases.push(message("no body", &Sent { body: Vec::new(), ..good.clone() }, SIGNATURE));
    for seconds in [-86_400_i64, -301, 301, 86_400] {
        let at = i64::try_from(world.now().get()).unwrap() + seconds * 1000;
        let stale =
            Sent::signed(good.body.clone(), "msg_stale", &world.stack.addresses.webhook_secret, at.try_into().unwrap());
        cases.push(message(&format!("signed {seconds} s from now"), &stale, STALE));
    }
    cases
}

/// Signed bodies that are no event.
fn bodies(world: &World) -> Vec<Case> {
    let signed =
        |body: &[u8]| Sent::signed(body.to_vec(), "msg_body", &world.stack.addresses.webhook_secret, world.now());
    let mut cases = Vec::new();
    let nested = format!("{}1{}", "[".repeat(300), "]".repeat(300));
    let good = sample("user.created").to_string();
    for body in [
        "",
        " ",
        "null",
        "true",
        "1",
        "\"x\"",
        "[]",
        "[{}]",
        "{",
        "}",
        "{}",
        "{]",
        "nul",
        "'{}'",
        "\u{feff}{}",
        "\0",
        "{\"type\":}",
        "{,}",
        "<event/>",
        "type=user.created",
        "{\"type\":\"user.created\"} {}",
        "{\"type\":\"user.created\",\"type\":\"user.deleted\"}",
        &nested,
        &good[..good.len() - 1],
        &format!("{good}{good}"),
        &format!("\u{feff}{good}"),
        &good.replace(':', "="),
    ] {
        cases.push(message(&format!("body {body:.30}"), &signed(body.as_bytes()), QUARANTINED));
    }
    cases
}

/// A sample with one field set, or removed for the value `"MISSING"`.
fn changed(world: &World, event: &str, path: &str, value: Value, expected: (u16, &'static str)) -> Case {
    let mut payload = sample(event);
    let name = format!("{event} with {path} = {value:.40}");
    let (parent, field) = path.rsplit_once('/').unwrap();
    let parent = payload.pointer_mut(parent).unwrap();
    if value == "MISSING" {
        parent.as_object_mut().unwrap().remove(field);
    } else {
        parent[field] = value;
    }
    message(&name, &world.sign(&payload), expected)
}

/// Signed envelopes of which one field is wrong.
fn envelopes(world: &World) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut bad =
        |event: &str, path: &str, value: Value, expected| cases.push(changed(world, event, path, value, expected));
    for wrong in [json!("MISSING"), Value::Null, json!(7), json!(true), json!(["user.created"]), json!({})] {
        bad("user.created", "/type", wrong.clone(), QUARANTINED);
        bad("user.created", "/instance_id", wrong, QUARANTINED);
    }
    for kind in [
        "",
        "user",
        "user.",
        "user.Created",
        "USER.CREATED",
        "user.created ",
        "organization_membership.created",
        "users.created",
    ] {
        bad("user.created", "/type", kind.into(), IGNORED);
    }
    for wrong in [
        json!("MISSING"),
        Value::Null,
        json!("1767225600032"),
        json!(1.5),
        json!(-1),
        json!(10_000_000_000_000_u64),
        json!(u64::MAX),
    ] {
        // Of a live event it only says how old it is: payloads.rs.
        for event in ["user.deleted", "organization.deleted", "organizationMembership.deleted"] {
            bad(event, "/timestamp", wrong.clone(), QUARANTINED);
        }
    }
    cases
}

/// Signed payloads of which one field is wrong.
fn payloads(world: &World) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut bad =
        |event: &str, path: &str, value: Value, expected| cases.push(changed(world, event, path, value, expected));
    let identity = [
        "user.created",
        "user.deleted",
        "organization.updated",
        "organization.deleted",
        "organizationMembership.updated",
        "organizationMembership.deleted",
    ];
    for event in identity {
        for wrong in [json!("MISSING"), Value::Null, json!("user"), json!([]), json!({}), json!(1)] {
            bad(event, "/data", wrong, QUARANTINED);
        }
        for wrong in [
            json!("MISSING"),
            Value::Null,
            json!(1),
            json!(""),
            json!("a#b"),
            json!("a/b"),
            json!("a b"),
            json!("x".repeat(256)),
        ] {
            bad(event, "/data/id", wrong, QUARANTINED);
        }
    }
    for event in ["user.updated", "organization.created", "organizationMembership.created"] {
        for wrong in
            [json!("MISSING"), Value::Null, json!("2026-01-01"), json!(1.5), json!(-1), json!(10_000_000_000_000_u64)]
        {
            bad(event, "/data/updated_at", wrong, QUARANTINED);
        }
    }
    for event in ["organizationMembership.created", "organizationMembership.deleted"] {
        for path in
            ["/data/organization", "/data/organization/id", "/data/public_user_data", "/data/public_user_data/user_id"]
        {
            for wrong in [json!("MISSING"), Value::Null, json!(5)] {
                bad(event, path, wrong, QUARANTINED);
            }
        }
    }
    cases
}

/// Events that API Gateway would hardly send, but that somebody may who can invoke the function.
fn requests(world: &World) -> Vec<Case> {
    let good = world.sign(&sample("user.created"));
    let mut cases = Vec::new();
    let mut bad = |name: &str, expected, change: &dyn Fn(&mut Value)| {
        let mut event = gateway_event(&good, false);
        change(&mut event);
        cases.push(case(name, event, expected));
    };
    for method in ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "post"] {
        bad(method, (405, "method_not_allowed"), &|event| event["requestContext"]["http"]["method"] = method.into());
    }
    for body in ["***", "a", "ab=c", "Zm9v\u{e9}", "{\"type\":\"user.created\"}"] {
        bad(&format!("no base64 {body}"), SIGNATURE, &|event| {
            event["isBase64Encoded"] = true.into();
            event["body"] = body.into();
        });
    }
    // UTF-8 cut in half, UTF-16, gzip: bytes that nobody signed.
    for body in ["w7w=", "wygo", "//57AH0A", "H4sIAAAAAAAA/w=="] {
        bad(&format!("other bytes {body}"), SIGNATURE, &|event| {
            event["isBase64Encoded"] = true.into();
            event["body"] = body.into();
        });
    }
    bad("plain text said to be base64", SIGNATURE, &|event| event["isBase64Encoded"] = true.into());
    bad("no body at all", SIGNATURE, &|event| event["body"] = Value::Null);
    bad("no headers at all", HEADERS, &|event| event["headers"] = json!({}));
    let forged = |event: &mut Value| event["headers"]["svix-signature"] = "v1,AAAA".into();
    for path in ["", "x", "//", "/%", "/a b", "/\"<>{}|^`", "/ü", "/\u{1}", "http://x/"] {
        bad(&format!("path {path:?}"), SIGNATURE, &|event| {
            forged(event);
            event["rawPath"] = path.into();
        });
    }
    for query in ["a b", "\"<>{}|^`", "%", "ü=ü", "&&==", "\u{1}"] {
        bad(&format!("query {query:?}"), SIGNATURE, &|event| {
            forged(event);
            event["rawQueryString"] = query.into();
        });
    }
    for host in ["", "a b", "a:b:c", "[::", "@", "user@host", "host/path", "-", ":", "xn--a-\u{fc}"] {
        bad(&format!("host {host:?}"), SIGNATURE, &|event| {
            forged(event);
            event["headers"]["host"] = host.into();
            event["requestContext"]["domainName"] = host.into();
        });
    }
    for scheme in ["", "javascript", "ht tp", "://"] {
        bad(&format!("scheme {scheme:?}"), SIGNATURE, &|event| {
            forged(event);
            event["headers"]["host"] = "example.com".into();
            event["headers"]["x-forwarded-proto"] = scheme.into();
        });
    }
    for stage in ["", "a b", "\u{1}", "../.."] {
        bad(&format!("stage {stage:?}"), SIGNATURE, &|event| {
            forged(event);
            event["requestContext"]["stage"] = stage.into();
        });
    }
    cases
}

/// Bodies around the limit.
fn sizes(world: &World) -> Vec<Case> {
    let padded = |size: usize| {
        let mut body = sample("session.created").to_string();
        body.push_str(&" ".repeat(size - body.len()));
        Sent::signed(body.into_bytes(), "msg_size", &world.stack.addresses.webhook_secret, world.now())
    };
    vec![
        message("256 KB", &padded(256 * 1024), IGNORED),
        message("256 KB and a byte", &padded(256 * 1024 + 1), (413, "payload_too_large")),
        message("5 MB", &padded(5 * 1024 * 1024), (413, "payload_too_large")),
        case("256 KB in base64", gateway_event(&padded(256 * 1024), true), IGNORED),
    ]
}

#[tokio::test]
async fn every_bad_input_has_its_answer_and_none_writes_a_state() {
    let world = World::start().await;
    assert_eq!(world.now().get(), SAMPLE_TIME, "the table is written for this moment");
    let tables =
        [headers(&world), bodies(&world), envelopes(&world), payloads(&world), requests(&world), sizes(&world)];
    let cases: Vec<Case> = tables.into_iter().flatten().collect();
    assert!(cases.len() >= 150, "{} cases", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        let answer = world.invoke(case.event.clone()).await;
        let aborts = case.expected == QUARANTINED;
        if answer.brief() != case.expected || answer.aborts() != aborts {
            wrong.push(format!("{}: {:?}, expected {:?}", case.name, answer.brief(), case.expected));
        }
        if answer.status >= 400 {
            assert_eq!(answer.headers["content-type"], "application/problem+json", "{}", case.name);
            assert_eq!(
                (&answer.body["status"], &answer.body["request_id"]),
                (&answer.status.into(), &"the-request".into())
            );
            assert!(answer.body["detail"].as_str().is_some_and(|detail| detail.len() > 20), "{}", case.name);
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    println!("{} cases", cases.len());
    assert!(world.directory().await.is_empty());
    assert_eq!(world.clerk_calls(), 0);
}

#[tokio::test]
async fn quarantine_notes_where_reading_failed_and_never_what_was_read() {
    let world = World::start().await;
    let mut broken = sample("organizationMembership.updated");
    broken["data"]["updated_at"] = json!({ "MARKED": "MARKED" });
    broken["data"]["public_user_data"]["first_name"] = "MARKED".into();
    let sent = world.sign(&broken);
    assert_eq!(world.send(&sent).await.brief(), QUARANTINED);
    let notes = world.operations().await;
    assert_eq!(notes.len(), 1);
    let note = &notes[0];
    let id = sent.headers.iter().find(|(name, _)| name == "svix-id").map(|(_, id)| id.as_str());
    assert_eq!((note["pk"].as_str(), note["sk"].as_str()), (Some("QUARANTINE#2026-01-01"), id));
    assert_eq!(note["type"], "organizationMembership.updated");
    assert_eq!(note["instance_id"], world.stack.addresses.clerk_instance_id);
    assert_eq!(note["entity_id"], "org_2nyiGxAxOOuSJqJjeif62e4qZfa/user_2nMJFInNtsSb6BrJ4VfmGuv246c");
    assert_eq!(note["failed_at"], "data.updated_at");
    let days = (note["expires_at"].as_u64().unwrap() - SAMPLE_TIME / 1000) / 86_400;
    assert_eq!(days, 90, "in seconds, for the table's time to live");
    assert!(!note.to_string().contains("MARKED"), "{note}");
    // The same message again is the same note.
    assert_eq!(world.send(&sent).await.brief(), QUARANTINED);
    assert_eq!(world.operations().await.len(), 1);
}

#[tokio::test]
async fn quarantine_keeps_what_can_be_read_and_no_key_of_somebodys_own_making() {
    let world = World::start().await;
    let mut event = sample("user.deleted");
    event["timestamp"] = "now".into();
    let deep = (0..150).fold(json!(1), |inner, _| json!({ "MARKED": inner }));
    let mut nested = sample("user.updated");
    nested["data"]["updated_at"] = deep;
    let secret = &world.stack.addresses.webhook_secret;
    let broken = Sent::signed(b"{\"MARKED\": tru}".to_vec(), "msg_broken", secret, world.now());
    assert_eq!(world.post(&event).await.brief(), QUARANTINED);
    assert_eq!(world.post(&nested).await.brief(), QUARANTINED);
    assert_eq!(world.send(&broken).await.brief(), QUARANTINED);
    let notes = world.operations().await;
    let failed: Vec<_> = notes.iter().map(|note| (note["failed_at"].as_str(), note["entity_id"].as_str())).collect();
    let ada = Some("user_2nNG9rEYQoliquKw5eHQ9eFeurU");
    assert_eq!(failed, [(Some("timestamp"), ada), (Some("data.updated_at"), ada), (Some("."), None)]);
    assert!(!json!(notes).to_string().contains("MARKED"), "{notes:#?}");
    // An instance that can be read and is not this one leaves no note at all.
    event["instance_id"] = "ins_somebodyElse".into();
    let answer = world.post(&event).await;
    assert_eq!((answer.brief(), answer.aborts()), ((403, "foreign_instance"), true));
    assert_eq!(world.operations().await.len(), 3);
}

#[test]
fn no_event_whatever_its_urls_parts_makes_the_function_panic() {
    use proptest::prelude::*;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let world = runtime.block_on(World::start());
    let good = gateway_event(&world.sign(&sample("user.created")), false);
    let part = || {
        prop_oneof![".{0,12}", "[ -~]{0,12}", "[a-z]{1,8}(:[0-9]{1,6})?", "(/[!-~]{0,6}){1,3}", "\\[[0-9a-f:]{0,8}\\]"]
    };
    let parts = (part(), part(), part(), part(), part(), "[A-Za-z0-9+/=]{0,16}");
    let (mut runner, seed) = rollcall_tests::runner(2_000);
    let played = runner.run(&parts, |parts| {
        let (path, query, host, stage, scheme, body) = parts;
        let mut event = good.clone();
        event["rawPath"] = path.into();
        event["rawQueryString"] = query.into();
        event["headers"]["host"] = host.clone().into();
        event["headers"]["x-forwarded-proto"] = scheme.into();
        event["requestContext"]["domainName"] = host.into();
        event["requestContext"]["stage"] = stage.into();
        event["isBase64Encoded"] = true.into();
        event["body"] = body.into();
        let answer = runtime.block_on(world.invoke(event));
        // 500: API Gateway's, for an event that is none, as one with a control character in a header.
        prop_assert!(matches!(answer.brief(), (400, "signature_invalid") | (500, "")), "{:?}", answer);
        Ok(())
    });
    played.unwrap_or_else(|failure| panic!("{failure}\n{seed}"));
}
