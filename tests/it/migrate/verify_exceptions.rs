//! A7: the old ids that an operator accepts in the list of exceptions of `rollcall migrate verify`.

use serde_json::json;

use super::verify::{Finished, PROFILES, USERS, found, hash, typed};

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
