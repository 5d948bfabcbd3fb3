//! The schemas of the document: those of the types, completed by what serde's attributes and the projection leave out.

use rollcall::core::account::authorization::{Authorization, Because};
use rollcall::core::account::members::{Member, Page};
use rollcall::core::account::visibility::{FOR_ALL, FOR_MEMBERS};
use rollcall::core::ensure::decide::Ensured;
use rollcall::core::mirror::item::SHOWN;
use rollcall::core::mirror::projection::{Membership, Organization, User};
use rollcall::core::problem::ProblemBody;
use rollcall::services::account::me::{Me, OrganizationOfCaller};
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(components(schemas(
    Authorization,
    Because,
    Ensured,
    Me,
    Member,
    Membership,
    Organization,
    OrganizationOfCaller,
    Page,
    ProblemBody<'_>,
    User
)))]
struct Types;

/// Types whose members are always there, null included.
const COMPLETE: [&str; 6] = ["Authorization", "Ensured", "Me", "Member", "MemberPage", "OrganizationOfCaller"];
/// Types that leave out what is absent: nothing of them is null. Of a placeholder only these are known.
const SPARSE: [(&str, &[&str]); 4] = [
    ("User", &["id", "clerk_user_id", "name", "role"]),
    ("Organization", &["organization_id"]),
    ("Membership", &["organization_id", "clerk_user_id"]),
    ("Problem", &["type", "title", "status", "detail", "code", "request_id"]),
];

pub(super) fn all() -> Map<String, Value> {
    let document = serde_json::to_value(Types::openapi()).unwrap();
    let mut schemas = document["components"]["schemas"].as_object().unwrap().clone();
    let mut problem = schemas.remove("ProblemBody").unwrap();
    problem["description"] = "Why a request was not answered (RFC 9457). It has no personal data.".into();
    problem["properties"]["pointer"] = json!({ "type": "string", "description":
        "Where in the body the problem is: a JSON pointer (RFC 6901)" });
    problem["properties"]["clerk_error"] = json!({ "type": "object", "description":
        "Clerk's hint that the user must verify the first factor again" });
    schemas.insert("Problem".to_owned(), problem);
    for name in COMPLETE {
        let all: Vec<String> = schemas[name]["properties"].as_object().unwrap().keys().cloned().collect();
        schemas[name]["required"] = all.into();
    }
    for (name, required) in SPARSE {
        for (_, property) in schemas[name]["properties"].as_object_mut().unwrap() {
            strip_null(property);
        }
        schemas[name]["required"] = json!(required);
    }
    for name in ["User", "Organization", "Membership"] {
        let properties = schemas[name]["properties"].as_object_mut().unwrap();
        properties.retain(|name, _| SHOWN.contains(&name.as_str()));
        for (time, what) in
            [("created_at", "Clerk's time of creation"), ("updated_at", "Clerk's time of the last change")]
        {
            let description = format!("{what}, Unix ms");
            properties.insert(
                time.to_owned(),
                json!({ "type": "integer", "format": "int64", "minimum": 0, "description": description }),
            );
        }
        properties.insert(
            "public_metadata".to_owned(),
            json!({ "type": ["object", "string"], "description":
            "Clerk's public metadata; JSON text if DynamoDB cannot hold them as a map" }),
        );
    }
    let subset = |names: &[&str], description: &str| {
        let all = schemas["User"]["properties"].as_object().unwrap();
        let some: Map<String, Value> = all
            .iter()
            .filter(|(name, _)| names.contains(&name.as_str()))
            .map(|(name, it)| (name.clone(), it.clone()))
            .collect();
        json!({ "type": "object", "description": description, "required": ["id", "clerk_user_id", "name"], "properties": some })
    };
    let of_member = subset(&FOR_MEMBERS, "A user as other members of an organization see one");
    let in_brief = subset(&FOR_ALL, "A user as every signed-in user sees one (USER_VISIBILITY=signed-in)");
    schemas.insert("UserOfMember".to_owned(), of_member);
    schemas.insert("UserInBrief".to_owned(), in_brief);
    schemas["Member"]["properties"]["user"] = json!({ "$ref": "#/components/schemas/UserOfMember" });
    for (_, schema) in &mut schemas {
        if schema["properties"].is_object() {
            schema["additionalProperties"] = false.into();
        }
    }
    schemas.insert(
        "VisibleUser".to_owned(),
        json!({ "description": "A user, as far as the caller may see", "anyOf": [
        { "$ref": "#/components/schemas/User" },
        { "$ref": "#/components/schemas/UserOfMember" },
        { "$ref": "#/components/schemas/UserInBrief" },
    ] }),
    );
    schemas.insert("Record".to_owned(), json!({ "type": "object", "additionalProperties": true,
        "description": "The application's record of a user or of a membership. Rollcall sets `user_id`, `organization_id`, \
            `created_at` and `profile_version`; everything else is the application's" }));
    schemas.insert(
        "Outcome".to_owned(),
        json!({ "type": "object", "required": ["outcome"], "additionalProperties": false,
        "properties": { "outcome": { "type": "string" } } }),
    );
    schemas
}

fn strip_null(property: &mut Value) {
    if let Some(types) = property["type"].as_array() {
        let types: Vec<Value> = types.iter().filter(|one| **one != "null").cloned().collect();
        property["type"] = if let [one] = types.as_slice() { one.clone() } else { types.into() };
    }
    if let Some(variants) = property["oneOf"].as_array() {
        let others: Vec<Value> = variants.iter().filter(|one| one["type"] != "null").cloned().collect();
        if let [one] = others.as_slice() {
            *property = one.clone();
        }
    }
}
