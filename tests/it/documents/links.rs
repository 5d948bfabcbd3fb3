//! Links between documents.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// From a document to the path that a link in it gives, as seen from the root.
fn joined(document: &str, link: &str) -> Option<String> {
    let mut path = PathBuf::new();
    for part in Path::new(document).parent()?.join(link).components() {
        match part {
            Component::ParentDir => path.pop().then_some(())?,
            Component::Normal(part) => path.push(part),
            _ => {}
        }
    }
    Some(path.to_str()?.to_owned())
}

#[test]
fn every_link_of_a_document_leads_to_a_file_and_a_heading() {
    let tree = super::tree();
    let documents = super::documents(&tree);
    let anchors: BTreeMap<&str, _> =
        documents.iter().map(|document| (document.path.as_str(), &document.anchors)).collect();
    let (mut problems, mut files, mut headings) = (Vec::new(), 0, 0);
    for document in &documents {
        for link in &document.links {
            let place = format!("{}:{}: ({})", document.path, link.line, link.text);
            if link.text.starts_with("https://") || link.text.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) =
                link.text.split_once('#').map_or((&*link.text, None), |(path, anchor)| (path, Some(anchor)));
            let target = if path.is_empty() { Some(document.path.clone()) } else { joined(&document.path, path) };
            let is_there = |target: &String| tree.contains(target) || tree.contains(&format!("{target}/"));
            let Some(target) = target.filter(is_there) else {
                problems.push(format!("{place}: there is no such file"));
                continue;
            };
            files += 1;
            let Some(anchor) = anchor else { continue };
            headings += 1;
            match anchors.get(target.as_str()) {
                Some(anchors) if anchors.contains(anchor) => {}
                _ => problems.push(format!("{place}: {target} has no such heading")),
            }
        }
    }
    println!("{files} links to files, {headings} of them to headings");
    super::assert_none(&problems);
    assert!(files > 200 && headings > 80, "hardly any link was found");
}
