//! That memory does not grow with the file: a generated file is never read further ahead than a few buffers and a row.

use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::source::Source;
use super::{Format, Options, Reader};

/// A file that exists only while it is read: `head`, `row` again and again, `tail`.
struct Generated {
    parts: Box<dyn Iterator<Item = Arc<[u8]>> + Send>,
    current: Arc<[u8]>,
    at: usize,
    read: Arc<AtomicUsize>,
}

impl Read for Generated {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.current.len() {
            self.current = self.parts.next().unwrap_or_default();
            self.at = 0;
        }
        let count = buffer.len().min(self.current.len() - self.at);
        buffer[..count].copy_from_slice(&self.current[self.at..self.at + count]);
        self.at += count;
        self.read.fetch_add(count, Ordering::Relaxed);
        Ok(count)
    }
}

/// A format, and the head, row and tail of a file of it.
type Shape = (Format, Vec<u8>, Vec<u8>, Vec<u8>);

fn shapes() -> Vec<Shape> {
    let text = "x".repeat(500);
    let bson = bson::doc! { "_id": bson::oid::ObjectId::from_bytes([7; 12]), "text": &text };
    let columns = || vec!["a".to_owned(), "b".to_owned()];
    let shape = |format, head: &str, row: String, tail: &str| (format, head.into(), row.into_bytes(), tail.into());
    vec![
        shape(
            Format::Recognised,
            "",
            format!("{{\"a\":{{\"$oid\":\"64b0000000000000000000b1\"}},\"b\":\"{text}\"}}\n"),
            "",
        ),
        shape(Format::Recognised, "[{\"a\":0}", format!(",{{\"a\":[1,2,3],\"b\":\"{text}\"}}"), "]"),
        shape(Format::Recognised, "", format!("{{\n  \"b\": \"{text}\"\n}}\n"), ""),
        shape(Format::Recognised, "", format!("{{\"Item\":{{\"b\":{{\"S\":\"{text}\"}}}}}}\n"), ""),
        shape(Format::Recognised, "{\"Items\":[{\"b\":{\"S\":\"\"}}", format!(",{{\"b\":{{\"S\":\"{text}\"}}}}"), "]}"),
        shape(Format::Csv { delimiter: b',' }, "a,b\n", format!("1,\"{text}\n{text}\"\n"), ""),
        shape(Format::Copy { columns: Some(columns()) }, "", format!("1\t{text}\n"), "\\.\n"),
        shape(Format::PgDump { table: "t".to_owned() }, "COPY t (a, b) FROM stdin;\n", format!("1\t{text}\n"), "\\.\n"),
        // All rows are another table's.
        shape(
            Format::PgDump { table: "t".to_owned() },
            "COPY u (a, b) FROM stdin;\n",
            format!("1\t{text}\n"),
            "\\.\nCOPY t (a) FROM stdin;\n\\.\n",
        ),
        (Format::Recognised, Vec::new(), bson.to_vec().unwrap_or_default(), Vec::new()),
    ]
}

/// Reads files of `bytes` bytes, and answers with the most bytes that were read but not yet handed out.
fn most_ahead(bytes: usize) -> usize {
    let mut most = 0;
    for (format, head, row, tail) in shapes() {
        let count = bytes / row.len();
        let size = head.len() + count * row.len() + tail.len();
        let row: Arc<[u8]> = row.into();
        let rows = std::iter::repeat_n(row, count);
        let parts = Box::new(
            std::iter::once(head.into())
                .chain(rows)
                .chain(std::iter::once(tail.into()))
                .filter(|part: &Arc<[u8]>| !part.is_empty()),
        );
        let read = Arc::new(AtomicUsize::new(0));
        let generated = Generated { parts, current: Arc::default(), at: 0, read: read.clone() };
        let path = Path::new("generated");
        let options = Options { format, ..Options::default() };
        let mut reader =
            Reader::new(Source::new(Box::new(generated), path, options.row_limit), path, &options).unwrap();
        let mut rows = 0;
        while let Some(row) = reader.next().unwrap() {
            let done = usize::try_from(row.place.byte).unwrap() + row.source.len();
            most = most.max(read.load(Ordering::Relaxed) - done);
            rows += 1;
        }
        assert!(rows >= count || matches!(options.format, Format::PgDump { .. }), "{rows} rows of {count}");
        assert_eq!(read.load(Ordering::Relaxed), size);
    }
    most
}

#[test]
fn a_file_is_read_a_few_buffers_ahead() {
    let most = most_ahead(1_000_000);
    assert!(most < 200_000, "{most} bytes");
}

/// The peak of the whole process, which is larger than that of this test if others run beside it.
#[test]
#[ignore = "reads 2 GB: run it alone, with --release"]
fn two_hundred_megabytes_of_each_format_need_little_memory() {
    let most = most_ahead(200_000_000);
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: usize = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(most < 200_000 && peak < 20_000, "{most} bytes ahead, {peak} kB at the peak");
}
