//! Files that phones download, through the `object_store` crate: a folder now, object stores of the cloud later.

use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use std::error::Error as _;
use std::path::Path;
use std::sync::Arc;
use tocsin_domain::ports::PortError;

/// What file systems take. No longer name exists, and phones that ask for one are not told of an error of ours.
const MAX_SEGMENT_BYTES: usize = 255;
const MAX_NAME_BYTES: usize = 1024;

/// Writes, reads and deletes files, named by bucket and name.
#[derive(Clone, Debug)]
pub struct BlobStore {
    objects: Arc<dyn ObjectStore>,
}

/// A file as it is served.
#[derive(Clone, Debug)]
pub struct Blob {
    /// Its bytes.
    pub content: Bytes,
    /// Seconds since the epoch of the last change.
    pub modified: i64,
}

impl BlobStore {
    /// Over a folder, which is made if it does not exist. Files are written to a temporary name, flushed to disk with
    /// their folder, and renamed.
    pub fn open_folder(folder: &Path) -> std::io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let files = LocalFileSystem::new_with_prefix(folder)?.with_fsync(true).with_automatic_cleanup(true);
        Ok(Self { objects: Arc::new(files) })
    }

    fn path(bucket: &str, name: &str) -> Result<ObjectPath, PortError> {
        let whole = [bucket, name];
        // Parsing refuses empty and dotted segments, so a name cannot leave its bucket.
        let bucket = ObjectPath::parse(bucket).map_err(internal)?;
        let name = ObjectPath::parse(name).map_err(internal)?;
        if bucket.parts_count() != 1 || name.parts_count() == 0 {
            return Err(PortError::Internal("a file needs a bucket of one segment and a name".to_owned()));
        }
        // It forgives slashes around a name, which would give one file several.
        if [bucket.as_ref(), name.as_ref()] != whole {
            return Err(PortError::Internal("the name of a file begins or ends with a slash".to_owned()));
        }
        if name.as_ref().len() > MAX_NAME_BYTES || name.parts().any(|part| part.as_ref().len() > MAX_SEGMENT_BYTES) {
            return Err(PortError::Internal("the name of a file is too long".to_owned()));
        }
        ObjectPath::parse(format!("{bucket}/{name}")).map_err(internal)
    }

    /// Writes the file whole, replacing one of that name.
    pub async fn put(&self, bucket: &str, name: &str, content: Vec<u8>) -> Result<(), PortError> {
        let path = Self::path(bucket, name)?;
        self.objects.put(&path, PutPayload::from(content)).await.map_err(unavailable)?;
        Ok(())
    }

    /// Deletes the file, if it exists.
    pub async fn delete(&self, bucket: &str, name: &str) -> Result<(), PortError> {
        match self.objects.delete(&Self::path(bucket, name)?).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// Reads the file, if it exists. Names that cannot exist do not.
    pub async fn get(&self, bucket: &str, name: &str) -> Result<Option<Blob>, PortError> {
        let Ok(path) = Self::path(bucket, name) else { return Ok(None) };
        match self.objects.get(&path).await {
            Ok(result) => {
                let modified = result.meta.last_modified.timestamp();
                let content = result.bytes().await.map_err(unavailable)?;
                Ok(Some(Blob { content, modified }))
            }
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(unavailable(error)),
        }
    }
}

/// Whether there is no such file; also when what the name has for a folder is a file.
fn is_missing(error: &object_store::Error) -> bool {
    if matches!(error, object_store::Error::NotFound { .. }) {
        return true;
    }
    let mut source = error.source();
    while let Some(error) = source {
        if error.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == std::io::ErrorKind::NotADirectory) {
            return true;
        }
        source = error.source();
    }
    false
}

fn internal(error: impl std::fmt::Display) -> PortError {
    PortError::Internal(error.to_string())
}

fn unavailable(error: object_store::Error) -> PortError {
    tracing::warn!(%error, "the blob store failed");
    PortError::Unavailable
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, BlobStore) {
        let folder = tempfile::tempdir().expect("temporary folder");
        let store = BlobStore::open_folder(folder.path()).expect("opened");
        (folder, store)
    }

    #[tokio::test]
    async fn written_file_is_read_back_replaced_and_deleted() {
        let (folder, store) = store();
        for content in ["one", "two"] {
            store.put("public", "us/1-2-00001.zip", content.into()).await.expect("written");
            let blob = store.get("public", "us/1-2-00001.zip").await.expect("read").expect("exists");
            assert_eq!(blob.content, content.as_bytes());
        }
        let files: Vec<_> = std::fs::read_dir(folder.path().join("public/us")).expect("folder").collect();
        assert_eq!(files.len(), 1, "no temporary file is left");
        store.delete("public", "us/1-2-00001.zip").await.expect("deleted");
        store.delete("public", "us/1-2-00001.zip").await.expect("deleting again is no error");
        assert!(store.get("public", "us/1-2-00001.zip").await.expect("read").is_none());
    }

    #[tokio::test]
    async fn names_that_no_file_can_have_are_missing_rather_than_errors() {
        let (_folder, store) = store();
        store.put("public", "us/file", b"x".to_vec()).await.expect("written");
        for name in ["us/file/below", "us", "us/file/", "/us/file", &"n".repeat(256), &"n/".repeat(600)] {
            assert!(store.get("public", name).await.expect("no error").is_none(), "{name}");
        }
    }

    #[tokio::test]
    async fn names_cannot_leave_their_bucket() {
        let (_folder, store) = store();
        for (bucket, name) in [
            ("public", "../x"),
            ("..", "x"),
            ("a/b", "x"),
            ("", "x"),
            ("public", ""),
            ("public", "a//b"),
            ("public", "/a"),
        ] {
            assert!(store.put(bucket, name, b"x".to_vec()).await.is_err(), "{bucket}/{name}");
            assert!(store.get(bucket, name).await.expect("no such name").is_none(), "{bucket}/{name}");
        }
    }
}
