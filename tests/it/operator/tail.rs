//! `rollcall tail`, with the real binary.

use std::time::Duration;

use rollcall_tests::{SAMPLE_TIME, World, deletion_event, sample, user_event};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::ADA;
use crate::operator::commands::{binary, command, on, rollcall};
use crate::properties::failures::listen;

/// A world in whose log are an applied event, a refused one and a rejected request.
async fn told() -> World {
    let world = World::start().await;
    let _listening = listen(world.log.clone());
    world.post(&sample("user.created")).await;
    world.post(&user_event("user.updated", ADA, "Old", SAMPLE_TIME - 1_000_000)).await;
    world.send(&world.sign(&sample("user.created")).with("svix-signature", Some("v1,AAAA"))).await;
    world.follow().await;
    world.post(&deletion_event("user.deleted", "user_other", SAMPLE_TIME)).await;
    world
}

#[tokio::test]
async fn e_the_log_is_shown_for_people_and_for_programs() {
    let world = told().await;
    let said = rollcall(&world, &["tail", "--once"], &[]).await;
    assert_eq!((said.status, said.err.as_str()), (Some(0), ""));
    assert_eq!(said.out.lines().count(), 5, "four of the webhook and the change: {}", said.out);
    let applied = said.out.lines().next().unwrap();
    assert!(applied.contains("  webhook         applied  ") && applied.contains(ADA), "{applied}");
    assert!(said.out.contains("later_state") && said.out.contains("untrusted"), "{}", said.out);

    let said = rollcall(&world, &["tail", "--once", "--json"], &[]).await;
    let lines: Vec<Value> = said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[0]["function"], &lines[0]["units"]), (5, &"webhook".into(), &1.0.into()));

    for (more, number) in [
        (&["--errors"][..], 1),
        (&["--only", "react"], 1),
        (&["--only", "reconcile"], 0),
        (&["--id", ADA], 3),
        (&["--id", "user_other"], 1),
        (&["--since", "1s", "--only", "webhook", "--errors", "--id", ADA], 0),
    ] {
        let args = [&["tail", "--once"], more].concat();
        let said = rollcall(&world, &args, &[]).await;
        assert_eq!(said.out.lines().count(), number, "{more:?} {} {}", said.out, said.err);
    }
}

#[tokio::test]
async fn i19_an_id_without_a_line_is_an_error() {
    let world = told().await;
    for (id, why) in [("user_doesnotexist", "no line of the log is about"), ("sess_1", "not an id of a user")] {
        let said = rollcall(&world, &["tail", "--once", "--id", id], &[]).await;
        assert_eq!((said.status, said.out.as_str()), (Some(1), ""), "{id}");
        assert!(said.err.contains(why), "{}", said.err);
    }
    for wrong in [&["--since", "10"][..], &["--only", "nobody"], &["--id", "a b"]] {
        let args = [&["tail", "--once"], wrong].concat();
        assert_eq!(rollcall(&world, &args, &[]).await.status, Some(64), "{wrong:?}");
    }
}

#[tokio::test]
async fn e_new_lines_are_followed_once_each_until_the_reader_or_the_operator_has_enough() {
    let world = told().await;
    let follow = || {
        let mut command = command(binary().to_str().unwrap(), &[]);
        command.args(on(&world, &["tail", "--json"]));
        command.spawn().unwrap()
    };
    let mut process = follow();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let mut seen = Vec::new();
    while seen.len() < 5 {
        seen.push(lines.next_line().await.unwrap().unwrap());
    }
    let listening = listen(world.log.clone());
    world.post(&deletion_event("user.deleted", "user_third", SAMPLE_TIME)).await;
    drop(listening);
    let next = tokio::time::timeout(Duration::from_secs(30), lines.next_line()).await.expect("it is followed");
    let next = next.unwrap().unwrap();
    assert!(next.contains("user_third") && !seen.contains(&next), "{next}");
    let id = i32::try_from(process.id().unwrap()).unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let ended = tokio::time::timeout(Duration::from_secs(30), process.wait()).await.expect("it ends").unwrap();
    assert_eq!((ended.code(), lines.next_line().await.unwrap()), (Some(0), None));

    // A reader that has enough closes the pipe.
    let mut process = follow();
    drop(process.stdout.take());
    let ended = tokio::time::timeout(Duration::from_secs(30), process.wait()).await.expect("it ends").unwrap();
    assert_eq!(ended.code(), Some(0));
}
