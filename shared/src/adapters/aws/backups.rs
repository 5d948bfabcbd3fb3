//! Backups: what is removed is kept for a while, in a bucket or in a folder, one file for each piece of work.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::config::ProvideCredentials;
use reqwest::{RequestBuilder, StatusCode, Url};
use rusty_s3::actions::{GetObject, PutObject};
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};
use thiserror::Error;

use crate::adapters::backoff::backoff;
use crate::adapters::tls::HttpsClient;
use crate::core::millis::Millis;
use crate::settings::deletion::{BackupPlace, Removal};

/// How long S3 may take over a backup of a few megabytes.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long a signature holds, all attempts included.
const SIGNED_FOR: Duration = Duration::from_mins(5);
/// Attempts at a request to S3.
const MAX_ATTEMPTS: u32 = 4;
/// The largest file that is read as a backup, in bytes. One that was written holds a few megabytes of rows, and a page
/// more.
pub const MAX_READ: usize = 64 * 1024 * 1024;

/// A place for backups.
#[derive(Debug)]
pub struct Backups {
    place: BackupPlace,
    aws: SdkConfig,
    client: HttpsClient,
}

/// Why a backup cannot be written or read. Nothing is removed then.
#[derive(Debug, Error)]
pub enum BackupError {
    /// S3 does not answer.
    #[error("S3 cannot be reached")]
    Unreachable(#[source] Option<reqwest::Error>),
    /// S3 refuses, by its status.
    #[error("S3 rejected the backup with status {0}: check BACKUP_BUCKET and the permission to write to the bucket")]
    Refused(u16),
    /// There are no AWS credentials, no region, or no URL that they make.
    #[error("S3 cannot be used without {0}")]
    Without(&'static str),
    #[error("the backup folder cannot be used: check BACKUP_BUCKET")]
    Folder(#[from] io::Error),
    /// Larger than any backup.
    #[error("the file is larger than {} MB, the maximum size of a backup", MAX_READ / 1024 / 1024)]
    TooLarge,
    /// A row that cannot be written as a line.
    #[error("a row cannot be written to the backup")]
    Unwritable(#[source] serde_json::Error),
}

impl Backups {
    /// The backups at a place. `aws` says how a bucket is reached.
    pub fn at(place: BackupPlace, aws: &SdkConfig) -> Backups {
        Backups { place, aws: aws.clone(), client: HttpsClient::new(TIMEOUT) }
    }

    /// Those of the settings; nothing where nothing is ever removed.
    pub fn for_removal(removal: &Removal, aws: &SdkConfig) -> Option<Backups> {
        removal.backups.clone().map(|place| Backups::at(place, aws))
    }

    /// Where they are, for people.
    pub fn place(&self) -> String {
        match &self.place {
            BackupPlace::Bucket(bucket) => format!("s3://{bucket}"),
            BackupPlace::Folder(folder) => folder.clone(),
        }
    }

    /// Writes a backup. What is not written whole is not there.
    ///
    /// # Errors
    ///
    /// [`BackupError`].
    pub async fn keep(&self, name: &str, text: String) -> Result<(), BackupError> {
        match &self.place {
            BackupPlace::Folder(folder) => Ok(write(&Path::new(folder).join(name), &text)?),
            BackupPlace::Bucket(bucket) => {
                let (bucket, credentials) = self.bucket(bucket).await?;
                let url = PutObject::new(&bucket, Some(&credentials), name).sign(SIGNED_FOR);
                match self.send(self.client()?.put(url).body(text)).await? {
                    (status, _) if status.is_success() => Ok(()),
                    (status, _) => Err(BackupError::Refused(status.as_u16())),
                }
            }
        }
    }

    /// Reads a backup, [`MAX_READ`] bytes at most; nothing if there is none of that name.
    ///
    /// # Errors
    ///
    /// [`BackupError`].
    pub async fn read(&self, name: &str) -> Result<Option<Vec<u8>>, BackupError> {
        match &self.place {
            BackupPlace::Folder(folder) => read_file(&Path::new(folder).join(name)),
            BackupPlace::Bucket(bucket) => {
                let (bucket, credentials) = self.bucket(bucket).await?;
                let url = GetObject::new(&bucket, Some(&credentials), name).sign(SIGNED_FOR);
                match self.send(self.client()?.get(url)).await? {
                    (status, bytes) if status.is_success() => Ok(Some(bytes)),
                    (StatusCode::NOT_FOUND, _) => Ok(None),
                    (status, _) => Err(BackupError::Refused(status.as_u16())),
                }
            }
        }
    }

    /// Removes the backups in a folder that are older than so many days; a bucket's lifecycle does that by itself.
    /// Answers of how
    /// many days those were.
    ///
    /// # Errors
    ///
    /// [`BackupError`].
    pub fn expire(&self, now: Millis, days: u64) -> Result<u64, BackupError> {
        let BackupPlace::Folder(folder) = &self.place else { return Ok(0) };
        let first = now.get().saturating_sub(days * 24 * 60 * 60 * 1000);
        let first = Millis::try_from(i64::try_from(first).unwrap_or_default()).unwrap_or(Millis::ZERO).utc_date();
        let found = match fs::read_dir(folder) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(error.into()),
        };
        let mut expired = 0;
        for day in found {
            let day = day?;
            // Names of days sort as the days do. Nothing else in the folder is touched.
            let is_old = day.file_name().to_str().is_some_and(|name| is_day(name) && name < first.as_str());
            if is_old {
                fs::remove_dir_all(day.path())?;
                expired += 1;
            }
        }
        Ok(expired)
    }

    async fn bucket(&self, name: &str) -> Result<(Bucket, Credentials), BackupError> {
        let region = self.aws.region().ok_or(BackupError::Without("an AWS region"))?.to_string();
        let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        let endpoint = self.aws.endpoint_url();
        let url = endpoint.map_or_else(|| format!("https://s3.{region}.{domain}"), str::to_owned);
        // An emulator has no names of its own for buckets, and S3's certificate covers one label of them.
        let by_path = endpoint.is_some() || name.contains('.');
        let style = if by_path { UrlStyle::Path } else { UrlStyle::VirtualHost };
        let url: Url = url.parse().map_err(|_| BackupError::Without("a URL"))?;
        let bucket = Bucket::new(url, style, name.to_owned(), region).map_err(|_| BackupError::Without("a URL"))?;
        let provider = self.aws.credentials_provider().ok_or(BackupError::Without("AWS credentials"))?;
        let found = provider.provide_credentials().await.map_err(|_| BackupError::Without("AWS credentials"))?;
        let (key, secret) = (found.access_key_id(), found.secret_access_key());
        let credentials = match found.session_token() {
            None => Credentials::new(key, secret),
            Some(token) => Credentials::new_with_token(key, secret, token),
        };
        Ok((bucket, credentials))
    }

    fn client(&self) -> Result<&reqwest::Client, BackupError> {
        self.client.get().map_err(|error| BackupError::Unreachable(Some(error)))
    }

    /// Sends a request again as long as the failure may pass. The URL is left out of errors: it is signed.
    async fn send(&self, request: RequestBuilder) -> Result<(StatusCode, Vec<u8>), BackupError> {
        let mut attempts = 1;
        loop {
            // The body is shared by all attempts.
            let again = request.try_clone().ok_or(BackupError::Unreachable(None))?;
            match answer(again).await {
                Ok((status, bytes)) if !status.is_server_error() && status != StatusCode::TOO_MANY_REQUESTS => {
                    return Ok((status, bytes.ok_or(BackupError::TooLarge)?));
                }
                Ok(_) if attempts == MAX_ATTEMPTS => return Err(BackupError::Unreachable(None)),
                Err(error) if attempts == MAX_ATTEMPTS => {
                    return Err(BackupError::Unreachable(Some(error.without_url())));
                }
                Ok(_) | Err(_) => backoff(attempts + 2).await,
            }
            attempts += 1;
        }
    }
}

/// An answer's status and body; no body if it is larger than any backup.
async fn answer(request: RequestBuilder) -> Result<(StatusCode, Option<Vec<u8>>), reqwest::Error> {
    let mut answer = request.send().await?;
    let (status, mut bytes) = (answer.status(), Vec::new());
    while let Some(some) = answer.chunk().await? {
        if bytes.len() + some.len() > MAX_READ {
            return Ok((status, None));
        }
        bytes.extend_from_slice(&some);
    }
    Ok((status, Some(bytes)))
}

/// Reads a backup in a file, [`MAX_READ`] bytes at most; nothing if there is no such file.
///
/// # Errors
///
/// [`BackupError`].
pub fn read_file(path: &Path) -> Result<Option<Vec<u8>>, BackupError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut bytes = Vec::new();
    let most = u64::try_from(MAX_READ).unwrap_or(u64::MAX);
    if file.take(most + 1).read_to_end(&mut bytes)? > MAX_READ {
        return Err(BackupError::TooLarge);
    }
    Ok(Some(bytes))
}

/// Writes a file for its owner alone, under its name only once it is whole.
fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let part: PathBuf = path.with_extension("part");
    let mut file: File = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&part, path)
}

/// Whether it is a day, as `2026-11-21`.
fn is_day(name: &str) -> bool {
    name.len() == 10
        && name
            .bytes()
            .enumerate()
            .all(|(at, byte)| if at == 4 || at == 7 { byte == b'-' } else { byte.is_ascii_digit() })
}
