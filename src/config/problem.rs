//! What is wrong with a file, and where.

use std::fmt;
use std::sync::Arc;

/// A line and a column of the file, both counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub line: u32,
    pub column: u32,
}

/// Something that the operator has to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub file: Arc<str>,
    /// None: it concerns the file as a whole.
    pub place: Option<Place>,
    pub message: String,
}

/// Something that is allowed and probably not meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning(pub Problem);

/// Every problem of a file, in the order of its lines; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errors(Vec<Problem>);

impl Errors {
    pub(super) fn of_file(file: &str, message: String) -> Self {
        Self(vec![Problem { file: file.into(), place: None, message }])
    }

    pub fn problems(&self) -> &[Problem] {
        &self.0
    }
}

impl std::error::Error for Errors {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Some(Place { line, column }) => write!(f, "{}:{line}:{column}: {}", self.file, self.message),
            None => write!(f, "{}: {}", self.file, self.message),
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

/// Gathers what is found while a file is read, so that all of it is told at once.
#[derive(Debug, Default)]
pub(super) struct Report {
    errors: Vec<(Place, String)>,
    warnings: Vec<(Place, String)>,
}

impl Report {
    pub fn error(&mut self, at: Place, message: impl Into<String>) {
        self.errors.push((at, message.into()));
    }

    pub fn warn(&mut self, at: Place, message: impl Into<String>) {
        self.warnings.push((at, message.into()));
    }

    /// The value and the warnings, or every error.
    pub fn conclude<T>(self, file: &str, value: Option<T>) -> Result<(T, Vec<Warning>), Errors> {
        let file: Arc<str> = file.into();
        let mut errors = problems(&file, self.errors);
        match value {
            Some(value) if errors.is_empty() => {
                let warnings = problems(&file, self.warnings).into_iter().map(Warning).collect();
                Ok((value, warnings))
            }
            _ => {
                if errors.is_empty() {
                    // Who gives up without a word has a flaw, and the file is still not to be used.
                    let message = "the file could not be read, for a reason that was not noted".to_owned();
                    errors.push(Problem { file, place: None, message });
                }
                Err(Errors(errors))
            }
        }
    }
}

fn problems(file: &Arc<str>, mut found: Vec<(Place, String)>) -> Vec<Problem> {
    found.sort();
    found.dedup();
    found
        .into_iter()
        .map(|(place, message)| Problem { file: file.clone(), place: Some(place), message })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_told_in_the_order_of_the_file_and_once() {
        let mut report = Report::default();
        report.error(Place { line: 9, column: 1 }, "later");
        report.error(Place { line: 2, column: 7 }, "sooner");
        report.error(Place { line: 9, column: 1 }, "later");
        let errors = report.conclude("gateway.yaml", Some(())).unwrap_err();
        assert_eq!(errors.to_string(), "gateway.yaml:2:7: sooner\ngateway.yaml:9:1: later");
    }

    #[test]
    fn nothing_to_show_is_never_a_success() {
        assert!(Report::default().conclude::<()>("gateway.yaml", None).is_err());
    }
}
