//! What was typed: one table of the file, asked for its settings by name.
//!
//! The file is read by hand from the parser's spans and not through `serde`, for three promises that a derived
//! reader does not keep: all faults are found in one run, each with its line; a value is quoted only by a
//! caller that knows it to be no secret; and a name of a later version is told from a spelling mistake.

use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::errors::{Findings, Position};
use super::names::{Table, nearest};

/// A value and where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed<T> {
    pub(super) value: T,
    pub(super) at: Position,
}

impl<T> Placed<T> {
    fn with<U>(&self, value: U) -> Placed<U> {
        Placed { value, at: self.at }
    }
}

/// One table, as it was typed.
#[derive(Debug)]
pub(super) struct Section<'a> {
    /// The heading with the operator's own name, `signers.web`.
    heading: String,
    names: &'static Table,
    /// Where the table begins.
    pub(super) at: Position,
    entries: Option<&'a DeTable<'a>>,
    asked: Vec<&'static str>,
}

impl<'a> Section<'a> {
    /// The file as a whole.
    pub(super) fn document(entries: &'a DeTable<'a>, names: &'static Table) -> Self {
        Self { heading: String::new(), names, at: Position(0), entries: Some(entries), asked: Vec::new() }
    }

    /// The table `name` within this one; an empty one where it was left out.
    pub(super) fn table(
        &mut self,
        name: &'static str,
        names: &'static Table,
        findings: &mut Findings,
    ) -> Section<'a> {
        let placed = self.find(name);
        let at = placed.map_or(self.at, |placed| placed.at);
        let entries = placed.and_then(|placed| self.as_table(name, placed, findings));
        let heading = self.heading_of(name);
        Section { heading, names, at, entries, asked: Vec::new() }
    }

    /// The tables within the table `name`, by the names that the operator gave them.
    pub(super) fn tables(
        &mut self,
        name: &'static str,
        names: &'static Table,
        findings: &mut Findings,
    ) -> Vec<(&'a str, Section<'a>)> {
        let entries = self.find(name).and_then(|placed| self.as_table(name, placed, findings));
        let mut sections = Vec::new();
        for (key, value) in entries.into_iter().flatten() {
            let (key, at) = (key.get_ref().as_ref(), Position(key.span().start));
            let Some(entries) = value.get_ref().as_table() else {
                findings.fault(at, format!("{name}.{key} must be a table, as [{name}.NAME]"));
                continue;
            };
            let heading = format!("{name}.{key}");
            sections.push((key, Section { heading, names, at, entries: Some(entries), asked: Vec::new() }));
        }
        sections
    }

    /// The heading with the operator's own name, `signers.web`.
    pub(super) fn heading(&self) -> &str {
        &self.heading
    }

    /// The same table, now that what it said before tells which names it knows.
    pub(super) fn told(self, names: &'static Table) -> Self {
        Self { names, ..self }
    }

    /// Whether `name` was written, soundly or not.
    pub(super) fn says(&self, name: &str) -> bool {
        self.entries.is_some_and(|entries| entries.contains_key(name))
    }

    /// Whether the table was written at all.
    pub(super) fn is_present(&self) -> bool {
        self.entries.is_some()
    }

    /// A text.
    pub(super) fn text(&mut self, name: &'static str, findings: &mut Findings) -> Option<Placed<&'a str>> {
        let placed = self.find(name)?;
        let text = placed.value.as_str();
        if text.is_none() {
            findings.fault(placed.at, format!("{name} must be a text in quotes"));
        }
        Some(placed.with(text?))
    }

    /// A text that `read` understands; `rule` follows "must be".
    pub(super) fn parsed<T>(
        &mut self,
        name: &'static str,
        rule: &str,
        findings: &mut Findings,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<Placed<T>> {
        let text = self.text(name, findings)?;
        let value = read(text.value);
        if value.is_none() {
            findings.fault(text.at, format!("{name} {:?} must be {rule}", text.value));
        }
        Some(text.with(value?))
    }

    /// A text, or a bare date and time, that `read` understands.
    pub(super) fn time<T>(
        &mut self,
        name: &'static str,
        rule: &str,
        findings: &mut Findings,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<Placed<T>> {
        let placed = self.find(name)?;
        let text = match placed.value {
            DeValue::String(text) => text.to_string(),
            DeValue::Datetime(time) => time.to_string(),
            _ => {
                findings.fault(placed.at, format!("{name} must be {rule}"));
                return None;
            }
        };
        let value = read(&text);
        if value.is_none() {
            findings.fault(placed.at, format!("{name} {text:?} must be {rule}"));
        }
        Some(placed.with(value?))
    }

    /// Yes or no; where it was left out, no.
    pub(super) fn flag(&mut self, name: &'static str, findings: &mut Findings) -> Placed<bool> {
        self.flag_said(name, findings).unwrap_or(Placed { value: false, at: self.at })
    }

    /// Yes or no, where either was said.
    pub(super) fn flag_said(&mut self, name: &'static str, findings: &mut Findings) -> Option<Placed<bool>> {
        let placed = self.find(name)?;
        let flag = placed.value.as_bool();
        if flag.is_none() {
            findings.fault(placed.at, format!("{name} must be true or false, without quotes"));
        }
        Some(placed.with(flag.unwrap_or(false)))
    }

    /// A whole number in `range`.
    pub(super) fn number(
        &mut self,
        name: &'static str,
        range: RangeInclusive<u64>,
        findings: &mut Findings,
    ) -> Option<Placed<u64>> {
        let placed = self.find(name)?;
        let number = as_number(placed.value).filter(|number| range.contains(number));
        if number.is_none() {
            let (least, most) = (range.start(), range.end());
            findings.fault(placed.at, format!("{name} must be a whole number from {least} to {most}"));
        }
        Some(placed.with(number?))
    }

    /// A whole number, or a text that `read` understands.
    pub(super) fn number_or(
        &mut self,
        name: &'static str,
        rule: &str,
        findings: &mut Findings,
        read: impl FnOnce(&str) -> Option<u64>,
    ) -> Option<Placed<u64>> {
        let placed = self.find(name)?;
        let number = match placed.value {
            DeValue::String(text) => read(text),
            value => as_number(value),
        };
        if number.is_none() {
            let typed = placed.value.as_str().map_or_else(String::new, |text| format!(" {text:?}"));
            findings.fault(placed.at, format!("{name}{typed} must be {rule}"));
        }
        Some(placed.with(number?))
    }

    /// A list of texts with at least one in it, each with its place, and where the list stands.
    pub(super) fn texts(
        &mut self,
        name: &'static str,
        findings: &mut Findings,
    ) -> Option<Placed<Vec<Placed<&'a str>>>> {
        let placed = self.find(name)?;
        let Some(items) = placed.value.as_array().filter(|items| !items.is_empty()) else {
            findings.fault(placed.at, format!("{name} must be a list of at least one text, as [\"…\"]"));
            return None;
        };
        let mut texts = Vec::new();
        for item in items.iter() {
            let at = Position(item.span().start);
            match item.get_ref().as_str() {
                Some(value) => texts.push(Placed { value, at }),
                None => findings.fault(at, format!("{name} must be a list of texts")),
            }
        }
        Some(placed.with(texts))
    }

    /// Faults every name that no setting has, and every setting that this version does not enforce.
    pub(super) fn finish(self, findings: &mut Findings) {
        debug_assert!(
            self.names.enforced.iter().all(|name| self.asked.contains(name)),
            "{} is read without {:?}",
            self.names.heading,
            self.names.enforced.iter().find(|name| !self.asked.contains(name)),
        );
        for key in self.entries.into_iter().flat_map(|entries| entries.keys()) {
            let (name, at) = (key.get_ref().as_ref(), Position(key.span().start));
            if !self.names.enforced.contains(&name) {
                findings.fault(at, self.refusal(name));
            }
        }
    }

    fn refusal(&self, name: &str) -> String {
        if self.names.later.contains(&name) {
            return format!("{name} is not enforced by this version; remove it");
        }
        let file = format!("{name}_file");
        if self.names.enforced.contains(&file.as_str()) {
            return format!("{name} is a secret and never stands inline; write it to a file and say {file}");
        }
        let wanted = match nearest(name, self.names.enforced.iter().copied()).as_slice() {
            [one] => format!("did you mean {one}?"),
            several => format!("it knows {}", several.join(", ")),
        };
        let place = if self.heading.is_empty() { "the file" } else { &self.heading };
        format!("unknown name {name:?} in {place}; {wanted}")
    }

    /// The heading of the table `name` within this one.
    fn heading_of(&self, name: &str) -> String {
        if self.heading.is_empty() { name.to_owned() } else { format!("{}.{name}", self.heading) }
    }

    fn as_table(
        &self,
        name: &str,
        placed: Placed<&'a DeValue<'a>>,
        findings: &mut Findings,
    ) -> Option<&'a DeTable<'a>> {
        let entries = placed.value.as_table();
        if entries.is_none() {
            let heading = self.heading_of(name);
            findings.fault(placed.at, format!("{name} must be a table, as [{heading}]"));
        }
        entries
    }

    fn find(&mut self, name: &'static str) -> Option<Placed<&'a DeValue<'a>>> {
        debug_assert!(self.names.enforced.contains(&name), "{name} is no name of {}", self.names.heading);
        self.asked.push(name);
        let (key, value): (_, &Spanned<_>) = self.entries?.get_key_value(name)?;
        Some(Placed { value: value.get_ref(), at: Position(key.span().start) })
    }
}

/// A whole number from 0 to 2^63-1.
fn as_number(value: &DeValue<'_>) -> Option<u64> {
    let integer = value.as_integer()?;
    let number = u64::from_str_radix(integer.as_str(), integer.radix()).ok()?;
    i64::try_from(number).is_ok().then_some(number)
}
