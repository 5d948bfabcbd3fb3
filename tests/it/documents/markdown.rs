//! What the tests need of a document: its blocks of code, its code spans, its links and the anchors of its headings.

use std::collections::BTreeSet;
use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// A document, from top to bottom.
pub(super) struct Document {
    /// From the root of the repository on.
    pub(super) path: String,
    pub(super) blocks: Vec<Block>,
    pub(super) spans: Vec<Span>,
    pub(super) links: Vec<Span>,
    pub(super) anchors: BTreeSet<String>,
}

/// A block of code.
pub(super) struct Block {
    pub(super) line: usize,
    /// The word after the fence; nothing if the block is indented.
    pub(super) language: Option<String>,
    pub(super) text: String,
    /// The heading above.
    pub(super) section: String,
}

/// A code span, or the target of a link.
pub(super) struct Span {
    pub(super) line: usize,
    pub(super) text: String,
}

impl Document {
    pub(super) fn read(path: &str) -> Document {
        Document::parse(path, &super::text(path))
    }

    fn parse(path: &str, source: &str) -> Document {
        let mut document = Document {
            path: path.to_owned(),
            blocks: Vec::new(),
            spans: Vec::new(),
            links: Vec::new(),
            anchors: BTreeSet::new(),
        };
        let line = |range: Range<usize>| source[..range.start].matches('\n').count() + 1;
        let (mut section, mut heading, mut block) = (String::new(), None::<String>, None::<Block>);
        for (event, range) in Parser::new_ext(source, Options::ENABLE_TABLES).into_offset_iter() {
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    section = heading.take().unwrap();
                    document.anchor(&section);
                }
                Event::Start(Tag::CodeBlock(kind)) => {
                    let language = match kind {
                        CodeBlockKind::Fenced(language) => Some(language.to_string()),
                        CodeBlockKind::Indented => None,
                    };
                    let (line, text, section) = (line(range), String::new(), section.clone());
                    block = Some(Block { line, language, text, section });
                }
                Event::End(TagEnd::CodeBlock) => document.blocks.extend(block.take()),
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    document.links.push(Span { line: line(range), text: dest_url.to_string() });
                }
                Event::Text(text) => match (&mut block, &mut heading) {
                    (Some(block), _) => block.text.push_str(&text),
                    (None, Some(heading)) => heading.push_str(&text),
                    (None, None) => {}
                },
                Event::Code(text) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&text);
                    }
                    // A span may go over the end of a line, which counts as a space.
                    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
                    document.spans.push(Span { line: line(range), text });
                }
                _ => {}
            }
        }
        document
    }

    /// The anchor that GitHub makes of a heading: the second of two equal ones has a number.
    fn anchor(&mut self, heading: &str) {
        let word = |c: char| match c {
            ' ' => Some('-'),
            '-' | '_' => Some(c),
            _ => c.is_alphanumeric().then(|| c.to_ascii_lowercase()),
        };
        let anchor: String = heading.chars().filter_map(word).collect();
        let numbered = (1..).map(|number| format!("{anchor}-{number}"));
        let free = std::iter::once(anchor.clone()).chain(numbered).find(|anchor| !self.anchors.contains(anchor));
        self.anchors.extend(free);
    }
}

#[test]
fn a_document_is_read_as_readers_see_it() {
    let source = "# A `b` & c\n\n# A `b` & c\n\n1. text with `a\n   span` and [a link](<to (it).md#x>)\n\n       $ in a list\n\n\
                  ```sh\nfenced\n```\n";
    let document = Document::parse("a.md", source);
    assert_eq!(document.anchors, BTreeSet::from(["a-b--c".to_owned(), "a-b--c-1".to_owned()]));
    let spans: Vec<&str> = document.spans.iter().map(|span| span.text.as_str()).collect();
    assert_eq!((spans, document.links[0].text.as_str()), (vec!["b", "b", "a span"], "to (it).md#x"));
    let blocks: Vec<_> =
        document.blocks.iter().map(|block| (block.line, block.language.as_deref(), block.text.as_str())).collect();
    assert_eq!(blocks, [(8, None, "$ in a list\n"), (10, Some("sh"), "fenced\n")]);
}
