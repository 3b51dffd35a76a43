//! An application as one OCI image, in the layout that Spin gives it.
//!
//! [`Image`] makes one of a manifest: the code of every component with its dependencies composed, each once, and the
//! [`locked`] application, which names them by digest. It holds no clock and no machine, so that the same sources give
//! the same digest. [`Registry`] pushes and pulls it with the [`credentials`] of the usual file, and [`Pulled`] gives out
//! what is needed of it, every byte held against its digest. Files of components are not put into images, nor
//! taken from them, and neither are credential helpers asked.

pub mod blobs;
pub mod credentials;
pub mod layout;
pub mod locked;
mod make;
mod registry;

pub use make::Image;
pub use registry::{Pulled, Registry, looks_like_reference};
