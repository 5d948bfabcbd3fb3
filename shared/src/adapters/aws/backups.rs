//! Backups of removed rows: one file per batch, in an S3 bucket or a folder.

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

/// The time limit for a backup of a few megabytes in S3.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long a signature is valid, for all attempts together.
const SIGNED_FOR: Duration = Duration::from_mins(5);
/// Attempts at a request to S3.
const MAX_ATTEMPTS: u32 = 4;
/// The largest file that is read as a backup, in bytes. Rollcall's own backups contain a few megabytes of rows and one
/// page.
pub const MAX_READ: usize = 64 * 1024 * 1024;

/// A bucket or a folder for backups.
#[derive(Debug)]
pub struct Backups {
    place: BackupPlace,
    aws: SdkConfig,
    client: HttpsClient,
}

/// Why a backup cannot be written or read. In that case nothing is removed.
#[derive(Debug, Error)]
pub enum BackupError {
    /// S3 does not respond.
    #[error("S3 cannot be reached")]
    Unreachable(#[source] Option<reqwest::Error>),
    /// S3 rejected the request with this status.
    #[error("S3 rejected the backup with status {0}: check BACKUP_BUCKET and the permission to write to the bucket")]
    Rejected(u16),
    /// S3 rejected a request for the names of the backups with this status.
    #[error(
        "S3 rejected the list of the backups with status {0}: check BACKUP_BUCKET and the permission s3:ListBucket"
    )]
    Unlistable(u16),
    /// S3's list of the backups cannot be read.
    #[error("S3's list of the backups cannot be read")]
    Unlisted(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// There are no AWS credentials, no region, or no valid URL.
    #[error("S3 cannot be used without {0}")]
    Without(&'static str),
    #[error("the backup folder cannot be used: check BACKUP_BUCKET")]
    Folder(#[from] io::Error),
    /// Larger than any backup.
    #[error("the file is larger than {} MB, the maximum size of a backup", MAX_READ / 1024 / 1024)]
    TooLarge,
    /// A row cannot be written as a line.
    #[error("a row cannot be written to the backup")]
    Unwritable(#[source] serde_json::Error),
}

impl Backups {
    /// The backups in this bucket or folder. `aws` configures the access to a bucket.
    pub fn at(place: BackupPlace, aws: &SdkConfig) -> Backups {
        Backups { place, aws: aws.clone(), client: HttpsClient::new(TIMEOUT) }
    }

    /// The backups that the settings name; nothing if the deletion policy removes nothing.
    pub fn for_removal(removal: &Removal, aws: &SdkConfig) -> Option<Backups> {
        removal.backups.clone().map(|place| Backups::at(place, aws))
    }

    /// The bucket or the folder, for messages.
    pub fn place(&self) -> String {
        match &self.place {
            BackupPlace::Bucket(bucket) => format!("s3://{bucket}"),
            BackupPlace::Folder(folder) => folder.clone(),
        }
    }

    /// Writes a backup: the whole file, or no file.
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
                    (status, _) => Err(BackupError::Rejected(status.as_u16())),
                }
            }
        }
    }

    /// Reads a backup, [`MAX_READ`] bytes at most; nothing if it does not exist.
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
                    (status, _) => Err(BackupError::Rejected(status.as_u16())),
                }
            }
        }
    }

    /// The bucket or the folder.
    pub(super) fn backup_place(&self) -> &BackupPlace {
        &self.place
    }

    /// S3's list of a thousand objects of the bucket behind `token`, as XML; empty for a folder.
    pub(super) async fn list(&self, token: Option<&str>) -> Result<String, BackupError> {
        let BackupPlace::Bucket(bucket) = &self.place else { return Ok(String::new()) };
        let (bucket, credentials) = self.bucket(bucket).await?;
        // A request for the bucket itself with this parameter is `ListObjectsV2`.
        let mut action = GetObject::new(&bucket, Some(&credentials), "");
        action.query_mut().insert("list-type", "2");
        if let Some(token) = token {
            action.query_mut().insert("continuation-token", token);
        }
        match self.send(self.client()?.get(action.sign(SIGNED_FOR))).await? {
            (status, bytes) if status.is_success() => {
                String::from_utf8(bytes).map_err(|error| BackupError::Unlisted(error.into()))
            }
            (status, _) => Err(BackupError::Unlistable(status.as_u16())),
        }
    }

    /// Removes the backups in a folder that are older than so many days, and returns the number of removed days. In a
    /// bucket, the lifecycle rule does that.
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
            // Names of days sort chronologically. Other files in the folder stay.
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
        // An emulator has no host names for buckets, and S3's certificate covers only one label.
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

    /// Repeats a request while the failure may be temporary. The URL is left out of errors: it contains the signature.
    async fn send(&self, request: RequestBuilder) -> Result<(StatusCode, Vec<u8>), BackupError> {
        let mut attempts = 1;
        loop {
            // All attempts share the body.
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

/// The status and the body of a response; no body if it is larger than any backup.
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

/// Reads a backup from a file, [`MAX_READ`] bytes at most; nothing if the file does not exist.
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

/// Writes a file that only its owner may read. The file gets its name only after it is complete.
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

/// Whether this is a day, such as `2026-11-21`.
fn is_day(name: &str) -> bool {
    name.len() == 10
        && name
            .bytes()
            .enumerate()
            .all(|(at, byte)| if at == 4 || at == 7 { byte == b'-' } else { byte.is_ascii_digit() })
}
