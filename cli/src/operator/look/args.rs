//! The options of `rollcall users`, `organizations` and `members`.

use clap::{ArgGroup, Args, Subcommand};
use rollcall::core::id::{AnyUserId, Kind, OrganizationId};
use rollcall::core::look::{Text, Which};

use super::SHOWN;
use crate::args::DeploymentArgs;

/// `rollcall users`.
#[derive(Debug, Subcommand)]
pub enum UsersCommand {
    /// List the users of the Directory
    #[command(after_help = "Examples:\n  rollcall users list --banned --stack rollcall\n  \
                            rollcall users list --json --stack rollcall | jq -r .email")]
    List(ListUsers),
    /// Show the row and the record of one user
    #[command(after_help = "Example:\n  rollcall users get user_2nNG9rEYQoliquKw5eHQ9eFeurU --stack rollcall")]
    Get(GetArgs),
    /// Find users by e-mail address or name, deleted ones included
    #[command(after_help = "Examples:\n  rollcall users find --email ada@example.com --stack rollcall\n  \
                            rollcall users find --name lovelace --stack rollcall")]
    Find(FindUsers),
}

/// `rollcall organizations`.
#[derive(Debug, Subcommand)]
pub enum OrganizationsCommand {
    /// List the organizations of the Directory
    #[command(after_help = "Example:\n  rollcall organizations list --stack rollcall")]
    List(ListOrganizations),
    /// Show the row of one organization
    #[command(after_help = "Example:\n  rollcall organizations get org_2nyiGxAxOOuSJqJjeif62e4qZfa --stack rollcall")]
    Get(GetArgs),
    /// Find organizations by name or slug, deleted ones included
    #[command(after_help = "Example:\n  rollcall organizations find --name acme --stack rollcall")]
    Find(FindOrganizations),
}

/// `rollcall members`.
#[derive(Debug, Subcommand)]
pub enum MembersCommand {
    /// List memberships: all, or those of one organization or of one user
    #[command(
        after_help = "Examples:\n  rollcall members list --organization org_2nyiGxAxOOuSJqJjeif62e4qZfa --stack \
                            rollcall\n  rollcall members list --user user_2nNG9rEYQoliquKw5eHQ9eFeurU --stack rollcall"
    )]
    List(ListMembers),
    /// Show the row and the record of one membership, named ORGANIZATION/USER
    #[command(after_help = "Example:\n  rollcall members get \
                            org_2nyiGxAxOOuSJqJjeif62e4qZfa/user_2nNG9rEYQoliquKw5eHQ9eFeurU --stack rollcall")]
    Get(GetArgs),
    /// Find the memberships of users by their e-mail address or name, deleted ones included
    #[command(after_help = "Example:\n  rollcall members find --email ada@example.com --stack rollcall")]
    Find(FindMembers),
}

impl UsersCommand {
    /// Whether the output is JSON.
    pub fn is_json(&self) -> bool {
        match self {
            UsersCommand::List(args) => args.page.json,
            UsersCommand::Get(args) => args.json,
            UsersCommand::Find(args) => args.page.json,
        }
    }
}

impl OrganizationsCommand {
    /// Whether the output is JSON.
    pub fn is_json(&self) -> bool {
        match self {
            OrganizationsCommand::List(args) => args.page.json,
            OrganizationsCommand::Get(args) => args.json,
            OrganizationsCommand::Find(args) => args.page.json,
        }
    }
}

impl MembersCommand {
    /// Whether the output is JSON.
    pub fn is_json(&self) -> bool {
        match self {
            MembersCommand::List(args) => args.page.json,
            MembersCommand::Get(args) => args.json,
            MembersCommand::Find(args) => args.page.json,
        }
    }
}

/// How much is shown, and how.
#[derive(Args, Clone, Debug)]
pub struct PageArgs {
    /// Show so many [default: 50; with --json: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// Show all
    #[arg(long, conflicts_with = "limit")]
    pub all: bool,
    /// Show what follows this entity: its id; for a membership ORGANIZATION/USER
    #[arg(long, value_name = "ID")]
    pub after: Option<String>,
    /// Print one JSON object on each line
    #[arg(long)]
    pub json: bool,
    /// The deployment to work on.
    #[command(flatten)]
    pub deployment: DeploymentArgs,
}

impl PageArgs {
    /// The number of entities to show; nothing for all.
    pub fn most(&self) -> Option<u64> {
        self.limit.or((!self.all && !self.json).then_some(SHOWN))
    }
}

/// `rollcall users get`, and the same for other kinds.
#[derive(Args, Debug)]
pub struct GetArgs {
    /// Its id: of a user Clerk's id or the internal id, of a membership ORGANIZATION/USER
    pub id: String,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// The deployment to work on.
    #[command(flatten)]
    pub deployment: DeploymentArgs,
}

/// `rollcall users list`.
#[derive(Args, Debug)]
pub struct ListUsers {
    /// Only deleted users (tombstones) instead of live ones
    #[arg(long)]
    pub deleted: bool,
    /// Only banned users
    #[arg(long, conflicts_with = "deleted")]
    pub banned: bool,
    /// Only users with this role in the application
    #[arg(long)]
    pub role: Option<String>,
    /// How much is shown.
    #[command(flatten)]
    pub page: PageArgs,
}

/// `rollcall organizations list`.
#[derive(Args, Debug)]
pub struct ListOrganizations {
    /// Only deleted organizations (tombstones) instead of live ones
    #[arg(long)]
    pub deleted: bool,
    /// How much is shown.
    #[command(flatten)]
    pub page: PageArgs,
}

/// `rollcall members list`.
#[derive(Args, Debug)]
pub struct ListMembers {
    /// Only memberships of this organization
    #[arg(long, value_name = "ID")]
    pub organization: Option<OrganizationId>,
    /// Only memberships of this user: Clerk's id or the internal id
    #[arg(long, value_name = "ID")]
    pub user: Option<AnyUserId>,
    /// Only this role in the organization, such as org:admin
    #[arg(long)]
    pub role: Option<String>,
    /// Only deleted memberships (tombstones) instead of live ones
    #[arg(long)]
    pub deleted: bool,
    /// How much is shown.
    #[command(flatten)]
    pub page: PageArgs,
}

/// `rollcall users find`.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("text").required(true).args(["email", "name"]))]
pub struct FindUsers {
    /// The primary e-mail address; upper and lower case are the same
    #[arg(long, value_name = "ADDRESS")]
    pub email: Option<String>,
    /// A part of the name or the user name; upper and lower case are the same
    #[arg(long, value_name = "TEXT")]
    pub name: Option<String>,
    /// How much is shown.
    #[command(flatten)]
    pub page: PageArgs,
}

/// `rollcall organizations find`.
#[derive(Args, Debug)]
pub struct FindOrganizations {
    /// A part of the name or the slug; upper and lower case are the same
    #[arg(long, value_name = "TEXT")]
    pub name: String,
    /// How much is shown.
    #[command(flatten)]
    pub page: PageArgs,
}

/// `rollcall members find`.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("text").required(true).args(["email", "name"]))]
pub struct FindMembers {
    /// The primary e-mail address of the user; upper and lower case are the same
    #[arg(long, value_name = "ADDRESS")]
    pub email: Option<String>,
    /// A part of the name or the user name; upper and lower case are the same
    #[arg(long, value_name = "TEXT")]
    pub name: Option<String>,
    /// Only memberships of this organization
    #[arg(long, value_name = "ID")]
    pub organization: Option<OrganizationId>,
    /// How much is shown.
    #[command(flatten)]
    pub page: PageArgs,
}

/// What `list` and `find` of all kinds have in common.
pub(super) struct Wanted {
    pub(super) kind: Kind,
    pub(super) which: Which,
    pub(super) banned: bool,
    pub(super) role: Option<String>,
    pub(super) organization: Option<OrganizationId>,
    pub(super) user: Option<AnyUserId>,
    pub(super) text: Option<Text>,
    pub(super) page: PageArgs,
}

impl Wanted {
    fn new(kind: Kind, deleted: bool, page: PageArgs) -> Wanted {
        let which = if deleted { Which::Deleted } else { Which::Live };
        Wanted { kind, which, banned: false, role: None, organization: None, user: None, text: None, page }
    }

    fn find(kind: Kind, email: Option<String>, name: Option<String>, page: PageArgs) -> Wanted {
        let text = email.map(Text::Email).or(name.map(Text::Name));
        Wanted { text, which: Which::Both, ..Wanted::new(kind, false, page) }
    }
}

impl From<ListUsers> for Wanted {
    fn from(ListUsers { deleted, banned, role, page }: ListUsers) -> Wanted {
        Wanted { banned, role, ..Wanted::new(Kind::User, deleted, page) }
    }
}

impl From<ListOrganizations> for Wanted {
    fn from(ListOrganizations { deleted, page }: ListOrganizations) -> Wanted {
        Wanted::new(Kind::Organization, deleted, page)
    }
}

impl From<ListMembers> for Wanted {
    fn from(ListMembers { organization, user, role, deleted, page }: ListMembers) -> Wanted {
        Wanted { organization, user, role, ..Wanted::new(Kind::Membership, deleted, page) }
    }
}

impl From<FindUsers> for Wanted {
    fn from(FindUsers { email, name, page }: FindUsers) -> Wanted {
        Wanted::find(Kind::User, email, name, page)
    }
}

impl From<FindOrganizations> for Wanted {
    fn from(FindOrganizations { name, page }: FindOrganizations) -> Wanted {
        Wanted::find(Kind::Organization, None, Some(name), page)
    }
}

impl From<FindMembers> for Wanted {
    fn from(FindMembers { email, name, organization, page }: FindMembers) -> Wanted {
        Wanted { organization, ..Wanted::find(Kind::Membership, email, name, page) }
    }
}
