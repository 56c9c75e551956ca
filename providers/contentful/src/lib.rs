//! Contentful.
