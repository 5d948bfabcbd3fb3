//! The names of the backups of one run, page by page: of a folder those of one user of one day, of a bucket those among
//! a thousand objects.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use aws_smithy_xml::decode::{Document, XmlDecodeError, try_data};

use super::backups::{BackupError, Backups};
use crate::core::deletion::backup_run::BackupRun;
use crate::settings::deletion::BackupPlace;

/// The remaining names.
pub struct BackupNames<'a> {
    backups: &'a Backups,
    run: BackupRun,
    place: Remaining,
}

enum Remaining {
    /// Nothing is read yet.
    All,
    /// The folders of days and of users of one day that are not read yet.
    Folders(Vec<PathBuf>, Option<fs::ReadDir>),
    /// The token of the next page of a bucket; nothing after the last page.
    Objects(Option<String>),
}

impl<'a> BackupNames<'a> {
    /// The names of the backups of this run.
    pub fn of(backups: &'a Backups, run: BackupRun) -> BackupNames<'a> {
        BackupNames { backups, run, place: Remaining::All }
    }

    /// The next names, in no order; nothing at the end.
    ///
    /// # Errors
    ///
    /// [`BackupError`].
    pub async fn next_page(&mut self) -> Result<Option<Vec<String>>, BackupError> {
        match self.backups.backup_place() {
            BackupPlace::Folder(folder) => Ok(self.next_files(Path::new(folder))?),
            BackupPlace::Bucket(_) => self.next_objects().await,
        }
    }

    fn next_files(&mut self, folder: &Path) -> io::Result<Option<Vec<String>>> {
        if let Remaining::All = self.place {
            self.place = Remaining::Folders(children(folder)?, None);
        }
        let Remaining::Folders(days, users) = &mut self.place else { return Ok(None) };
        loop {
            let Some(user) = users.as_mut().and_then(Iterator::next) else {
                let Some(day) = days.pop() else { return Ok(None) };
                *users = if day.is_dir() { Some(fs::read_dir(day)?) } else { None };
                continue;
            };
            let user = user?.path();
            if !user.is_dir() {
                continue;
            }
            let names =
                children(&user)?.into_iter().filter_map(|file| Some(file.strip_prefix(folder).ok()?.to_owned()));
            let names = names.filter_map(|name| name.to_str().map(str::to_owned));
            let mut names: Vec<String> = names.filter(|name| self.run.has(name)).collect();
            if !names.is_empty() {
                names.sort();
                return Ok(Some(names));
            }
        }
    }

    async fn next_objects(&mut self) -> Result<Option<Vec<String>>, BackupError> {
        loop {
            let token = match &mut self.place {
                Remaining::All => None,
                Remaining::Objects(Some(token)) => Some(std::mem::take(token)),
                Remaining::Objects(None) | Remaining::Folders(..) => return Ok(None),
            };
            let answer = self.backups.list(token.as_deref()).await?;
            let (names, next) = objects(&answer).map_err(|error| BackupError::Unlisted(error.into()))?;
            self.place = Remaining::Objects(next);
            let names: Vec<String> = names.into_iter().filter(|name| self.run.has(name)).collect();
            if !names.is_empty() {
                return Ok(Some(names));
            }
        }
    }
}

/// The entries of a folder; none of a folder that does not exist.
fn children(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(found) => found.map(|entry| entry.map(|entry| entry.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// The keys of an answer to `ListObjectsV2`, and the token of the next page.
fn objects(answer: &str) -> Result<(Vec<String>, Option<String>), XmlDecodeError> {
    let mut document = Document::new(answer);
    let mut root = document.root_element()?;
    let (mut names, mut token) = (Vec::new(), None);
    while let Some(mut tag) = root.next_tag() {
        match tag.start_el().local() {
            "Contents" => {
                while let Some(mut part) = tag.next_tag() {
                    if part.start_el().local() == "Key" {
                        names.push(try_data(&mut part)?.into_owned());
                    }
                }
            }
            "NextContinuationToken" => token = Some(try_data(&mut tag)?.into_owned()),
            _ => {}
        }
    }
    Ok((names, token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_and_the_token_of_a_listing_are_read() {
        let answer = "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
            <IsTruncated>true</IsTruncated><Contents><Key>a/b</Key><Size>1</Size></Contents>\
            <Contents><Size>1</Size><Key>a/&amp;</Key></Contents>\
            <NextContinuationToken>1+/=&amp;2</NextContinuationToken></ListBucketResult>";
        let expected = (vec!["a/b".to_owned(), "a/&".to_owned()], Some("1+/=&2".to_owned()));
        assert_eq!(objects(answer).unwrap(), expected);
        assert_eq!(objects("<ListBucketResult/>").unwrap(), (Vec::new(), None));
        assert!(objects("not xml").is_err());
    }
}
