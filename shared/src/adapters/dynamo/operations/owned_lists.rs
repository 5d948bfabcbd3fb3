//! Stores and reads lists of owned tables that are too long for a function's environment.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use thiserror::Error;

use crate::adapters::dynamo::batch::attributes;
use crate::adapters::dynamo::error::StoreError;
use crate::core::deletion::owned_list::ListName;
use crate::settings::deletion::OWNED_TABLES;
use crate::settings::variables::OPERATIONS_TABLE;

/// The attribute with the list.
const VALUE: &str = "value";

/// Why the list that `OWNED_TABLES` names cannot be used.
#[derive(Debug, Error)]
pub enum ListError {
    /// The Operations table cannot be read.
    #[error("the list of owned tables cannot be read from the Operations table: {0}")]
    Store(StoreError),
    /// The table has no list of this name.
    #[error(
        "OWNED_TABLES is {0}, but table {1} does not contain this list: check OPERATIONS_TABLE, or store the list \
         with `rollcall owned-tables FILE` and set the printed value"
    )]
    Missing(String, String),
    /// The list in the row is not the one of this name.
    #[error(
        "OWNED_TABLES is {0}, but the list in table {1} has been changed: store the list again with `rollcall \
         owned-tables FILE`"
    )]
    Changed(String, String),
}

/// A look-up in which `OWNED_TABLES` is the list itself: one request, and only if the list is in the Operations table.
///
/// # Errors
///
/// [`ListError`]. Without the list, a purge would leave rows behind.
pub async fn lookup<L>(settings: L, client: &Client) -> Result<impl Fn(&str) -> Option<String> + use<L>, ListError>
where
    L: Fn(&str) -> Option<String>,
{
    let list = match settings(OWNED_TABLES.name).as_deref().and_then(ListName::read) {
        // Without a table the settings are incomplete, and their reader reports that.
        Some(name) => match settings(OPERATIONS_TABLE.name) {
            // Boxed: it is seldom needed, and would make every future around it as large as the SDK's.
            Some(table) => Some(Box::pin(read(client, &table, &name)).await?),
            None => None,
        },
        None => None,
    };
    Ok(move |name: &str| match &list {
        Some(list) if name == OWNED_TABLES.name => Some(list.clone()),
        _ => settings(name),
    })
}

async fn read(client: &Client, table: &str, name: &ListName) -> Result<String, ListError> {
    let wanted = client.get_item().table_name(table).set_key(Some(attributes(&name.key()))).consistent_read(true);
    let item = wanted.send().await.map_err(|error| ListError::Store(StoreError::from_sdk(error)))?.item;
    let item = item.ok_or_else(|| ListError::Missing(name.setting(), table.to_owned()))?;
    let list = item.get(VALUE).and_then(|value| value.as_s().ok()).filter(|list| name.is_of(list));
    list.cloned().ok_or_else(|| ListError::Changed(name.setting(), table.to_owned()))
}

/// Stores a list. An existing list is written again.
///
/// # Errors
///
/// [`StoreError`].
pub async fn store(client: &Client, table: &str, list: &str) -> Result<ListName, StoreError> {
    let name = ListName::new(list);
    let mut item = attributes(&name.key());
    item.insert(VALUE.to_owned(), AttributeValue::S(list.to_owned()));
    client.put_item().table_name(table).set_item(Some(item)).send().await.map_err(StoreError::from_sdk)?;
    Ok(name)
}
