//! Creates the tables of the local stack as `template.yaml` describes them.

use anyhow::{Context, bail};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::create_table::CreateTableError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, Projection, ProjectionType,
    StreamSpecification, StreamViewType, TimeToLiveSpecification, TimeToLiveStatus,
};
use serde::Deserialize;

use crate::template;

/// The names of the three tables.
#[derive(Clone, Debug)]
pub struct Tables {
    /// The copy of Clerk.
    pub directory: String,
    /// The application's own records.
    pub profiles: String,
    pub operations: String,
}

impl Default for Tables {
    fn default() -> Tables {
        Tables {
            directory: "rollcall-directory".to_owned(),
            profiles: "rollcall-profiles".to_owned(),
            operations: "rollcall-operations".to_owned(),
        }
    }
}

/// Creates the tables that do not exist yet.
///
/// # Errors
///
/// If DynamoDB rejects a table, or the description of a table in the template cannot be read.
pub async fn create(client: &Client, tables: &Tables) -> anyhow::Result<()> {
    for (resource, name) in [
        ("DirectoryTable", &tables.directory),
        ("ProfilesTable", &tables.profiles),
        ("OperationsTable", &tables.operations),
    ] {
        let described = describe(resource).with_context(|| format!("template.yaml, resource {resource}"))?;
        create_one(client, name, described).await.with_context(|| format!("creating table {name}"))?;
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Described {
    attribute_definitions: Vec<Attribute>,
    key_schema: Vec<Part>,
    #[serde(default)]
    global_secondary_indexes: Vec<Index>,
    stream_specification: Option<Stream>,
    time_to_live_specification: Option<TimeToLive>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Attribute {
    attribute_name: String,
    attribute_type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Part {
    attribute_name: String,
    key_type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Index {
    index_name: String,
    key_schema: Vec<Part>,
    projection: Projected,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Projected {
    projection_type: String,
    #[serde(default)]
    non_key_attributes: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Stream {
    stream_view_type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TimeToLive {
    attribute_name: String,
}

fn describe(resource: &str) -> anyhow::Result<Described> {
    let template = template::read()?;
    let properties = &template["Resources"][resource]["Properties"];
    if properties.is_null() {
        bail!("unknown resource");
    }
    Ok(serde_yaml_ng::from_value(properties.clone())?)
}

async fn create_one(client: &Client, name: &str, described: Described) -> anyhow::Result<()> {
    let mut request = client.create_table().table_name(name).billing_mode(BillingMode::PayPerRequest);
    for attribute in described.attribute_definitions {
        let kind = attribute.attribute_type.as_str().into();
        let definition = AttributeDefinition::builder().attribute_name(attribute.attribute_name).attribute_type(kind);
        request = request.attribute_definitions(definition.build()?);
    }
    request = request.set_key_schema(Some(key(described.key_schema)?));
    for index in described.global_secondary_indexes {
        let projection = Projection::builder()
            .projection_type(ProjectionType::from(index.projection.projection_type.as_str()))
            .set_non_key_attributes(Some(index.projection.non_key_attributes).filter(|names| !names.is_empty()));
        let index = GlobalSecondaryIndex::builder()
            .index_name(index.index_name)
            .set_key_schema(Some(key(index.key_schema)?))
            .projection(projection.build());
        request = request.global_secondary_indexes(index.build()?);
    }
    if let Some(stream) = described.stream_specification {
        let view = StreamViewType::from(stream.stream_view_type.as_str());
        let stream = StreamSpecification::builder().stream_enabled(true).stream_view_type(view);
        request = request.stream_specification(stream.build()?);
    }
    match request.send().await {
        Ok(_) => {}
        // The table exists from an earlier start.
        Err(error) if matches!(error.as_service_error(), Some(CreateTableError::ResourceInUseException(_))) => {
            return match described.time_to_live_specification {
                Some(_) => Ok(()),
                None => disable_time_to_live(client, name).await,
            };
        }
        Err(error) => return Err(error.into()),
    }
    if let Some(time_to_live) = described.time_to_live_specification {
        let specification =
            TimeToLiveSpecification::builder().enabled(true).attribute_name(time_to_live.attribute_name);
        client.update_time_to_live().table_name(name).time_to_live_specification(specification.build()?).send().await?;
    }
    Ok(())
}

/// Disables the time to live of a table that an earlier version created with one.
async fn disable_time_to_live(client: &Client, name: &str) -> anyhow::Result<()> {
    let described = client.describe_time_to_live().table_name(name).send().await?.time_to_live_description;
    let described = described.filter(|it| it.time_to_live_status == Some(TimeToLiveStatus::Enabled));
    let Some(attribute) = described.and_then(|it| it.attribute_name) else { return Ok(()) };
    let off = TimeToLiveSpecification::builder().enabled(false).attribute_name(attribute).build()?;
    client.update_time_to_live().table_name(name).time_to_live_specification(off).send().await?;
    Ok(())
}

fn key(parts: Vec<Part>) -> anyhow::Result<Vec<KeySchemaElement>> {
    let element = |part: Part| {
        Ok(KeySchemaElement::builder()
            .attribute_name(part.attribute_name)
            .key_type(part.key_type.as_str().into())
            .build()?)
    };
    parts.into_iter().map(element).collect()
}
