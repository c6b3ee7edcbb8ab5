//! Why a set of CRDs cannot be used.

use std::path::PathBuf;

use crate::object::GroupKind;

/// Why a set of CRDs cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// A file or folder cannot be read.
    #[error("cannot read {}: {source}; check that it exists and that you may read it", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file is no YAML, or exceeds the budget of the parser.
    #[error("{} is no readable YAML: {message}; fetch the file again from the release of its project", path.display())]
    Yaml {
        /// The file.
        path: PathBuf,
        /// What the parser said, with line and column.
        message: String,
    },
    /// A `CustomResourceDefinition` lacks what makes it one.
    #[error("{origin}: CRD `{name}`: {reason}; fetch it again from the release of its project")]
    InvalidCrd {
        /// The file, or `cluster`.
        origin: String,
        /// `metadata.name`, or empty.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// Two CRDs define the same group and kind.
    #[error("{group_kind} is defined twice, in {first} and in {second}; keep one of the two")]
    Duplicate {
        /// The group and kind.
        group_kind: GroupKind,
        /// Where it is defined first.
        first: String,
        /// Where it is defined again.
        second: String,
    },
    /// A folder has no CRD at all.
    #[error("{} has no CRD in a .yaml, .yml or .json file; name the folder that holds them", path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
    },
}
