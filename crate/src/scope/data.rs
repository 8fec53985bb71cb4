//! The data that the application sets on a run: the user, tags, contexts, breadcrumbs and so on.
//!
//! Each run has one [`Data`]. It is made when the application sets something for the first
//! time, and the outermost of the run's scopes keeps it. Only the functions that set data refer
//! to these types, so a Worker that calls none of them does not link this code.

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::error::Error;
use std::rc::Rc;

use sentry_core::protocol::{Map, Value};

use super::{Contribute, Said, Scope};
use crate::item::breadcrumb::{Breadcrumb, Trail};
use crate::item::draft::{Details, MAX_TAGS, tag, tag_key};
use crate::item::json::Given;
use crate::item::value::{Room, name, object, remove};

/// Contexts beyond this one are dropped.
const MAX_CONTEXTS: usize = 32;
/// Values of `extra` beyond this one are dropped.
const MAX_EXTRA: usize = 32;

/// One change of the application. `None` removes the value.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Tag(String, Option<String>),
    User(Option<Map<String, Value>>),
    Context(String, Option<Map<String, Value>>),
    Extra(String, Option<Value>),
    Fingerprint(Vec<String>),
    Level(Option<&'static str>),
    Forget,
    ForgetBreadcrumbs,
}

/// All data that the application has set on a run.
#[derive(Debug, Default)]
pub(crate) struct Data {
    tags: BTreeMap<String, String>,
    user: Option<Value>,
    contexts: BTreeMap<String, Map<String, Value>>,
    extra: BTreeMap<String, Value>,
    fingerprint: Vec<String>,
    level: Option<&'static str>,
    trail: Trail,
}

impl Data {
    fn apply(&mut self, change: Change) {
        match change {
            Change::Tag(key, Some(value)) => {
                if let Some((key, value)) = tag(&key, &value)
                    && (self.tags.len() < MAX_TAGS || self.tags.contains_key(&key))
                {
                    self.tags.insert(key, value);
                }
            }
            Change::Tag(key, None) => remove(&mut self.tags, &tag_key(&key)),
            Change::User(user) => {
                self.user = user.map(|user| object(Room::new().object(user)));
            }
            Change::Context(key, values) => {
                let values = values.map(|values| Room::new().object(values));
                set(&mut self.contexts, MAX_CONTEXTS, key, values);
            }
            Change::Extra(key, value) => {
                let value = value.map(|value| Room::new().value(value));
                set(&mut self.extra, MAX_EXTRA, key, value);
            }
            Change::Fingerprint(parts) => self.fingerprint = parts,
            Change::Level(level) => self.level = level,
            Change::Forget => *self = Data::default(),
            Change::ForgetBreadcrumbs => self.trail = Trail::default(),
        }
    }
}

/// Sets or removes an entry of a map that has at most `most` entries.
fn set<V>(map: &mut BTreeMap<String, V>, most: usize, key: String, value: Option<V>) {
    let key = name(key);
    match value {
        None => remove(map, &key),
        Some(value) if map.len() < most || map.contains_key(&key) => {
            map.insert(key, value);
        }
        Some(_) => {}
    }
}

/// Data of the event's own report is not changed.
impl Contribute for RefCell<Data> {
    fn contribute(&self, details: &mut Details, said: &Said, _: Option<&(dyn Error + 'static)>) {
        let Ok(data) = self.try_borrow() else {
            return;
        };
        let own: Vec<String> = details.tags.iter().map(|(key, _)| tag_key(key)).collect();
        for (key, value) in &data.tags {
            if !own.contains(key) {
                details.tags.push((key.clone(), value.clone()));
            }
        }
        for (name, values) in &data.contexts {
            if said.contains(name) {
                continue;
            }
            let Some(context) = details.context(name) else {
                continue;
            };
            for (key, value) in values {
                if !context.contains_key(key) {
                    context.insert(key.clone(), value.clone());
                }
            }
        }
        if details.user.is_none() {
            details.user = data.user.clone().map(Given::from);
        }
        if details.extra.is_none() && !data.extra.is_empty() {
            details.extra = Some(object(data.extra.clone()).into());
        }
        if details.breadcrumbs.is_none() && !data.trail.is_empty() {
            let trail = serde_json::to_value(&data.trail);
            details.breadcrumbs = trail.ok().map(Given::from);
        }
        if details.fingerprint.is_empty() {
            details.fingerprint = data.fingerprint.clone();
        }
        details.level = details.level.or(data.level);
    }
}

impl Scope {
    /// The value of type `T` that all scopes of the run share. It is made if there is none yet.
    ///
    /// The outermost scope keeps the value, so that a wrapper inside another one, a Workflow's
    /// step and work in the background use the same value.
    pub(crate) fn shared<T: Contribute + Default>(&self) -> Option<Rc<T>> {
        let outermost = self.outwards().last()?;
        if let Some(known) = outermost.own() {
            return Some(known);
        }
        let mut contributions = outermost.kept().contributions.try_borrow_mut().ok()?;
        let made = Rc::new(T::default());
        contributions.push(Rc::clone(&made) as _);
        Some(made)
    }

    /// The value of type `T` that this scope itself keeps.
    pub(super) fn own<T: Contribute>(&self) -> Option<Rc<T>> {
        let contributions = self.kept.get()?.contributions.try_borrow().ok()?;
        contributions.iter().find_map(|it| {
            let it: Rc<dyn Any> = Rc::clone(it) as _;
            it.downcast().ok()
        })
    }

    /// Applies changes to this run's data. The data is borrowed meanwhile, so no code of the
    /// application may run.
    pub(crate) fn say(&self, changes: Vec<Change>) {
        self.with_data(|data| changes.into_iter().for_each(|it| data.apply(it)));
    }

    /// Adds a breadcrumb to this run.
    pub(crate) fn leave_breadcrumb(&self, breadcrumb: Breadcrumb, at_ms: f64) {
        self.with_data(|data| data.trail.push(breadcrumb, at_ms));
    }

    fn with_data(&self, change: impl FnOnce(&mut Data)) {
        let Some(data) = self.shared::<RefCell<Data>>() else {
            return;
        };
        if let Ok(mut data) = data.try_borrow_mut() {
            change(&mut data);
        }
    }
}
