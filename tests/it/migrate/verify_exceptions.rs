//! A7: the old ids that an operator accepts in the list of exceptions of `rollcall migrate verify`.

use serde_json::{Value, json};

use super::verify::{Finished, PROFILES, USERS, found, hash, listed, old_id, states, typed};

#[tokio::test]
async fn a7_each_old_user_is_as_the_map_says_or_accepted_by_a_signed_list() {
    let finished = Finished::open().await;
    let file = format!("{USERS}{PROFILES}");
    let change = json!({ "public_metadata": { "primary_role": "client" } });
    let path = format!("/users/{}/metadata", finished.users[0]);
    finished.old.world.clerk("PATCH", &path, change).await;
    let (report, status) = finished.verify(&file).await;
    assert_eq!((status, found(&report, 1)), (Some(2), vec!["users  conflict 1".to_owned()]));
    let line = format!("{{\"legacy_id\":\"{}\",\"reason\":\"is a client now\"}}\n", typed(1));
    finished.old.file("exceptions.ndjson", &line);
    let signed =
        |hash: &str| format!("{USERS}exceptions = 'exceptions.ndjson'\nexceptions_sha256 = '{hash}'\n{PROFILES}");
    let (report, status) = finished.verify(&signed(&hash(&line))).await;
    assert_eq!((status, &report["users"]["counts"]["excepted"]), (Some(0), &json!(1)), "{report}");
    // A list that was changed after it was accepted is no list.
    finished.refused(&signed(&hash("other")), 1, "the list is another one than the accepted one").await;
    finished.old.file("exceptions.ndjson", &line.repeat(2));
    finished.refused(&signed(&hash(&line)), 1, "the list is another one than the accepted one").await;
    // The exception is about one user.
    let line = line.replace("a1", "a2");
    finished.old.file("exceptions.ndjson", &line);
    assert_eq!(finished.verify(&signed(&hash(&line))).await.1, Some(2));
    finished.refused(&format!("{USERS}exceptions = 'exceptions.ndjson'\n"), 64, "belong together").await;
    let path_of_list = finished.path("exceptions.ndjson");
    let advice =
        format!("Read {path_of_list} again, and write its hash (sha256sum) into the verify file if you accept it");
    finished
        .refused(&signed("00"), 64, &format!("is \"00\", which is no SHA-256: it has 64 hexadecimal digits. {advice}"))
        .await;
    // A map that says something else is no map of these users.
    finished.old.world.clerk("PATCH", &path, json!({ "public_metadata": { "primary_role": "coach" } })).await;
    assert_eq!(finished.verify(&file).await.1, Some(0));
    let map = finished.old.folder.path().join("users.json.migration/map.ndjson");
    let text = std::fs::read_to_string(&map).unwrap();
    std::fs::write(&map, text.replace(&finished.users[1], &finished.users[2])).unwrap();
    let (report, _) = finished.verify(&file).await;
    assert_eq!(found(&report, 1), ["users  another_user_in_the_map 1"]);
    std::fs::write(&map, text.lines().skip(1).map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    let (report, _) = finished.verify(&file).await;
    assert_eq!(found(&report, 1), ["users  not_in_the_map 1"]);
}

#[tokio::test]
async fn a7_a_finding_has_the_id_that_an_exception_needs() {
    let finished = Finished::open().await;
    // An old user without a user in Clerk.
    let map = finished.old.folder.path().join("users.json.migration/map.ndjson");
    let text = std::fs::read_to_string(&map).unwrap();
    let unmatched = |line: &str| match line.contains(&typed(3)) {
        true => format!("{}\n", json!({ "legacy_id": typed(3), "no_user": "unmatched" })),
        false => format!("{line}\n"),
    };
    std::fs::write(&map, text.lines().map(unmatched).collect::<String>()).unwrap();
    let uuid = "0192d3a0-0000-4000-8000-00000000000a";
    for (value, loose, problem, id) in [
        (json!("65a0000000000000000000a9"), true, "unknown_id", Some("str:65a0000000000000000000a9".to_owned())),
        (json!("65a0000000000000000000a3"), true, "no_user", Some("str:65a0000000000000000000a3".to_owned())),
        (json!("65a0000000000000000000a3"), false, "unknown_id", Some("str:65a0000000000000000000a3".to_owned())),
        (json!(uuid), true, "unknown_id", Some(format!("str:{uuid}"))),
        (json!("17"), true, "unknown_id", Some("str:17".to_owned())),
        (json!(17), false, "unknown_id", Some("int:17".to_owned())),
        (old_id(9), true, "unknown_id", Some(typed(9))),
        (old_id(3), false, "no_user", Some(typed(3))),
        // A text of another form may be personal.
        (json!("Ann Lee"), true, "unknown_id", None),
        (json!("+4915112345678"), true, "unknown_id", None),
    ] {
        finished.lines("profiles.json", &[finished.profile(1), json!({ "_id": 2, "user_id": value })]);
        let rest = format!("{PROFILES}loose_ids = {loose}\n");
        let (report, _) = finished.verify(&format!("{USERS}{rest}")).await;
        assert_eq!(found(&report, 2), [format!("profiles user_id {problem} 1")], "{value}: {report}");
        let findings = finished.read("findings.ndjson");
        let mut findings = findings.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let finding = findings.find(|finding| finding["criterion"] == 2).unwrap();
        assert_eq!(finding["legacy_id"], json!(id), "{value}");
        let Some(id) = id else {
            assert!(!finished.read("findings.ndjson").contains(value.as_str().unwrap()), "{value}");
            continue;
        };
        let line = format!("{}\n", json!({ "legacy_id": id, "reason": "an orphan" }));
        finished.old.file("exceptions.ndjson", &line);
        let signed = format!("exceptions = 'exceptions.ndjson'\nexceptions_sha256 = '{}'\n", hash(&line));
        let (report, _) = finished.verify(&format!("{USERS}{signed}{rest}")).await;
        assert_eq!((states(&report)[1], &listed(&report)["excepted"]), ("proven", &json!(1)), "{value}: {report}");
        assert_eq!(report["users"]["exceptions_without_effect"], json!([]), "{value}");
    }
}

#[tokio::test]
async fn a7_an_exception_that_names_no_id_is_reported() {
    let finished = Finished::open().await;
    let orphan = json!({ "_id": 3, "user_id": "nano-id-1" });
    let pair =
        json!({ "_id": 4, "user_id": [old_id(1), "65a0000000000000000000a2"] , "clerk_user_id": &finished.users[..2] });
    finished.lines("profiles.json", &[finished.profile(1), finished.profile(2), orphan, pair]);
    finished.backup(4);
    let ids = [
        "str:nano-id-1",                // of a listed reference
        "oid:65a0000000000000000000a3", // of an old user, who needs no exception, and to whom no row refers
        "str:65a0000000000000000000a3", // of the same, with another type
        "str:65a0000000000000000000a2", // of a list in a listed reference
        "",                             // no line
        "oid:65a0000000000000000000f0", // of nothing
        "uuid:nano-id-1",               // of a listed reference, with another type
    ];
    let line = |id: &&str| match *id {
        "" => "\n".to_owned(),
        id => format!("{}\n", json!({ "legacy_id": id, "reason": "a test account" })),
    };
    let lines: String = ids.iter().map(line).collect();
    finished.old.file("exceptions.ndjson", &lines);
    let signed = format!("exceptions = 'exceptions.ndjson'\nexceptions_sha256 = '{}'\n", hash(&lines));
    let file = format!("{USERS}{signed}{PROFILES}loose_ids = true\n");
    let (report, status) = finished.verify(&file).await;
    assert_eq!((status, &listed(&report)["excepted"]), (Some(0), &json!(1)), "{report}");
    let expected = json!([
        { "line": 3, "type": "str", "other_types": ["oid"] },
        { "line": 6, "type": "oid", "other_types": [] },
        { "line": 7, "type": "uuid", "other_types": ["str"] },
    ]);
    assert_eq!(report["users"]["exceptions_without_effect"], expected);
    let said = finished.run(&file, &[], &[]).await;
    assert_eq!(said.status, Some(0), "{}", said.err);
    for text in [
        "Exceptions without effect: no old user and no listed reference has the id of the line. Correct the id, or remove",
        "line 3: the id with the type str; the same text is there with the type oid",
        "line 6: the id with the type oid\n",
        "line 7: the id with the type uuid; the same text is there with the type str",
    ] {
        assert!(said.out.contains(text), "{text}: {}", said.out);
    }
    let without = finished.run(&format!("{USERS}{PROFILES}"), &[], &[]).await;
    assert!(!without.out.contains("Exceptions without effect"), "{}", without.out);
}
