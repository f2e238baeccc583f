//! Operators, people, staff tokens.

use identity::change::Change;
use identity::operator::Operator;
use identity::person::Person;
use identity::token::{StaffToken, TokenHash};
use policy::actor::CITY;
use policy::role::Role;
use vocabulary::code::OperatorCode;
use vocabulary::id::{PersonId, TokenId};
use vocabulary::text::Personal;
use vocabulary::time::Instant;

use crate::commit::{CommitError, Plan, Table, row};
use crate::engine::{Statement, Value};
use crate::page::{Cursor, Key, Listing, Page};
use crate::rows::{Columns, ReadError, entities, entity, words};
use crate::store::{CityStore, TenantStore};

pub(crate) fn plan(plan: &mut Plan<'_>, change: &Change) -> Result<(), CommitError> {
    match change {
        Change::InsertOperator(operator) => plan_operator(plan, operator),
        Change::InsertPerson(person) => plan_person(plan, person),
        Change::InsertToken(token) => plan_new_token(plan, token),
        Change::UpdateToken(token) => plan_token(plan, token),
    }
}

fn plan_operator(plan: &mut Plan<'_>, operator: &Operator) -> Result<(), CommitError> {
    if plan.tenant.as_str() != CITY {
        return Err(CommitError::NotTheCity);
    }
    plan.one(
        row(Table::Operator, &operator.code),
        "INSERT INTO operator (code, name, registered_at, version) VALUES ($1, $2, $3, $4) \
         ON CONFLICT DO NOTHING",
        vec![
            operator.code.as_str().into(),
            operator.name.as_str().into(),
            operator.registered_at.into(),
            operator.version.into(),
        ],
    );
    Ok(())
}

fn plan_person(plan: &mut Plan<'_>, person: &Person) -> Result<(), CommitError> {
    plan.own(&person.operator)?;
    plan.one(
        row(Table::Person, person.id),
        "INSERT INTO person (operator, id, name, contact, reference, registered_at, version) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
        vec![
            person.operator.as_str().into(),
            person.id.as_bytes().into(),
            person.name.expose().into(),
            person.contact.as_ref().map(Personal::expose).into(),
            person.reference.as_ref().map(Personal::expose).into(),
            person.registered_at.into(),
            person.version.into(),
        ],
    );
    Ok(())
}

fn plan_new_token(plan: &mut Plan<'_>, token: &StaffToken) -> Result<(), CommitError> {
    plan.own(&token.operator)?;
    plan.one(
        row(Table::Token, token.id),
        "INSERT INTO staff_token \
         (id, operator, label, roles, hash, created_at, expires_at, revoked_at, version) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
        vec![
            token.id.as_bytes().into(),
            token.operator.as_str().into(),
            token.label.as_str().into(),
            words(token.roles.iter().map(Role::as_str)),
            token.hash.as_bytes().into(),
            token.created_at.into(),
            token.expires_at.into(),
            token.revoked_at.into(),
            token.version.into(),
        ],
    );
    Ok(())
}

/// What can change about a token is its end.
fn plan_token(plan: &mut Plan<'_>, token: &StaffToken) -> Result<(), CommitError> {
    plan.own(&token.operator)?;
    plan.one(
        row(Table::Token, token.id),
        "UPDATE staff_token SET expires_at = $1, revoked_at = $2, version = $3 \
         WHERE id = $4 AND operator = $5 AND version = $3 - 1",
        vec![
            token.expires_at.into(),
            token.revoked_at.into(),
            token.version.into(),
            token.id.as_bytes().into(),
            token.operator.as_str().into(),
        ],
    );
    Ok(())
}

fn operator(columns: &mut Columns) -> Option<Operator> {
    Some(Operator {
        code: columns.parse()?,
        name: columns.parse()?,
        registered_at: columns.take()?,
        version: columns.take()?,
    })
}

fn person(columns: &mut Columns) -> Option<Person> {
    Some(Person {
        id: columns.take()?,
        operator: columns.parse()?,
        name: columns.parse()?,
        contact: columns.parse_optional()?,
        reference: columns.parse_optional()?,
        registered_at: columns.take()?,
        version: columns.take()?,
    })
}

fn token(columns: &mut Columns) -> Option<StaffToken> {
    Some(StaffToken {
        id: columns.take()?,
        operator: columns.parse()?,
        label: columns.parse()?,
        roles: columns.words(|word| word.parse::<Role>().ok())?.into_iter().collect(),
        hash: TokenHash::from_bytes(columns.take()?),
        created_at: columns.take()?,
        expires_at: columns.take()?,
        revoked_at: columns.take()?,
        version: columns.take()?,
    })
}

impl CityStore {
    /// The operator with this code.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn operator(&self, code: &OperatorCode) -> Result<Option<Operator>, ReadError> {
        let sql = "SELECT code, name, registered_at, version FROM operator WHERE code = $1";
        let rows = self.engine().read(Statement::row(sql, vec![code.as_str().into()])).await?;
        entity(rows, Table::Operator, operator)
    }

    /// The operators by their codes.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn operators(&self, page: &Page) -> Result<Listing<Operator>, ReadError> {
        let sql = "SELECT code, name, registered_at, version FROM operator \
                   WHERE code > $1 ORDER BY code LIMIT $2";
        let values = vec![Cursor::text(page.after.as_ref()), page.size.and_one()];
        let rows = self.engine().read(Statement::page(sql, values)).await?;
        let items = entities(rows, Table::Operator, operator)?;
        Ok(Listing::of(items, page.size, |item| Key::Bytes(item.code.as_str().as_bytes())))
    }

    /// The token `id` of whatever operator: who presents one is not known before this.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn token(&self, id: TokenId) -> Result<Option<StaffToken>, ReadError> {
        let sql = "SELECT id, operator, label, roles, hash, created_at, expires_at, revoked_at, \
                   version FROM staff_token WHERE id = $1";
        let rows = self.engine().read(Statement::row(sql, vec![id.as_bytes().into()])).await?;
        entity(rows, Table::Token, token)
    }
}

const PERSON: &str = "SELECT id, operator, name, contact, reference, registered_at, version \
                      FROM person WHERE operator = $1 AND id = $2";
const PERSON_BY_REFERENCE: &str = "SELECT id, operator, name, contact, reference, registered_at, version \
     FROM person WHERE operator = $1 AND reference = $2";
const PEOPLE: &str = "SELECT id, operator, name, contact, reference, registered_at, version \
                      FROM person WHERE operator = $1 AND id > $2 ORDER BY id LIMIT $3";

impl TenantStore {
    /// The person `id`.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn person(&self, id: PersonId) -> Result<Option<Person>, ReadError> {
        let values = vec![self.tenant(), id.as_bytes().into()];
        let rows = self.engine().read(Statement::row(PERSON, values)).await?;
        entity(rows, Table::Person, person)
    }

    /// The person whom the operator's own books know by `reference`.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn person_by_reference(&self, reference: &str) -> Result<Option<Person>, ReadError> {
        let values = vec![self.tenant(), reference.into()];
        let rows = self.engine().read(Statement::row(PERSON_BY_REFERENCE, values)).await?;
        entity(rows, Table::Person, person)
    }

    /// The people by their identifiers, the first registered first.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn people(&self, page: &Page) -> Result<Listing<Person>, ReadError> {
        let values = vec![self.tenant(), Cursor::blob(page.after.as_ref()), page.size.and_one()];
        let rows = self.engine().read(Statement::page(PEOPLE, values)).await?;
        let items = entities(rows, Table::Person, person)?;
        Ok(Listing::of(items, page.size, |item| Key::Bytes(item.id.as_bytes())))
    }

    /// The token `id`.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn token(&self, id: TokenId) -> Result<Option<StaffToken>, ReadError> {
        let sql = "SELECT id, operator, label, roles, hash, created_at, expires_at, revoked_at, \
                   version FROM staff_token WHERE operator = $1 AND id = $2";
        let values = vec![self.tenant(), id.as_bytes().into()];
        let rows = self.engine().read(Statement::row(sql, values)).await?;
        entity(rows, Table::Token, token)
    }

    /// The tokens by their identifiers, the first made first.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn tokens(&self, page: &Page) -> Result<Listing<StaffToken>, ReadError> {
        let sql = "SELECT id, operator, label, roles, hash, created_at, expires_at, revoked_at, \
                   version FROM staff_token WHERE operator = $1 AND id > $2 ORDER BY id LIMIT $3";
        let values = vec![self.tenant(), Cursor::blob(page.after.as_ref()), page.size.and_one()];
        let rows = self.engine().read(Statement::page(sql, values)).await?;
        let items = entities(rows, Table::Token, token)?;
        Ok(Listing::of(items, page.size, |item| Key::Bytes(item.id.as_bytes())))
    }

    /// How many tokens have force at `now`.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn tokens_in_force(&self, now: Instant) -> Result<usize, ReadError> {
        let sql = "SELECT count(*) FROM staff_token \
                   WHERE operator = $1 AND revoked_at IS NULL AND expires_at > $2";
        let values: Vec<Value> = vec![self.tenant(), now.into()];
        self.count(sql, values, Table::Token).await
    }
}
