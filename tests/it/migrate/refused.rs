//! A1: what is refused before anything is written.

use serde_json::json;

use super::Old;

#[tokio::test]
async fn a1_a_key_is_given_once_and_an_option_overrides_the_mapping() {
    let old = Old::open().await;
    let user = old.user("a", json!({})).await;
    let file = old.rows(&[json!({ "_id": "a", "r": "coach", "email": "a@x.org" })]);
    for fields in [["r", "r=email"], ["r=email", "r"], ["r", "r"]] {
        let said = old.migrate(&file, &["--field", fields[0], "--field", fields[1], "--yes"]).await;
        assert_eq!((said.status, said.out.as_str()), (Some(64), ""), "{fields:?}: {}", said.err);
        assert!(said.err.contains("--field r: the key is given twice"), "{}", said.err);
    }
    let misspelt = old.file("misspelt.toml", "[metadata]\nr = { from = 'r', replce = true }\n");
    let said = old.migrate(&file, &["--mapping", misspelt.to_str().unwrap(), "--yes"]).await;
    assert_eq!((said.status, said.out.as_str()), (Some(64), ""), "{}", said.err);
    for part in ["misspelt.toml", "line 2", "replce = true", "unknown field `replce`, expected `from` or `replace`"] {
        assert!(said.err.contains(part), "no {part:?} in {}", said.err);
    }
    let mapping = old.file("mapping.toml", "[metadata]\nr = 'email'\n");
    let options = ["--mapping", mapping.to_str().unwrap(), "--field", "r"];
    assert_eq!(old.report(&file, &options).await.1, Some(0));
    assert_eq!(old.metadata_of(&user).await, json!({ "r": "coach" }));
}
