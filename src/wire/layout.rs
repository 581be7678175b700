//! A structure of the grammar, laid out as one version has it on the wire.

use super::definition::{Field, FieldKind};

/// A structure as one version has it.
pub(super) struct Layout {
    pub steps: Vec<Step>,
    /// The known tagged fields that end it; `None` if the version is not flexible.
    pub tags: Option<Vec<KnownTag>>,
    /// How many bytes it takes at least, whatever stands in it.
    pub bytes_min: usize,
}

/// A tagged field the grammar knows; a version that may not have it has no step for it.
pub(super) struct KnownTag {
    pub tag: u32,
    pub step: Option<Step>,
}

/// What comes next on the wire.
pub(super) enum Step {
    /// A run of fields of fixed size.
    Skip {
        bytes: usize,
    },
    Text {
        nullable: bool,
    },
    Blob {
        nullable: bool,
    },
    Structure {
        nullable: bool,
        layout: Layout,
    },
    /// An array of fields of fixed size.
    Fixed {
        nullable: bool,
        bytes_each: usize,
    },
    Texts {
        nullable: bool,
    },
    Blobs {
        nullable: bool,
    },
    Structures {
        nullable: bool,
        layout: Layout,
    },
}

impl Layout {
    pub fn new(fields: &[Field], version: i16, compact: bool) -> Self {
        let mut steps: Vec<Step> = Vec::new();
        let mut tags = Vec::new();
        for field in fields {
            let present = field.versions.contains(version);
            if let Some((tagged, tag)) = field.tagged {
                let is_tagged = present && tagged.contains(version);
                if is_tagged || !present {
                    let step = is_tagged.then(|| Step::new(field, version, compact));
                    tags.push(KnownTag { tag, step });
                    continue;
                }
            }
            if present {
                match (steps.last_mut(), Step::new(field, version, compact)) {
                    (Some(Step::Skip { bytes }), Step::Skip { bytes: more }) => *bytes += more,
                    (_, step) => steps.push(step),
                }
            }
        }
        let bytes_min =
            steps.iter().map(|step| step.bytes_min(compact)).sum::<usize>() + usize::from(compact);
        Self { steps, tags: compact.then_some(tags), bytes_min }
    }
}

impl Step {
    fn new(field: &Field, version: i16, compact: bool) -> Self {
        let nullable = field.nullable.contains(version);
        let bytes_fixed = match field.kind {
            FieldKind::Int { bytes } => bytes,
            FieldKind::Float64 => 8,
            FieldKind::Uuid => 16,
            FieldKind::Text if field.array => return Self::Texts { nullable },
            FieldKind::Text => return Self::Text { nullable },
            FieldKind::Blob if field.array => return Self::Blobs { nullable },
            FieldKind::Blob => return Self::Blob { nullable },
            FieldKind::Struct => {
                let layout = Layout::new(&field.fields, version, compact);
                return if field.array {
                    Self::Structures { nullable, layout }
                } else {
                    Self::Structure { nullable, layout }
                };
            }
        };
        if field.array {
            Self::Fixed { nullable, bytes_each: bytes_fixed }
        } else {
            Self::Skip { bytes: bytes_fixed }
        }
    }

    fn bytes_min(&self, compact: bool) -> usize {
        match self {
            Self::Skip { bytes } => *bytes,
            Self::Structure { nullable: true, .. } => 1,
            Self::Structure { layout, .. } => layout.bytes_min,
            _ if compact => 1,
            Self::Text { .. } => TEXT_LENGTH_BYTES,
            _ => LONG_LENGTH_BYTES,
        }
    }
}

/// A string's length before the compact encoding.
pub(super) const TEXT_LENGTH_BYTES: usize = 2;
/// The length of anything else, or an array's count, before the compact encoding.
pub(super) const LONG_LENGTH_BYTES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::fuzzing::each_message;
    use crate::wire::shape::grammar;

    /// No element takes less than a byte, or a count could promise work that no byte pays for.
    #[test]
    fn no_element_is_free() {
        fn check(layout: &Layout) {
            let tagged = layout.tags.iter().flatten().filter_map(|known| known.step.as_ref());
            for step in layout.steps.iter().chain(tagged) {
                match step {
                    Step::Structures { layout, .. } => {
                        assert!(layout.bytes_min > 0);
                        check(layout);
                    }
                    Step::Structure { layout, .. } => check(layout),
                    _ => {}
                }
            }
        }
        each_message(|key, direction, version| {
            let definition = grammar().definition(key, direction).unwrap();
            check(&Layout::new(&definition.fields, version, definition.flexible.contains(version)));
        });
    }
}
