//! `list` and `find`: print the wanted rows page by page. Nothing is kept in memory but the rows of one table.

use std::collections::BTreeMap;

use anyhow::bail;
use rollcall::core::id::{Key, Kind};
use rollcall::core::look::{Filter, Seen, SeenState, Text, at_position, position};
use rollcall::services::operator::look::{LookError, parents};
use serde_json::Value;

use super::args::Wanted;
use super::{LookContext, columns, still_read};
use crate::operator::deployment::Environment;
use crate::operator::progress::Progress;
use crate::operator::text::{counted, moment, plural, printable, texts};
use crate::operator::{Screen, note};
use crate::{Status, Usage};
use rollcall::core::millis::Millis;

/// The rows of one table on a terminal. More rows are printed as several tables.
const TABLE: usize = 500;
/// The rows that are asked for if all are wanted.
const ALL: usize = 1_000;

/// What was shown so far.
struct Output<'a> {
    context: &'a LookContext,
    kind: Kind,
    json: bool,
    most: Option<u64>,
    columns: Option<u16>,
    /// The rows that are not printed yet.
    rows: Vec<Seen>,
    shown: u64,
    /// The rows among them that the functions cannot read whole.
    unreadable: u64,
    /// The position after the last row, if more rows follow it.
    next: Option<String>,
    /// Whether the reader has closed the pipe.
    is_closed: bool,
}

impl Output<'_> {
    /// Takes the rows of a page. Returns whether further rows are needed.
    async fn take(&mut self, rows: Vec<Seen>) -> anyhow::Result<bool> {
        for seen in rows {
            if self.most.is_some_and(|most| self.shown >= most) {
                // Only to know that there is one more.
                self.next = self.rows.last().map(|last| position(&last.key)).or(self.next.take());
                return Ok(false);
            }
            self.shown += 1;
            self.unreadable += u64::from(!seen.is_whole());
            self.rows.push(if self.json { seen } else { seen.slim() });
            if self.rows.len() >= TABLE {
                // The last one stays for the position after it.
                self.print(1).await?;
            }
        }
        if self.json {
            self.print(1).await?;
        }
        Ok(!self.is_closed)
    }

    /// How many rows are still needed, and one more.
    fn needed(&self) -> usize {
        let left = self.most.map(|most| most.saturating_sub(self.shown) + 1);
        left.and_then(|left| usize::try_from(left).ok()).map_or(ALL, |left| left.min(ALL))
    }

    /// Prints the rows, except the last `kept`.
    async fn print(&mut self, kept: usize) -> anyhow::Result<()> {
        let kept = self.rows.split_off(self.rows.len().saturating_sub(kept));
        let rows = std::mem::replace(&mut self.rows, kept);
        if rows.is_empty() {
            return Ok(());
        }
        let text = if self.json {
            rows.iter().map(|seen| line(seen).to_string()).collect::<Vec<_>>().join("\n")
        } else {
            self.table(&rows).await?
        };
        self.is_closed |= !still_read(text)?;
        Ok(())
    }

    async fn table(&self, rows: &[Seen]) -> anyhow::Result<String> {
        let (header, lines): (&[&str], Vec<Vec<String>>) = match self.kind {
            Kind::User => {
                (&["user", "name", "e-mail address", "role", "state", "updated"], rows.iter().map(user).collect())
            }
            Kind::Organization => {
                (&["organization", "name", "slug", "state", "updated"], rows.iter().map(organization).collect())
            }
            Kind::Membership => {
                let parents = self.context.look.parents(rows).await.map_err(|error| self.context.store(&error))?;
                let lines = rows.iter().map(|seen| membership(seen, &parents)).collect();
                (&["membership", "role", "user", "e-mail address", "organization", "state"], lines)
            }
        };
        Ok(texts(header, &lines, self.columns))
    }
}

/// Lists the wanted entities.
pub(super) async fn run(wanted: Wanted, environment: Environment, screen: &Screen) -> anyhow::Result<Status> {
    let context = LookContext::open(&wanted.page.deployment, environment).await?;
    let Wanted { kind, which, banned, role, organization, user, text, page } = wanted;
    let user = user.map(|user| user.internal(&context.look.instance));
    let filter = Filter { kind, which, banned, role, organization, user, text };
    let mut from = None;
    if let Some(after) = &page.after {
        let Some(key) = at_position(kind, after, &context.look.instance) else {
            bail!(Usage("--after expects ORGANIZATION/USER for memberships".to_owned()));
        };
        from = Some(key);
    }
    let mut output = Output {
        context: &context,
        kind,
        json: page.json,
        most: page.most(),
        columns: columns(),
        rows: Vec::new(),
        shown: 0,
        unreadable: 0,
        next: None,
        is_closed: false,
    };
    let read = if kind == Kind::Membership && filter.text.is_some() {
        find_memberships(&context, &filter, from, &mut output, screen).await?
    } else {
        rows(&context, &filter, from, &mut output, screen).await?
    };
    output.print(0).await?;
    if output.shown == 0 && page.after.is_none() {
        return nothing(&context, &filter, page.json, read).await;
    }
    if !page.json && !output.is_closed {
        let last = conclusion(&output, kind);
        if !last.is_empty() {
            still_read(format_args!("\n{last}"))?;
        }
    }
    Ok(if output.unreadable > 0 { Status::Left } else { Status::Done })
}

/// Shows the progress of a search that takes more than one page.
fn progress<'a>(screen: &Screen, json: bool, shown: &'a mut Option<Progress>) -> &'a Progress {
    shown.get_or_insert_with(|| Progress::start(screen, !json))
}

async fn rows(
    context: &LookContext,
    filter: &Filter,
    mut from: Option<Key>,
    output: &mut Output<'_>,
    screen: &Screen,
) -> anyhow::Result<u64> {
    let (mut read, mut shown) = (0, None);
    loop {
        let page = context.look.page(filter, from.as_ref(), output.needed()).await;
        let page = page.map_err(|error| context.explain(error))?;
        read += page.read;
        from = page.next;
        if !output.take(page.rows).await? || from.is_none() {
            return Ok(read);
        }
        progress(screen, output.json, &mut shown).say("reading the Directory", &counted(read, "row"));
    }
}

/// The memberships of the users with a name or an address. The position is that of a membership: users before it are
/// skipped by their key, because a scan goes on behind any key.
async fn find_memberships(
    context: &LookContext,
    filter: &Filter,
    after: Option<Key>,
    output: &mut Output<'_>,
    screen: &Screen,
) -> anyhow::Result<u64> {
    let users = Filter { kind: Kind::User, organization: None, ..filter.clone() };
    let (mut read, mut shown, mut from) = (0, None, None);
    if let Some(after) = after {
        // The rest of the user in whose memberships the position is.
        let of_user = Filter { user: user_of(&after), text: None, ..filter.clone() };
        let [user, _] = parents(&after);
        if of_user.user.is_some() {
            let mut of = Some(after);
            while let Some(position) = of.take() {
                let page = context.look.page(&of_user, Some(&position), output.needed()).await;
                let page = page.map_err(|error| context.explain(error))?;
                if !output.take(page.rows).await? {
                    return Ok(read);
                }
                of = page.next;
            }
        }
        from = Some(user);
    }
    loop {
        let page = context.look.page(&users, from.as_ref(), ALL).await.map_err(|error| context.explain(error))?;
        read += page.read;
        for user in &page.rows {
            let of_user = Filter { user: user_of(&user.key), text: None, ..filter.clone() };
            if of_user.user.is_none() {
                continue;
            }
            let mut of = None;
            loop {
                let page = context.look.page(&of_user, of.as_ref(), output.needed()).await;
                let page = page.map_err(|error| context.explain(error))?;
                if !output.take(page.rows).await? {
                    return Ok(read);
                }
                of = page.next;
                if of.is_none() {
                    break;
                }
            }
        }
        from = page.next;
        if from.is_none() {
            return Ok(read);
        }
        progress(screen, output.json, &mut shown).say("reading the Directory", &counted(read, "row"));
    }
}

fn user_of(key: &Key) -> Option<rollcall::core::id::InternalId> {
    key.pk.split_once('#').and_then(|(_, id)| id.parse().ok())
}

/// The text if there is no row. A search without a result also has its own exit status.
async fn nothing(context: &LookContext, filter: &Filter, json: bool, read: u64) -> anyhow::Result<Status> {
    if !context.look.knows_parents(filter).await.map_err(|error| context.store(&error))? {
        return Err(context.explain(LookError::Unknown));
    }
    let kinds = plural(filter.kind);
    match &filter.text {
        Some(text) => {
            let what = match text {
                Text::Email(_) => "this e-mail address",
                Text::Name(_) => "this text in a name",
            };
            let mirror =
                if context.look.mirror { "" } else { ". MIRROR=off: look for live users in Clerk's dashboard" };
            bail!("no {kinds} with {what} among {} of the Directory{mirror}", counted(read, "row"))
        }
        None if json => {}
        None => note(format_args!("No {kinds}.")),
    }
    Ok(Status::Done)
}

fn conclusion(output: &Output<'_>, kind: Kind) -> String {
    let mut sentences = Vec::new();
    if let Some(next) = &output.next {
        sentences.push(format!(
            "{} shown; there are more: pass `--after '{}'` or `--all`.",
            counted(output.shown, kind.name()),
            printable(next)
        ));
    }
    if output.unreadable > 0 {
        sentences.push(format!(
            "{} cannot be read whole: see \"Rows that cannot be read\" in docs/runbook.md.",
            counted(output.unreadable, "row")
        ));
    }
    sentences.join(" ")
}

/// The row as it is stored, with its state in a word.
fn line(seen: &Seen) -> Value {
    let mut row = seen.row.clone();
    row.insert("state".to_owned(), seen.state().name().into());
    if !seen.unreadable.is_empty() {
        row.insert("unreadable".to_owned(), seen.unreadable.clone().into());
    }
    row.into()
}

fn text(seen: &Seen, name: &str) -> String {
    seen.text(name).map(printable).unwrap_or_default()
}

/// Its id; for a row that cannot be read, its key.
fn id(seen: &Seen) -> String {
    match seen.state() {
        SeenState::Unreadable => printable(&format!("{} {}", seen.key.pk, seen.key.sk)),
        _ => printable(&seen.id()),
    }
}

fn state(seen: &Seen) -> String {
    let is_banned = seen.state() == SeenState::Live && seen.row.get("banned") == Some(&Value::Bool(true));
    let mut words = vec![if is_banned { "banned" } else { seen.state().name() }];
    if !seen.unreadable.is_empty() {
        words.push("partly unreadable");
    }
    words.join(", ")
}

/// Clerk's time of the last change, or that of the deletion.
fn updated(seen: &Seen) -> String {
    let at = seen.item.as_ref().and_then(|item| item.deleted_at.or(item.updated_at));
    at.filter(|at| *at > Millis::ZERO).map(moment).unwrap_or_default()
}

fn user(seen: &Seen) -> Vec<String> {
    vec![id(seen), text(seen, "name"), text(seen, "email"), text(seen, "role"), state(seen), updated(seen)]
}

fn organization(seen: &Seen) -> Vec<String> {
    vec![id(seen), text(seen, "name"), text(seen, "slug"), state(seen), updated(seen)]
}

fn membership(seen: &Seen, rows: &BTreeMap<Key, Seen>) -> Vec<String> {
    let [user, organization] = parents(&seen.key).map(|key| rows.get(&key));
    let of = |parent: Option<&Seen>, name: &str| parent.map(|parent| text(parent, name)).unwrap_or_default();
    let is_gone = |parent: Option<&Seen>| parent.is_some_and(|parent| parent.state() == SeenState::Deleted);
    let state = match seen.state() {
        // Readers treat it as deleted, before any cascade has run.
        SeenState::Live if is_gone(user) => "live, but its user is deleted".to_owned(),
        SeenState::Live if is_gone(organization) => "live, but its organization is deleted".to_owned(),
        _ => state(seen),
    };
    vec![id(seen), text(seen, "role"), of(user, "name"), of(user, "email"), of(organization, "name"), state]
}
