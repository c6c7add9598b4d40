//! Values of a document, each with its place, so that an error can name it.

use serde_json::Value;

#[cfg(test)]
mod tests;

/// Above this a number is no measurement of anything here.
const MOST: f64 = 1e15;

/// A value, and where it is.
#[derive(Clone, Debug)]
pub(super) struct Node<'a> {
    value: &'a Value,
    /// The file, and the path in it.
    file: &'a str,
    path: String,
}

/// A value that is not what it should be. Names the file and the place.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("{file}: {path}{}{what}", if .path.is_empty() { "" } else { ": " })]
pub(super) struct Misfit {
    file: String,
    path: String,
    what: String,
}

impl<'a> Node<'a> {
    /// A whole document.
    pub(super) fn root(value: &'a Value, file: &'a str) -> Self {
        Self { value, file, path: String::new() }
    }

    /// An error at this place.
    pub(super) fn misfit(&self, what: impl Into<String>) -> Misfit {
        Misfit { file: self.file.to_owned(), path: self.path.clone(), what: what.into() }
    }

    /// The field `name`, unless it is missing or null.
    pub(super) fn maybe(&self, name: &str) -> Option<Self> {
        let value = self.value.get(name).filter(|value| !value.is_null())?;
        let path = match self.path.is_empty() {
            true => name.to_owned(),
            false => format!("{}.{name}", self.path),
        };
        Some(Self { value, file: self.file, path })
    }

    /// The field `name`.
    pub(super) fn field(&self, name: &str) -> Result<Self, Misfit> {
        self.maybe(name).ok_or_else(|| self.misfit(format!("there is no `{name}`")))
    }

    /// A string.
    pub(super) fn text(&self) -> Result<&'a str, Misfit> {
        self.value.as_str().ok_or_else(|| self.misfit("not a string"))
    }

    /// A measured value: not negative, and not beyond all measure.
    pub(super) fn number(&self) -> Result<f64, Misfit> {
        match self.value.as_f64() {
            // Without the sign that a zero may have.
            Some(value @ 0.0..=MOST) => Ok(value.abs()),
            Some(value) => Err(self.misfit(format!("{value} cannot have been measured"))),
            None => Err(self.misfit("not a number")),
        }
    }

    /// A whole number.
    pub(super) fn count(&self) -> Result<u64, Misfit> {
        self.number()?;
        self.value.as_u64().ok_or_else(|| self.misfit("not a whole number"))
    }

    /// The values of an array.
    pub(super) fn items(&self) -> Result<Vec<Self>, Misfit> {
        let values = self.value.as_array().ok_or_else(|| self.misfit("not an array"))?;
        let item =
            |(at, value)| Self { value, file: self.file, path: format!("{}[{at}]", self.path) };
        Ok(values.iter().enumerate().map(item).collect())
    }

    /// The strings of an array.
    pub(super) fn texts(&self) -> Result<Vec<String>, Misfit> {
        self.items()?.iter().map(|item| item.text().map(str::to_owned)).collect()
    }

    /// The samples in the field `name`: as many as the field `n` says, and at least one.
    pub(super) fn samples(&self, name: &str) -> Result<Vec<f64>, Misfit> {
        let (n, node) = (self.field("n")?.count()?, self.field(name)?);
        let samples = node.items()?.iter().map(Self::number).collect::<Result<Vec<_>, _>>()?;
        match samples.len() as u64 {
            0 => Err(node.misfit("there are no samples")),
            found if found != n => Err(node.misfit(format!("{found} samples, and `n` says {n}"))),
            _ => Ok(samples),
        }
    }
}
