//! Gateway module for any conformant Gateway API implementation, by its standard fields.
